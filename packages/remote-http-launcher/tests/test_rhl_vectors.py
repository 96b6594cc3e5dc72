"""The helpers answer as recorded: contracts/vectors/launcher_cases.json, `helper_cases`."""

from __future__ import annotations

import contextlib
import http.server
import json
import os
import socket
import subprocess
import sysconfig
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from remote_http_launcher.testing.processes import dead_pid, service_process

VECTORS = Path(__file__).parents[3] / "contracts" / "vectors" / "launcher_cases.json"
OURS = [
    "rhl-clear",
    "rhl-handshake",
    "rhl-inspect",
    "rhl-logs",
    "rhl-pid-alive",
    "rhl-ps",
    "rhl-ps-persistent",
    "rhl-rm",
    "rhl-stop",
    "rhl-verify-port",
]
CASES = [case for case in json.loads(VECTORS.read_text())["helper_cases"] if case["argv"][0] in OURS]
PARAMETERS = [
    pytest.param(case, id=case["id"], marks=[pytest.mark.slow] * (case.get("seconds_range", [0])[0] >= 5))
    for case in CASES
]
IGNORING = {"plain": "", "noint": "SIGINT", "nointterm": "SIGINT,SIGTERM"}

# What we answer otherwise, and why. A state of the reference names its process by the number alone; the live processes
# of these cases name the state file on their command line, as a service does, else they would be strangers to us.
DEVIATIONS: dict[str, dict[str, Any]] = {
    "h14": {  # one malformed file must not hide the others; it is a row, and a line on standard error
        "exit_code": 0,
        "stdout": "KEY STATUS PORT\nbad malformed -\ngood stale 1\n",
        "compare": "cells",
    },
    "h29": {"process_alive_after": False},  # we wait until SIGKILL has worked
    "h47": {"exit_code": 2, "compare": "exit_code_only"},  # a redirect is no answer of the service
    "h84": {"compare": "exit_code_only"},  # help has options, examples and exit codes besides
}


@pytest.fixture(scope="module")
def http_port() -> Iterator[int]:
    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            status = {"/ok": 200, "/redir": 302}.get(self.path, 404)
            self.send_response(status)
            if status == 302:
                self.send_header("Location", "/ok")
            self.end_headers()

        def log_message(self, *_: object) -> None:
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        yield server.server_address[1]
        server.shutdown()
        thread.join()


def test_every_helper_has_cases():
    assert {case["argv"][0] for case in CASES} == set(OURS)
    assert set(DEVIATIONS) <= {case["id"] for case in CASES}


@pytest.mark.parametrize("case", PARAMETERS)
def test_helper_answers_as_recorded(case: dict[str, Any], tmp_path: Path, http_port: int):
    case = {**case, **DEVIATIONS.get(case["id"], {})}
    home = tmp_path / "home" / "svc"
    home.mkdir(parents=True)
    with contextlib.ExitStack() as stack:
        values = {"{HOME}": str(home), "{ROOT}": str(tmp_path), "{PORT}": str(http_port)}
        states = [
            _fill(item["file"], values) for item in case["setup"] if item.get("file", "").endswith(".json")
        ]
        process = None
        if case.get("live_process"):
            process = stack.enter_context(service_process(*states, ignoring=IGNORING[case["live_process"]]))
            values["{LIVE_PID}"] = str(process.pid)
        values["{DEAD_PID}"] = str(dead_pid())
        values["{CLOSED_PORT}"] = str(_closed_port())
        _set_up(case["setup"], values)
        environment = {**os.environ, "HOME": str(home), "TZ": "UTC"}
        environment |= {name: _fill(value, values) for name, value in case.get("env", {}).items()}
        program, *arguments = (_fill(word, values) for word in case["argv"])
        start = time.monotonic()
        done = subprocess.run(
            [str(Path(sysconfig.get_path("scripts")) / program), *arguments],
            env=environment,
            capture_output=True,
            text=True,
            timeout=50,
        )
        seconds = time.monotonic() - start
        assert done.returncode == case["exit_code"], done.stderr
        _compare_output(done.stdout, _fill(case["stdout"], values), case.get("compare", ""))
        assert bool(done.stderr) == bool(case["stderr"]) or case["id"] in DEVIATIONS
        low, high = case.get("seconds_range", [0, 50])
        assert low <= seconds <= high + 2  # a busy machine
        for path, expected in case.get("after", {}).items():
            _compare_after(Path(_fill(path, values)), expected, values)
        if process is not None and "process_alive_after" in case:
            assert (process.poll() is None) == case["process_alive_after"]


def _fill(text: str, values: dict[str, str]) -> str:
    for name, value in values.items():
        text = text.replace(f'"{name}"', value) if name in ("{LIVE_PID}", "{DEAD_PID}") else text
        text = text.replace(name, value)
    return text


def _set_up(items: list[dict[str, Any]], values: dict[str, str]) -> None:
    for item in items:
        path = Path(_fill(item.get("file") or item.get("dir") or item["symlink"], values))
        path.parent.mkdir(parents=True, exist_ok=True)
        if "file" in item:
            path.write_text(_fill(item["text"], values))
            path.chmod(int(item.get("mode", "644"), 8))
        elif "dir" in item:
            path.mkdir(parents=True, exist_ok=True)
        else:
            path.symlink_to(_fill(item["target"], values))
    for item in items:
        if "mtime" in item:
            os.utime(_fill(item.get("file") or item["dir"], values), (item["mtime"], item["mtime"]))


def _compare_output(found: str, expected: str, compare: str) -> None:
    if compare == "cells":
        assert [line.split() for line in found.splitlines()] == [
            line.split() for line in expected.splitlines()
        ]
    elif compare != "exit_code_only":
        assert found == expected


def _compare_after(path: Path, expected: Any, values: dict[str, str]) -> None:
    if expected is None:
        assert not path.exists()
    elif isinstance(expected, list):
        assert sorted(os.listdir(path)) == sorted(expected)
    else:
        assert json.loads(path.read_text()) == json.loads(_fill(expected, values))


def _closed_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])

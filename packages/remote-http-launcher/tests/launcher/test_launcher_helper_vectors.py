"""rhl-launch-service, rhl-conda-info and rhl-cache-conda answer as recorded: contracts/vectors/launcher_cases.json."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import sysconfig
from pathlib import Path
from typing import Any

import pytest
import remote_http_launcher
from remote_http_launcher.helpers.launch_service import main as launch_service
from remote_http_launcher.processes import group_members

VECTORS = Path(__file__).resolve().parents[4] / "contracts" / "vectors" / "launcher_cases.json"
OURS = ("rhl-cache-conda", "rhl-conda-info", "rhl-launch-service")
CASES = [case for case in json.loads(VECTORS.read_text())["helper_cases"] if case["argv"][0] in OURS]
# What we answer otherwise, and why: a token and the lock of the key stand beside the state.
MORE_FILES = {"k.token", "k.guard"}


def test_there_are_cases():
    assert len(CASES) == 16


@pytest.mark.parametrize("case", CASES, ids=lambda case: case["id"])
def test_helper_answers_as_recorded(world, tmp_path: Path, case: dict[str, Any]):
    root = tmp_path / "root"
    home = root / "home" / "svc"
    for folder in (home, root / "fakebin"):
        folder.mkdir(parents=True)
    values = {"{HOME}": str(home), "{ROOT}": str(root), "{UID}": str(os.getuid())}
    for item in case["setup"]:
        path = Path(_fill(item["file"], values))
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(_fill(item["text"], values))
        path.chmod(int(item.get("mode", "644"), 8))
    variables = {name: _fill(value, values) for name, value in case.get("env", {}).items()}
    environment = {name: value for name, value in os.environ.items() if name != "RHL_TOOLS_YAML"}
    environment |= {"HOME": str(home), "PATH": f"{root / 'fakebin'}:/usr/bin:/bin", "TZ": "UTC", **variables}
    program, *words = (_fill(word, values) for word in case["argv"])
    done = subprocess.run(
        [str(Path(sysconfig.get_path("scripts")) / program), *words],
        env=environment,
        capture_output=True,
        text=True,
        timeout=50,
    )
    server = home / ".remote-http-launcher" / "server"
    pids = [json.loads(path.read_text())["pid"] for path in server.glob("*.json")]
    try:
        values["{SERVICE_PID}"] = str(pids[0]) if pids else ""
        assert done.returncode == case["exit_code"], done.stderr
        assert done.stdout == _fill(case["stdout"], values)
        assert bool(done.stderr) == bool(case["stderr"])
        for path, expected in case.get("after", {}).items():
            _compare(world, Path(_fill(path, values)), expected, values)
    finally:
        for pid in pids:
            os.killpg(pid, signal.SIGKILL)
        world.wait_until(lambda: not any(group_members(pid) for pid in pids))


def _fill(text: str, values: dict[str, str]) -> str:
    for name, value in values.items():
        text = text.replace(name, value)
    return text


def _compare(world, path: Path, expected: Any, values: dict[str, str]) -> None:
    if expected is None:
        assert not path.exists() or list(path.iterdir()) == []
    elif isinstance(expected, list):
        assert sorted({entry.name for entry in path.iterdir()} - MORE_FILES) == expected
    elif path.suffix == ".json":
        found, wanted = json.loads(path.read_text()), json.loads(_fill(expected, values))
        assert {name: found.get(name) for name in wanted} == wanted
    else:
        world.wait_until(lambda: path.read_text() == _fill(expected, values))


@pytest.mark.parametrize(
    "words",
    [
        [],
        ["--key", "k"],
        ["--key", "k", "--workdir", "/w", "--wor", "/v"],
        ["--key", "k", "--workdir"],
        ["--key", "k", "--key", "k", "--workdir", "/w"],
        ["--key", "k", "--workdir", "/w", "stray"],
        ["--key", "k", "--workdir", "/w", "--wait", "x"],
        ["--key", "k", "--workdir", "/w", "--wait", "-1"],
    ],
)
def test_wrong_options_are_code_2(world, words, capsys):
    assert launch_service([*words, "--", "svc-test"]) == 2
    assert "rhl-launch-service: error: " in capsys.readouterr().err
    assert world.starts() == []


@pytest.mark.parametrize(
    "words",
    [["--auth", "maybe"], ["--conda-env", "-x"], ["--conda-env", ""], ["--meta", "["], ["--meta", "1"]],
)
def test_wrong_values_are_refused(world, words, capsys):
    wanted = ["--key", "k", "--workdir", str(world.home / "w")]
    assert launch_service([*wanted, *words, "--", "svc-test"]) == 1
    assert capsys.readouterr().err.startswith("rhl-launch-service: ")
    assert world.starts() == []


@pytest.mark.parametrize("name", OURS)
def test_start_of_the_helper_imports_little(name):
    module = f"remote_http_launcher.helpers.{name[4:].replace('-', '_')}"
    heavy = (
        "argparse",
        "dataclasses",
        "json",
        "logging",
        "pathlib",
        "re",
        "socket",
        "subprocess",
        "typing",
        "yaml",
    )
    code = f"import sys; from {module} import main; main(['--help']); "
    code += f"print([name for name in {heavy} if name in sys.modules], file=sys.stderr)"
    source = str(Path(remote_http_launcher.__file__).parents[1])
    words = [sys.executable, "-I", "-S", "-c", f"import sys; sys.path.insert(0, {source!r}); {code}"]
    done = subprocess.run(words, capture_output=True, text=True, timeout=30, check=True)
    assert done.stderr == "[]\n"


def _launch(world, mode: str, *options: str) -> subprocess.CompletedProcess[str]:
    helper = str(Path(sysconfig.get_path("scripts")) / "rhl-launch-service")
    service = ["svc-test", "--mode", mode, "--status-file", str(world.server / "svc.json")]
    words = [helper, "--key", "svc", "--workdir", str(world.home / "work"), *options, "--", *service]
    return subprocess.run(words, capture_output=True, text=True, timeout=50)


def test_launch_is_silent_and_does_not_wait(world):
    done = _launch(world, "hang")
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    assert world.state()["status"] == "starting"
    assert _launch(world, "hang").returncode == 0
    world.wait_until(world.starts)
    assert world.starts() == [world.state()["pid"]]


def test_launch_that_waits_prints_state_and_token(world):
    first, second = (_launch(world, "ok", "--wait", "20") for _ in range(2))
    assert (first.returncode, first.stderr, first.stdout.count("\n")) == (0, "", 1)
    found = json.loads(first.stdout)
    assert sorted(found) == ["started", "state", "token"]
    assert found["started"] is True
    assert found["state"] == world.state()
    assert found["token"] == (world.server / "svc.token").read_text().strip()
    assert json.loads(second.stdout) == {**found, "started": False}


def test_launch_that_fails_prints_the_cause_and_is_code_1(world):
    done = _launch(world, "crash", "--wait", "20", "--auth", "none")
    found = json.loads(done.stdout)
    assert (done.returncode, done.stderr, found["token"]) == (1, "", None)
    assert found["state"]["status"] == "failed"
    assert "flux capacitor" in found["state"]["error"]["log_tail"]

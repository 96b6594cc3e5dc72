"""A world for launches: a home, programs of its own on the PATH, and nothing that runs on afterwards."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import stat
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Protocol

from remote_http_launcher.configuration import Configuration
from remote_http_launcher.processes import group_members
from remote_http_launcher.tunnels import close_tunnel, list_tunnels

__all__ = ("World", "launch_world")


class _Environment(Protocol):
    """What changes the environment for the time of a test: pytest's MonkeyPatch."""

    def setenv(self, name: str, value: str) -> None: ...


SERVICE = '''\
#!{python} -IS
"""A service for tests. Its mode says how it behaves; every start appends a line to the file `starts`."""
import http.server, json, os, signal, subprocess, sys, time

words = sys.argv[1:]
mode, status_file = words[words.index("--mode") + 1], words[words.index("--status-file") + 1]
with open(os.path.join({folder!r}, "starts"), "a") as file:
    file.write(str(os.getpid()) + "\\n")
print("mode", mode, flush=True)
if "stubborn" in mode:
    code = "import signal, time; signal.signal(2, signal.SIG_IGN); signal.signal(15, signal.SIG_IGN); time.sleep(100)"
    subprocess.Popen([sys.executable, "-c", code])
    signal.signal(2, signal.SIG_IGN)
    signal.signal(15, signal.SIG_IGN)
if "crash" in mode:
    if "late" in mode:
        time.sleep(0.5)
    sys.exit("cannot find the flux capacitor")
while not os.path.exists(status_file):
    time.sleep(0.01)
with open(status_file) as file:
    state = json.load(file)
if "hang" in mode:
    time.sleep(100)
if "slow" in mode:
    time.sleep(1.0)

def stat_of(pid):
    with open("/proc/%d/stat" % pid) as file:
        return int(file.read().rpartition(")")[2].split()[19])

class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        body, kind = b"OK", "text/plain"
        if "plain" not in mode:
            with open("/proc/sys/kernel/random/boot_id") as file:
                boot_id = file.read().strip()
            found = dict(service="test", key=os.path.basename(status_file)[:-5], pid=os.getpid(),
                         start_time=stat_of(os.getpid()), boot_id=boot_id)
            if "liar" in mode:
                found["pid"] = 1
            body, kind = json.dumps(found).encode(), "application/json"
        self.send_response(500 if "sick" in mode else 200)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)
    def log_message(self, *rest):
        pass

server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
with open(status_file + ".tmp", "w") as file:
    port = {{}} if "noport" in mode else {{"port": server.server_port}}
    json.dump(dict(state, status="running", **port), file)
os.rename(status_file + ".tmp", status_file)
server.serve_forever()
'''


class World:
    """What a test of the launcher works with. home: HOME. programs: first on PATH. starts: of the service for tests."""

    def __init__(self, home: Path, programs: Path) -> None:
        self.home = home
        self.programs = programs
        self.server = home / ".remote-http-launcher" / "server"
        self.client = home / ".remote-http-launcher" / "client"
        self.server_folders = [self.server]  # of all hosts

    def config(self, mode: str = "ok", key: str = "svc", **more: Any) -> dict[str, Any]:
        return {
            "workdir": str(self.home / "work"),
            "key": key,
            "command": f"svc-test --mode {mode} --status-file {{status_file}}",
            "network_interface": "127.0.0.1",
            "handshake": "healthcheck",
            "log_level": "minimal",
            "start_timeout": 20,
            **more,
        }

    def checked(self, mode: str = "ok", **more: Any) -> Configuration:
        return Configuration.from_mapping(self.config(mode, **more))

    def starts(self) -> list[int]:
        path = self.programs / "starts"
        return [int(line) for line in path.read_text().split()] if path.exists() else []

    def state(self, key: str = "svc") -> dict[str, Any]:
        found: dict[str, Any] = json.loads((self.server / f"{key}.json").read_text())
        return found

    def running(self) -> list[int]:
        """Return what runs of all services that were started, their children included."""
        return sorted({member for pid in self.starts() for member in group_members(pid)})

    def wait_until(self, condition: Callable[[], object], timeout_s: float = 15.0) -> None:
        """Return as soon as the condition holds; an assertion fails when it does not come to hold in time."""
        deadline = time.monotonic() + timeout_s
        while not condition():
            assert time.monotonic() < deadline, "it did not happen in time"
            time.sleep(0.01)

    def end_all(self) -> None:
        """End all tunnels and services whose state is in this world."""
        for tunnel in list_tunnels():
            close_tunnel(tunnel["key"])
        groups = set(self.starts())
        for path in (path for folder in self.server_folders for path in folder.glob("*.json")):
            with contextlib.suppress(ValueError, KeyError, TypeError, OSError):
                state = json.loads(path.read_text())
                if str(path) in Path(f"/proc/{state['pid']}/cmdline").read_text(errors="replace"):
                    groups.add(state["pid"])
        for group in groups:
            if group_members(group):
                os.killpg(group, signal.SIGKILL)
        self.wait_until(lambda: not any(group_members(group) for group in groups))


@contextlib.contextmanager
def launch_world(tmp_path: Path, monkeypatch: _Environment) -> Iterator[World]:
    """A home and a PATH of its own, with the service for tests and the programs of this installation."""
    home = Path(os.environ["HOME"])
    programs = tmp_path / "programs"
    programs.mkdir()
    script = programs / "svc-test"
    script.write_text(SERVICE.format(python=sys.executable, folder=str(programs)))
    script.chmod(stat.S_IRWXU)
    tools = tmp_path / "tools.yaml"
    names = ("svc-test", "hashserver", "seamless-database")
    tools.write_text("".join(f'{name}:\n  command_template: "{name} {{x}}"\n' for name in names))
    monkeypatch.setenv("RHL_TOOLS_YAML", str(tools))
    monkeypatch.setenv("PATH", f"{programs}:{Path(sys.executable).parent}:/usr/bin:/bin")
    found = World(home, programs)
    try:
        yield found
    finally:
        found.end_all()

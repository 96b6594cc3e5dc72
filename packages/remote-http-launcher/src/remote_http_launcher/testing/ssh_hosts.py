"""A world for launches: a home, programs of its own on the PATH, hosts behind a real sshd, and nothing that runs on."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import socket
import stat
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import remote_http_launcher.ssh_master as ssh_master_module
from remote_http_launcher.configuration import Configuration
from remote_http_launcher.handshake import connect_error
from remote_http_launcher.processes import group_members
from remote_http_launcher.tunnels import close_tunnel, list_tunnels

__all__ = ("SshHost", "World", "has_sshd", "make_world", "running_hosts")

SSHD = shutil.which("sshd", path="/usr/sbin:/usr/bin:/sbin:/bin")
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
    time.sleep(4.0 if "slower" in mode else 1.0)

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
        deadline = time.monotonic() + timeout_s
        while not condition():
            assert time.monotonic() < deadline, "it did not happen in time"
            time.sleep(0.01)

    def end_all(self) -> None:
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


class SshHost:
    """Another host, as ssh sees it: its own home and PATH, on this machine. name: its alias. log: of its sshd."""

    def __init__(self, folder: Path, world: World, port: int, name: str = "tb-host") -> None:
        self.name = name
        self.folder = folder
        self.port = port
        self.home = folder / "home"
        self.log = folder / "log"
        self.bin = folder / "bin"
        self.config_path = folder / "ssh_config"
        self.world = world
        self.server = self.home / ".remote-http-launcher" / "server"
        self.process: subprocess.Popen[bytes] | None = None

    def config(self, mode: str = "ok", key: str = "svc", **more: Any) -> dict[str, Any]:
        found = self.world.config(mode, key, hostname="localhost", ssh_hostname=self.name)
        return {**found, "workdir": str(self.home / "work"), **more}

    def state(self, key: str = "svc") -> dict[str, Any]:
        found: dict[str, Any] = json.loads((self.server / f"{key}.json").read_text())
        return found

    def handshakes(self) -> int:
        return self.log.read_text().count("Accepted publickey")

    def calls(self) -> int:
        return self.log.read_text().count("Starting session: command")

    def prepare(self, path: str) -> None:
        """Write what sshd and ssh read. path: PATH of commands on the host."""
        sshd, key, client_key = (
            self.folder / "sshd_config",
            self.folder / "host_key",
            self.folder / "client_key",
        )
        for each in (key, client_key, self.folder / "guarded_key", self.folder / "unknown_key"):
            subprocess.run(
                ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(each)], check=True, timeout=30
            )
        roots = self.folder / "roots"
        roots.write_text(f"{self.home}\n")
        guarded = self.folder / "guarded_key"
        (self.folder / "authorized_keys").write_text(
            f"{client_key.with_suffix('.pub').read_text()}"
            f'command="rhl-guard --data-roots {roots}" {guarded.with_suffix(".pub").read_text()}'
        )
        host_key = " ".join(key.with_suffix(".pub").read_text().split()[:2])
        (self.folder / "known_hosts").write_text(f"{self.name} {host_key}\n")
        run = os.environ.get("SEAMLESS_TEST_RUN", "")
        tools = os.environ["RHL_TOOLS_YAML"]
        sshd.write_text(
            f"Port {self.port}\nListenAddress 127.0.0.1\nHostKey {key}\nPidFile none\nStrictModes no\nUsePAM no\n"
            f"AuthorizedKeysFile {self.folder / 'authorized_keys'}\nPasswordAuthentication no\n"
            "KbdInteractiveAuthentication no\nPermitRootLogin prohibit-password\nPrintMotd no\nLogLevel VERBOSE\n"
            "MaxStartups 100\nMaxSessions 100\n"
            f"SetEnv HOME={self.home} PATH={path} SEAMLESS_TEST_RUN={run} RHL_TOOLS_YAML={tools}\n"
        )
        self.write_client_config()

    def write_client_config(self, more: str = "") -> None:
        common = (
            f"HostName 127.0.0.1\n  Port {self.port}\n  UserKnownHostsFile {self.folder / 'known_hosts'}\n"
            "  GlobalKnownHostsFile /dev/null\n  StrictHostKeyChecking yes\n"
            "  IdentitiesOnly yes\n  IdentityAgent none\n"
        )
        key, unknown, guarded = (self.folder / f"{name}_key" for name in ("client", "unknown", "guarded"))
        self.config_path.write_text(
            f"Host {self.name}\n  HostKeyAlias {self.name}\n  IdentityFile {key}\n  {common}  {more}\n"
            f"Host tb-guarded\n  HostKeyAlias {self.name}\n  IdentityFile {guarded}\n  {common}"
            f"Host tb-badkey\n  HostKeyAlias {self.name}\n  IdentityFile {unknown}\n  {common}"
            f"Host tb-badhost\n  HostKeyAlias other\n  IdentityFile {key}\n  {common}"
            "Host tb-refused\n  HostName 127.0.0.1\n  Port 1\n"
        )

    def start(self) -> None:
        with open(self.log, "ab") as log:
            self.process = subprocess.Popen(
                [str(SSHD), "-D", "-e", "-f", str(self.folder / "sshd_config")],
                stdin=subprocess.DEVNULL,
                stderr=log,
                start_new_session=True,
            )
        self.world.wait_until(lambda: not connect_error("127.0.0.1", self.port))

    def remove_helpers(self, *, python: bool = True) -> None:
        """Leave the host without helpers, and without any Python if so wanted."""
        if python:
            (self.bin / "python3").symlink_to(sys.executable)
        else:
            for name in ("sh", "env"):
                (self.bin / name).symlink_to(str(shutil.which(name)))
        path = f"{self.world.programs}:{self.bin}" + (":/usr/bin:/bin" if python else "")
        config = self.folder / "sshd_config"
        words = config.read_text().split(" ")
        config.write_text(" ".join(f"PATH={path}" if word.startswith("PATH=") else word for word in words))
        self.stop()
        self.start()

    def cut(self) -> None:
        """Cut every connection, as a network that goes away: sshd's sessions end, what they started does not."""
        for pid in self.sessions():
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)

    def sessions(self) -> list[int]:
        assert self.process is not None
        found, waiting = [], [self.process.pid]
        while waiting:
            parent = waiting.pop()
            for task in Path(f"/proc/{parent}/task").glob("*/children"):
                for pid in task.read_text().split():
                    if Path(f"/proc/{pid}/comm").read_text().startswith("sshd"):
                        found.append(int(pid))
                        waiting.append(int(pid))
        return found

    def stop(self) -> None:
        if self.process is not None:
            self.cut()
            self.process.terminate()
            self.process.wait(20)


def has_sshd() -> bool:
    """Whether an OpenSSH server and client are installed (Debian: openssh-server)."""
    return SSHD is not None and shutil.which("ssh") is not None


def make_world(folder: Path, home: Path, set_variable: Callable[[str, str], None]) -> World:
    """Return a world with the service for tests and the programs of this installation on PATH.

    set_variable: sets a variable of the environment for the test. The caller ends what runs with `end_all`.
    """
    programs = folder / "programs"
    programs.mkdir()
    script = programs / "svc-test"
    script.write_text(SERVICE.format(python=sys.executable, folder=str(programs)))
    script.chmod(stat.S_IRWXU)
    tools = folder / "tools.yaml"
    names = ("svc-test", "hashserver", "seamless-database")
    tools.write_text("".join(f'{name}:\n  command_template: "{name} {{x}}"\n' for name in names))
    set_variable("RHL_TOOLS_YAML", str(tools))
    set_variable("PATH", f"{programs}:{Path(sys.executable).parent}:/usr/bin:/bin")
    return World(home, programs)


@contextlib.contextmanager
def running_hosts(
    world: World, folder: Path, set_variable: Callable[[str, str], None], names: Sequence[str] = ("tb-host",)
) -> Iterator[list[SshHost]]:
    """Hosts behind one real sshd each, with the helpers of this installation on their PATH; `ssh` knows their names."""
    if os.getuid() == 0:
        Path("/run/sshd").mkdir(mode=0o755, exist_ok=True)  # sshd wants it when it runs as root
    hosts = [_made_host(world, folder / name.replace("tb-", ""), name) for name in names]
    config = folder / "ssh_config"
    config.write_text("".join(f"Include {host.config_path}\n" for host in hosts))
    wrapper = world.programs / "ssh"
    wrapper.write_text(f'#!/bin/sh\nexec {shutil.which("ssh", path="/usr/bin:/bin")} -F {config} "$@"\n')
    wrapper.chmod(stat.S_IRWXU)
    runtime = tempfile.mkdtemp(prefix="rhl-", dir="/tmp")  # short: sockets are made here
    set_variable("XDG_RUNTIME_DIR", runtime)
    try:
        for host in hosts:
            host.start()
        yield hosts
    finally:
        for tunnel in list_tunnels():
            close_tunnel(tunnel["key"])
        for master in list(ssh_master_module._masters.values()):
            master.close()
        ssh_master_module._masters.clear()
        for host in hosts:
            host.stop()
        shutil.rmtree(runtime)


def _made_host(world: World, folder: Path, name: str) -> SshHost:
    for part in ("home", "bin"):
        (folder / part).mkdir(parents=True)
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        port = found.getsockname()[1]
    host = SshHost(folder, world, port, name)
    world.server_folders.append(host.server)
    host.prepare(f"{world.programs}:{host.bin}:{Path(sys.executable).parent}:/usr/bin:/bin")
    return host

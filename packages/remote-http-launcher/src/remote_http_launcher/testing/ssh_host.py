"""Another host, as ssh sees it: a real sshd on this machine, with a home and a PATH of its own."""

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
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import remote_http_launcher.ssh_master as ssh_master_module
from remote_http_launcher.handshake import connect_error
from remote_http_launcher.tunnels import close_tunnel, list_tunnels

if TYPE_CHECKING:
    from .launch_world import World, _Environment

__all__ = ("SSHD", "SshHost", "has_ssh", "running_ssh_host")

SSHD = shutil.which("sshd", path="/usr/sbin:/usr/bin:/sbin:/bin")


def has_ssh() -> bool:
    """Whether this machine has an OpenSSH client and server."""
    return SSHD is not None and shutil.which("ssh") is not None


class SshHost:
    """Another host, as ssh sees it: its own home and PATH, on this machine. name: its alias. log: of its sshd."""

    name = "tb-host"

    def __init__(self, folder: Path, world: World, port: int) -> None:
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


@contextlib.contextmanager
def running_ssh_host(world: World, tmp_path: Path, monkeypatch: _Environment) -> Iterator[SshHost]:
    """Start the host, with the helpers of this installation on its PATH; `ssh` of this world's PATH knows it."""
    if os.getuid() == 0:
        Path("/run/sshd").mkdir(mode=0o755, exist_ok=True)  # sshd wants it when it runs as root
    folder = tmp_path / "host"
    for name in ("home", "bin"):
        (folder / name).mkdir(parents=True)
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        port = found.getsockname()[1]
    host = SshHost(folder, world, port)
    world.server_folders.append(host.server)
    host.prepare(f"{world.programs}:{host.bin}:{Path(sys.executable).parent}:/usr/bin:/bin")
    wrapper = world.programs / "ssh"
    wrapper.write_text(
        f'#!/bin/sh\nexec {shutil.which("ssh", path="/usr/bin:/bin")} -F {host.config_path} "$@"\n'
    )
    wrapper.chmod(stat.S_IRWXU)
    runtime = tempfile.mkdtemp(prefix="rhl-", dir="/tmp")  # short: sockets are made here
    monkeypatch.setenv("XDG_RUNTIME_DIR", runtime)
    host.start()
    try:
        yield host
    finally:
        for tunnel in list_tunnels():
            close_tunnel(tunnel["key"])
        for master in list(ssh_master_module._masters.values()):
            master.close()
        ssh_master_module._masters.clear()
        host.stop()
        shutil.rmtree(runtime)

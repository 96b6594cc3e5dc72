"""The guard as the forced command of a key, in a real sshd."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

SSHD = shutil.which("sshd") or "/usr/sbin/sshd"
SSH, SSH_KEYGEN = shutil.which("ssh"), shutil.which("ssh-keygen")
SEPARATION = Path("/run/sshd")
pytestmark = [
    pytest.mark.skipif(not (Path(SSHD).exists() and SSH and SSH_KEYGEN), reason="no OpenSSH here"),
]
PROGRAMS = Path(sys.executable).parent


@dataclass
class Server:
    """A running sshd, whose only key is guarded."""

    root: Path
    home: Path
    ssh_words: list[str]

    def ask(
        self, *words: str, stdin: bytes = b"", options: tuple[str, ...] = ()
    ) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [*self.ssh_words, *options, "guarded", *words],
            capture_output=True,
            text=True,
            input=stdin.decode(),
            timeout=30,
        )


def _free_ports() -> tuple[int, int]:
    with socket.socket() as one, socket.socket() as other:
        one.bind(("127.0.0.1", 0))
        other.bind(("127.0.0.1", 0))
        return one.getsockname()[1], other.getsockname()[1]


@contextlib.contextmanager
def _sshd(root: Path, *policy: str) -> Iterator[Server]:
    home = root / "home"
    (home / "data").mkdir(parents=True)
    (home / "roots").write_text("~/data\n")
    for name in ("host_key", "key"):
        subprocess.run(
            [str(SSH_KEYGEN), "-q", "-t", "ed25519", "-N", "", "-f", str(root / name)], check=True, timeout=30
        )
    environment = {**os.environ, "HOME": str(home)}
    line = subprocess.run(
        [str(PROGRAMS / "rhl-guard"), "--print-authorized-keys-line", *policy],
        capture_output=True,
        text=True,
        check=True,
        timeout=30,
        env=environment,
    ).stdout.strip()
    keys = root / "authorized_keys"
    keys.write_text(line.replace("PUBLIC-KEY", (root / "key.pub").read_text()))
    keys.chmod(0o600)
    if os.getuid() == 0:
        SEPARATION.mkdir(mode=0o755, exist_ok=True)  # as the service of the system does at boot
    port, _ = _free_ports()
    marks = " ".join(f"{name}={value}" for name, value in os.environ.items() if name.startswith("SEAMLESS_"))
    (root / "sshd_config").write_text(
        f"ListenAddress 127.0.0.1:{port}\nHostKey {root}/host_key\nAuthorizedKeysFile {keys}\nPidFile none\n"
        "StrictModes no\nUsePAM no\nPasswordAuthentication no\nKbdInteractiveAuthentication no\n"
        "PermitRootLogin prohibit-password\nSubsystem sftp internal-sftp\nAcceptEnv *\n"
        f"SetEnv HOME={home} PATH={PROGRAMS}:/usr/bin:/bin {marks}\n"
    )
    (root / "ssh_config").write_text(
        f"Host guarded\n HostName 127.0.0.1\n Port {port}\n IdentityFile {root}/key\n IdentitiesOnly yes\n"
        f" UserKnownHostsFile {root}/known_hosts\n StrictHostKeyChecking accept-new\n BatchMode yes\n"
        " LogLevel ERROR\n ControlPath none\n"
    )
    log = root / "sshd.log"
    with log.open("wb") as stream:
        process = subprocess.Popen([SSHD, "-D", "-e", "-f", str(root / "sshd_config")], stderr=stream)
    try:
        for _ in range(500):
            if "Server listening" in log.read_text() or process.poll() is not None:
                break
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(0.01)
        assert process.poll() is None, log.read_text()
        yield Server(root, home, [str(SSH), "-F", str(root / "ssh_config")])
    finally:
        process.terminate()
        process.wait(10)


@pytest.fixture
def listening() -> Iterator[int]:
    """A port that greets the first caller."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.settimeout(30)

        def greet() -> None:
            with contextlib.suppress(OSError):
                caller, _ = listener.accept()
                with caller:
                    caller.sendall(b"hello")

        thread = threading.Thread(target=greet, name="greeter")
        thread.start()
        yield listener.getsockname()[1]
        with contextlib.suppress(OSError):
            socket.create_connection(("127.0.0.1", listener.getsockname()[1]), 5).close()
        thread.join(30)


@pytest.fixture
def server(tmp_path: Path, listening: int) -> Iterator[Server]:
    policy = ("--data-roots", str(tmp_path / "sshd" / "home" / "roots"), "--ports", str(listening))
    with _sshd(tmp_path / "sshd", *policy) as made:
        yield made


@pytest.mark.invariant("I-219")
def test_guarded_key_runs_helpers_and_nothing_else(server: Server):
    path = "PATH=$HOME/miniforge3/bin:$HOME/miniconda3/bin:$PATH"
    done = server.ask(path, "rhl-ps", "--json")
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    assert server.ask("rhl-clear", "~/data").returncode == 0
    for words in (
        ["id"],
        ["rhl-ps;id"],
        ["sh", "-c", "'touch ~/data/x'"],
        ["python3", "-"],
        ["scp", "-t", "x"],
        [],
    ):
        done = server.ask(*words, stdin=b"touch ~/data/x\n")
        assert (done.returncode, done.stdout) == (1, ""), words
        assert done.stderr.startswith("rhl-guard:")
    assert os.listdir(server.home / "data") == []
    decisions = [
        json.loads(line)["decision"]
        for line in (server.home / ".remote-http-launcher/server/rhl-guard.audit").read_text().splitlines()
    ]
    assert decisions == ["allowed", "allowed", *["refused"] * 6]


def test_file_transfer_and_terminal_are_refused(server: Server):
    assert server.ask("sftp", options=("-s",)).returncode == 1
    done = server.ask(options=("-tt",))
    assert "PTY allocation request failed" in done.stderr + done.stdout
    assert done.returncode != 0


@pytest.mark.parametrize(
    "name", ["PYTHONPATH", "PYTHONHOME", "PYTHONSTARTUP", "RHL_TOOLS_YAML", "PYTHONUSERBASE"]
)
def test_variables_that_the_client_sends_choose_no_code(server: Server, name: str):
    bad = server.root / "bad"
    bad.mkdir()
    for module in ("sitecustomize", "usercustomize", "remote_http_launcher", "errno"):
        (bad / f"{module}.py").write_text(f"open({str(server.root / 'ran')!r}, 'w')\n")
    done = server.ask("rhl-ps", options=("-o", f"SetEnv={name}={bad}"))
    assert (done.returncode, done.stdout) == (0, "KEY STATUS PORT\n")
    assert not (server.root / "ran").exists()


@pytest.mark.invariant("I-219")
def test_tunnels_lead_only_to_the_ports_of_the_line(server: Server, listening: int):
    _, closed = _free_ports()
    done = server.ask(options=("-W", f"127.0.0.1:{closed}"))
    assert (done.returncode, done.stdout) == (255, "")
    assert (
        f"to host 127.0.0.1 port {closed}, but the request was denied"
        in (server.root / "sshd.log").read_text()
    )
    assert server.ask(options=("-W", f"127.0.0.1:{listening}")).stdout == "hello"
    back = server.ask("rhl-ps", options=("-o", "ExitOnForwardFailure=yes", "-R", f"{closed}:127.0.0.1:1"))
    assert back.returncode == 255


@pytest.mark.timeout(120)
@pytest.mark.invariant("I-219")
def test_launcher_starts_reuses_and_stops_a_service_through_the_guard(server: Server, monkeypatch, tmp_path):
    from remote_http_launcher.launcher import run

    programs = tmp_path / "client"
    programs.mkdir()
    (programs / "ssh").write_text(f'#!/bin/sh\nexec {SSH} -F {server.root}/ssh_config "$@"\n')
    (programs / "ssh").chmod(0o755)
    monkeypatch.setenv("PATH", f"{programs}:{os.environ['PATH']}")
    monkeypatch.setenv("REMOTE_HTTP_LAUNCHER_DIR", str(tmp_path / "c"))
    (server.home / "data" / "b").mkdir()
    config = {
        "key": "hashserver-guarded",
        "workdir": "~/data/b",
        "hostname": "127.0.0.1",
        "ssh_hostname": "guarded",
        "command": "hashserver --status-file {status_file} --host 127.0.0.1 --timeout 60 {workdir} --writable",
        "handshake": "healthcheck",
        "log_level": "minimal",
    }
    first = run(config)
    (tmp_path / "c" / "client" / "hashserver-guarded.json").unlink()
    assert run(config)["port"] == first["port"]
    assert server.ask("rhl-clear", "~/data/b").returncode == 1
    done = server.ask("rhl-stop", "hashserver-guarded")
    assert done.stdout == "hashserver-guarded: stopped\n"
    audit = (server.home / ".remote-http-launcher/server/rhl-guard.audit").read_text()
    assert '"refused"' not in audit
    for master in (tmp_path / "c" / "run").iterdir():
        server.ask(options=("-O", "exit", "-o", f"ControlPath={master}"))
    token = (server.home / ".remote-http-launcher/server/hashserver-guarded.token").read_text().strip()
    assert token not in audit

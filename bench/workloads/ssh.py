"""A host behind a real sshd on loopback: calls of a helper there, and how many a launch takes.

`call`: `rhl-inspect` as the launcher calls it, from the second call on; `guarded`: with a key that is limited to
`rhl-guard`. `cold`: launch of a hashserver there. `cold_calls`, `reuse_calls`: sessions that sshd has counted for a
launch, and for finding the service again without client state; `handshakes`: connections that it has accepted for both.
The floor of the calls is a bare `ssh HOST true` over a connection that is there.

The reference makes a connection for each call, so its call is a plain `ssh HOST rhl-inspect KEY`.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from bench.define import Benchmark, Budget, Case
from bench.measure import workload_main

BENCHMARK = Benchmark(
    "ssh",
    "Helpers and a launch on a host behind a real sshd on loopback",
    units={
        **{"call": "ms", "guarded": "ms", "cold": "s"},
        **{"cold_calls": "calls", "reuse_calls": "calls", "handshakes": ""},
    },
    budgets=(
        *(Budget("call", 45), Budget("guarded", 65)),
        *(Budget("cold_calls", 3), Budget("reuse_calls", 1), Budget("handshakes", 1)),
    ),
    cases=(Case(peers=("ours", "reference", "floor"), rounds=3),),
)
HOST, GUARDED = "bench-host", "bench-guarded"
N_RUNS = 25
START_S = 10.0
SSHD = """\
Port {port}
ListenAddress 127.0.0.1
HostKey {folder}/host_key
AuthorizedKeysFile {folder}/authorized_keys
PidFile none
StrictModes no
UsePAM no
PasswordAuthentication no
KbdInteractiveAuthentication no
PermitRootLogin prohibit-password
PrintMotd no
MaxSessions 100
LogLevel VERBOSE
SetEnv HOME={home} PATH={path}
"""
CLIENT = """\
Host {name}
  HostName 127.0.0.1
  Port {port}
  HostKeyAlias bench
  IdentityFile {folder}/{key}
  IdentitiesOnly yes
  IdentityAgent none
  UserKnownHostsFile {folder}/known_hosts
  GlobalKnownHostsFile /dev/null
  StrictHostKeyChecking yes
"""


class Host:
    """A private sshd, and an `ssh` first on PATH that knows it."""

    def __init__(self, folder: Path) -> None:
        self.log = folder / "log"
        sshd = shutil.which("sshd", path="/usr/sbin:/usr/bin:/sbin:/bin")
        ssh = shutil.which("ssh")
        if sshd is None or ssh is None:
            raise RuntimeError("no OpenSSH server here (Debian: openssh-server)")
        with socket.socket() as found:
            found.bind(("127.0.0.1", 0))
            port = found.getsockname()[1]
        for name in ("host_key", "key", "guarded_key"):
            words = ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", folder / name]
            subprocess.run(words, check=True)
        public = {path.stem: path.read_text() for path in folder.glob("*.pub")}
        (folder / "authorized_keys").write_text(
            f'{public["key"]}command="rhl-guard --permissive-paths" {public["guarded_key"]}'
        )
        (folder / "known_hosts").write_text(f"bench {' '.join(public['host_key'].split()[:2])}\n")
        path = f"{Path(sys.executable).parent}:/usr/bin:/bin"
        (folder / "sshd_config").write_text(
            SSHD.format(port=port, folder=folder, home=os.environ["HOME"], path=path)
        )
        (folder / "ssh_config").write_text(
            "".join(
                CLIENT.format(name=name, port=port, folder=folder, key=key)
                for name, key in ((HOST, "key"), (GUARDED, "guarded_key"))
            )
        )
        (folder / "bin").mkdir()
        (folder / "bin" / "ssh").write_text(f'#!/bin/sh\nexec {ssh} -F {folder}/ssh_config "$@"\n')
        (folder / "bin" / "ssh").chmod(0o700)
        os.environ["PATH"] = f"{folder}/bin:{path}"
        if os.getuid() == 0:
            Path("/run/sshd").mkdir(mode=0o755, exist_ok=True)  # sshd wants it when it runs as root
        with open(self.log, "wb") as log:
            self.process = subprocess.Popen([sshd, "-D", "-e", "-f", folder / "sshd_config"], stderr=log)
        deadline = time.monotonic() + START_S
        while b"Server listening" not in self.log.read_bytes():
            if time.monotonic() > deadline or self.process.poll() is not None:
                raise RuntimeError(f"sshd did not start: {self.log.read_text()}")
            time.sleep(0.01)

    def calls(self) -> int:
        """Return how many commands have been run."""
        return self.log.read_text().count("Starting session: command")

    def handshakes(self) -> int:
        """Return how many connections have been accepted."""
        return self.log.read_text().count("Accepted publickey")


@contextlib.contextmanager
def _host():
    """Yield a host; afterwards end it. Its sockets need a short path, and its keys no place that outlives it."""
    folder = Path(tempfile.mkdtemp(prefix="rhl-bench-"))
    os.environ["XDG_RUNTIME_DIR"] = str(folder)
    try:
        host = Host(folder)
        try:
            yield host
        finally:
            for name in (HOST, GUARDED):
                for path in (folder / "rhl").glob("*"):
                    if path.is_socket():
                        words = ["ssh", "-o", f"ControlPath={path}", "-O", "exit", name]
                        subprocess.run(words, capture_output=True, check=False)
            host.process.terminate()
            host.process.wait(20)
    finally:
        shutil.rmtree(folder)


def _ms(call, n_runs=N_RUNS):
    """Return the median of the calls after the first, which may connect."""
    call()
    found = []
    for _ in range(n_runs):
        start = time.perf_counter_ns()
        call()
        found.append((time.perf_counter_ns() - start) / 1e6)
    return statistics.median(found)


def _config(key):
    return {
        "workdir": str(Path.cwd() / f"buffers-{key}"),
        "key": key,
        "command": "hashserver --status-file {status_file} --host 127.0.0.1 --timeout 30 {workdir} --writable",
        "hostname": "localhost",
        "ssh_hostname": HOST,
        "network_interface": "127.0.0.1",
        "handshake": "healthcheck",
        "log_level": "minimal",
    }


def _launches(host):
    """Return the figures of a cold launch and of finding it again."""
    from remote_http_launcher import run

    start = time.perf_counter()
    run(_config("k0"))
    cold = time.perf_counter() - start
    cold_calls = host.calls()
    next(Path(os.environ["HOME"]).rglob("client/k0.json")).unlink()
    run(_config("k0"))
    return {
        "cold": cold,
        "cold_calls": cold_calls,
        "reuse_calls": host.calls() - cold_calls,
        "handshakes": host.handshakes(),
    }


def ours(_case):
    from remote_http_launcher.ssh import SshExecutor

    with _host() as host:
        figures = _launches(host)

        def call(name):
            answer = executors[name].call("rhl-inspect", ["k0"])
            if answer.exit_code != 0 or b'"running"' not in answer.stdout:
                raise RuntimeError(f"{name} answered {answer!r}")

        executors = {name: SshExecutor(name) for name in (HOST, GUARDED)}
        figures |= {"call": _ms(lambda: call(HOST)), "guarded": _ms(lambda: call(GUARDED))}
        subprocess.run(["rhl-stop", "k0"], stdout=subprocess.DEVNULL, check=True)
        return figures


def reference(_case):
    with _host() as host:
        figures = _launches(host)

        def call(name):
            done = subprocess.run(["ssh", name, "rhl-inspect k0"], capture_output=True, check=True)
            if b'"running"' not in done.stdout:
                raise RuntimeError(f"{name} answered {done.stdout!r}")

        figures |= {"call": _ms(lambda: call(HOST)), "guarded": _ms(lambda: call(GUARDED))}
        subprocess.run(["rhl-stop", "k0"], stdout=subprocess.DEVNULL, check=True)
        return figures


def floor(_case):
    with _host():
        from remote_http_launcher.ssh_master import ssh_master

        master = ssh_master(HOST)
        master.ensure()
        words = ["ssh", *master.options, HOST, "true"]
        bare = _ms(lambda: subprocess.run(words, capture_output=True, check=True, stdin=subprocess.DEVNULL))
        return {"call": bare, "guarded": bare}


if __name__ == "__main__":
    workload_main({"ours": ours, "reference": reference, "floor": floor})

"""The process that keeps one tunnel: it starts ssh, records both, and ends with what the tunnel is for.

What ssh says goes to the log that the monitor was started with.

It ends when ssh ends, when it gets SIGTERM, when the record is no longer its own, and when the process on the other
side is gone (asked every `check_s` of its order; an answer that cannot be had is no answer). With it ends ssh, and the
record goes.
"""

from __future__ import annotations

import os
import signal
import time

from .errors import LauncherError, StateMalformed, StateMissing
from .listening import listens_on
from .processes import identity_of
from .small_json import loads
from .state_files import SCHEMA, read_state, remove_state, write_state

TYPE_CHECKING = False
if TYPE_CHECKING:
    import subprocess
    from typing import Any

    from .ssh import SshExecutor

__all__ = ("main",)

READY_TIMEOUT_S = 30.0
SSH_END_S = 5.0
_POLL_S = 0.02


class _Ended(BaseException):
    """Raised by the signal handler."""


def main(arguments: list[str]) -> int:
    """Keep the tunnel that the order describes; the caller returns at once. arguments: one JSON object."""
    order = loads(arguments[0])
    if os.fork():
        return 0  # the monitor is nobody's child
    signal.signal(signal.SIGTERM, _end)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    os._exit(_keep(order))


def _end(number: int, frame: object) -> None:
    raise _Ended


def _keep(order: dict[str, Any]) -> int:
    import subprocess

    path = order["path"]
    record: dict[str, Any] = {
        "schema": SCHEMA,
        "status": "starting",
        **identity_of(os.getpid()),
        "nonce": os.urandom(16).hex(),
        **{name: order[name] for name in ("key", "ssh_host", "forwards", "remote_pid")},
        "started_at": time.time(),
    }
    words = [
        "ssh",
        *order["ssh_options"],
        "-N",
        "-o",
        "ExitOnForwardFailure=yes",
        "-o",
        "ServerAliveCountMax=3",
    ]
    for local_port, host, port in order["forwards"]:
        target = f"[{host}]" if ":" in host else host
        words += ["-L", f"127.0.0.1:{local_port}:{target}:{port}"]
    process: subprocess.Popen[bytes] | None = None
    try:
        process = subprocess.Popen([*words, "--", order["ssh_host"]], stdin=subprocess.DEVNULL)
        ssh = identity_of(process.pid)
        record |= {"ssh_pid": process.pid, "ssh_start_time": ssh["start_time"]}
        write_state(path, record)
        failure = _wait_until_ready(process, [forward[0] for forward in order["forwards"]])
        if failure:
            write_state(path, {**record, "status": "failed", "error": failure})
            return 1
        write_state(path, {**record, "status": "running"})
        _watch(process, order, record["nonce"])
    except _Ended:
        pass
    except OSError as exc:
        write_state(path, {**record, "status": "failed", "error": str(exc)})
        return 1
    finally:
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        if process is not None:
            _end_ssh(process)
    if _is_mine(path, record["nonce"]):
        remove_state(path)
    return 0


def _wait_until_ready(process: subprocess.Popen[bytes], ports: list[int]) -> str:
    """Return "" once ssh itself listens on all ports, else why it does not."""
    deadline = time.monotonic() + READY_TIMEOUT_S
    while time.monotonic() < deadline:
        if process.poll() is not None:
            return f"ssh ended with exit code {process.returncode}"
        answers = [listens_on(process.pid, port) for port in ports]
        if all(answer is True or (answer is None and _is_open(port)) for answer, port in zip(answers, ports)):  # noqa: B905
            return ""
        time.sleep(_POLL_S)
    return f"ssh did not listen within {READY_TIMEOUT_S:g} s"


def _is_open(port: int) -> bool:
    from .handshake import connect_error

    return not connect_error("127.0.0.1", port)


def _watch(process: subprocess.Popen[bytes], order: dict[str, Any], nonce: str) -> None:
    import subprocess

    from .ssh import SshExecutor

    executor = SshExecutor(
        order["ssh_host"]
    )  # one for all looks: helpers are brought once, where there are none
    while True:
        try:
            process.wait(order["check_s"])
            return
        except subprocess.TimeoutExpired:
            pass
        if not _is_mine(order["path"], nonce) or _is_gone(executor, order["remote_pid"]):
            return


def _is_gone(executor: SshExecutor, pid: object) -> bool:
    """Tell whether the process on the other side is gone for sure."""
    if not isinstance(pid, int):
        return False
    try:
        answer = executor.call("rhl-pid-alive", [str(pid)])
    except (LauncherError, OSError):
        return False
    return answer.exit_code == 1 and not answer.stderr.strip()


def _is_mine(path: str, nonce: str) -> bool:
    try:
        return read_state(path).get("nonce") == nonce
    except (StateMissing, StateMalformed):
        return False


def _end_ssh(process: subprocess.Popen[bytes]) -> None:
    import subprocess

    if process.poll() is None:
        process.terminate()
        try:
            process.wait(SSH_END_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()

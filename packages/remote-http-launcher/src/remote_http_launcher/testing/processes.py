"""Processes with a known command line, that end badly if asked to, and their states."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from remote_http_launcher.processes import identity_of

__all__ = ("dead_pid", "server_folder", "service_process", "state_of", "wait_until")

WAIT_S = 10.0

# argv: signals to ignore, number of children, then whatever makes the command line
SERVICE = """
import os, signal, sys, time
for name in sys.argv[1].split(","):
    if name:
        signal.signal(getattr(signal, name), signal.SIG_IGN)
for _ in range(int(sys.argv[2])):
    if os.fork() == 0:
        break
sys.stdout.write("x")
sys.stdout.flush()
while True:
    time.sleep(60)
"""


def wait_until(condition: Callable[[], object], wait_s: float = WAIT_S) -> None:
    """Return as soon as the condition holds; an assertion fails when it does not come to hold in time."""
    deadline = time.monotonic() + wait_s
    while not condition():
        assert time.monotonic() < deadline, "the condition did not come true in time"
        time.sleep(0.01)


@contextlib.contextmanager
def service_process(
    *words: object, ignoring: str = "", n_children: int = 0, own_session: bool = True
) -> Iterator[subprocess.Popen[bytes]]:
    """A process that sleeps, with these words on its command line; what remains of it is killed at the end."""
    command = [sys.executable, "-S", "-c", SERVICE, ignoring, str(n_children), *map(str, words)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, start_new_session=own_session)
    assert process.stdout is not None
    try:
        for _ in range(n_children + 1):
            assert process.stdout.read(1) == b"x"
        yield process
    finally:
        with contextlib.suppress(ProcessLookupError):
            if own_session:
                os.killpg(process.pid, signal.SIGKILL)
            else:
                process.kill()
        process.wait(WAIT_S)
        process.stdout.close()


def dead_pid() -> int:
    """Return the number of a process that has ended."""
    process = subprocess.Popen([sys.executable, "-S", "-c", ""])
    process.wait(WAIT_S)
    return process.pid


def state_of(process: subprocess.Popen[bytes], **members: object) -> dict[str, object]:
    """The state that a launch would write."""
    return {"status": "running", "schema": 1, **identity_of(process.pid), **members}


def server_folder() -> Path:
    """Return the directory of the states of this machine, made."""
    folder = Path.home() / ".remote-http-launcher" / "server"
    folder.mkdir(parents=True, exist_ok=True)
    return folder

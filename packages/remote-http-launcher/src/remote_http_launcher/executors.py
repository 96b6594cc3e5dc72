"""Run a helper on the target: on this machine, or over SSH (see ssh.py).

An executor knows no meaning of helpers: it carries words there and an answer back. Invariant: no helper outlives the
call without its owner knowing; a call has a deadline; a helper reads nothing but what it is given.
"""

from __future__ import annotations

import errno
import os
import sys
import threading
import time

from .launch_errors import HelperFailed

TYPE_CHECKING = False
if TYPE_CHECKING:
    import subprocess
    from collections.abc import Sequence
    from typing import Protocol
else:
    Protocol = object

__all__ = (
    "Answer",
    "Executor",
    "LocalExecutor",
    "communicate",
    "forget_interrupt",
    "helper_module",
    "interrupt_thread",
    "own_process",
    "start_hint",
)

TIMEOUT_S = 60.0
LISTEN_S = 0.2  # how often a wait looks whether it was interrupted
INTERRUPT_S = 30.0  # a helper that is told to give up stops the service it waited for
_START = (
    "import sys; sys.path.insert(0, sys.argv.pop(1)); from importlib import import_module; "
    "sys.exit(import_module(sys.argv.pop(1)).main(sys.argv[1:]))"
)


_interrupted: set[int] = set()


def interrupt_thread(ident: int) -> None:
    """Have the wait of another thread for a helper, or its next one, end with KeyboardInterrupt.

    ident: `Thread.ident` of that thread. A signal would reach the main thread only.
    """
    _interrupted.add(ident)


def forget_interrupt(ident: int) -> None:
    """Undo `interrupt_thread` once that thread has ended: a later thread may get the same number."""
    _interrupted.discard(ident)


def communicate(process: subprocess.Popen[bytes], stdin: bytes, timeout_s: float) -> tuple[bytes, bytes]:
    """Do as `Popen.communicate`, but end with KeyboardInterrupt soon after `interrupt_thread`.

    Raises TimeoutExpired. The process is left as it is then.
    """
    import subprocess

    ident, deadline, given = threading.get_ident(), time.monotonic() + timeout_s, stdin or None
    while True:
        if ident in _interrupted:
            _interrupted.discard(ident)
            raise KeyboardInterrupt
        left_s = deadline - time.monotonic()
        try:
            return process.communicate(given, timeout=max(0.0, min(left_s, LISTEN_S)))
        except subprocess.TimeoutExpired:
            if left_s <= LISTEN_S:
                raise
            given = None  # it is under way


class Answer:
    """How a helper ended, and what it said."""

    __slots__ = ("exit_code", "stderr", "stdout")

    def __init__(self, exit_code: int, stdout: bytes, stderr: bytes) -> None:
        self.exit_code = exit_code
        self.stdout = stdout
        self.stderr = stderr.decode("utf-8", "replace")

    def __repr__(self) -> str:
        return f"Answer({self.exit_code}, {len(self.stdout)} bytes, {self.stderr!r:.200})"


class Executor(Protocol):
    """Where helpers run. host: the SSH host, None for this machine. name: for messages."""

    host: str | None
    name: str

    def call(
        self, helper: str, arguments: Sequence[str], stdin: bytes = b"", timeout_s: float = TIMEOUT_S
    ) -> Answer:
        """Run the helper, and return its answer. Raises LauncherError when it could not be run or took too long."""
        ...


class LocalExecutor:
    """Runs helpers of this installation, each in a process of its own.

    Of its own, so that a service is nobody's child: it outlives its client and is not waited for by it.
    """

    host: str | None = None
    name = "LocalExecutor"

    def call(
        self, helper: str, arguments: Sequence[str], stdin: bytes = b"", timeout_s: float = TIMEOUT_S
    ) -> Answer:
        """Run the helper, and return its answer. Raises HelperFailed when it cannot be run or takes too long."""
        import subprocess

        words = own_process(helper_module(helper), arguments)
        try:
            started = subprocess.Popen(
                words,
                stdin=subprocess.PIPE if stdin else subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                env=_environment(),
                start_new_session=True,  # an interrupt is for the client, who tells the helper
            )
        except OSError as exc:
            raise HelperFailed(
                f"{helper} cannot be run here: {exc.strerror}", hint=start_hint(exc), exit_code=-1
            ) from exc
        with started as process:
            try:
                stdout, stderr = communicate(process, stdin, timeout_s)
            except subprocess.TimeoutExpired:
                _give_up(process)
                raise HelperFailed(
                    f"{helper} did not end within {timeout_s:g} s", hint=f"{helper} --help", exit_code=-1
                ) from None
            except BaseException:
                _give_up(process)
                raise
        return Answer(process.returncode, stdout, stderr)


def start_hint(exc: OSError) -> str:
    """Return what helps where a program cannot be started."""
    if exc.errno == errno.E2BIG:
        return "make file_parameters and meta smaller: one word of a command has 128 KiB at most"
    return "ulimit -a; free -m"


def own_process(module: str, arguments: Sequence[str]) -> list[str]:
    """Return the words that run `main` of a module of this package in a new interpreter, which starts in 20 ms."""
    source = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
    return [sys.executable, "-I", "-S", "-c", _START, source, module, *arguments]


def helper_module(helper: str) -> str:
    """Return the module of the command. Raises HelperFailed for a name that is none."""
    name = helper.removeprefix("rhl-")
    if name == helper or not name.replace("-", "").isalpha():
        raise HelperFailed(f"{helper!r} is no helper", hint="the helpers are rhl-*", exit_code=127)
    return f"{__package__}.helpers.{name.replace('-', '_')}"


def _environment() -> dict[str, str]:
    """Return the environment, with the programs beside this interpreter as the last choice."""
    found = dict(os.environ)
    beside = os.path.dirname(sys.executable)
    path = found.get("PATH", os.defpath)
    if beside and beside not in path.split(os.pathsep):
        found["PATH"] = f"{path}{os.pathsep}{beside}"
    return found


def _give_up(process: subprocess.Popen[bytes]) -> None:
    """Have the helper end, and with it what it waits for."""
    import subprocess

    process.terminate()
    try:
        process.communicate(timeout=INTERRUPT_S)
    except subprocess.TimeoutExpired:
        process.kill()
        process.communicate()

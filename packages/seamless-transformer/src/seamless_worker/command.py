"""Run one command in a process group of its own, and leave nothing of it behind.

The command's output is read while it runs, on the caller's thread. When it ends, or is cancelled, or this
thread is interrupted, what is left of its process group is killed before the leader is reaped, so the group's
number cannot belong to anybody else by then. Processes that leave the group (setsid) are out of reach.
"""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from time import monotonic, perf_counter
from typing import TYPE_CHECKING, Any

from .held_signals import HeldSignals

if TYPE_CHECKING:
    from subprocess import Popen

__all__ = ("FinishedCommand", "kill_running_commands", "run_command")

CANCEL_POLL_S = 0.1
TERMINATE_GRACE_S = 0.5  # between SIGTERM and SIGKILL
LATE_OUTPUT_GRACE_S = 1.0  # for process substitutions that outlive the shell
_CHUNK_BYTES = 65536
_PIPE_CAPACITY_CHUNKS = 16  # 1 MiB, the most that an unprivileged process can make a pipe hold

_running_groups: set[int] = set()


class _CommandCancelled(Exception):
    """The request was cancelled; the command's processes are gone."""


@dataclass(frozen=True, slots=True)
class FinishedCommand:
    """How a command ended. A negative `returncode` is the signal that killed it."""

    returncode: int
    wall_s: float
    rusage: Any  # resource.struct_rusage, of the command and its descendants


def run_command(
    arguments: Sequence[str],
    *,
    directory: Path,
    environment: Mapping[str, str],
    cancelled: Callable[[], bool],
    take_stdout: Callable[[bytes], object],
    take_stderr: Callable[[bytes], object],
    look: Callable[[], object] = lambda: None,
) -> FinishedCommand:
    """Run the command to its end. Its standard input is empty.

    take_stdout, take_stderr: called on this thread with the bytes as they come.
    look: called on this thread now and then, at least every CANCEL_POLL_S, while the command runs.
    Raises _CommandCancelled at most CANCEL_POLL_S + TERMINATE_GRACE_S after `cancelled()` turns true; the
        command hears of it within CANCEL_POLL_S.
    """
    import subprocess

    started_s = perf_counter()
    signals = HeldSignals()
    try:
        process: Popen[bytes] = subprocess.Popen(
            arguments,
            cwd=directory,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            start_new_session=True,
            bufsize=0,
        )
        _running_groups.add(process.pid)
        try:
            rusage = _attend(process, signals, cancelled, take_stdout, take_stderr, look)
        finally:
            _running_groups.discard(process.pid)
    finally:
        signals.release()
    return FinishedCommand(process.returncode, perf_counter() - started_s, rusage)


def _attend(
    process: Popen[bytes],
    signals: HeldSignals,
    cancelled: Callable[[], bool],
    take_stdout: Callable[[bytes], object],
    take_stderr: Callable[[bytes], object],
    look: Callable[[], object],
) -> Any:  # Any: resource.struct_rusage
    """See the process to its end, whatever happens; only while it runs are signals let through."""
    streams: _Streams | None = None
    try:
        streams = _Streams(process, take_stdout, take_stderr)
        try:
            signals.release()
            while not streams.wait(CANCEL_POLL_S):
                if cancelled():
                    raise _CommandCancelled
                look()
            signals.hold()
            streams.drain(LATE_OUTPUT_GRACE_S)
        finally:
            signals.hold()
            _stop(process.pid, streams)
    finally:
        _signal_group(process.pid, signal.SIGKILL)
        if streams is not None:
            streams.close()
        _pid, status, rusage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
    return rusage


def kill_running_commands() -> None:
    """Kill the commands that run at the moment: for a process that is about to end itself."""
    for group in tuple(_running_groups):
        _signal_group(group, signal.SIGKILL)


class _Streams:
    """The output pipes of a process, and the news of its end."""

    def __init__(
        self,
        process: Popen[bytes],
        take_stdout: Callable[[bytes], object],
        take_stderr: Callable[[bytes], object],
    ) -> None:
        import selectors

        assert process.stdout is not None
        assert process.stderr is not None
        self._process = process
        self._selector = selectors.DefaultSelector()
        self._n_open = 0
        self._refused = False  # whoever takes the output has raised: what still comes is dropped
        for pipe, take in ((process.stdout, take_stdout), (process.stderr, take_stderr)):
            os.set_blocking(pipe.fileno(), False)
            self._selector.register(pipe, selectors.EVENT_READ, take)
            self._n_open += 1
        self._pidfd: int | None = None
        if sys.platform == "linux":
            try:
                self._pidfd = os.pidfd_open(process.pid)
            except OSError:  # an old kernel: polled instead
                self._pidfd = None
            else:
                self._selector.register(self._pidfd, selectors.EVENT_READ, None)

    def wait(self, timeout_s: float) -> bool:
        """Read what there is, waiting up to `timeout_s` for it; True once the process has ended."""
        if self._pidfd is None:
            timeout_s = min(timeout_s, 0.02)
        exited = False
        for key, _events in self._selector.select(timeout_s):
            if key.data is None:
                exited = True
            else:
                self._read(key)
        return exited or (self._pidfd is None and _has_exited(self._process.pid))

    def drain(self, patience_s: float) -> None:
        """Read until the pipes are closed, at most `patience_s` and what they hold then."""
        if self._pidfd is not None:
            self._selector.unregister(self._pidfd)
            os.close(self._pidfd)
            self._pidfd = None
        deadline_s = monotonic() + patience_s
        n_late_reads = 0
        while self._n_open and n_late_reads < _PIPE_CAPACITY_CHUNKS:
            remaining_s = deadline_s - monotonic()
            ready = self._selector.select(max(0.0, remaining_s))
            for key, _events in ready:
                self._read(key)
            if remaining_s <= 0.0:
                n_late_reads += 1
                if not ready:
                    return

    def close(self) -> None:
        if self._pidfd is not None:
            os.close(self._pidfd)
            self._pidfd = None
        self._selector.close()
        for pipe in (self._process.stdout, self._process.stderr):
            assert pipe is not None
            pipe.close()

    def _read(self, key: Any) -> None:
        try:
            chunk = os.read(key.fd, _CHUNK_BYTES)
        except BlockingIOError:
            return
        if not chunk:
            self._selector.unregister(key.fileobj)
            self._n_open -= 1
        elif not self._refused:
            try:
                key.data(chunk)
            except BaseException:
                self._refused = True
                raise


def _stop(group: int, streams: _Streams) -> None:
    """End what is left of the group; its leader is left to be reaped."""
    if not _has_exited(group):
        _signal_group(group, signal.SIGTERM)
        deadline_s = monotonic() + TERMINATE_GRACE_S
        while monotonic() < deadline_s and not _has_exited(group):
            streams.wait(0.02)
    _signal_group(group, signal.SIGKILL)
    streams.drain(0.0)


def _has_exited(pid: int) -> bool:
    """True if our child has ended; it stays unreaped."""
    return os.waitid(os.P_PID, pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is not None


def _signal_group(group: int, signal_number: int) -> None:
    try:
        os.killpg(group, signal_number)
    except (ProcessLookupError, PermissionError):  # empty, or (macOS) only zombies are left
        return

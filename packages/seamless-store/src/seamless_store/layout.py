"""Names inside a buffer directory: which file holds which buffer, and which layout a directory has.

Pure functions on names; only `detect_layout` touches the file system.
Format: contracts/buffer-directory.md.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import TYPE_CHECKING, Literal

from .errors import InvalidDigest, StoreLayoutUnknown

if TYPE_CHECKING:
    from .filesystem import FileSystem

__all__ = (
    "COMPRESSED_SUFFIXES",
    "DIRECTORY_MODE",
    "FILE_MODE",
    "FORM_SUFFIXES",
    "LENGTH_SUFFIX",
    "LOCK_SUFFIX",
    "MARKER",
    "MARKER_CONTENT",
    "QUARANTINE",
    "SIDECAR_MODE",
    "TEMPORARY_MODE",
    "Form",
    "LayoutName",
    "buffer_digest",
    "check_digest",
    "detect_layout",
    "is_prefix_name",
    "temporary_owner",
)

LayoutName = Literal["prefix", "flat"]
Form = Literal["zst", "gz"]

MARKER = ".HASHSERVER_PREFIX"
MARKER_CONTENT = b"1\n"
QUARANTINE = ".quarantine"
LENGTH_SUFFIX = ".BUFFERLENGTH"
LOCK_SUFFIX = ".LOCK"
COMPRESSED_SUFFIXES = (".zst", ".gz")
FORM_SUFFIXES = ("", *COMPRESSED_SUFFIXES)
FILE_MODE = 0o444
TEMPORARY_MODE = 0o600
SIDECAR_MODE = 0o644
DIRECTORY_MODE = 0o3775  # setgid and sticky: a group may add, only owners remove

_BUFFER = re.compile(r"([0-9a-f]{64})(?:\.zst|\.gz)?")
_PREFIX = re.compile(r"[0-9a-f]{2}")
_TEMPORARY = re.compile(rf"(?:[0-9a-f]{{64}}|{re.escape(MARKER)})-(.+)")


def check_digest(digest: object) -> bytes:
    """Return `digest`, or raise InvalidDigest if it is not 32 bytes."""
    if type(digest) is bytes and len(digest) == 32:
        return digest
    raise InvalidDigest(
        f"{digest!r} is not a digest.",
        remedy="pass the 32 raw bytes of the digest (bytes.fromhex turns 64 hex digits into them).",
    )


def buffer_digest(name: str) -> bytes | None:
    """Return the digest of a buffer file's name (plain, .zst or .gz), None for any other name."""
    match = _BUFFER.fullmatch(name)
    return bytes.fromhex(match[1]) if match else None


def is_prefix_name(name: str) -> bool:
    """Tell whether this is the name of a prefix directory: two lower-case hex digits."""
    return _PREFIX.fullmatch(name) is not None


def temporary_owner(name: str) -> str | None:
    """Return what follows the dash in the name of a temporary file, None for any other name."""
    match = _TEMPORARY.fullmatch(name)
    return match[1] if match else None


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

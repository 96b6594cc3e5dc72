"""Names inside a buffer directory: which file holds which buffer, and which layout a directory has.

Pure functions on names. Format: contracts/buffer-directory.md.
"""

from __future__ import annotations

import re
from typing import Literal

from .errors import InvalidDigest

__all__ = (
    "COMPRESSED_SUFFIXES",
    "DIRECTORY_MODE",
    "FILE_MODE",
    "FORMS",
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
FORMS: tuple[tuple[str, Form | None], ...] = (("", None), (".zst", "zst"), (".gz", "gz"))  # as readers try
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

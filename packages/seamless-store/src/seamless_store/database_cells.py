"""What the cells of `seamless.db` may hold, on the way in and on the way out.

Checksums are bytes for callers and lower-case hex in the file. Text that UTF-8 cannot write (a lone surrogate)
is refused before it gets into a transaction that others share. What another program has written and is none of
this is reported as damage, with the place.
"""

from __future__ import annotations

import json
from typing import Any

from .database_errors import DatabaseDamaged
from .errors import InvalidDigest

__all__ = ("digest_of", "hex_of", "is_text", "json_of")

_DIGEST_BYTES = 32
_REMEDY = "see what wrote it; the row can be deleted with the sqlite3 program."


def hex_of(digest: bytes) -> str:
    """Return the cell of a checksum; InvalidDigest for what is none."""
    if not isinstance(digest, bytes) or len(digest) != _DIGEST_BYTES:
        found = f"{len(digest)} bytes" if isinstance(digest, bytes) else type(digest).__name__
        raise InvalidDigest(
            f"A checksum must be {_DIGEST_BYTES} bytes, not {found}: {digest!r:.80}.",
            remedy="pass bytes.fromhex(text) of its 64 hex digits.",
        )
    return digest.hex()


def digest_of(cell: str, path: str) -> bytes:
    """Return the checksum in a cell of the file `path`."""
    try:
        digest = bytes.fromhex(cell)
    except (TypeError, ValueError):
        digest = b""
    if len(digest) != _DIGEST_BYTES:
        raise DatabaseDamaged(
            f"{path} holds {cell!r:.100} where a checksum of 64 hex digits belongs.",
            path=path,
            remedy=_REMEDY,
        )
    return digest


def json_of(cell: str, path: str, kind: type) -> Any:  # the JSON value, of `kind`
    """Return the JSON value in a cell of the file `path`."""
    try:
        value = json.loads(cell)
    except (TypeError, ValueError, RecursionError):
        value = None
    if not isinstance(value, kind):
        raise DatabaseDamaged(
            f"{path} holds {cell!r:.100} where JSON of a {kind.__name__} belongs.", path=path, remedy=_REMEDY
        )
    return value


def is_text(value: object) -> bool:
    """Return whether `value` can be stored as text."""
    if not isinstance(value, str):
        return False
    try:
        value.encode()
    except UnicodeEncodeError:
        return False
    return True

"""The table `buffer_info`: what is known about buffers, one JSON object each.

What is put is merged into what is stored, key by key, in one transaction; a key is never lost to a race.
"""

from __future__ import annotations

import json
from functools import partial
from typing import TYPE_CHECKING, Any

from .changes import Change
from .database_cells import hex_of, json_of
from .database_errors import BufferInfoMalformed

if TYPE_CHECKING:
    from apsw import Connection

    from .result_look_ups import Read
    from .results_database import ResultsDatabase

__all__ = ("BufferInfos",)

_SELECT = "SELECT buffer_info FROM buffer_info WHERE checksum = ?"
_UPSERT = (
    "INSERT INTO buffer_info (checksum, buffer_info) VALUES (?, ?) "
    "ON CONFLICT (checksum) DO UPDATE SET buffer_info = excluded.buffer_info"
)


class BufferInfos:
    """The table in `database`. read: `database.read` when not given."""

    def __init__(self, database: ResultsDatabase, *, read: Read | None = None) -> None:
        self._database = database
        self._read = read or database.read

    def get(self, checksum: bytes) -> dict[str, Any] | None:
        """Return what is known about a buffer, or None; keys sorted."""
        rows = self._read("look up what is known about a buffer", _SELECT, hex_of(checksum))
        return json_of(rows[0][0], self._database.path, dict) if rows else None

    def merge(self, checksum: bytes, value: dict[str, Any]) -> None:
        """Add to what is known, durably; new values win.

        Raises BufferInfoMalformed unless `length` is an integer that is not negative and every `is_...` a bool;
        each of them may be None.
        """
        self._database.apply(self.merging(checksum, value))

    def merging(self, checksum: bytes, value: dict[str, Any]) -> Change[None]:
        """Return the change that `merge` makes."""
        key = hex_of(checksum)
        self._check(value)
        return Change(partial(_merge, path=self._database.path, key=key, value=value))

    def _check(self, value: object) -> None:
        if not isinstance(value, dict) or not all(isinstance(name, str) for name in value):
            raise self._malformed(f"it must be a JSON object, not {type(value).__name__}")
        length = value.get("length")
        if length is not None and not (isinstance(length, int) and length >= 0):
            raise self._malformed(f"length must be an integer of at least 0, not {length!r:.80}")
        for name, flag in value.items():
            if name.startswith("is_") and not isinstance(flag, bool | None):
                raise self._malformed(f"{name:.80} must be true or false, not {flag!r:.80}")

    def _malformed(self, what: str) -> BufferInfoMalformed:
        return BufferInfoMalformed(
            f"Did not store what is known about a buffer: {what}.",
            path=self._database.path,
            remedy="send a JSON object such as {'length': 12, 'is_utf8': true}.",
        )


def _merge(connection: Connection, *, path: str, key: str, value: dict[str, Any]) -> None:
    rows = connection.execute(_SELECT, (key,)).fetchall()
    stored = str(rows[0][0]) if rows else ""
    merged = (json_of(stored, path, dict) if rows else {}) | value
    text = json.dumps(merged, sort_keys=True, indent=2)
    if text != stored:
        connection.execute(_UPSERT, (key, text)).fetchall()

"""Look up what the tables of results and records say. Each look-up is one query, so one snapshot of the file.

The same look-ups come in two manners, by the `read` they are given: `ResultsDatabase.read` waits while the file is
locked, `ResultsDatabase.read_at_once` raises WouldWait instead, for a caller that must never stand still.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from . import row_operations
from .database_cells import digest_of, hex_of

__all__ = ("IrreproducibleRow", "Read", "ResultLookUps")

Read = Callable[..., list[Any]]
"""read(action, sql, *bindings) -> all rows; cells are Any because any program may have written the file."""


@dataclass(frozen=True)
class IrreproducibleRow:
    """A result that was contested, with the record it had."""

    transformation: bytes
    result: bytes
    record: str | None


class ResultLookUps:
    """Look-ups in the file `path` through `read`."""

    def __init__(self, read: Read, path: str) -> None:
        self._read = read
        self._path = path

    def transformation(self, tf: bytes) -> bytes | None:
        """Return the result that stands, or None."""
        rows = self._read("look up a result", row_operations.SELECT_RESULT, hex_of(tf))
        return digest_of(rows[0][0], self._path) if rows else None

    def transformation_many(self, tfs: Sequence[bytes]) -> list[bytes | None]:
        """Return the results in the order of `tfs`, from one snapshot of the database."""
        keys = [hex_of(tf) for tf in tfs]
        wanted = row_operations.json_array(keys)
        found = dict(self._read("look up results", row_operations.SELECT_MANY, wanted))
        results = {key: digest_of(result, self._path) for key, result in found.items()}
        return [results.get(key) for key in keys]

    def rev_transformations(self, result: bytes) -> list[bytes]:
        """Return the transformations that have this result now, oldest first."""
        rows = self._read("look up a result", row_operations.SELECT_BY_RESULT, hex_of(result))
        return [digest_of(tf, self._path) for (tf,) in rows]

    def metadata(self, tf: bytes) -> str | None:
        """Return the execution record as JSON text, or None."""
        rows = self._read("look up a record", row_operations.SELECT_RECORD, hex_of(tf))
        return rows[0][1] if rows else None

    def irreproducible(self, tf: bytes, result: bytes | None = None) -> list[IrreproducibleRow]:
        """Return the contested results of a transformation, oldest first; only `result` when given."""
        key = hex_of(tf)
        wanted = None if result is None else hex_of(result)
        rows = self._read("look up contested results", row_operations.SELECT_IRREPRODUCIBLE, key)
        return [
            IrreproducibleRow(
                bytes(tf),
                digest_of(found, self._path),
                None if record == row_operations.NO_RECORD else record,
            )
            for found, record in rows
            if wanted in (None, found)
        ]

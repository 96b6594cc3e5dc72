"""What a write does, before it is done: so that several can be made ready one by one and done together.

Whoever makes a change has checked its arguments; what depends on the rows is checked by the operation, inside
the transaction and before its first change of a row. See `ResultsDatabase.apply` and `apply_all`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from . import execution_records, row_operations
from .database_cells import hex_of
from .database_errors import DatabaseError
from .row_operations import Row

if TYPE_CHECKING:
    from apsw import Connection

__all__ = ("Change", "contest", "insert_rows", "put_metadata", "set_result", "together")

_T = TypeVar("_T")


@dataclass(frozen=True)
class Change(Generic[_T]):
    """operation: run in a transaction that others share. keys: the transformations to be claimed first."""

    operation: Callable[[Connection], _T]
    keys: frozenset[bytes] = frozenset()


def insert_rows(rows: list[Row]) -> Change[list[bytes]]:
    """Insert what is absent; the value is the results that stand. rows: as `checked_row` returns them."""
    keys = frozenset(bytes.fromhex(key) for key, _, _ in rows)
    return Change(partial(row_operations.insert_all, rows=rows), keys)


def set_result(tf: bytes, result: bytes) -> Change[None]:
    """Store a result, also over another one."""
    return Change(partial(row_operations.set_result, key=hex_of(tf), value=hex_of(result)), frozenset({tf}))


def put_metadata(path: str, tf: bytes, result: bytes, record: str) -> Change[None]:
    """Store an execution record, and the result if there is none. Raises RecordMalformed."""
    key, value = hex_of(tf), hex_of(result)
    text = execution_records.checked(record, tf_hex=key, result_hex=value, path=path)
    return Change(
        partial(row_operations.put_record, path=path, key=key, value=value, text=text), frozenset({tf})
    )


def contest(path: str, tf: bytes, result: bytes) -> Change[None]:
    """Forget a result with its record, and keep both for inspection."""
    key, value = hex_of(tf), hex_of(result)
    return Change(partial(row_operations.contest, path=path, key=key, value=value), frozenset({tf}))


def together(changes: Sequence[Change[Any]]) -> Change[list[Any]]:
    """Do all of them in one transaction. The value has, for each, its value or its DatabaseError."""

    def operation(connection: Connection) -> list[Any]:
        outcomes: list[Any] = []
        for change in changes:
            try:
                outcomes.append(change.operation(connection))
            except DatabaseError as exc:
                outcomes.append(exc)
        return outcomes

    return Change(operation, frozenset[bytes]().union(*(change.keys for change in changes)))

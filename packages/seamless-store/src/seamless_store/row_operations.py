"""What a transaction does to the tables, given a connection inside it: statements and rules.

Checksums are lower-case hex here, as in the file. Every operation checks before its first change and
raises only then, so that it can share a transaction with others.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Any

from . import execution_records
from .database_errors import (
    RecordDiffers,
    RecordHasOtherResult,
    ResultDiffersFromRecord,
    ResultNotStored,
    TransformationContested,
)
from .quick_look import SELECT_RESULT

if TYPE_CHECKING:
    from apsw import Connection

__all__ = (
    "NO_RECORD",
    "REVERSE_ROWS_SEARCHED",
    "SELECT_AFTER",
    "SELECT_BY_RESULT",
    "SELECT_IRREPRODUCIBLE",
    "SELECT_MANY",
    "SELECT_RECORD",
    "SELECT_RESULT",
    "SELECT_REVERSE",
    "Row",
    "contest",
    "insert_all",
    "json_array",
    "put_record",
    "set_result",
)

Row = tuple[str, str, str | None]
"""Transformation, result, record."""

NO_RECORD = '""'  # how the reference stores the absence of a record
_TOGETHER_FROM = 4  # rows; fewer are faster one by one
REVERSE_ROWS_SEARCHED = 64  # a result with more reverse rows is not searched before a row is added

SELECT_MANY = (
    "SELECT t.checksum, t.result FROM json_each(?) AS wanted "
    "JOIN transformation AS t ON t.checksum = wanted.value"
)
SELECT_AFTER = "SELECT rowid, checksum, result FROM transformation WHERE rowid > ? ORDER BY rowid LIMIT ?"
SELECT_BY_RESULT = "SELECT checksum FROM transformation WHERE result = ? ORDER BY rowid"
SELECT_REVERSE = "SELECT checksum FROM rev_transformation WHERE result = ? LIMIT ?"
SELECT_RECORD = "SELECT result, metadata FROM meta_data WHERE checksum = ?"
SELECT_IRREPRODUCIBLE = (
    "SELECT result, metadata FROM irreproducible_transformation WHERE checksum = ? ORDER BY id"
)
_SELECT_RECORDED = (
    "SELECT m.checksum FROM json_each(?) AS wanted JOIN meta_data AS m ON m.checksum = wanted.value"
)
_SELECT_WITH_REVERSE = (
    "SELECT wanted.value FROM json_each(?) AS wanted "  # EXISTS is planned as a join: a visit of every row
    "WHERE (SELECT 1 FROM rev_transformation AS r WHERE r.result = wanted.value LIMIT 1)"
)
_SELECT_CONTESTED = "SELECT 1 FROM irreproducible_transformation WHERE checksum = ? LIMIT 1"
_INSERT_RESULT = "INSERT INTO transformation (checksum, result) VALUES (?, ?)"
_INSERT_NEW_RESULT = f"{_INSERT_RESULT} ON CONFLICT (checksum) DO NOTHING"
_UPDATE_RESULT = "UPDATE transformation SET result = ? WHERE checksum = ?"
_DELETE_RESULT = "DELETE FROM transformation WHERE checksum = ?"
_INSERT_REVERSE = "INSERT INTO rev_transformation (result, checksum) VALUES (?, ?)"
_INSERT_NEW_REVERSE = (
    "INSERT INTO rev_transformation (result, checksum) SELECT ?1, ?2 WHERE ?2 NOT IN "
    f"(SELECT checksum FROM rev_transformation WHERE result = ?1 LIMIT {REVERSE_ROWS_SEARCHED})"
)
_DELETE_REVERSE = "DELETE FROM rev_transformation WHERE result = ? AND checksum = ?"
_INSERT_RECORD = "INSERT INTO meta_data (checksum, result, metadata) VALUES (?, ?, ?)"
_DELETE_RECORD = "DELETE FROM meta_data WHERE checksum = ?"
_INSERT_IRREPRODUCIBLE = (
    "INSERT INTO irreproducible_transformation (result, checksum, metadata) VALUES (?, ?, ?)"
)


def insert_all(connection: Connection, rows: list[Row]) -> list[bytes]:
    """Insert what is absent; return the results that stand."""
    if len(rows) < _TOGETHER_FROM:
        return [bytes.fromhex(_insert(connection, *row)) for row in rows]
    keys = {key for key, _, _ in rows}
    standing = dict(_fetch(connection, SELECT_MANY, json_array(keys)))
    n_found = len(standing)
    for key, value, _ in rows:
        standing.setdefault(key, value)
    new = list(standing.items())[n_found:]
    connection.executemany(_INSERT_RESULT, new).fetchall()
    connection.executemany(_INSERT_REVERSE, list(_missing_reverse(connection, standing, n_found))).fetchall()
    records: dict[str, Row] = {}
    for key, value, record in rows:
        if record is not None and standing[key] == value:
            records.setdefault(key, (key, value, record))
    if records:
        for (key,) in _fetch(connection, _SELECT_RECORDED, json_array(records)):
            del records[key]
        connection.executemany(_INSERT_RECORD, list(records.values())).fetchall()
    return [bytes.fromhex(standing[key]) for key, _, _ in rows]


def _missing_reverse(
    connection: Connection, standing: dict[str, str], n_found: int
) -> Iterator[tuple[str, str]]:
    """Yield the reverse rows to add for (transformation, result) of which the first n_found are not new."""
    known = {
        result for (result,) in _fetch(connection, _SELECT_WITH_REVERSE, json_array(set(standing.values())))
    }
    searched: dict[str, tuple[set[str], bool]] = {}
    for number, (key, value) in enumerate(standing.items()):
        if value in known:
            if value not in searched:
                rows = _fetch(connection, SELECT_REVERSE, value, REVERSE_ROWS_SEARCHED)
                searched[value] = {found for (found,) in rows}, len(rows) == REVERSE_ROWS_SEARCHED
            found, there_are_more = searched[value]
            if key in found or (there_are_more and number < n_found):
                continue
        yield value, key


def json_array(texts: Iterable[str]) -> str:
    """Return the texts as a binding for json_each, sorted: neighbours share pages."""
    return json.dumps(sorted(texts))


def set_result(connection: Connection, key: str, value: str) -> None:
    """Store a result, also over another one, and keep the reverse rows right."""
    standing = _standing(connection, key)
    if standing is None:
        _fetch(connection, _INSERT_RESULT, key, value)
    elif standing != value:
        _fetch(connection, _UPDATE_RESULT, value, key)
        _fetch(connection, _DELETE_REVERSE, standing, key)
    _ensure_reverse(connection, key, value, is_new=standing != value)


def put_record(connection: Connection, path: str, key: str, value: str, text: str) -> None:
    """Store a record by the rules of the reference's protocol, with its result if there is none."""
    where = f"the record of transformation {key}"
    if _fetch(connection, _SELECT_CONTESTED, key):
        raise TransformationContested(
            f"Did not store {where}: results of this transformation were contested.",
            path=path,
            remedy="read its contested results (irreproducible); it takes no record any more.",
        )
    standing = _standing(connection, key)
    if standing not in (None, value):
        raise ResultDiffersFromRecord(
            f"Did not store {where}: it tells of result {value}, but {standing} is stored.",
            path=path,
            remedy="use the stored result, or contest it if it is wrong.",
        )
    stored = _fetch(connection, SELECT_RECORD, key)
    if stored and stored[0][0] != value:
        raise RecordHasOtherResult(
            f"Did not store {where}: it tells of result {value}, the stored record of {stored[0][0]}.",
            path=path,
            remedy="use the stored result, or contest it if it is wrong.",
        )
    if stored and not execution_records.equal(stored[0][1], text):
        raise RecordDiffers(
            f"Did not store {where}: another record of the same result is stored, and records are final.",
            path=path,
            remedy="nothing is to be done: the first record stays.",
        )
    if not stored:
        _fetch(connection, _INSERT_RECORD, key, value, text)
        if standing is None:
            _fetch(connection, _INSERT_RESULT, key, value)
        _ensure_reverse(connection, key, value, is_new=standing is None)


def contest(connection: Connection, path: str, key: str, value: str) -> None:
    """Move a result and its record to the irreproducible ones."""
    standing = _standing(connection, key)
    if standing not in (None, value):
        raise ResultNotStored(
            f"Did not contest result {value} of transformation {key}: the stored result is {standing}.",
            path=path,
            remedy="contest the stored result, if that is the wrong one.",
        )
    stored = _fetch(connection, SELECT_RECORD, key)
    if stored and stored[0][0] != value:
        error = RecordHasOtherResult(
            f"Did not contest result {value} of transformation {key}: its record is of {stored[0][0]}.",
            path=path,
            remedy="contest the result that the record tells of.",
        )
        error.reason = "Stored metadata result does not match irreproducible result"
        raise error
    record = stored[0][1] if stored else NO_RECORD
    if (value, record) not in _fetch(connection, SELECT_IRREPRODUCIBLE, key):
        _fetch(connection, _INSERT_IRREPRODUCIBLE, value, key, record)
    _fetch(connection, _DELETE_RESULT, key)
    _fetch(connection, _DELETE_REVERSE, value, key)
    _fetch(connection, _DELETE_RECORD, key)


def _fetch(connection: Connection, sql: str, *bindings: str | int) -> list[Any]:
    """Return all rows; cells are Any because any program may have written the file."""
    return connection.execute(sql, bindings).fetchall()


def _standing(connection: Connection, key: str) -> str | None:
    rows = _fetch(connection, SELECT_RESULT, key)
    return rows[0][0] if rows else None


def _insert(connection: Connection, key: str, value: str, record: str | None) -> str:
    """Insert what is absent of one row; return the result that stands."""
    connection.execute(_INSERT_NEW_RESULT, (key, value)).fetchall()
    is_new = connection.changes() == 1
    standing = value if is_new else str(_standing(connection, key))
    _ensure_reverse(connection, key, standing, is_new=is_new)
    if record is not None and standing == value and not _fetch(connection, SELECT_RECORD, key):
        _fetch(connection, _INSERT_RECORD, key, value, record)
    return standing


def _ensure_reverse(connection: Connection, key: str, value: str, *, is_new: bool) -> None:
    """Add the reverse row unless it is there.

    There is no index on both columns, so only results with few rows are searched. In a longer list the row
    of a new transformation is absent, unless the reference left a stale one: then there are two, which the
    reference makes itself and no look-up here returns.
    """
    if is_new:
        _fetch(connection, _INSERT_NEW_REVERSE, value, key)
        return
    found = _fetch(connection, SELECT_REVERSE, value, REVERSE_ROWS_SEARCHED)
    if (key,) not in found and len(found) < REVERSE_ROWS_SEARCHED:
        _fetch(connection, _INSERT_REVERSE, value, key)

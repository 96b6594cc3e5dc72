"""Results of transformations in `seamless.db`, the file of the reference implementation.

The first result stands: `insert_results` inserts what is absent and returns what stands. What has returned
is durable. Result, reverse row and record are one transaction; writes that arrive together share one.

Reverse look-ups are answered from the table `transformation`, through its index on the result: so they are
right, in order and without repeats even in files where the reference left stale or double rows in
`rev_transformation`. That table is kept for the reference's sake. See contracts/results-database.md.
"""

from __future__ import annotations

import contextlib
import os
import time
import weakref
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from . import changes, row_operations
from .changes import Change
from .database_cells import digest_of, hex_of
from .database_connections import Connections
from .database_errors import DatabaseArgumentInvalid, DatabaseError, DatabaseReadOnly
from .group_commit import GroupCommit, Request
from .key_claims import ClaimSet, KeyClaims
from .result_look_ups import IrreproducibleRow, ResultLookUps
from .row_operations import Row
from .sqlite_failures import would_wait
from .writer_lock import WriterLock

if TYPE_CHECKING:
    from apsw import Connection

__all__ = ("ResultRow", "ResultsDatabase", "checked_row")

_T = TypeVar("_T")

_ITERATE_CHUNK = 1000
_INSERT_CHUNK = 4000  # rows of one transaction: other writers, and claims, wait up to 50 ms for it
_CLAIM_ALL_FROM = 16  # rows from which it pays to try one claim of all keys


@dataclass(frozen=True)
class ResultRow:
    """One result to be inserted. record: compact JSON text of an object, or None."""

    transformation: bytes
    result: bytes
    record: str | None = None


class ResultsDatabase:
    """The results in one file; safe for many threads and many processes at once.

    path: the file, conventionally `seamless.db`. It is opened, and when writable made, at first use.
    writable: False never writes, and demands that the file exists.
    clock: monotonic seconds.
    busy_timeout_s: how long an operation waits for other programs before it raises DatabaseLocked.

    Cost on a local disk: look-up 8 us, 1000 look-ups at once 2 ms, durable insert 0.3 ms.
    """

    def __init__(
        self,
        path: str | os.PathLike[str],
        *,
        writable: bool = True,
        clock: Callable[[], float] = time.monotonic,
        busy_timeout_s: float = 30.0,
    ) -> None:
        self.path = str(Path(path).absolute())
        self.writable = writable
        self.writer_lock = WriterLock(self.path, timeout_s=busy_timeout_s)
        self.claims = KeyClaims(self.path)
        self.commits = 0
        self._clock = clock
        self._busy_timeout_s = busy_timeout_s
        self._connections = Connections(
            self.path, writable=writable, busy_timeout_s=busy_timeout_s, lock=self.writer_lock
        )
        self._look_ups = ResultLookUps(self.read, self.path)
        self._pages = (0, 0)  # of the WAL: in all, and written by the last transaction
        self._group = GroupCommit(
            self._transact,
            self.writer_lock.acquire,
            self.writer_lock.release,
            self._connections.sync,
            self._after_commit,
        )
        _live.add(self)

    def open(self) -> None:
        """Open the file now, rather than at first use: make what is missing, check what is there."""
        self._connections.ensure_open()

    def require_writable(self) -> None:
        """Raise DatabaseReadOnly if the database was opened with writable=False."""
        if not self.writable:
            raise DatabaseReadOnly(
                f"Cannot write to the results database {self.path}: it was opened with writable=False.",
                path=self.path,
                remedy="open it with writable=True.",
            )

    def close(self) -> None:
        """Close; the last process that closes leaves one plain file. Idempotent."""
        self._connections.close()
        self.writer_lock.close()

    def __enter__(self) -> ResultsDatabase:
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.close()

    # Look-ups

    def read(self, action: str, sql: str, *bindings: str | int) -> list[Any]:
        """Return all rows of a query, waiting while the file is locked. For the table classes of this package."""
        return self._connections.read(action, sql, *bindings)

    def read_at_once(self, action: str, sql: str, *bindings: str | int) -> list[Any]:
        """Return all rows of a query, or raise WouldWait if that would have to wait for anybody."""
        return self._connections.read(action, sql, *bindings, wait=False)

    def transformation(self, tf: bytes) -> bytes | None:
        """Return the result that stands, or None."""
        return self._look_ups.transformation(tf)

    def transformation_many(self, tfs: Sequence[bytes]) -> list[bytes | None]:
        """Return the results in the order of `tfs`, from one snapshot of the database."""
        if not tfs:
            self._connections.ensure_open()
            return []
        return self._look_ups.transformation_many(tfs)

    def rev_transformations(self, result: bytes) -> list[bytes]:
        """Return the transformations that have this result now, oldest first."""
        return self._look_ups.rev_transformations(result)

    def metadata(self, tf: bytes) -> str | None:
        """Return the execution record as JSON text, or None."""
        return self._look_ups.metadata(tf)

    def irreproducible(self, tf: bytes, result: bytes | None = None) -> list[IrreproducibleRow]:
        """Return the contested results of a transformation, oldest first; only `result` when given."""
        return self._look_ups.irreproducible(tf, result)

    def count(self) -> int:
        """Return the number of transformations that have a result. Cost: one pass over an index."""
        rows = self._connections.read("count results", "SELECT count(*) FROM transformation")
        return int(rows[0][0])

    def iterate(self) -> Iterator[tuple[bytes, bytes]]:
        """Yield (transformation, result), oldest first; what is inserted meanwhile may be among them."""
        last = -1
        while True:
            rows = self._connections.read("list results", row_operations.SELECT_AFTER, last, _ITERATE_CHUNK)
            for _, tf, result in rows:
                yield digest_of(tf, self.path), digest_of(result, self.path)
            if len(rows) < _ITERATE_CHUNK:
                return
            last = rows[-1][0]

    # Writes

    def insert_results(
        self, rows: Sequence[ResultRow], *, claimed: ClaimSet | None = None, chunk: int = _INSERT_CHUNK
    ) -> list[bytes]:
        """Insert what is absent, durably; return the result that stands, for each row.

        A record is stored only if its row's result stands and no record is there.
        claimed: a set in which the caller has claimed all keys already.
        chunk: how many rows one transaction takes at most.
        """
        prepared = [checked_row(row) for row in rows]
        self.require_writable()
        if claimed is not None:
            return self._write(partial(row_operations.insert_all, rows=prepared))
        standing: dict[str, bytes] = {}
        to_write = self._not_stored(prepared, standing)
        for start in range(0, len(to_write), chunk):
            some = to_write[start : start + chunk]
            winners = self.apply(changes.insert_rows(some))
            standing.update(zip((key for key, _, _ in some), winners, strict=True))
        if not to_write:  # who stored them may not have made them durable yet
            self.sync()
        return [standing[key] for key, _, _ in prepared]

    def _not_stored(self, rows: list[Row], standing: dict[str, bytes]) -> list[Row]:
        """Return the rows that need a write; put the results of the others into `standing`."""
        keys = [bytes.fromhex(key) for key, _, _ in rows]
        found = (
            self.transformation_many(keys) if len(keys) > 1 else [self.transformation(key) for key in keys]
        )
        to_write = []
        for row, winner in zip(rows, found, strict=True):
            if winner is None or not self._is_complete(row, winner.hex()):
                to_write.append(row)
            else:
                standing[row[0]] = winner
        return to_write

    def _is_complete(self, row: Row, winner: str) -> bool:
        key, value, record = row
        limit = row_operations.REVERSE_ROWS_SEARCHED
        found = self._connections.read("look up a result", row_operations.SELECT_REVERSE, winner, limit)
        if (key,) not in found and len(found) < limit:
            return False
        return record is None or winner != value or self.metadata(bytes.fromhex(key)) is not None

    def set_result(self, tf: bytes, result: bytes) -> None:
        """Store a result, also over another one, as the reference's PUT transformation does."""
        self.apply(changes.set_result(tf, result))

    def put_metadata(self, tf: bytes, result: bytes, record: str) -> None:
        """Store an execution record and, if there is none, the result; nothing if it is stored already.

        Raises RecordMalformed, TransformationContested, ResultDiffersFromRecord, RecordHasOtherResult or
        RecordDiffers, each with the protocol's text as `reason`.
        """
        self.apply(changes.put_metadata(self.path, tf, result, record))

    def contest(self, tf: bytes, result: bytes) -> None:
        """Forget a result with its record, and keep both for inspection (`irreproducible`).

        A transformation without result may be contested too. The same result with the same record is
        listed once, however often it is contested.
        Raises ResultNotStored when another result stands, RecordHasOtherResult when the record is of another.
        """
        self.apply(changes.contest(self.path, tf, result))

    def apply(self, change: Change[_T]) -> _T:
        """Do one change, durably; return its value, or raise its error."""
        self.require_writable()
        with self._claimed(change.keys):
            return self._write(change.operation)

    def apply_all(self, some: Sequence[Change[Any]]) -> list[Any]:
        """Do changes in order, durably and in one transaction; return the value or DatabaseError of each.

        One whose keys another process has claimed is not waited for: its outcome is WouldWait.
        """
        self.require_writable()
        with self.claims.open() if self.claims.supported else contextlib.nullcontext() as claims:
            ready = [change for change in some if claims is None or _claim_at_once(claims, change.keys)]
            outcomes = iter(self._write(changes.together(ready).operation) if ready else ())
            taken = set(map(id, ready))
            return [next(outcomes) if id(change) in taken else would_wait(self.path) for change in some]

    def sync(self) -> None:
        """Make durable what others have committed already and may not have synced yet."""
        self._connections.sync()

    def _claimed(self, tfs: Iterable[bytes]) -> _Claimed:
        return _Claimed(self.claims, sorted(tfs), self._busy_timeout_s, needed=self.writable)

    def _write(self, operation: Callable[[Connection], _T]) -> _T:
        self.require_writable()
        self._connections.ensure_open()
        return self._group.run(operation)

    def _transact(self, requests: list[Request[Any]]) -> None:
        """Carry out the requests in one transaction. The writers' lock is held."""
        deadline = self._clock() + self._busy_timeout_s
        outcomes: list[tuple[Request[Any], Any, DatabaseError | None]] = []
        with self._connections.writer() as connection:
            try:
                self._connections.patiently("BEGIN IMMEDIATE", deadline, self._clock)
                try:
                    self._connections.prepare_wal()
                    for request in requests:
                        try:
                            outcomes.append((request, request.operation(connection), None))
                        except DatabaseError as exc:
                            outcomes.append((request, None, exc))
                    self._connections.patiently("COMMIT", deadline, self._clock)
                except BaseException:
                    if connection.in_transaction:
                        connection.execute("ROLLBACK").fetchall()
                    raise
            except Exception as exc:
                self._connections.drop_writer()
                raise self._connections.translate(exc, "write results") from exc
            self.commits += 1
            self._pages = self._connections.pages_in_wal()
        for request, value, error in outcomes:
            if error is None:
                request.answer(value)
            else:
                request.fail(error)

    def _after_commit(self) -> None:
        """Called by the leader when the others have their answers and the writers' lock is free."""
        pages, self._pages = self._pages, (0, 0)
        self._connections.checkpoint_if_due(*pages)


def _claim_at_once(claims: ClaimSet, keys: frozenset[bytes]) -> bool:
    if len(keys) >= _CLAIM_ALL_FROM:
        return claims.try_claim_all()
    return all(claims.try_claim(key) for key in keys)


class _Claimed:
    """Hold claims on keys while a write is under way."""

    def __init__(self, claims: KeyClaims, keys: list[bytes], timeout_s: float, *, needed: bool) -> None:
        self._claims = claims
        self._keys = keys  # sorted, so that two writers never wait for each other
        self._timeout_s = timeout_s
        self._needed = needed
        self._set: ClaimSet | None = None

    def __enter__(self) -> None:
        if not self._needed or not self._keys or not self._claims.supported:
            return
        deadline = time.monotonic() + self._timeout_s
        self._set = self._claims.open()
        try:
            if len(self._keys) >= _CLAIM_ALL_FROM and self._set.try_claim_all():
                return
            for key in self._keys:
                self._set.claim(key, deadline)
        except BaseException:
            self._set.close()
            raise

    def __exit__(self, *exc_info: object) -> None:
        if self._set is not None:
            self._set.close()


def checked_row(row: ResultRow) -> tuple[str, str, str | None]:
    """Return the row as it is stored: transformation, result, record. Raises for what is no row."""
    if not isinstance(row, ResultRow) or not (row.record is None or isinstance(row.record, str)):
        raise DatabaseArgumentInvalid(
            f"A row to insert must be a ResultRow with a record of text or None, not {row!r:.200}.",
            remedy="pass ResultRow(transformation, result, record).",
        )
    return hex_of(row.transformation), hex_of(row.result), row.record


_live: weakref.WeakSet[ResultsDatabase] = weakref.WeakSet()


def _after_fork_in_child() -> None:
    for database in list(_live):
        database._group.reset()


os.register_at_fork(after_in_child=_after_fork_in_child)

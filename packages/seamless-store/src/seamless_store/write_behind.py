"""Make results final at once and durable soon: first their buffers, then their rows.

`put` returns in microseconds. What it returns is final for every process that shares the cache:

1. It claims the transformation (`key_claims`): from now on nobody else can insert its first result.
2. It looks the row up. Present: that result stands, the claim is dropped. So it is without a claim.
3. Absent: ours will be the first. Row and buffers are queued; the claim is held until they are committed.

A background thread takes what has queued up, publishes all buffers in one durable batch, then inserts all
rows in one transaction, then drops the claims. So a row never names a buffer that is not durable; a crash
loses at most what was put within the last moments, and never leaves anything half done.

Invariant: whenever a result was returned and is not committed yet, this process holds its claim.

Where the file system has no such claims, `put` publishes and inserts before it returns.
"""

from __future__ import annotations

import atexit
import logging
import os
import threading
import time
import weakref
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Protocol

from .database_errors import DatabaseLocked, WriteBehindClosed, WriteBehindFailed
from .pending_batch import Item, Part, PendingBatch, check_buffers
from .results_database import ResultRow, ResultsDatabase, checked_row

if TYPE_CHECKING:
    from .key_claims import ClaimSet

__all__ = ("BufferPublisher", "WriteBehind")

_log = logging.getLogger(__name__)

DELAY_S = 0.008  # leaves 12 ms of the promised 20 to make a batch durable
MAX_PENDING_BYTES = 256 * 1024 * 1024
MAX_PENDING_ROWS = 1000  # claiming slows down with the number of claims: 10 us at 1000 (kernel list)
_ATTEMPTS = 4
_ATTEMPT_PAUSE_S = 0.1  # doubled after each attempt
_CLAIM_AGAIN_S = 2.0
_CLAIM_POLL_FIRST_S = 0.0005
_CLAIM_POLL_LAST_S = 0.005


class BufferPublisher(Protocol):
    """What is needed of a buffer directory."""

    def publish(self, items: Sequence[Item], *, verified: bool = False) -> None:
        """Return when all items are durable."""


class WriteBehind:
    """A queue before a buffer directory and a results database; safe for many threads.

    delay_s: how long the first of a batch waits for company.
    max_pending_bytes, max_pending_rows: beyond this, `put` waits for the background thread.
    on_conflict: called with (transformation, ours, winner) when another result stood already.
    conflicts: how often that happened.
    """

    def __init__(
        self,
        directory: BufferPublisher,
        database: ResultsDatabase,
        *,
        delay_s: float = DELAY_S,
        max_pending_bytes: int = MAX_PENDING_BYTES,
        max_pending_rows: int = MAX_PENDING_ROWS,
        timeout_s: float = 60.0,
        on_conflict: Callable[[bytes, bytes, bytes], None] | None = None,
    ) -> None:
        self.conflicts = 0
        self._directory = directory
        self._database = database
        self._delay_s = delay_s
        self._max_pending_bytes = max_pending_bytes
        self._max_pending_rows = max_pending_rows
        self._timeout_s = timeout_s
        self._on_conflict = on_conflict
        self._closed = False
        self._reset()
        _live.add(self)

    def _reset(self) -> None:
        self._mutex = threading.Lock()
        self._changed = threading.Condition(self._mutex)  # a batch ended
        self._hurry = threading.Event()  # do not wait for company
        self._work = threading.Event()
        self._queued = PendingBatch(1)
        self._writing = PendingBatch(0)
        self._last_durable = 0  # number of the last batch that is durable, and all before it
        self._failure: Exception | None = None
        self._ready = False
        self._adopted = False  # a row of another process was returned that may not be durable yet
        self._thread: threading.Thread | None = None

    # Putting

    def put(
        self,
        tf: bytes,
        result: bytes,
        *,
        buffers: Sequence[Item] = (),
        record: str | None = None,
    ) -> bytes:
        """Insert the result if there is none; return the one that stands, which is final.

        buffers: (digest, parts) of what the row needs; the parts must not change any more.
        """
        check_buffers(buffers)
        row = ResultRow(tf, result, record)
        checked_row(row)
        if not self._ready:
            self._database.require_writable()
            self._database.open()
            self._ready = True
        if not self._database.claims.supported:
            return self._put_through(row, buffers)
        deadline = time.monotonic() + self._timeout_s
        pause_s = _CLAIM_POLL_FIRST_S
        while True:
            with self._mutex:
                self._check_usable()
                self._wait_for_room(deadline)
                winner = self._put_locked(row, buffers)
            if winner is not None:
                break
            if time.monotonic() >= deadline:
                raise self._claim_timed_out(tf)
            time.sleep(pause_s)  # another process has just this result under way
            pause_s = min(pause_s * 1.5, _CLAIM_POLL_LAST_S)
        if winner != result:
            self._report(tf, result, winner)
        return winner

    def _put_locked(self, row: ResultRow, buffers: Sequence[Item]) -> bytes | None:
        """Return the result that stands, or None if another process has claimed the key."""
        tf = row.transformation
        queued = self._queued.rows.get(tf) or self._writing.rows.get(tf)
        if queued is not None:
            return queued.result
        claims = self._claims()
        is_ours = claims.try_claim(tf)
        try:
            standing = self._database.transformation(tf)
            is_complete = standing is not None and not self._lacks_record(row, standing)
        except BaseException:
            if is_ours:
                claims.drop(tf)
            raise
        if standing is not None and is_complete:
            # Nobody else shall wait until our buffers, of which one may be missing, are written.
            if is_ours:
                claims.drop(tf)
            self._adopted = True
            if standing == row.result and buffers:
                self._queue_buffers(buffers)
                self._awaken()
            return standing
        if not is_ours:
            return None
        self._queued.rows[tf] = row
        self._queue_buffers(buffers)
        self._awaken()
        return row.result

    def _lacks_record(self, row: ResultRow, standing: bytes) -> bool:
        if row.record is None or standing != row.result:
            return False
        return self._database.metadata(row.transformation) is None

    def _claims(self) -> ClaimSet:
        batch = self._queued
        if batch.claims is not None and not batch.rows and not batch.claims.is_current():
            batch.claims.close()
            batch.claims = None
        if batch.claims is None:
            batch.claims = self._database.claims.open()
        return batch.claims

    def put_buffers(self, buffers: Sequence[Item]) -> None:
        """Queue buffers that no row needs."""
        check_buffers(buffers)
        with self._mutex:
            self._check_usable()
            self._wait_for_room(time.monotonic() + self._timeout_s)
            self._queue_buffers(buffers)
            self._awaken()

    def _queue_buffers(self, buffers: Sequence[Item]) -> None:
        batch = self._queued
        for digest, parts in buffers:
            if digest not in batch.buffers and digest not in self._writing.buffers:
                batch.add_buffer(digest, parts)

    def _put_through(self, row: ResultRow, buffers: Sequence[Item]) -> bytes:
        with self._mutex:
            self._check_usable()
        if buffers:
            self._directory.publish(buffers, verified=True)
        winner = self._database.insert_results([row])[0]
        if winner != row.result:
            self._report(row.transformation, row.result, winner)
        return winner

    def _wait_for_room(self, deadline: float) -> None:
        while self._queued.size_bytes > self._max_pending_bytes or (
            len(self._queued.rows) + len(self._writing.rows) >= self._max_pending_rows
        ):
            self._hurry.set()
            if not self._changed.wait(max(0.0, deadline - time.monotonic())):
                raise self._timed_out()
            self._check_usable()

    def _report(self, tf: bytes, ours: bytes, winner: bytes) -> None:
        with self._mutex:
            self.conflicts += 1
        _log.info(
            "transformation %s has result %s already; the new result %s was dropped",
            tf.hex(),
            winner.hex(),
            ours.hex(),
        )
        if self._on_conflict is not None:
            self._on_conflict(tf, ours, winner)

    # Looking

    def pending(self, digest: bytes) -> Sequence[Part] | None:
        """Return the parts of a buffer that is queued and perhaps not visible in the directory yet."""
        parts = self._queued.buffers.get(digest)
        return self._writing.buffers.get(digest) if parts is None else parts

    def result(self, tf: bytes) -> bytes | None:
        """Return the result that stands, queued or stored."""
        queued = self._queued.rows.get(tf) or self._writing.rows.get(tf)
        return queued.result if queued is not None else self._database.transformation(tf)

    # Ending

    def flush(self) -> None:
        """Return when everything that was put is durable; WriteBehindFailed when that cannot be."""
        deadline = time.monotonic() + self._timeout_s
        if self._adopted:
            self._adopted = False
            try:
                self._database.sync()
            except BaseException:
                self._adopted = True
                raise
        with self._mutex:
            self._failure = None  # what failed is tried again now
            if not (self._queued or self._writing):
                return
            target = self._queued.number if self._queued else self._writing.number
            self._awaken()
            self._hurry.set()
            while self._last_durable < target:
                if self._failure is not None:
                    raise self._failed(self._failure)
                if not self._changed.wait(max(0.0, deadline - time.monotonic())):
                    raise self._timed_out()

    def close(self) -> None:
        """Flush and end the background thread; the directory and the database stay open. Idempotent.

        When the flush fails its error is raised and the queue stays open, to be closed again later.
        """
        while not self._closed:
            self.flush()
            with self._mutex:
                self._closed = not (self._queued or self._writing)
        with self._mutex:
            thread, self._thread = self._thread, None
            claims, self._queued.claims = self._queued.claims, None
        self._work.set()
        self._hurry.set()
        if thread is not None:
            thread.join(self._timeout_s)
        if claims is not None:
            claims.close()

    def __enter__(self) -> WriteBehind:
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.close()

    # The background thread

    def _awaken(self) -> None:
        if self._thread is None:
            self._thread = threading.Thread(target=self._run, name="seamless-write-behind", daemon=True)
            self._thread.start()
        if not self._work.is_set():
            self._work.set()

    def _run(self) -> None:
        while True:
            self._work.wait()
            if self._closed:
                return
            self._hurry.wait(self._delay_s)
            with self._mutex:
                if self._closed and not self._queued:
                    return
                self._work.clear()
                self._hurry.clear()
                batch = self._writing = self._queued
                self._queued = PendingBatch(batch.number + 1)
            try:
                self._write(batch)
            except Exception as exc:  # raised by the next put, flush or close
                self._park(batch, exc)
            else:
                with self._mutex:
                    self._writing = PendingBatch(batch.number)
                    self._last_durable = batch.number
                    self._changed.notify_all()

    def _write(self, batch: PendingBatch) -> None:
        pause_s = _ATTEMPT_PAUSE_S
        for attempt in range(1, _ATTEMPTS + 1):
            try:
                self._write_once(batch)
                return
            except Exception as exc:
                if attempt == _ATTEMPTS:
                    raise
                _log.warning("writing %d results failed, will try again: %s", len(batch.rows), exc)
            time.sleep(pause_s)
            pause_s *= 2

    def _write_once(self, batch: PendingBatch) -> None:
        if batch.buffers:
            self._directory.publish(list(batch.buffers.items()), verified=True)
        if batch.unclaimed:
            self._claim_again(batch)
        if batch.rows:
            rows = list(batch.rows.values())
            winners = self._database.insert_results(rows, claimed=batch.claims)
            for row, winner in zip(rows, winners, strict=True):
                if winner != row.result:
                    _log.error(
                        "result %s of transformation %s was called final, but a program that ignores claims "
                        "stored %s first",
                        row.result.hex(),
                        row.transformation.hex(),
                        winner.hex(),
                    )
                    self._report(row.transformation, row.result, winner)
        if batch.claims is not None:
            batch.claims.close()

    def _claim_again(self, batch: PendingBatch) -> None:
        """Claim the rows of a failed batch once more, so that they spoil no promise made since."""
        if batch.claims is None:
            batch.claims = self._database.claims.open()
        deadline = time.monotonic() + _CLAIM_AGAIN_S
        for key in sorted(batch.unclaimed):
            batch.claims.claim(key, deadline)
        batch.unclaimed.clear()

    def _park(self, batch: PendingBatch, error: Exception) -> None:
        """Keep what could not be written, before what was queued since; the claims go."""
        if batch.claims is not None:
            batch.claims.close()
        with self._mutex:
            newer = self._queued
            batch.unclaimed.update(batch.rows)
            batch.rows.update(newer.rows)
            batch.buffers.update(newer.buffers)
            batch.size_bytes += newer.size_bytes
            batch.claims = newer.claims
            batch.number = newer.number
            self._queued = batch
            self._writing = PendingBatch(batch.number - 1)
            self._failure = error
            self._changed.notify_all()

    # Errors

    def _check_usable(self) -> None:
        if self._closed:
            raise WriteBehindClosed(
                f"Cannot put a result: the queue before {self._database.path} was closed.",
                path=self._database.path,
                remedy="open the cache again.",
            )
        if self._failure is not None:
            failure, self._failure = self._failure, None
            self._awaken()  # once more, in the background
            raise self._failed(failure)

    def _failed(self, error: Exception) -> WriteBehindFailed:
        n_rows = len(self._queued.rows) + len(self._writing.rows)
        n_buffers = len(self._queued.buffers) + len(self._writing.buffers)
        failed = WriteBehindFailed(
            f"{n_rows} results and {n_buffers} buffers for {self._database.path} are not durable "
            f"after {_ATTEMPTS} attempts; they are kept in memory. Cause: {error}",
            path=self._database.path,
            remedy="remove the cause, then call flush() again.",
            n_rows=n_rows,
            n_buffers=n_buffers,
        )
        failed.__cause__ = error
        return failed

    def _timed_out(self) -> WriteBehindFailed:
        error = TimeoutError(f"writing took longer than {self._timeout_s:g} s")
        return self._failed(error)

    def _claim_timed_out(self, tf: bytes) -> DatabaseLocked:
        return DatabaseLocked(
            f"Waited {self._timeout_s:g} s to store a result of transformation {tf.hex()}: another process "
            f"has claimed it in {self._database.claims.path} and does not commit.",
            path=self._database.path,
            remedy="see what the processes that use this cache do (fuser -v on that file).",
        )

    def _after_fork_in_child(self) -> None:
        """Forget the queue: it is the parent's, which writes it. The child starts with an empty one."""
        self._reset()


_live: weakref.WeakSet[WriteBehind] = weakref.WeakSet()


def _after_fork_in_child() -> None:
    for queue in list(_live):
        queue._after_fork_in_child()


def _at_exit() -> None:
    for queue in list(_live):
        if not queue._closed:
            try:
                queue.close()
            except Exception as exc:
                _log.error("results are lost at exit: %s", exc)


os.register_at_fork(after_in_child=_after_fork_in_child)
atexit.register(_at_exit)

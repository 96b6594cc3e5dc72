"""Lend and close the SQLite connections of one database file.

Readers: a pool that any thread borrows from; a look-up never waits for a commit of this process.
Writer: one connection, lent to the leader of a group commit, who holds the writers' lock.

Checkpoints: the process whose commit carries the WAL over a multiple of 1000 pages copies it into the file
without holding the writers' lock, so others commit meanwhile (measured: 5 to 10 ms). Only when the
WAL is long, the few pages that came in meanwhile are copied under the lock, so that it can start over.

Fork: SQLite keeps, per process and file, a count of its locks; a forked child inherits the count without
the locks, and could damage the file. So a fork waits until no operation is under way, and the parent
closes its connections before it (the next operation opens new ones, about 0.1 ms). Should an operation
not end in time, the child refuses to touch the file.
"""

from __future__ import annotations

import contextlib
import os
import threading
import time
import weakref
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .database_errors import DatabaseError, DatabaseIOError
from .database_opening import PATIENCE_MS, RETRY_PAUSE_S, Opener
from .sqlite_failures import closed, unsafe_after_fork, would_wait
from .wal_durability import WalFile
from .writer_lock import WriterLock

if TYPE_CHECKING:
    from apsw import Connection

__all__ = ("Connections",)

_IDLE_READERS_MAX = 16
_CHECK_FILE_EVERY_S = 0.05  # how often a look-up asks whether the file was replaced
_CHECKPOINT_PAGES = 1000  # 4 MB
_LONG_WAL_PAGES = 4000
_CLOSE_PATIENCE_S = 5.0
_FORK_WAIT_S = 5.0

_live: weakref.WeakSet[Connections] = weakref.WeakSet()
_never_closed: list[object] = []  # see Connections._after_fork_in_child


class Connections:
    """The connections of this process to one database file; safe for many threads.

    opener: None until the first use. Every operation is counted in `_in_use` while it runs.
    """

    def __init__(self, path: str, *, writable: bool, busy_timeout_s: float, lock: WriterLock) -> None:
        self.path = path
        self.writable = writable
        self.busy_timeout_s = busy_timeout_s
        self._lock = lock
        self._closed = False
        self._unsafe = False
        self._opener: Opener | None = None
        self._fingerprint: tuple[object, ...] | None = None  # None: not open
        self._check_file_at = 0.0
        self._generation = 0  # connections of an older one are of no use
        self._idle: list[Connection] = []
        self._writer: Connection | None = None
        self._writer_generation = 0
        self._wal = WalFile(path)
        self._wal_pages = 0
        self._reset_gate()
        _live.add(self)

    def _reset_gate(self) -> None:
        self._opening = threading.Lock()
        self._checkpointing = threading.Lock()
        self._gate = threading.Condition(threading.Lock())
        self._gate_shut = False
        self._in_use = 0

    # Reading

    def read(self, action: str, sql: str, *bindings: str | int, wait: bool = True) -> list[Any]:
        """Return all rows of a query, tried again while the file is locked, until the deadline.

        wait: False raises WouldWait instead of opening anything or waiting for anybody.
        A table that a file lacks, which only one that we may not write can, is as good as empty.
        """
        deadline = 0.0
        while True:
            opener = self._opener
            if opener is None or self._fingerprint is None:
                if not wait:
                    raise would_wait(self.path)
                opener = self.ensure_open()
            try:
                with self._gate:
                    self._enter()
                    generation = self._generation
                    connection = self._idle.pop() if self._idle else None
                try:
                    if connection is None:
                        if not wait:
                            raise would_wait(self.path)
                        connection = opener.reader()
                    elif not wait:
                        connection.set_busy_timeout(0)
                    return connection.execute(sql, bindings).fetchall()
                finally:
                    if connection is not None and not wait:
                        connection.set_busy_timeout(PATIENCE_MS)
                    self._give_back(generation, connection)
            except opener.apsw.Error as exc:
                error: Exception = exc
            if isinstance(error, opener.apsw.SQLError) and "no such table" in str(error):
                return []
            if not opener.is_transient(error) and not self._lost_the_file():
                raise self.translate(error, action) from error
            if not wait:
                raise would_wait(self.path) from error
            deadline = deadline or time.monotonic() + self.busy_timeout_s
            if time.monotonic() >= deadline:
                raise self.translate(error, action) from error
            time.sleep(RETRY_PAUSE_S)

    def _give_back(self, generation: int, connection: Connection | None) -> None:
        with self._gate:
            if connection is None:
                pass
            elif generation == self._generation and len(self._idle) < _IDLE_READERS_MAX and not self._closed:
                self._idle.append(connection)
            else:
                connection.close()
            self._left()

    def _enter(self) -> None:
        """Count one operation in; the gate's lock is held."""
        while self._gate_shut:
            self._gate.wait()
        self._check_usable()
        now = time.monotonic()
        if now >= self._check_file_at:
            self._check_file_at = now + _CHECK_FILE_EVERY_S
            self._drop_if_replaced()
        self._in_use += 1

    def _left(self) -> None:
        """Count one operation out; the gate's lock is held."""
        self._in_use -= 1
        if self._gate_shut:
            self._gate.notify_all()

    @contextlib.contextmanager
    def _inside(self) -> Iterator[None]:
        with self._gate:
            self._enter()
        try:
            yield
        finally:
            with self._gate:
                self._left()

    def _check_usable(self) -> None:
        if self._closed:
            raise closed(self.path)
        if self._unsafe:
            raise unsafe_after_fork(self.path)

    # Opening

    def ensure_open(self) -> Opener:
        """Open and check the file if that was not done yet; make it when writable."""
        while self._opener is None or self._fingerprint is None:
            with self._opening:
                if self._opener is None or self._fingerprint is None:
                    with self._inside():
                        self._open(self._lock)
        return self._opener

    def _open(self, lock: WriterLock | None) -> None:
        if self._opener is None:
            self._opener = Opener(self.path, writable=self.writable, busy_timeout_s=self.busy_timeout_s)
        self._opener.prepare(lock)
        self._fingerprint = self._opener.fingerprint()

    # Writing

    @contextlib.contextmanager
    def writer(self) -> Iterator[Connection]:
        """Lend the writing connection. The caller holds the writers' lock."""
        self._check_file_at = 0.0
        with self._inside():
            if self._opener is None or self._fingerprint is None:  # not open yet, or replaced a moment ago
                self._open(None)
            assert self._opener is not None
            if self._writer_generation != self._generation:
                self.drop_writer()
            if self._writer is None:
                self._writer = self._opener.writer()
                self._writer.set_wal_hook(self._note_wal_pages)
                self._writer_generation = self._generation
            yield self._writer

    def _note_wal_pages(self, connection: Connection, name: str, n_pages: int) -> int:
        self._wal_pages = n_pages
        return 0

    def patiently(self, statement: str, deadline: float, clock: Callable[[], float]) -> None:
        """Execute on the writer, again while another program holds the file locked, until the deadline."""
        assert self._opener is not None
        assert self._writer is not None
        while True:
            try:
                self._writer.execute(statement).fetchall()
                return
            except (self._opener.apsw.BusyError, self._opener.apsw.LockedError):
                if clock() >= deadline:
                    raise
            time.sleep(RETRY_PAUSE_S)

    def drop_writer(self) -> None:
        """Close the writing connection, which an error may have left in doubt."""
        connection, self._writer = self._writer, None
        if connection is not None:
            connection.close()
            self._wal.close()

    def prepare_wal(self) -> None:
        """Open the WAL and give it room. To be called inside a write transaction."""
        self._wal.prepare(self._wal_pages)

    def sync(self) -> None:
        """Return when everything that was committed before the call is durable. No lock is held."""
        try:
            self._wal.sync()
        except OSError as exc:
            raise DatabaseIOError(
                f"Results were written to {self.path}, but whether they are durable is not known: {exc}.",
                path=self.path,
                remedy="look at the kernel's messages (dmesg) and the disk; end the programs that use this "
                "database, then start them again.",
            ) from exc

    def pages_in_wal(self) -> tuple[int, int]:
        """Return the WAL's pages after the last commit, and those written by us since last asked."""
        assert self._opener is not None
        if self._writer is None:
            return (0, 0)
        written = self._writer.status(self._opener.apsw.SQLITE_DBSTATUS_CACHE_WRITE, True)[0]
        return (self._wal_pages, written)

    def checkpoint_if_due(self, n_pages: int, n_written: int) -> None:
        """Checkpoint if this commit carried the WAL over a multiple of 1000 pages. No lock is held."""
        if n_pages // _CHECKPOINT_PAGES == (n_pages - n_written) // _CHECKPOINT_PAGES or n_written <= 0:
            return
        if not self._checkpointing.acquire(blocking=False):
            return
        try:
            self._checkpoint()
            if n_pages >= _LONG_WAL_PAGES:
                with self._lock:
                    self._checkpoint()
        except DatabaseError:  # busy, or somebody closes: the next one will do it
            pass
        finally:
            self._checkpointing.release()

    def _checkpoint(self) -> None:
        """Copy what can be copied without waiting for anybody."""
        opener = self._opener
        if opener is None or self._fingerprint is None:
            return
        with self._inside():
            try:
                connection = opener.connect(opener.apsw.SQLITE_OPEN_READWRITE)
                try:
                    connection.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchall()
                finally:
                    connection.close()
            except opener.apsw.Error as exc:
                raise opener.translate(exc, "checkpoint") from exc

    # The file under our feet

    def _lost_the_file(self) -> bool:
        with self._gate:
            self._drop_if_replaced()
            return self._fingerprint is None

    def _drop_if_replaced(self) -> None:
        """Let go of the connections if the file was removed or replaced; the gate's lock is held."""
        if self._opener is None or self._fingerprint is None:
            return
        if self._opener.fingerprint() != self._fingerprint:
            self._close_idle()
            self._fingerprint = None

    def _close_idle(self) -> None:
        self._generation += 1
        for connection in self._idle:
            connection.close()
        self._idle.clear()

    # Closing

    def close(self) -> None:
        """Close everything; the last process leaves a plain file without WAL. Idempotent."""
        with self._gate:
            if self._closed:
                return
            self._closed = True
            self._fingerprint = None
            self._close_idle()
        opener = self._opener
        if opener is None or self._unsafe:
            return
        wrote = self._writer is not None
        if not wrote and not (self.writable and Path(self.path + "-wal").exists()):
            return
        # Closing one after another lets the last one see that it is the last.
        try:
            self._lock.acquire(_CLOSE_PATIENCE_S if wrote else 0)
        except DatabaseError:  # somebody writes: then we are not the last
            self.drop_writer()
            return
        try:
            self._return_to_plain_journal(opener)
        finally:
            self._lock.release()

    def _return_to_plain_journal(self, opener: Opener) -> None:
        # An error leaves the WAL as it is, which the next opener reads: nothing is lost.
        with contextlib.suppress(opener.apsw.Error):
            if self._writer is None:
                self._writer = opener.connect(opener.apsw.SQLITE_OPEN_READWRITE)
            self._writer.set_busy_timeout(0)
            self._writer.execute("PRAGMA journal_mode=DELETE").fetchall()
        self.drop_writer()

    # Forking

    def _before_fork(self) -> None:
        deadline = time.monotonic() + _FORK_WAIT_S
        if not self._gate.acquire(timeout=_FORK_WAIT_S):
            return
        try:
            self._gate_shut = True
            if self._gate.wait_for(lambda: self._in_use == 0, max(0.0, deadline - time.monotonic())):
                self._close_idle()
                self.drop_writer()
        finally:
            self._gate.release()

    def _after_fork_in_parent(self) -> None:
        if not self._gate.acquire(timeout=_FORK_WAIT_S):  # forked by a signal handler of this very thread
            return
        self._gate_shut = False
        self._gate.notify_all()
        self._gate.release()

    def _after_fork_in_child(self) -> None:
        if self._in_use or self._idle or self._writer is not None:
            # Closing would act on locks that are the parent's; an object without reference would be closed.
            self._unsafe = True
            self._fingerprint = None
            _never_closed.extend((self._idle, self._writer))
            self._idle = []
            self._writer = None
        self._wal.after_fork_in_child()
        self._reset_gate()

    def translate(self, exc: Exception, action: str) -> DatabaseError:
        """Return the error of our own for an error of SQLite met when doing `action`."""
        return self.ensure_open().translate(exc, action)


def _before_fork() -> None:
    for connections in list(_live):
        connections._before_fork()


def _after_fork_in_parent() -> None:
    for connections in list(_live):
        connections._after_fork_in_parent()


def _after_fork_in_child() -> None:
    for connections in list(_live):
        connections._after_fork_in_child()


os.register_at_fork(
    before=_before_fork, after_in_parent=_after_fork_in_parent, after_in_child=_after_fork_in_child
)

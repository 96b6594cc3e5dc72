"""Open, lend and close the SQLite connections of one database file.

Readers: a pool that any thread borrows from; a look-up never waits for a commit of this process.
Writer: one connection, lent to the leader of a group commit, who holds the writers' lock.

Fork: SQLite keeps, per process and file, a count of its locks; a forked child inherits the count without
the locks, and could damage the file. So a fork waits until no operation is under way, and the parent
closes its connections before it (the next operation opens new ones, about 0.1 ms). Should an operation
not end in time, the child refuses to touch the file.

Journal: WAL on local file systems with synchronous=FULL (one fdatasync a commit; measured, this is as fast
as NORMAL and an fdatasync of our own, 0.25 ms), the rollback journal with synchronous=EXTRA on network
ones, where WAL's shared memory does not work. The file becomes WAL at the first write, not at the first
look-up, and plain again when the last process closes it.
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
from urllib.parse import quote

from . import database_schema as schema
from .database_errors import (
    DatabaseClosed,
    DatabaseError,
    DatabaseMissing,
    DatabaseReadOnly,
    DatabaseUnsafeAfterFork,
)
from .sqlite_failures import is_transient, read_only, translate
from .writer_lock import WriterLock

if TYPE_CHECKING:
    import apsw
    from apsw import Connection

__all__ = ("Connections", "fetch")

_IDLE_READERS_MAX = 16
_READER_CACHE_KIB = 4096
_WRITER_CACHE_KIB = 16384
_WAL_KEPT_BYTES = 32 * 1024 * 1024  # a longer WAL is cut back after a checkpoint
_CHECK_FILE_EVERY_S = 0.05  # how often a look-up asks whether the file was replaced
_FORK_WAIT_S = 5.0
_RETRY_PAUSE_S = 0.005

_live: weakref.WeakSet[Connections] = weakref.WeakSet()
_never_closed: list[object] = []  # see Connections._after_fork_in_child


def fetch(connection: apsw.Connection, sql: str, *bindings: str | int) -> list[Any]:
    """Return all rows; cells are Any because any program may have written the file."""
    return connection.execute(sql, bindings).fetchall()


class Connections:
    """The connections of this process to one database file; safe for many threads."""

    def __init__(self, path: str, *, writable: bool, busy_timeout_s: float, lock: WriterLock) -> None:
        self.path = path
        self.writable = writable
        self.busy_timeout_s = busy_timeout_s
        self._lock = lock
        self._closed = False
        self._opened = False
        self._opening = threading.Lock()
        self._identity: tuple[int, int] | None = None
        self._check_file_at = 0.0
        self._generation = 0
        self._idle: list[tuple[int, apsw.Connection]] = []
        self._writer: apsw.Connection | None = None
        self._unsafe = False
        self._reset_gate()
        _live.add(self)

    def _reset_gate(self) -> None:
        self._gate = threading.Condition(threading.Lock())
        self._gate_shut = False
        self._in_use = 0

    # Reading

    def read(self, action: str, sql: str, *bindings: str | int) -> list[Any]:
        """Return all rows of a query, tried again while the file is locked, until the deadline.

        A table that a file lacks, which only one that we may not write can, is as good as empty.
        """
        deadline = 0.0
        while True:
            if self._identity is None:
                self.ensure_open()
            generation, connection = self._borrow()
            try:
                return connection.execute(sql, bindings).fetchall()
            except self._apsw.Error as exc:
                error: Exception = exc
            finally:
                self._give_back(generation, connection)
            if isinstance(error, self._apsw.SQLError) and "no such table" in str(error):
                return []
            if not self._is_transient(error) and not self._lost_the_file():
                raise self.translate(error, action) from error
            deadline = deadline or time.monotonic() + self.busy_timeout_s
            if time.monotonic() >= deadline:
                raise self.translate(error, action) from error
            time.sleep(_RETRY_PAUSE_S)

    def _borrow(self) -> tuple[int, apsw.Connection]:
        with self._gate:
            self._enter()
            if self._idle:
                return self._idle.pop()
            generation = self._generation
        try:
            return generation, self._open_reader()
        except BaseException:
            self._leave()
            raise

    def _give_back(self, generation: int, connection: apsw.Connection) -> None:
        with self._gate:
            keep = generation == self._generation and not self._closed and len(self._idle) < _IDLE_READERS_MAX
            if keep:
                self._idle.append((generation, connection))
            else:
                connection.close()
            self._in_use -= 1
            if self._gate_shut:
                self._gate.notify_all()

    def _enter(self) -> None:
        """Count one operation in; the gate's lock is held."""
        while self._gate_shut:
            self._gate.wait()
        if self._closed:
            raise DatabaseClosed(
                f"The results database {self.path} was closed.", path=self.path, remedy="open it again."
            )
        now = time.monotonic()
        if now >= self._check_file_at:
            self._check_file_at = now + _CHECK_FILE_EVERY_S
            self._drop_if_replaced()
        self._in_use += 1

    def _leave(self) -> None:
        with self._gate:
            self._in_use -= 1
            if self._gate_shut:
                self._gate.notify_all()

    # Writing

    @contextlib.contextmanager
    def writer(self) -> Iterator[apsw.Connection]:
        """Lend the writing connection. The caller holds the writers' lock."""
        with self._gate:
            self._check_file_at = 0.0
            self._enter()
        try:
            if self._identity is None:  # not opened yet, or replaced a moment ago
                self._open_file(lock_held=True)
            if self._writer is None:
                self._writer = self._open_writer()
            yield self._writer
        finally:
            self._leave()

    def patiently(
        self, connection: apsw.Connection, statement: str, deadline: float, clock: Callable[[], float]
    ) -> None:
        """Execute a statement, again while another program holds the file locked, until the deadline."""
        while True:
            try:
                connection.execute(statement).fetchall()
                return
            except (self._apsw.BusyError, self._apsw.LockedError):
                if clock() >= deadline:
                    raise
            time.sleep(_RETRY_PAUSE_S)

    def drop_writer(self) -> None:
        """Close the writing connection after an error that may have left it in doubt."""
        connection, self._writer = self._writer, None
        if connection is not None:
            connection.close()

    # Opening

    def ensure_open(self) -> None:
        """Open and check the file if that was not done yet; create it when writable."""
        if self._opened and self._identity is not None:
            return
        with self._opening:
            if not (self._opened and self._identity is not None):
                self._open_file(lock_held=False)

    def _open_file(self, *, lock_held: bool) -> None:
        if self._closed:
            raise DatabaseClosed(
                f"The results database {self.path} was closed.", path=self.path, remedy="open it again."
            )
        if self._unsafe:
            raise DatabaseUnsafeAfterFork(
                f"This process was forked while another thread used {self.path}: "
                "SQLite's state is unusable here.",
                path=self.path,
                remedy="start worker processes with the spawn method, or fork while the database is idle.",
            )
        import apsw

        self._apsw = apsw
        try:
            found = os.stat(self.path)
        except FileNotFoundError:
            if not self.writable:
                raise DatabaseMissing(
                    f"There is no results database {self.path}, and it may not be made (writable=False).",
                    path=self.path,
                    remedy="check the directory, or open it once with writable=True.",
                ) from None
            Path(self.path).parent.mkdir(parents=True, exist_ok=True)
            found = None
        if found is None or not self._has_all_tables():
            self._create(lock_held=lock_held)
        found = os.stat(self.path)
        self._identity = (found.st_dev, found.st_ino)
        self._opened = True

    def _has_all_tables(self) -> bool:
        """Check the schema; True also where it is incomplete but nothing can be done about it."""
        deadline = time.monotonic() + self.busy_timeout_s
        while True:
            try:
                connection = self._open_reader()
                try:
                    schema.check_columns(connection, self.path, may_replace=self.writable)
                    can_write = self.writable and not connection.readonly("main")
                    return schema.is_complete(connection) or not can_write
                finally:
                    connection.close()
            except self._apsw.Error as exc:
                if not self._is_transient(exc) or time.monotonic() >= deadline:
                    raise self.translate(exc, "open") from exc
            time.sleep(_RETRY_PAUSE_S)

    def _create(self, *, lock_held: bool) -> None:
        with contextlib.nullcontext() if lock_held else self._lock:
            self._make_empty_file()
            try:
                connection = self._connect(self._apsw.SQLITE_OPEN_READWRITE)
                try:
                    connection.execute("PRAGMA synchronous=EXTRA").fetchall()
                    connection.execute("BEGIN IMMEDIATE").fetchall()
                    schema.create_missing(connection, self.path)
                    connection.execute("COMMIT").fetchall()
                finally:
                    connection.close()
            except self._apsw.Error as exc:
                raise self.translate(exc, "create the tables") from exc
            directory_fd = os.open(os.path.dirname(self.path) or ".", os.O_RDONLY)
            try:
                os.fsync(directory_fd)
            finally:
                os.close(directory_fd)

    def _make_empty_file(self) -> None:
        """Make the file with the mode that the user's umask allows; SQLite would deny the group writing."""
        try:
            os.close(os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o666))
        except OSError as exc:
            raise self.translate(exc, "make the file") from exc

    def _connect(self, flags: int, *, immutable: bool = False) -> apsw.Connection:
        apsw = self._apsw
        name = self.path
        if immutable:
            name = f"file:{quote(self.path)}?immutable=1"
            flags |= apsw.SQLITE_OPEN_URI
        connection: Connection = apsw.Connection(name, flags=flags)
        try:
            connection.set_busy_timeout(int(self.busy_timeout_s * 1000))
            connection.config(apsw.SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1)
        except BaseException:
            connection.close()
            raise
        return connection

    def _open_reader(self) -> apsw.Connection:
        apsw = self._apsw
        # A reader of a writable file may have to roll back the journal of a crashed writer.
        flags = apsw.SQLITE_OPEN_READWRITE if self.writable else apsw.SQLITE_OPEN_READONLY
        try:
            connection = self._connect(flags)
            try:
                connection.execute("SELECT 1 FROM sqlite_master LIMIT 1").fetchall()
            except BaseException:
                connection.close()
                raise
        except (apsw.CantOpenError, apsw.ReadOnlyError) as exc:
            connection = self._open_immutable(exc)
        except apsw.Error as exc:
            if self._is_transient(exc):
                raise
            raise self.translate(exc, "open") from exc
        connection.execute(f"PRAGMA cache_size=-{_READER_CACHE_KIB}").fetchall()
        connection.execute("PRAGMA query_only=ON").fetchall()
        return connection

    def _open_immutable(self, why: Exception) -> apsw.Connection:
        """Open a file in WAL mode where the files beside it cannot be made."""
        if not os.access(self.path, os.R_OK) or os.access(os.path.dirname(self.path) or ".", os.W_OK):
            raise self.translate(why, "open") from why
        with contextlib.suppress(OSError):
            if os.stat(self.path + "-wal").st_size > 0:
                raise DatabaseReadOnly(
                    f"{self.path} has results in {self.path}-wal that a crash left there; reading them needs "
                    "a directory that this user can write.",
                    path=self.path,
                    remedy="open the database once from an account that can write its directory.",
                ) from why
        return self._connect(self._apsw.SQLITE_OPEN_READONLY, immutable=True)

    def _open_writer(self) -> apsw.Connection:
        if not self.writable:
            raise self._read_only()
        try:
            connection = self._connect(self._apsw.SQLITE_OPEN_READWRITE)
            try:
                if connection.readonly("main"):
                    raise self._read_only()
                self._choose_journal(connection)
                connection.execute(f"PRAGMA cache_size=-{_WRITER_CACHE_KIB}").fetchall()
            except BaseException:
                connection.close()
                raise
        except self._apsw.Error as exc:
            raise self.translate(exc, "write") from exc
        return connection

    def _choose_journal(self, connection: apsw.Connection) -> None:
        wanted = "delete" if self._on_network() else "wal"
        mode = connection.execute("PRAGMA journal_mode").fetchall()[0][0]
        if mode != wanted:
            # Another program may be using the file just now: then it stays as it is, which is correct too.
            connection.set_busy_timeout(100)
            with contextlib.suppress(self._apsw.BusyError, self._apsw.LockedError):
                mode = connection.execute(f"PRAGMA journal_mode={wanted}").fetchall()[0][0]
            connection.set_busy_timeout(int(self.busy_timeout_s * 1000))
        synchronous = "FULL" if mode == "wal" else "EXTRA"
        connection.execute(f"PRAGMA synchronous={synchronous}").fetchall()
        connection.execute(f"PRAGMA journal_size_limit={_WAL_KEPT_BYTES}").fetchall()

    def _on_network(self) -> bool:
        from .filesystem import is_network_filesystem

        return is_network_filesystem(os.path.dirname(self.path))

    # The file under our feet

    def _lost_the_file(self) -> bool:
        with self._gate:
            self._drop_if_replaced()
            return self._identity is None

    def _drop_if_replaced(self) -> None:
        """Let go of the connections if the file was removed or replaced; the gate's lock is held."""
        if self._identity is None:
            return
        with contextlib.suppress(OSError):
            found = os.stat(self.path)
            if (found.st_dev, found.st_ino) == self._identity:
                return
        self._close_all()
        self._identity = None

    def _close_all(self) -> None:
        self._generation += 1
        for _, connection in self._idle:
            connection.close()
        self._idle.clear()
        self.drop_writer()

    # Closing

    def close(self) -> None:
        """Close everything; the last process leaves a plain file without WAL. Idempotent."""
        with self._gate:
            if self._closed:
                return
            self._closed = True
            self._identity = None
            for _, connection in self._idle:
                connection.close()
            self._idle.clear()
        if self._opened and not self._unsafe:
            self._close_writer()

    def _close_writer(self) -> None:
        if self._writer is None and not (self.writable and Path(self.path + "-wal").exists()):
            return
        # Closing one after another lets the last one see that it is the last.
        try:
            self._lock.acquire()
        except DatabaseError:  # somebody keeps writing: then we are not the last
            self.drop_writer()
            return
        try:
            if self._writer is None:
                with contextlib.suppress(self._apsw.Error):
                    self._writer = self._connect(self._apsw.SQLITE_OPEN_READWRITE)
            if self._writer is not None:
                # An error leaves the WAL, which the next opener reads: nothing is lost.
                with contextlib.suppress(self._apsw.Error):
                    self._writer.set_busy_timeout(0)
                    self._writer.execute("PRAGMA journal_mode=DELETE").fetchall()
            self.drop_writer()
        finally:
            self._lock.release()

    # Forking

    def _before_fork(self) -> None:
        deadline = time.monotonic() + _FORK_WAIT_S
        if not self._gate.acquire(timeout=_FORK_WAIT_S):
            return
        try:
            self._gate_shut = True
            idle = self._gate.wait_for(lambda: self._in_use == 0, max(0.0, deadline - time.monotonic()))
            if idle:
                self._close_all()
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
            self._opened = False
            self._identity = None
            _never_closed.extend((self._idle, self._writer))
            self._idle = []
            self._writer = None
        self._opening = threading.Lock()
        self._reset_gate()

    # Errors

    def _is_transient(self, exc: Exception) -> bool:
        return is_transient(self._apsw, exc)

    def _read_only(self) -> DatabaseReadOnly:
        return read_only(self.path, writable=self.writable)

    def translate(self, exc: Exception, action: str) -> DatabaseError:
        """Return the error of our own for an error of SQLite met when doing `action`."""
        return translate(
            self._apsw,
            exc,
            action,
            self.path,
            writable=self.writable,
            busy_timeout_s=self.busy_timeout_s,
        )


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

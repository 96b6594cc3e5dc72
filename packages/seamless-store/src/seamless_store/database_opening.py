"""Open SQLite connections to one database file: make it, check it, read it, write it.

Journal: WAL on local file systems with synchronous=NORMAL, so that a commit syncs nothing: see
`wal_durability` for who does. The rollback journal with synchronous=EXTRA, where a commit is durable,
on network ones, where WAL's shared memory does not work. The file becomes WAL at the first write, not at the first
look-up. No connection checkpoints on its own account: see `database_connections`.
"""

from __future__ import annotations

import contextlib
import os
import time
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import quote

from . import database_schema as schema
from .database_errors import DatabaseError, DatabaseMissing, DatabaseReadOnly
from .sqlite_failures import is_transient, read_only, translate

if TYPE_CHECKING:
    from apsw import Connection

    from .writer_lock import WriterLock

__all__ = ("PATIENCE_MS", "RETRY_PAUSE_S", "Opener")

RETRY_PAUSE_S = 0.005

_READER_CACHE_KIB = 16384  # 1000 look-ups in 2e5 rows: 5 ms with 4 or 8 MiB, 2 ms with 16
_WRITER_CACHE_KIB = 16384
_WAL_KEPT_BYTES = 32 * 1024 * 1024  # a longer WAL is cut back after a checkpoint
PATIENCE_MS = 100  # within SQLite, where Ctrl-C is not heard; callers try again until their deadline


class Opener:
    """Makes connections to one file. Importing apsw waits until the first object exists.

    immutable: whether the last reader was opened without any lock, as a user without write permission
        must when the file is in WAL mode.
    """

    def __init__(self, path: str, *, writable: bool, busy_timeout_s: float) -> None:
        import apsw

        self.apsw = apsw
        self.path = path
        self.writable = writable
        self.busy_timeout_s = busy_timeout_s
        self.immutable = False
        self._patience_ms = min(int(busy_timeout_s * 1000), PATIENCE_MS)

    def prepare(self, lock: WriterLock | None) -> None:
        """Check the file, and make what is missing when writable. lock: None if the caller holds it."""
        if not Path(self.path).exists():
            if not self.writable:
                raise DatabaseMissing(
                    f"There is no results database {self.path}, and it may not be made (writable=False).",
                    path=self.path,
                    remedy="check the directory, or open it once with writable=True.",
                )
            self._make_directory()
        elif self._is_good_enough():
            return
        with contextlib.nullcontext() if lock is None else lock:
            self._create()

    def reader(self) -> Connection:
        """Return a connection that reads. Errors that may pass are left to the caller."""
        apsw = self.apsw
        # A reader of a writable file may have to roll back the journal of a crashed writer.
        flags = apsw.SQLITE_OPEN_READWRITE if self.writable else apsw.SQLITE_OPEN_READONLY
        try:
            connection = self.connect(flags)
            try:
                connection.set_busy_timeout(self._patience_ms)
                connection.execute("SELECT 1 FROM sqlite_master LIMIT 1").fetchall()
            except BaseException:
                connection.close()
                raise
            self.immutable = False
        except (apsw.CantOpenError, apsw.ReadOnlyError) as exc:
            connection = self._immutable_reader(exc)
        except apsw.Error as exc:
            if self.is_transient(exc):
                raise
            raise self.translate(exc, "open") from exc
        connection.execute(f"PRAGMA cache_size=-{_READER_CACHE_KIB}").fetchall()
        connection.execute("PRAGMA query_only=ON").fetchall()
        connection.set_busy_timeout(self._patience_ms)  # the immutable one too
        return connection

    def writer(self) -> Connection:
        """Return a connection that writes; what it commits is durable, if in a WAL only when that is synced."""
        if not self.writable:
            raise self.read_only()
        try:
            connection = self.connect(self.apsw.SQLITE_OPEN_READWRITE)
            try:
                if connection.readonly("main"):
                    raise self.read_only()
                self._choose_journal(connection)
                connection.execute(f"PRAGMA cache_size=-{_WRITER_CACHE_KIB}").fetchall()
                connection.set_busy_timeout(self._patience_ms)
            except BaseException:
                connection.close()
                raise
        except self.apsw.Error as exc:
            raise self.translate(exc, "write") from exc
        return connection

    def connect(self, flags: int) -> Connection:
        """Return a bare connection that waits for locks and does not checkpoint when closed."""
        connection: Connection = self.apsw.Connection(self.path, flags=flags)
        try:
            connection.set_busy_timeout(int(self.busy_timeout_s * 1000))
            connection.config(self.apsw.SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1)
        except BaseException:
            connection.close()
            raise
        return connection

    def fingerprint(self) -> tuple[object, ...] | None:
        """Return what changes when the connections are of no use any more; None without file."""
        try:
            found = os.stat(self.path)
        except OSError:
            return None
        if not self.immutable:
            return (found.st_dev, found.st_ino)
        has_wal = Path(self.path + "-wal").exists()
        return (found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns, has_wal)

    def is_transient(self, exc: Exception) -> bool:
        return is_transient(self.apsw, exc)

    def read_only(self) -> DatabaseReadOnly:
        return read_only(self.path, writable=self.writable)

    def translate(self, exc: Exception, action: str) -> DatabaseError:
        """Return the error of our own for an error met when doing `action`."""
        return translate(
            self.apsw, exc, action, self.path, writable=self.writable, busy_timeout_s=self.busy_timeout_s
        )

    def _immutable_reader(self, why: Exception) -> Connection:
        """Open a file in WAL mode where the files beside it cannot be made."""
        if not os.access(self.path, os.R_OK) or os.access(os.path.dirname(self.path), os.W_OK):
            raise self.translate(why, "open") from why
        with contextlib.suppress(OSError):
            if os.stat(self.path + "-wal").st_size > 0:
                raise DatabaseReadOnly(
                    f"{self.path} has results in {self.path}-wal that a crash left there; reading them needs "
                    "a directory that this user can write.",
                    path=self.path,
                    remedy="open the database once as a user who can write its directory.",
                ) from why
        self.immutable = True
        name = f"file:{quote(self.path)}?immutable=1"
        connection: Connection = self.apsw.Connection(
            name, flags=self.apsw.SQLITE_OPEN_READONLY | self.apsw.SQLITE_OPEN_URI
        )
        return connection

    def _is_good_enough(self) -> bool:
        """Check the schema; True also where it is incomplete but nothing can be done about it."""
        deadline = time.monotonic() + self.busy_timeout_s
        while True:
            try:
                connection = self.reader()
                try:
                    schema.check_columns(connection, self.path, may_replace=self.writable)
                    can_write = self.writable and not connection.readonly("main")
                    return schema.is_complete(connection) or not can_write
                finally:
                    connection.close()
            except self.apsw.Error as exc:
                if not self.is_transient(exc) or time.monotonic() >= deadline:
                    raise self.translate(exc, "open") from exc
            time.sleep(RETRY_PAUSE_S)

    def _create(self) -> None:
        self._make_empty_file()
        try:
            connection = self.connect(self.apsw.SQLITE_OPEN_READWRITE)
            try:
                connection.execute("PRAGMA synchronous=EXTRA").fetchall()
                connection.execute("BEGIN IMMEDIATE").fetchall()
                schema.create_missing(connection, self.path)
                connection.execute("COMMIT").fetchall()
            finally:
                connection.close()
        except self.apsw.Error as exc:
            raise self.translate(exc, "create the tables") from exc
        directory_fd = os.open(os.path.dirname(self.path), os.O_RDONLY)
        try:
            os.fsync(directory_fd)
        finally:
            os.close(directory_fd)

    def _make_directory(self) -> None:
        try:
            Path(self.path).parent.mkdir(parents=True, exist_ok=True)
        except OSError as exc:
            raise self.translate(exc, "make the directory") from exc

    def _make_empty_file(self) -> None:
        """Make the file with the mode that the user's umask allows; SQLite would deny the group writing."""
        try:
            os.close(os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o666))
        except OSError as exc:
            raise self.translate(exc, "make the file") from exc

    def _choose_journal(self, connection: Connection) -> None:
        from .filesystem import is_network_filesystem

        wanted = "delete" if is_network_filesystem(os.path.dirname(self.path)) else "wal"
        mode = connection.execute("PRAGMA journal_mode").fetchall()[0][0]
        if mode != wanted:
            # Another program may be using the file just now: then it stays as it is, which is correct too.
            connection.set_busy_timeout(self._patience_ms)
            with contextlib.suppress(self.apsw.BusyError, self.apsw.LockedError):
                mode = connection.execute(f"PRAGMA journal_mode={wanted}").fetchall()[0][0]
        synchronous = "NORMAL" if mode == "wal" else "EXTRA"
        connection.execute(f"PRAGMA synchronous={synchronous}").fetchall()
        connection.execute("PRAGMA wal_autocheckpoint=0").fetchall()
        connection.execute(f"PRAGMA journal_size_limit={_WAL_KEPT_BYTES}").fetchall()

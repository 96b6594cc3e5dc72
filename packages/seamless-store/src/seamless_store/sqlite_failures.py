"""Turn an error of SQLite into the error of its cause, naming the file, who locks it, and the remedy."""

from __future__ import annotations

import contextlib
import errno
import os
from types import ModuleType

from .database_errors import (
    DatabaseClosed,
    DatabaseDamaged,
    DatabaseError,
    DatabaseFull,
    DatabaseIOError,
    DatabaseLocked,
    DatabaseReadOnly,
    DatabaseUnsafeAfterFork,
    NotADatabase,
    WouldWait,
)
from .writer_lock import lock_holders

__all__ = ("closed", "is_transient", "read_only", "translate", "unsafe_after_fork", "would_wait")


def is_transient(apsw: ModuleType, exc: Exception) -> bool:
    """Return whether the same statement may succeed a little later."""
    return isinstance(exc, (apsw.BusyError, apsw.LockedError, apsw.ProtocolError, apsw.SchemaChangeError))


def closed(path: str) -> DatabaseClosed:
    return DatabaseClosed(f"The results database {path} was closed.", path=path, remedy="open it again.")


def unsafe_after_fork(path: str) -> DatabaseUnsafeAfterFork:
    return DatabaseUnsafeAfterFork(
        f"This process was forked while another thread used {path}: SQLite's state is unusable here.",
        path=path,
        remedy="start worker processes with the spawn method, or fork while the database is idle.",
    )


def would_wait(path: str) -> WouldWait:
    remedy = "ask again on a thread, with the look-up that waits."
    return WouldWait(f"{path} is locked, or not open yet, or the key is claimed.", path=path, remedy=remedy)


def read_only(path: str, *, writable: bool) -> DatabaseReadOnly:
    reason = "this user may not write it" if writable else "it was opened with writable=False"
    return DatabaseReadOnly(
        f"Cannot write to the results database {path}: {reason}.",
        path=path,
        remedy=f"open it with writable=True as a user who may write {path} and its directory.",
    )


def translate(
    apsw: ModuleType, exc: Exception, action: str, path: str, *, writable: bool, busy_timeout_s: float
) -> DatabaseError:
    """Return the error to raise for `exc`, met when doing `action`."""
    if isinstance(exc, DatabaseError):
        return exc
    text = f"Cannot {action} in {path}: {exc}."
    if is_transient(apsw, exc):
        pids = lock_holders(path) or lock_holders(path + "-shm")
        named = f"pid {', '.join(map(str, pids))}" if pids else "a program this host cannot name"
        return DatabaseLocked(
            f"Cannot {action} in {path}: it stayed locked for {busy_timeout_s:g} s by {named}.",
            path=path,
            remedy="see what that process does (ps -fp PID) and stop it, or wait; nothing was lost.",
            pids=pids,
        )
    number = exc.errno if isinstance(exc, OSError) else None
    full = isinstance(exc, apsw.FullError) or number in (errno.ENOSPC, errno.EDQUOT)
    if full or (isinstance(exc, apsw.IOError) and _no_space(path)):
        remedy = f"free space or raise the quota (df -h {os.path.dirname(path)})."
        return DatabaseFull(text, path=path, remedy=remedy)
    denied = isinstance(exc, (apsw.ReadOnlyError, apsw.PermissionsError))
    if denied or number in (errno.EACCES, errno.EPERM, errno.EROFS):
        return read_only(path, writable=writable)
    if isinstance(exc, apsw.NotADBError):
        return NotADatabase(
            f"{path} is not an SQLite database.",
            path=path,
            remedy="check the path; if this should be the database, restore a copy.",
        )
    if isinstance(exc, apsw.CorruptError):
        return DatabaseDamaged(
            f"The results database {path} is damaged ({exc}). It was left as it is.",
            path=path,
            remedy=f"copy {path}* aside; restore a backup, or: sqlite3 {path} .recover | sqlite3 new.db",
        )
    if isinstance(exc, apsw.CantOpenError):
        remedy = f"check that {path} is a file which this user may read (ls -l {path})."
        return DatabaseIOError(text, path=path, remedy=remedy)
    remedy = "look at the kernel's messages (dmesg), check the disk and its permissions."
    return DatabaseIOError(text, path=path, remedy=remedy)


def _no_space(path: str) -> bool:
    with contextlib.suppress(OSError):
        return os.statvfs(os.path.dirname(path)).f_bavail == 0
    return False

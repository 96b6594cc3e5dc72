"""One writer at a time among all processes that share a database, first come, first served.

Two empty files stand beside `seamless.db` (the leading dot keeps them out of `seamless.db*`, which is
what the reference opens and what a clear removes):

    .seamless.db.writers   flock, exclusive: held while writing
    .seamless.db.waiting   flock, exclusive: held by the one process that is next

Who finds the first taken for longer than a few milliseconds queues at the second, in the kernel's order,
then waits for the first as the only one, and nobody takes it in passing meanwhile. So a process that
releases and asks again stands behind everybody who has waited long. The kernel frees the locks of a
killed process. A lock file that somebody removed is noticed and made again.

Threads of one process queue on an ordinary list; the file lock is handed from thread to thread as long
as no other process waits.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import threading
import time
import weakref
from collections import deque
from pathlib import Path

from .database_errors import DatabaseLocked, DatabaseMissing, DatabaseReadOnly, LockUnavailable

__all__ = ("WriterLock", "lock_holders", "open_lock_file")

_UNSUPPORTED = frozenset({errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP, errno.EINVAL})
_DENIED = frozenset({errno.EACCES, errno.EPERM, errno.EROFS})

_TRIES = 6
_TRY_PAUSE_S = 0.0005

_live: weakref.WeakSet[WriterLock] = weakref.WeakSet()


def lock_holders(path: str | os.PathLike[str]) -> tuple[int, ...]:
    """Return the pids of other processes that hold a lock on the file, as far as /proc/locks tells."""
    try:
        status = os.stat(path)
        lines = Path("/proc/locks").read_text().splitlines()
    except OSError:
        return ()
    device = f"{os.major(status.st_dev):02x}:{os.minor(status.st_dev):02x}"
    pids = set()
    for line in lines:
        fields = line.split()
        if len(fields) != 8 or fields[5] != f"{device}:{status.st_ino}":
            continue
        pid = int(fields[4])
        if pid > 0 and pid != os.getpid():
            pids.add(pid)
    return tuple(sorted(pids))


def open_lock_file(path: str, *, like: str, may_be_read_only: bool = False) -> int:
    """Open a lock file, made when missing with the mode of the file `like`, if that exists.

    may_be_read_only: flock needs no permission to write.
    """
    try:
        return _open_or_make(path, like)
    except FileNotFoundError as exc:
        raise DatabaseMissing(
            f"Cannot make the lock file {path}: its directory does not exist (any more).",
            path=path,
            remedy="check whether the cache was removed; open it again to make a new one.",
        ) from exc
    except OSError as exc:
        if exc.errno not in _DENIED:
            raise
        denied = exc
    if may_be_read_only:
        with contextlib.suppress(OSError):
            return os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    raise DatabaseReadOnly(
        f"Cannot open the lock file {path}: {denied.strerror}.",
        path=path,
        remedy=f"make it and {os.path.dirname(path)} writable for this user, or open with writable=False.",
    ) from denied


def _open_or_make(path: str, like: str) -> int:
    with contextlib.suppress(FileNotFoundError):
        return os.open(path, os.O_RDWR | os.O_CLOEXEC)
    fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o666)
    with contextlib.suppress(FileNotFoundError, PermissionError):  # another user was faster: it is theirs
        os.fchmod(fd, os.stat(like).st_mode & 0o666)
    return fd


class _Turn:
    """A thread's place in the queue of its process."""

    __slots__ = ("called", "with_file_lock")

    def __init__(self) -> None:
        self.called = threading.Event()
        self.with_file_lock = False


class WriterLock:
    """A fair lock between processes and between the threads of each; not reentrant.

    path: the file whose writers queue, such as `seamless.db`. It is not touched.
    timeout_s: how long `acquire` waits when it is not told.
    """

    def __init__(self, path: str | os.PathLike[str], *, timeout_s: float = 30.0) -> None:
        directory, name = os.path.split(os.fspath(path))
        self.path = os.path.join(directory, f".{name}.writers")
        self._database_path = os.fspath(path)
        self._waiting_path = os.path.join(directory, f".{name}.waiting")
        self._timeout_s = timeout_s
        self._writers_fd = -1
        self._waiting_fd = -1
        self._reset()
        _live.add(self)

    def _reset(self) -> None:
        self._mutex = threading.Lock()
        self._held = False
        self._queue: deque[_Turn] = deque()

    def acquire(self, timeout_s: float | None = None) -> None:
        """Wait for the lock; DatabaseLocked, naming the holder, when it does not come in time."""
        deadline = time.monotonic() + (self._timeout_s if timeout_s is None else timeout_s)
        turn = None
        with self._mutex:
            if self._held or self._queue:
                turn = _Turn()
                self._queue.append(turn)
            else:
                self._held = True
        if turn is not None:
            self._await_turn(turn, deadline)
            if turn.with_file_lock:
                return
        try:
            self._lock_files(deadline)
        except BaseException:
            self._pass_on(with_file_lock=False)
            raise

    def try_acquire(self) -> bool:
        """Take the lock if it is free and nobody waits for it."""
        with self._mutex:
            if self._held or self._queue:
                return False
            self._held = True
        taken = False
        try:
            taken = self._try_files()
        finally:
            if not taken:
                self._pass_on(with_file_lock=False)
        return taken

    def release(self) -> None:
        """Let the next one have it."""
        if not self._held:
            raise RuntimeError(f"the writers' lock {self.path} is not held by this process")
        if self._queue and not self._others_wait():
            self._pass_on(with_file_lock=True)
            return
        fcntl.flock(self._writers_fd, fcntl.LOCK_UN)
        self._pass_on(with_file_lock=False)

    def contended(self) -> bool:
        """Return whether another thread or process waits. To be asked by the holder."""
        return bool(self._queue) or self._others_wait()

    def close(self) -> None:
        """Close the files. The lock must not be held; it may be used again."""
        with self._mutex:
            if not self._held:
                self._close_files()

    def __enter__(self) -> WriterLock:
        self.acquire()
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.release()

    # Threads

    def _await_turn(self, turn: _Turn, deadline: float) -> None:
        try:
            called = turn.called.wait(max(0.0, deadline - time.monotonic()))
        except BaseException:
            if not self._leave_queue(turn):
                self._give_back(turn)
            raise
        if not called and self._leave_queue(turn):
            raise self._timed_out("another thread of this process holds it")

    def _leave_queue(self, turn: _Turn) -> bool:
        with self._mutex:
            if turn in self._queue:
                self._queue.remove(turn)
                return True
        return False

    def _give_back(self, turn: _Turn) -> None:
        if turn.with_file_lock:
            self.release()
        else:
            self._pass_on(with_file_lock=False)

    def _pass_on(self, *, with_file_lock: bool) -> None:
        with self._mutex:
            if self._queue:
                turn = self._queue.popleft()
                turn.with_file_lock = with_file_lock
                turn.called.set()
                return
            if with_file_lock:  # the thread that queued has left meanwhile
                fcntl.flock(self._writers_fd, fcntl.LOCK_UN)
            self._held = False

    # Processes

    def _others_wait(self) -> bool:
        if self._waiting_fd < 0:
            return False
        try:
            fcntl.flock(self._waiting_fd, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
        fcntl.flock(self._waiting_fd, fcntl.LOCK_UN)
        return False

    def _try_files(self) -> bool:
        self._open_files()
        if not self._flock(self._writers_fd):
            return False
        if self._flock(self._waiting_fd):
            fcntl.flock(self._waiting_fd, fcntl.LOCK_UN)
            return self._is_current()
        fcntl.flock(self._writers_fd, fcntl.LOCK_UN)  # somebody is next
        return False

    def _lock_files(self, deadline: float) -> None:
        while not self._try_for_a_while(deadline):
            self._queue_at_files(deadline)
            if self._is_current():
                return

    def _try_for_a_while(self, deadline: float) -> bool:
        """Try at once, then a few times more: a writer holds the lock for 0.1 ms only, while a place in the
        queue costs a thread, and all who stand there the switches from one to the next.
        """
        if self._try_files():
            return True
        for _ in range(_TRIES):
            if time.monotonic() + _TRY_PAUSE_S >= deadline:
                break
            time.sleep(_TRY_PAUSE_S)
            if self._try_files():
                return True
        return False

    def _queue_at_files(self, deadline: float) -> None:
        """Stand in the kernel's queues, in a helper thread because flock knows no time limit."""
        waiting_fd, writers_fd = self._waiting_fd, self._writers_fd
        guard = threading.Lock()
        ended = threading.Event()
        abandoned = False

        def stand_in_queue() -> None:
            fcntl.flock(waiting_fd, fcntl.LOCK_EX)
            if not abandoned:
                fcntl.flock(writers_fd, fcntl.LOCK_EX)
            fcntl.flock(waiting_fd, fcntl.LOCK_UN)
            with guard:
                if abandoned:  # closing gives up the lock
                    os.close(writers_fd)
                    os.close(waiting_fd)
                ended.set()

        def abandon() -> None:
            nonlocal abandoned
            with guard:
                if ended.is_set():
                    fcntl.flock(writers_fd, fcntl.LOCK_UN)
                else:
                    abandoned = True
                    self._waiting_fd = self._writers_fd = -1

        threading.Thread(target=stand_in_queue, name="seamless-writer-queue", daemon=True).start()
        try:
            in_time = ended.wait(max(0.0, deadline - time.monotonic()))
        except BaseException:
            abandon()
            raise
        if not in_time:
            abandon()
            raise self._timed_out("another process holds it or queues for it")

    def _flock(self, fd: int) -> bool:
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        except OSError as exc:
            if exc.errno in _UNSUPPORTED:
                raise LockUnavailable(
                    f"The file system of {self.path} refuses flock ({exc.strerror}).",
                    path=self.path,
                    remedy="mount it with locks (NFS: start rpc.statd; Lustre: -o flock), or put the cache "
                    "on a local disk and share it through a server.",
                ) from exc
            raise
        return True

    def _is_current(self) -> bool:
        """Check that the locked file is still the one under its name; if not, start over with new files."""
        mine = os.fstat(self._writers_fd)
        with contextlib.suppress(FileNotFoundError):
            named = os.stat(self.path)
            if (named.st_ino, named.st_dev) == (mine.st_ino, mine.st_dev):
                return True
        self._close_files()
        self._open_files()
        return False

    def _open_files(self) -> None:
        if self._writers_fd < 0:
            self._writers_fd = self._open(self.path)
        if self._waiting_fd < 0:
            self._waiting_fd = self._open(self._waiting_path)

    def _open(self, path: str) -> int:
        return open_lock_file(path, like=self._database_path, may_be_read_only=True)

    def _close_files(self) -> None:
        for fd in (self._writers_fd, self._waiting_fd):
            if fd >= 0:
                os.close(fd)
        self._writers_fd = self._waiting_fd = -1

    def _timed_out(self, who: str) -> DatabaseLocked:
        pids = lock_holders(self.path)
        named = f" (pid {', '.join(map(str, pids))} on this host)" if pids else ""
        return DatabaseLocked(
            f"Waited in vain for the writers' lock {self.path}: {who}{named}.",
            path=self.path,
            remedy="see what that process does (ps -fp PID); a lock goes away with its process.",
            pids=pids,
        )

    def _after_fork_in_child(self) -> None:
        """Close the inherited files without unlocking: the locks are the parent's."""
        self._close_files()
        self._reset()


def _after_fork_in_child() -> None:
    for lock in list(_live):
        lock._after_fork_in_child()


os.register_at_fork(after_in_child=_after_fork_in_child)

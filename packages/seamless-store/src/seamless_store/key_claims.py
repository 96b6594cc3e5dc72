"""Claims on transformations: who may insert the first result of a key, before it is inserted.

A process that wants to call a result final before its row is committed claims the key: an exclusive
lock on one byte of the file `.seamless.db.claims`, at an offset taken from the key. The claim is held
until the row is committed. Whoever else wants to insert that key waits for the claim, then finds the row.
Different keys do not disturb each other, the kernel frees the claims of a killed process, and the file
stays empty.

The locks are of the open-file-description kind (Linux): they belong to a `ClaimSet`, not to the process,
so two threads, or two sets in one process, exclude each other too, and closing a set drops its claims at
once. Where the platform or the file system has no such locks, `KeyClaims.supported` is False and results
are final only when committed.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import struct
import time
import weakref

from .database_errors import DatabaseLocked
from .writer_lock import lock_holders, open_lock_file

__all__ = ("ClaimSet", "KeyClaims")

_FLOCK = struct.Struct("hhqqi4x")  # struct flock on 64-bit Linux: type, whence, start, length, pid
_N_OFFSETS = 1 << 62
_OFFSET_MASK = _N_OFFSETS - 1
_POLL_FIRST_S = 0.0002
_POLL_LAST_S = 0.005
_BUSY = frozenset({errno.EAGAIN, errno.EACCES})
_UNSUPPORTED = frozenset({errno.EINVAL, errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP})

_live: weakref.WeakSet[ClaimSet] = weakref.WeakSet()


class ClaimSet:
    """Claims that are dropped together. Not safe for concurrent use by several threads."""

    def __init__(self, path: str, *, like: str) -> None:
        self.path = path
        self._fd = open_lock_file(path, like=like)
        _live.add(self)

    def try_claim(self, key: bytes) -> bool:
        """Claim the key unless another set has it. Claiming again what this set has is harmless."""
        return self._try(int.from_bytes(key[:8], "big") & _OFFSET_MASK, 1)

    def try_claim_all(self) -> bool:
        """Claim every key there is, unless another set has any. One lock, where n of them cost O(n^2)."""
        return self._try(0, _N_OFFSETS)

    def claim(self, key: bytes, deadline: float) -> None:
        """Wait for the key until `deadline` (monotonic clock), then raise DatabaseLocked."""
        pause_s = _POLL_FIRST_S
        while not self.try_claim(key):
            if time.monotonic() >= deadline:
                pids = lock_holders(self.path)
                named = f" (one of pid {', '.join(map(str, pids))})" if pids else ""
                raise DatabaseLocked(
                    f"Waited in vain to store a result of transformation {key.hex()}: another process{named} "
                    f"has claimed it in {self.path} and does not commit.",
                    path=self.path,
                    remedy="see what that process does (ps -fp PID); a claim goes away with its process.",
                    pids=pids,
                )
            time.sleep(pause_s)
            pause_s = min(pause_s * 1.5, _POLL_LAST_S)

    def drop(self, key: bytes) -> None:
        """Give up one claim."""
        self._lock(fcntl.F_UNLCK, int.from_bytes(key[:8], "big") & _OFFSET_MASK, 1)

    def is_current(self) -> bool:
        """Return whether the file still is the one under its name, so that others see these claims."""
        with contextlib.suppress(FileNotFoundError):
            mine, named = os.fstat(self._fd), os.stat(self.path)
            return (mine.st_ino, mine.st_dev) == (named.st_ino, named.st_dev)
        return False

    def close(self) -> None:
        """Drop all claims; idempotent."""
        fd, self._fd = self._fd, -1
        if fd >= 0:
            os.close(fd)

    def __enter__(self) -> ClaimSet:
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.close()

    def _try(self, start: int, length: int) -> bool:
        try:
            self._lock(fcntl.F_WRLCK, start, length)
        except OSError as exc:
            if exc.errno in _BUSY:
                return False
            raise
        return True

    def _lock(self, kind: int, start: int, length: int) -> None:
        fcntl.fcntl(self._fd, fcntl.F_OFD_SETLK, _FLOCK.pack(kind, os.SEEK_SET, start, length, 0))


class KeyClaims:
    """Where the claims on the keys of one database are made.

    path: the database file; the claims stand in `.NAME.claims` beside it.
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        directory, name = os.path.split(os.fspath(path))
        self.path = os.path.join(directory, f".{name}.claims")
        self._database_path = os.fspath(path)
        self._supported: bool | None = None

    @property
    def supported(self) -> bool:
        """Whether claims work here; found out by making one."""
        if self._supported is None:
            self._supported = self._find_out()
        return self._supported

    def open(self) -> ClaimSet:
        """Return a new, empty set."""
        return ClaimSet(self.path, like=self._database_path)

    def _find_out(self) -> bool:
        if not hasattr(fcntl, "F_OFD_SETLK") or struct.calcsize("P") != 8:
            return False
        with self.open() as claims:
            try:
                claims.try_claim(os.urandom(8))
            except OSError as exc:
                if exc.errno in _UNSUPPORTED:
                    return False
                raise
        return True


def _after_fork_in_child() -> None:
    for claims in list(_live):
        claims.close()


os.register_at_fork(after_in_child=_after_fork_in_child)

"""Read buffers from a directory that a hashserver, or another program, fills: plain files, verified.

For `CS` the candidates are `DIR/CS`, then `DIR/<2 hex>/CS`. When none of them is right, each is looked at
again after the lock files `DIR/.LOCK` and `<file>.LOCK` are gone: another program may be writing it. Nothing is ever
written here.
"""

from __future__ import annotations

import hashlib
import os
import time

from seamless.buffer import Buffer

TYPE_CHECKING = False  # importing typing costs a command 6 ms
if TYPE_CHECKING:
    from collections.abc import Callable

    from seamless.checksum import Checksum

__all__ = ("BufferFolder",)

LOCK_SUFFIX = ".LOCK"
POLL_S = 0.5
PIECE_BYTES = 1024 * 1024
DEFAULT_LOCK_TIMEOUT_S = 10.0


class BufferFolder:
    """A directory of buffers, read-only. clock and sleep: for tests."""

    def __init__(
        self,
        directory: str | os.PathLike[str],
        *,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self.directory = os.path.expanduser(os.fspath(directory))
        self._clock = clock
        self._sleep = sleep

    def get(self, checksum: Checksum, timeout: float = DEFAULT_LOCK_TIMEOUT_S) -> Buffer | None:
        """Return the buffer, or None. timeout: how long locks are waited for, in seconds."""
        candidates = self._candidates(checksum)
        for path in candidates:
            buffer = self._read(path, checksum)
            if buffer is not None:
                return buffer
        changed = False
        for path in candidates:
            waited = self._wait_for_locks(path, timeout)
            if waited is None:
                return None
            changed |= waited
            buffer = self._read(path, checksum) if changed else None
            if buffer is not None:
                return buffer
        return None

    def copy(self, checksum: Checksum, descriptor: int) -> bool:
        """Write the buffer to an open, empty file, in constant memory; False when it is not there.

        After False the file may hold anything.
        """
        for path in self._candidates(checksum):
            if self._copy(path, checksum, descriptor):
                return True
            os.ftruncate(descriptor, 0)
            os.lseek(descriptor, 0, os.SEEK_SET)
        buffer = self.get(checksum)  # waits for locks
        if buffer is None:
            return False
        for part in buffer.parts:
            _write_all(descriptor, memoryview(part))
        return True

    def _copy(self, path: str, checksum: Checksum, descriptor: int) -> bool:
        hasher = hashlib.sha256()
        try:
            file = open(path, "rb", buffering=0)  # noqa: SIM115 - closed below
        except OSError:
            return False
        with file:
            view = memoryview(bytearray(PIECE_BYTES))
            while n := file.readinto(view):
                hasher.update(view[:n])
                _write_all(descriptor, view[:n])
        return hasher.digest() == checksum.bytes()

    def path(self, checksum: Checksum) -> str | None:
        """Return the file of that name, unverified, or None."""
        return next((path for path in self._candidates(checksum) if os.path.isfile(path)), None)

    def length(self, checksum: Checksum) -> int | None:
        """Return the size of the file of that name, or None."""
        for path in self._candidates(checksum):
            try:
                return os.stat(path).st_size
            except OSError:
                continue
        return None

    def _candidates(self, checksum: Checksum) -> list[str]:
        name = checksum.hex()
        prefix = os.path.join(self.directory, name[:2])
        candidates = [os.path.join(self.directory, name)]
        if os.path.isdir(prefix):
            candidates.append(os.path.join(prefix, name))
        return candidates

    def _read(self, path: str, checksum: Checksum) -> Buffer | None:
        """Return the verified buffer; None when the file is not there, unreadable or wrong."""
        try:
            with open(path, "rb") as file:
                content = file.read()
        except OSError:
            return None
        if hashlib.sha256(content).digest() != checksum.bytes():
            return None
        return Buffer._from_parts((content,), checksum)

    def _wait_for_locks(self, path: str, timeout: float) -> bool | None:
        """Wait until no lock is left; return whether there was one, None when the time is over."""
        locks = (os.path.join(self.directory, LOCK_SUFFIX), path + LOCK_SUFFIX)
        deadline = self._clock() + timeout
        waited = False
        while any(os.path.exists(lock) for lock in locks):
            waited = True
            if self._clock() >= deadline:
                return None
            self._sleep(POLL_S)
        return waited


def _write_all(descriptor: int, view: memoryview) -> None:
    while view:
        view = view[os.write(descriptor, view) :]

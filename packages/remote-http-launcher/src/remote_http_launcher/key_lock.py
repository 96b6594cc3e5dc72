"""One holder at a time for each key on its host, also when several machines share the home.

Two files beside the state, never removed by anybody but as said here:

- `KEY.guard`, empty: locked with flock. It queues the processes of one machine, and of all machines where the file
  system carries flock across them. A holder that dies gives it up at once.
- `KEY.lock`, the lease: a JSON object that says who holds the key. It comes into being whole, by a hard link, which
  is atomic on network file systems too. The holder removes it.

A lease of a dead process of this machine is replaced by whoever has the guard; where the file system has no flock, by
whoever has made `KEY.lock.breaking`, so that nobody removes a lease that has just come in the dead one's place. One
that cannot be judged (another machine, another container) is waited for and never broken: the error names its host.

Invariant: at most one process holds a key.
"""

from __future__ import annotations

import errno
import fcntl
import os
import time

from .directories import make_private_directory, server_directory
from .errors import KeyBusy, StateMalformed, StateMissing
from .keys import check_key
from .processes import identity_of, liveness
from .small_json import dumps
from .state_files import SCHEMA, read_state, remove_state

TYPE_CHECKING = False  # importing typing costs a helper 6 ms
if TYPE_CHECKING:
    from types import TracebackType
    from typing import Any

__all__ = ("KeyLock",)

FIRST_PAUSE_S = 0.005
LONGEST_PAUSE_S = 0.1
_NO_FLOCK = (errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP)
_NO_LINK = (errno.EPERM, errno.ENOSYS, errno.EOPNOTSUPP, errno.EMLINK)


class KeyLock:
    """The lock of one key; a context manager. Not for two threads at once: each takes a lock of its own.

    timeout_s: how long to wait for it; 0 tries once. directory: that of the states, by default the server's.
    """

    __slots__ = ("_guard", "_nonce", "directory", "key", "timeout_s")

    def __init__(self, key: str, *, timeout_s: float = 60.0, directory: str | None = None) -> None:
        self.key = check_key(key)
        self.timeout_s = timeout_s
        self.directory = server_directory() if directory is None else directory
        self._guard: int | None = None
        self._nonce = ""

    @property
    def lease_path(self) -> str:
        """The file that says who holds the key."""
        return os.path.join(self.directory, self.key + ".lock")

    def acquire(self) -> None:
        """Wait for the lock and take it. Raises KeyBusy, which names the holder, when the time is over."""
        if self._guard is not None:
            raise RuntimeError(f"this lock of {self.key!r} is held already")
        make_private_directory(self.directory)
        deadline = time.monotonic() + self.timeout_s
        pause_s = FIRST_PAUSE_S
        while not self._try():
            left_s = deadline - time.monotonic()
            if left_s <= 0:
                raise self._busy()
            time.sleep(min(pause_s, left_s))
            pause_s = min(2 * pause_s, LONGEST_PAUSE_S)

    def release(self) -> None:
        """Give it up; nothing happens if it is not held."""
        if self._guard is None:
            return
        guard, self._guard = self._guard, None
        try:
            if (self.holder() or {}).get("nonce") == self._nonce:
                remove_state(self.lease_path)
        finally:
            os.close(guard)

    def holder(self) -> dict[str, Any] | None:
        """Return what the lease says, None if nobody holds the key; empty if it cannot be read."""
        try:
            return read_state(self.lease_path)
        except StateMissing:
            return None
        except StateMalformed:
            return {}

    def __enter__(self) -> KeyLock:
        self.acquire()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, exc: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.release()

    def _try(self) -> bool:
        path = os.path.join(self.directory, self.key + ".guard")
        guard = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        taken = False
        has_flock = True
        try:
            try:
                fcntl.flock(guard, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError as exc:
                if exc.errno not in _NO_FLOCK:
                    if exc.errno in (errno.EWOULDBLOCK, errno.EACCES, errno.EINTR):
                        return False
                    raise
                has_flock = False
            taken = self._take_lease(has_flock)
            return taken
        finally:
            if taken:
                self._guard = guard
            else:
                os.close(guard)

    def _take_lease(self, has_flock: bool) -> bool:
        held_by = self.holder()
        if held_by is not None and not self._remove_dead(has_flock):
            return False
        nonce, lease = _new_lease()
        if not _create(self.lease_path, lease, nonce):
            return False
        self._nonce = nonce
        return True

    def _remove_dead(self, has_flock: bool) -> bool:
        """Remove the lease if its process is dead, as the only process that may; return whether it is gone.

        Nobody can put another lease in the place of one that is there, so what is judged is what is removed.
        """
        breaking = f"{self.lease_path}.breaking"
        nonce, content = _new_lease()
        if not has_flock and not _create(breaking, content, nonce):
            return False
        try:
            lease = self.holder()
            if lease is None:
                return True
            return bool(lease) and liveness(lease, "") == "dead" and remove_state(self.lease_path)
        finally:
            if not has_flock:
                remove_state(breaking)

    def _busy(self) -> KeyBusy:
        holder = self.holder() or {}
        host = holder.get("host") if isinstance(holder.get("host"), str) else None
        who = f"process {holder.get('pid')} of host {host}" if holder else "another process"
        alive = liveness(holder, "")
        hint = f"wait for {who}"
        if alive == "unknown" and holder:
            hint = f"look on {host} for process {holder.get('pid')}; if it is gone, rm {self.lease_path}"
        elif alive == "dead":
            hint = f"rm {self.lease_path}.breaking, which an interrupted process has left"
        return KeyBusy(
            f"{who} holds the lock of {self.key!r} ({self.lease_path}, waited {self.timeout_s:g} s); "
            + ("whether it lives cannot be told from here" if alive == "unknown" else f"it is {alive}"),
            hint=hint,
            host=host,
            key=self.key,
            holder=holder,
        )


def _new_lease() -> tuple[str, bytes]:
    """Return a nonce, and the content of a lease of this process with it."""
    nonce = os.urandom(16).hex()
    lease = {"schema": SCHEMA, **identity_of(os.getpid()), "nonce": nonce}
    return nonce, (dumps(lease, sort_keys=True) + "\n").encode("ascii")


def _create(path: str, content: bytes, nonce: str) -> bool:
    """Make the file with this content, whole, if there is none; return whether it was made."""
    temporary = f"{path}.{nonce}.tmp"
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    try:
        try:
            os.write(descriptor, content)
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
        try:
            os.link(temporary, path)
        except FileExistsError:
            return os.stat(temporary).st_nlink == 2  # the link was made, its answer was lost (NFS)
        except OSError as exc:
            if exc.errno not in _NO_LINK:
                raise
            return _create_without_link(path, content)
        return True
    finally:
        remove_state(temporary)


def _create_without_link(path: str, content: bytes) -> bool:
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    except FileExistsError:
        return False
    try:
        os.write(descriptor, content)
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
    return True

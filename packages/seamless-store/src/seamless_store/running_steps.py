"""Say which steps run at the moment, so that other processes wait for one instead of running it too, or stop it.

In `<buffer directory>/.running/`, all names with the 64 hex digits of the transformation:

| name | content |
|---|---|
| `<hex>` | a lease (`leases.py`) with one more key, `what`: words for a person. One line of JSON |
| `<hex>.cancel` | the nonce of the lease whose step shall stop, and a newline |
| `.lock` | empty; locked (flock) while what another process has left is replaced or removed |
| `.new-<32 hex digits>` | a file in the making |

A lease gets its name by a hard link, so two processes never both have it, and nobody reads half of one. What a dead
process has left is replaced or removed under the lock only, so a living lease never is. A cancellation names a
nonce: it never stops a later run.

A lease only saves work. Where it cannot be had (read-only, another file system, a hostile file, a holder of whom
nobody knows whether it lives), the step runs without one; the first result stands anyway.

The directory has mode 0700 and its files 0600; in a buffer directory that its group may write, 2770 and 0640.
"""

from __future__ import annotations

import contextlib
import os
import threading
import time
from typing import Literal

from .leases import Lease, Liveness
from .running_files import CANCEL_SUFFIX, NEW_PREFIX, RunningEntry, RunningFiles, digest_of_name

__all__ = ("Announcement", "RunningSteps")

NEW_MAX_AGE_S = 600.0
_N_ATTEMPTS = 8


class _Held:
    """A lease of this process; several threads may run one step under it."""

    __slots__ = ("count", "nonce")

    def __init__(self, nonce: str) -> None:
        self.nonce = nonce
        self.count = 1


_registry = threading.RLock()  # a finalizer may come in between
_held: dict[tuple[str, bytes], _Held] = {}


class Announcement:
    """That this process runs a step, between `__enter__` and `__exit__`. Made by `RunningSteps.announce`.

    elsewhere: the entry of another living process that runs the step already; then nothing was announced.
    nonce: of the lease; None when there is none.
    """

    __slots__ = ("_digest", "_pid", "_steps", "_what", "elsewhere", "nonce")

    def __init__(self, steps: RunningSteps, digest: bytes, what: str) -> None:
        self._steps = steps
        self._digest = digest
        self._what = what
        self._pid = os.getpid()
        self.elsewhere: RunningEntry | None = None
        self.nonce: str | None = None

    def __enter__(self) -> Announcement:
        with contextlib.suppress(OSError):  # it runs without a lease, then
            self.elsewhere = self._steps._begin(self, self._digest, self._what)
        return self

    def __exit__(self, *exc_info: object) -> None:
        self._end()

    def __del__(self) -> None:  # Ctrl-C may strike just before __exit__
        self._end()

    @property
    def runs_elsewhere(self) -> bool:
        return self.elsewhere is not None

    def cancel_requested(self) -> bool:
        """Whether somebody asks to stop the step. Usually one look at a name that does not exist."""
        return self.nonce is not None and self._steps._files.is_cancelled(self._digest, self.nonce)

    def _end(self) -> None:
        nonce = self.nonce
        if nonce is None or os.getpid() != self._pid:  # a child of a fork ends nothing of its parent's
            return
        with contextlib.suppress(OSError):
            self._steps._finish(self._digest, nonce)
        self.nonce = None


class RunningSteps:
    """The steps that run with one buffer directory. Safe for many threads and processes.

    root: the buffer directory; nothing is made in it before the first announcement.
    """

    def __init__(self, root: str | os.PathLike[str]) -> None:
        self._files = RunningFiles(root)
        self._was_swept = False

    def announce(self, digest: bytes, what: str) -> Announcement:
        """Return a context manager that announces the step while it runs, unless another process has.

        Within one process a step may be announced any number of times at once; it is one lease.
        """
        return Announcement(self, digest, what)

    def holder(self, digest: bytes) -> RunningEntry | None:
        """Return who runs the step: a living process, or one of which that cannot be told.

        What a dead one has left is removed.
        """
        entry = self._files.read(digest)
        if entry is None or entry.lease.liveness() is not Liveness.DEAD:
            return entry
        with contextlib.suppress(OSError), self._files.locked():
            return self._living_or_removed(digest)
        return None

    def request_cancel(self, digest: bytes) -> Literal["canceled", "not-running"]:
        """Ask the process that runs the step to stop it; "canceled" means it was asked. Raises OSError."""
        if self.holder(digest) is None:
            return "not-running"
        with self._files.locked():
            entry = self._living_or_removed(digest)
            if entry is None:
                return "not-running"
            new = self._files.write_new(entry.lease.nonce + "\n")
            os.replace(new, self._files.path(digest) + CANCEL_SUFFIX)
        return "canceled"

    def list(self) -> tuple[RunningEntry, ...]:
        """Return the entries of all steps that run or may run, in the order of their digests."""
        digests = [digest for digest in map(digest_of_name, self._files.names()) if digest is not None]
        entries = [self.holder(digest) for digest in digests]
        return tuple(entry for entry in entries if entry is not None)

    # Announcing

    def _begin(self, announcement: Announcement, digest: bytes, what: str) -> RunningEntry | None:
        """Give the announcement its lease, and return None; or return the entry of a living process."""
        key = (self._files.directory, digest)
        with _registry:
            held = _held.get(key)
            if held is not None:
                held.count += 1
                announcement.nonce = held.nonce
                return None
            self._files.make_directory()
            lease = Lease.of_this_process()
            path = self._files.path(digest)
            new = self._files.write_new(lease.text(what=what))
            try:
                _held[key] = _Held(lease.nonce)
                announcement.nonce = lease.nonce  # from here on, whatever interrupts, _end looks for the file
                is_ours, elsewhere = self._put_into_place(new, path, digest)
            except BaseException:
                self._drop(key, announcement)
                raise
            finally:
                with contextlib.suppress(FileNotFoundError):
                    os.unlink(new)
            if not is_ours:
                self._drop(key, announcement)
                return elsewhere
        self._clear_cancel(digest, lease.nonce)
        if not self._was_swept:
            self._was_swept = True
            with contextlib.suppress(OSError):
                self._sweep()
        return None

    def _put_into_place(self, new: str, path: str, digest: bytes) -> tuple[bool, RunningEntry | None]:
        """Make `new` the lease of the step; False if it cannot be, with the living process that has it."""
        for _ in range(_N_ATTEMPTS):
            try:
                os.link(new, path)
            except FileExistsError:
                pass
            else:
                return True, None
            with self._files.locked():
                try:
                    entry = self._files.read_present(digest)
                except FileNotFoundError:  # it has ended meanwhile; another may be first to take its place
                    continue
                if entry is None:
                    if self._files.is_of_later_schema(digest):
                        return False, None
                    os.replace(new, path)  # not a lease; raises for a directory
                    return True, None
                liveness = entry.lease.liveness()
                if liveness is Liveness.DEAD or entry.lease.is_of_this_process():
                    os.replace(new, path)  # of this process: left from before it replaced its program
                    return True, None
                return False, entry if liveness is Liveness.ALIVE else None
        return False, None

    def _drop(self, key: tuple[str, bytes], announcement: Announcement) -> None:
        path, nonce = self._files.path(key[1]), announcement.nonce
        entry = self._files.read(key[1])
        if entry is not None and entry.lease.nonce == nonce:
            os.unlink(path)
        _held.pop(key, None)
        announcement.nonce = None

    def _finish(self, digest: bytes, nonce: str) -> None:
        key = (self._files.directory, digest)
        with _registry:
            held = _held.get(key)
            if held is None or held.nonce != nonce:
                return
            if held.count > 1:
                held.count -= 1
                return
            entry = self._files.read(digest)
            if entry is not None and entry.lease.nonce == nonce:
                os.unlink(self._files.path(digest))
            _held.pop(key, None)  # only now: a file without an entry here would be waited for by others
        if self._files.is_cancelled(digest, nonce):
            os.unlink(self._files.path(digest) + CANCEL_SUFFIX)

    # Cancelling

    def _clear_cancel(self, digest: bytes, nonce: str) -> None:
        """Remove a request that does not mean the step which runs now."""
        path = self._files.path(digest) + CANCEL_SUFFIX
        if os.path.lexists(path):
            with contextlib.suppress(OSError), self._files.locked():
                if not self._files.is_cancelled(digest, nonce):
                    os.unlink(path)

    # Cleaning

    def _living_or_removed(self, digest: bytes) -> RunningEntry | None:
        """Return the entry unless its process is dead; then remove it. Under the lock only."""
        entry = self._files.read(digest)
        if entry is not None and entry.lease.liveness() is Liveness.DEAD:
            os.unlink(self._files.path(digest))
            return None
        return entry

    def _sweep(self) -> None:
        """Remove what dead processes have left."""
        with self._files.locked():
            for name in self._files.names():
                path = f"{self._files.directory}/{name}"
                with contextlib.suppress(OSError):
                    digest = digest_of_name(name.removesuffix(CANCEL_SUFFIX))
                    if digest is not None:
                        entry = self._living_or_removed(digest)
                        is_stale = entry is None or not self._files.is_cancelled(digest, entry.lease.nonce)
                        if name.endswith(CANCEL_SUFFIX) and is_stale:
                            os.unlink(path)
                    elif (
                        name.startswith(NEW_PREFIX) and time.time() - os.lstat(path).st_mtime > NEW_MAX_AGE_S
                    ):
                        os.unlink(path)


def _after_fork_in_child() -> None:
    """Forget what the parent has announced: it does not run here."""
    global _registry
    _registry = threading.RLock()
    _held.clear()


os.register_at_fork(after_in_child=_after_fork_in_child)

"""Honour the lock files of other programs that fill a buffer directory directly.

We never create one. They are looked at only when a wanted file is missing or damaged: first the
directory's `.LOCK`, then `<file>.LOCK`. A lock is waited for until it vanishes or its mtime is older
than the time-out; and never longer than the time-out, so that a lock that is touched for ever, or whose
mtime lies in the future, cannot hold a reader for ever.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from .layout import LOCK_SUFFIX

if TYPE_CHECKING:
    from .filesystem import Clock, FileSystem

__all__ = ("POLL_INTERVAL_S", "is_locked", "wait_for_locks")

POLL_INTERVAL_S = 1.0


def wait_for_locks(
    directory: str, files: Iterable[str], *, filesystem: FileSystem, clock: Clock, timeout_s: float
) -> bool:
    """Wait for the locks on a directory and on files in it; return whether there was any live one.

    Cost without locks: one look at a name per file, and one for the directory.
    """
    waited = _wait(f"{directory}/{LOCK_SUFFIX}", filesystem, clock, timeout_s)
    for file in files:
        waited |= _wait(file + LOCK_SUFFIX, filesystem, clock, timeout_s)
    return waited


def is_locked(
    directory: str, files: Iterable[str], *, filesystem: FileSystem, clock: Clock, timeout_s: float
) -> bool:
    """Tell whether there is a live lock on the directory or on one of the files; waits for nothing."""
    for lock in (f"{directory}/{LOCK_SUFFIX}", *(file + LOCK_SUFFIX for file in files)):
        if filesystem.exists(lock):
            try:
                if clock.time() - filesystem.stat(lock).st_mtime <= timeout_s:
                    return True
            except FileNotFoundError:
                return True  # it vanished this moment: what it guarded may be there now
    return False


def _wait(lock: str, filesystem: FileSystem, clock: Clock, timeout_s: float) -> bool:
    if not filesystem.exists(lock):
        return False
    deadline = clock.monotonic() + timeout_s
    waited = False
    while clock.monotonic() < deadline:
        try:
            age_s = clock.time() - filesystem.stat(lock).st_mtime
        except FileNotFoundError:
            return True
        if age_s > timeout_s:
            return waited
        waited = True
        clock.sleep(min(POLL_INTERVAL_S, max(deadline - clock.monotonic(), 0.0)))
    return waited

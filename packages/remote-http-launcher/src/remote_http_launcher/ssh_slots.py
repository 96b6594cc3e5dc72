"""At most so many calls at once to one SSH host, over all threads and processes of a user.

A server allows few sessions on one connection (MaxSessions, usually 10), and a call beyond that fails. A slot is an
empty file beside the shared connection's socket, locked with flock while its call runs; the system gives it up when
the process dies, whatever way. Where the file system has no flock, nothing is counted.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import time

from .ssh_errors import SshBusy

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ("CALLS_AT_ONCE", "slot")

CALLS_AT_ONCE = 8
TIMEOUT_S = 300.0
FIRST_PAUSE_S = 0.005
LONGEST_PAUSE_S = 0.1
_TAKEN = (errno.EWOULDBLOCK, errno.EACCES, errno.EINTR)


@contextlib.contextmanager
def slot(path: str, host: str, *, timeout_s: float = TIMEOUT_S) -> Iterator[None]:
    """Hold one of the slots, the files PATH.0, PATH.1, ... Raises SshBusy when none was free in time.

    Cost: 10 us for the first; a call that must wait asks at least ten times a second.
    """
    descriptor = _take(path)
    if descriptor is None:
        deadline = time.monotonic() + timeout_s
        pause_s = FIRST_PAUSE_S
        while descriptor is None:
            left_s = deadline - time.monotonic()
            if left_s <= 0:
                raise SshBusy(
                    f"{CALLS_AT_ONCE} calls to {host!r} have been running for {timeout_s:g} s, and no more are made "
                    "at once",
                    hint=f"see what they do: fuser -v {path}.*",
                    host=host,
                )
            time.sleep(min(pause_s, left_s))
            pause_s = min(1.5 * pause_s, LONGEST_PAUSE_S)
            descriptor = _take(path)
    try:
        yield
    finally:
        with contextlib.suppress(OSError):
            fcntl.flock(descriptor, fcntl.LOCK_UN)  # a process forked meanwhile has the file open too
        os.close(descriptor)


def _take(path: str) -> int | None:
    """Return the descriptor of a slot, None if all are taken."""
    for number in range(CALLS_AT_ONCE):
        descriptor = os.open(f"{path}.{number}", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as exc:
            if exc.errno in _TAKEN:
                os.close(descriptor)
                continue
        except BaseException:
            os.close(descriptor)
            raise
        return descriptor
    return None

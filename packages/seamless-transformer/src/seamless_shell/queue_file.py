"""The queue of steps: a file of JSON records, written by many processes and read by one.

Format, shared with Seamless 1.4: each record is a JSON object (indented by two spaces) and a NUL byte, which JSON
never contains. `{"queue_command": "EOF"}` says that the reader may end. Writers hold `<file>.LOCK`, a file that
exists for as long as the lock is held; one that is older than `STALE_S` belongs to a writer that is no more.

Invariant: what `read_new` returns is whole records, each once and in order, whatever writers are killed at. A writer
that dies may leave the beginning of a record; the next one cuts it off. Nothing is synced: a queue does not
outlive a power cut, the results do.

Our own writers also hold an flock on the lock file. So a writer that is only slow keeps its lock, and of those who
find a stale lock one alone removes it.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import time
from collections.abc import Iterator, Mapping

from seamless_command.errors import ShellError

TYPE_CHECKING = False  # importing typing costs a command 6 ms
if TYPE_CHECKING:
    from typing import Any

__all__ = ("QueueFile", "queue_path")

END = b"\0"  # of each record
EOF_RECORD = {"queue_command": "EOF"}
STALE_S = 30.0
PATIENCE_S = 60.0
POLL_S = 0.01
TAIL_BYTES = 64 * 1024  # how far back the end of the last whole record is sought at a time


def queue_path(environment: Mapping[str, str] = os.environ) -> str:
    """Return `SEAMLESS_QUEUE_FILE`, or its default `.seamless-queue` in the current directory."""
    return environment.get("SEAMLESS_QUEUE_FILE", "").strip() or ".seamless-queue"


class QueueFile:
    """A queue file that need not exist yet; for one thread. Close it, or use it with `with`.

    stale_s: age in seconds at which a lock file counts as left behind.
    patience_s: how long to wait for the lock, in seconds.
    """

    __slots__ = ("_fd", "_n_read", "_path", "_patience_s", "_stale_s")

    def __init__(
        self, path: str | os.PathLike[str], *, stale_s: float = STALE_S, patience_s: float = PATIENCE_S
    ) -> None:
        self._path = os.fspath(path)
        self._stale_s = stale_s
        self._patience_s = patience_s
        self._fd: int | None = None  # of the file being read; held open, so that a new file is told from it
        self._n_read = 0  # bytes of whole records

    def __enter__(self) -> QueueFile:
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.close()

    def close(self) -> None:
        """Forget what has been read."""
        if self._fd is not None:
            os.close(self._fd)
        self._fd = None
        self._n_read = 0

    def append(self, record: Mapping[str, Any]) -> None:
        """Append a record, making the file if need be. Raises ShellError if others hold the lock too long."""
        content = json.dumps(record, indent=2).encode() + END
        with self._locked():
            fd = os.open(self._path, os.O_RDWR | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o666)
            try:
                _cut_off_broken_record(fd)
                while content:
                    content = content[os.write(fd, content) :]
            finally:
                os.close(fd)

    def append_eof(self) -> bool:
        """Tell the reader to end; return whether there was a file, which the reader will then delete."""
        existed = os.path.exists(self._path)
        self.append(EOF_RECORD)
        return existed

    def read_new(self) -> list[dict[str, Any]]:
        """Return the whole records that were not read before; none while there is no file.

        A file that was deleted and made again is read from its beginning.
        Raises ShellError for a record that is no JSON object, once, when it comes to be the first to read.
        """
        if not self._open():
            return []
        assert self._fd is not None
        content = bytearray()
        while piece := os.pread(self._fd, 1 << 20, self._n_read + len(content)):
            content += piece
        records: list[dict[str, Any]] = []
        for part in bytes(content).split(END)[:-1]:
            try:
                record = json.loads(part)
            except ValueError:
                record = None
            if not isinstance(record, dict):
                if records:
                    break  # the next call raises
                start, self._n_read = self._n_read, self._n_read + len(part) + len(END)
                raise ShellError(
                    f"Byte {start} of the queue {self._path!r} begins a record of {len(part)} bytes "
                    f"that is no JSON object: {part[:60]!r}",
                    hint="submit that step again; the records after it are still read",
                )
            self._n_read += len(part) + len(END)
            records.append(record)
        return records

    def delete(self) -> bool:
        """Delete the file, unless it holds records that were not read: then leave it and return False."""
        with self._locked():
            if self._open():
                assert self._fd is not None
                if END in os.pread(self._fd, os.fstat(self._fd).st_size, self._n_read):
                    return False
            with contextlib.suppress(FileNotFoundError):
                os.unlink(self._path)
        self.close()
        return True

    def _open(self) -> bool:
        """Have the file open that is under the path now; return whether there is one."""
        try:
            status = os.stat(self._path)
        except FileNotFoundError:
            return False
        if self._fd is not None:
            former = os.fstat(self._fd)
            if (former.st_dev, former.st_ino) == (status.st_dev, status.st_ino):
                return True
            self.close()
        try:
            self._fd = os.open(self._path, os.O_RDONLY | os.O_CLOEXEC)
        except FileNotFoundError:
            return False
        return True

    @contextlib.contextmanager
    def _locked(self) -> Iterator[None]:
        lock = self._path + ".LOCK"
        deadline = time.monotonic() + self._patience_s
        while (fd := self._take(lock)) is None:
            if time.monotonic() > deadline:
                raise ShellError(
                    f"The queue {self._path!r} has been locked by another process for more than "
                    f"{self._patience_s:g} s: {lock!r} exists.",
                    hint=f"if no process uses the queue: rm {lock}",
                )
            time.sleep(POLL_S)
        try:
            yield
        finally:
            if _is_at(fd, lock):
                os.unlink(lock)
            os.close(fd)

    def _take(self, lock: str) -> int | None:
        """Make the lock file, and return its descriptor; None if it exists. Remove it if it is stale."""
        try:
            fd = os.open(lock, os.O_CREAT | os.O_EXCL | os.O_WRONLY | os.O_CLOEXEC, 0o666)
        except FileExistsError:
            self._remove_stale(lock)
            return None
        with contextlib.suppress(OSError):  # a file system without flock: others then go by the age
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        return fd

    def _remove_stale(self, lock: str) -> None:
        try:
            fd = os.open(lock, os.O_RDONLY | os.O_CLOEXEC)
        except FileNotFoundError:
            return
        try:
            if abs(time.time() - os.fstat(fd).st_mtime) < self._stale_s:
                return
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if _is_at(fd, lock):
                os.unlink(lock)
        except OSError:  # its writer lives, or somebody else is removing it
            return
        finally:
            os.close(fd)


def _cut_off_broken_record(fd: int) -> None:
    end = size = os.fstat(fd).st_size
    while end:
        start = max(0, end - TAIL_BYTES)
        tail = os.pread(fd, end - start, start)
        last = tail.rfind(END)
        if last >= 0:
            end = start + last + 1
            break
        end = start
    if end < size:
        os.ftruncate(fd, end)


def _is_at(fd: int, path: str) -> bool:
    try:
        status = os.stat(path)
    except FileNotFoundError:
        return False
    mine = os.fstat(fd)
    return (mine.st_dev, mine.st_ino) == (status.st_dev, status.st_ino)

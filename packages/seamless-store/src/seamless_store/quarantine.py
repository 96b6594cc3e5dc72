"""Move damaged files out of sight without deleting them.

`DIR/.quarantine/<name>-<time>` (directory mode 0700) holds the file, `<name>-<time>.reason` says in JSON
where it was and what was wrong with it. A file is moved only if it is still the one that was judged:
the look and the move happen under a lock, so that no process moves away what another has just
repaired. Both directories are durable before `move` returns: the evidence survives a power cut.
"""

from __future__ import annotations

import contextlib
import os
from typing import TYPE_CHECKING, NamedTuple

from .layout import QUARANTINE, TEMPORARY_MODE, buffer_digest

if TYPE_CHECKING:
    from collections.abc import Iterator

    from .filesystem import Clock, FileSystem

__all__ = ("Quarantine", "QuarantinedFile")

_REASON_SUFFIX = ".reason"
_LOCK = ".lock"


class QuarantinedFile(NamedTuple):
    """A damaged file that was put aside. time: when, as in its name (UTC). reason: why."""

    path: str
    name: str
    digest: bytes | None
    time: str
    size_bytes: int
    reason: str


class Quarantine:
    """The quarantine of one buffer directory."""

    def __init__(self, root: str, *, filesystem: FileSystem, clock: Clock) -> None:
        self.path = f"{root}/{QUARANTINE}"  # or <path>-<uid> where that one is another user's
        self._root = root
        self._filesystem = filesystem
        self._clock = clock

    def move(self, path: str, inode: tuple[int, int], reason: str) -> str:
        """Move the file away if it is still `inode` (device, number); return where to, or "".

        Raises OSError if this process may not move it.
        """
        filesystem = self._filesystem
        directory = self._own_directory()
        with self._locked(directory):
            try:
                stat = filesystem.stat(path)
            except FileNotFoundError:
                return ""
            if (stat.st_dev, stat.st_ino) != inode:
                return ""
            target = self._free_name(directory, path.rpartition("/")[2])
            filesystem.rename(path, target)
            self._write_reason(target, path, reason, stat.st_size)
            self._sync_directory(directory)
            self._sync_directory(path.rpartition("/")[0])
        return target

    def files(self) -> list[QuarantinedFile]:
        """Return what lies in quarantine, as far as this user may look, sorted by path."""
        found = []
        for name in sorted(self._filesystem.listdir(self._root)):
            if name.startswith(QUARANTINE):
                with contextlib.suppress(PermissionError):  # another user's
                    found += self._files(f"{self._root}/{name}")
        return found

    def _files(self, directory: str) -> list[QuarantinedFile]:
        filesystem = self._filesystem
        names = set(filesystem.listdir(directory))
        found = []
        for name in sorted(names):
            original, _, time = name.rpartition("-")
            if name.endswith(_REASON_SUFFIX) or not original:
                continue
            path = f"{directory}/{name}"
            reason = self._reason(path + _REASON_SUFFIX) if name + _REASON_SUFFIX in names else ""
            size_bytes = filesystem.stat(path).st_size
            found.append(QuarantinedFile(path, original, buffer_digest(original), time, size_bytes, reason))
        return found

    def _own_directory(self) -> str:
        """Return a quarantine that this user may use; make it if need be.

        Users of a shared directory cannot use each other's. Their locks exclude each other all the same:
        in a sticky directory only its owner may move a file.
        """
        for directory in (self.path, f"{self.path}-{os.geteuid()}"):
            try:
                self._filesystem.mkdir(directory, 0o700)
            except FileExistsError:
                owner = self._filesystem.stat(directory).st_uid
                if os.geteuid() not in (0, owner):
                    continue
            else:
                self._sync_directory(self._root)
            return directory
        raise PermissionError(f"{self.path}-{os.geteuid()} belongs to another user")

    def _reason(self, path: str) -> str:
        import json

        try:
            return str(json.loads(self._read(path))["reason"])
        except (ValueError, KeyError, TypeError):
            return "the reason file is not readable"

    @contextlib.contextmanager
    def _locked(self, directory: str) -> Iterator[None]:
        import errno
        import fcntl

        fd = self._filesystem.open(
            f"{self.path}/{_LOCK}", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, TEMPORARY_MODE
        )
        try:
            try:
                self._filesystem.flock(fd, fcntl.LOCK_EX)
            except OSError as exc:  # no locks on this file system: the look at the inode must do
                if exc.errno not in (errno.ENOLCK, errno.EOPNOTSUPP, errno.ENOSYS):
                    raise
            yield
        finally:
            self._filesystem.close(fd)

    def _free_name(self, directory: str, name: str) -> str:
        from datetime import datetime, timezone

        now = datetime.fromtimestamp(self._clock.time(), timezone.utc)
        stem = f"{directory}/{name}-{now:%Y%m%dT%H%M%S.%fZ}"
        target, n = stem, 0
        while self._filesystem.exists(target):
            n += 1
            target = f"{stem}.{n}"
        return target

    def _write_reason(self, target: str, path: str, reason: str, size_bytes: int) -> None:
        import json

        text = json.dumps({"path": path, "reason": reason, "size_bytes": size_bytes}) + "\n"
        # Without the reason (disk full) the file itself is still put aside and still speaks for itself.
        with contextlib.suppress(OSError):
            flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC
            fd = self._filesystem.open(target + _REASON_SUFFIX, flags, TEMPORARY_MODE)
            try:
                self._filesystem.write(fd, text.encode())
                self._filesystem.fsync(fd)
            finally:
                self._filesystem.close(fd)

    def _read(self, path: str) -> bytes:
        fd = self._filesystem.open(path, os.O_RDONLY | os.O_CLOEXEC)
        try:
            return self._filesystem.read(fd, 65536)
        finally:
            self._filesystem.close(fd)

    def _sync_directory(self, path: str) -> None:
        fd = self._filesystem.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            self._filesystem.fsync(fd)
        finally:
            self._filesystem.close(fd)

"""Move damaged files out of sight without deleting them.

`DIR/.quarantine/<name>-<time>` (directory mode 0700) holds the file, `<name>-<time>.reason` says in JSON
where it was and what was wrong with it. A file is moved only if it is still the one that was judged:
the look and the move happen under a lock, so that no process moves away what another has just
repaired. Both directories are durable before `move` returns: the evidence survives a power cut.
"""

from __future__ import annotations

import contextlib
import os
from dataclasses import dataclass
from typing import TYPE_CHECKING

from .layout import QUARANTINE, TEMPORARY_MODE, buffer_digest

if TYPE_CHECKING:
    from collections.abc import Iterator

    from .filesystem import Clock, FileSystem

__all__ = ("Quarantine", "QuarantinedFile")

_REASON_SUFFIX = ".reason"
_LOCK = ".lock"


@dataclass(frozen=True)
class QuarantinedFile:
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
        self.path = f"{root}/{QUARANTINE}"
        self._root = root
        self._filesystem = filesystem
        self._clock = clock

    def move(self, path: str, inode: tuple[int, int], reason: str) -> str:
        """Move the file away if it is still `inode` (device, number); return where to, or "".

        Raises OSError if this process may not move it.
        """
        filesystem = self._filesystem
        with contextlib.suppress(FileExistsError):
            filesystem.mkdir(self.path, 0o700)
            self._sync_directory(self._root)
        with self._locked():
            try:
                stat = filesystem.stat(path)
            except FileNotFoundError:
                return ""
            if (stat.st_dev, stat.st_ino) != inode:
                return ""
            target = self._free_name(path.rpartition("/")[2])
            filesystem.rename(path, target)
            self._write_reason(target, path, reason, stat.st_size)
            self._sync_directory(self.path)
            self._sync_directory(os.path.dirname(path))
        return target

    def files(self) -> list[QuarantinedFile]:
        """Return what lies in quarantine, sorted by name."""
        import json

        filesystem = self._filesystem
        try:
            names = set(filesystem.listdir(self.path))
        except FileNotFoundError:
            return []
        found = []
        for name in sorted(names):
            original, _, time = name.rpartition("-")
            if name.endswith(_REASON_SUFFIX) or not original:
                continue
            path = f"{self.path}/{name}"
            reason = ""
            if name + _REASON_SUFFIX in names:
                try:
                    reason = str(json.loads(self._read(path + _REASON_SUFFIX))["reason"])
                except (ValueError, KeyError, TypeError):
                    reason = "the reason file is not readable"
            size_bytes = filesystem.stat(path).st_size
            found.append(QuarantinedFile(path, original, buffer_digest(original), time, size_bytes, reason))
        return found

    @contextlib.contextmanager
    def _locked(self) -> Iterator[None]:
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

    def _free_name(self, name: str) -> str:
        from datetime import datetime, timezone

        now = datetime.fromtimestamp(self._clock.time(), timezone.utc)
        stem = f"{self.path}/{name}-{now:%Y%m%dT%H%M%S.%fZ}"
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

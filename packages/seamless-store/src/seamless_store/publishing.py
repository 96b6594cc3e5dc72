"""Make buffers visible, durably, in batches.

Order of a batch: write all temporaries, make their data durable, rename all, make the directories
durable. A power cut or a kill at any point leaves only temporaries and complete, true files. The
names are acknowledged (the call returns) after the last step.

Durable means fsync of each file and directory when there are few, and one syncfs for all when there are
many: on an ext4 disk 400 small files take 160 ms with fsync each and 8 ms with syncfs. It is used only
where it reports failures (Linux 5.8 and later, local file systems); elsewhere each file gets its fsync.
"""

from __future__ import annotations

import contextlib
import itertools
import os
import stat as stat_module
from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING

from .errors import BufferDamaged, DigestMismatch, translated_os_errors
from .file_filler import WRITEBACK_BYTES, FileFiller, write_all
from .known_files import KnownFiles, file_key
from .layout import DIRECTORY_MODE, FILE_MODE, LENGTH_SUFFIX, SIDECAR_MODE, TEMPORARY_MODE, check_digest
from .side_hash import SideHash

if TYPE_CHECKING:
    from hashlib import _Hash

    from .filesystem import FileSystem
    from .quarantine import Quarantine

__all__ = ("CHUNK_BYTES", "Publisher", "directory_of")

CHUNK_BYTES = 1024 * 1024  # hashed and written while in the processor's cache
SYNC_EACH_MAX = 4  # from here one syncfs is cheaper, yet it also writes back what others left dirty
_IOV_MAX = 1024
_CREATE = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC | getattr(os, "O_NOFOLLOW", 0)
_READ = os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK

_serial = itertools.count()


class _Item:
    """One buffer of a batch on its way."""

    __slots__ = ("digest", "inode", "is_hashed", "parts", "path", "size_bytes", "temporary")

    def __init__(
        self, digest: bytes, parts: list[memoryview], size_bytes: int, is_hashed: bool, path: str
    ) -> None:
        self.digest = digest
        self.parts = parts
        self.size_bytes = size_bytes
        self.is_hashed = is_hashed
        self.path = path
        self.temporary = ""
        self.inode = 0


class Publisher:
    """What is needed to write into one buffer directory. Thread-safe."""

    def __init__(
        self,
        root: str,
        *,
        is_prefix: bool,
        filesystem: FileSystem,
        quarantine: Quarantine,
        verified: KnownFiles,
        new_hash: Callable[[], _Hash],
        unsynced_parents: Sequence[str],
        max_decompressed_bytes: int,
    ) -> None:
        self.filesystem = filesystem
        self.new_hash = new_hash
        self.max_decompressed_bytes = max_decompressed_bytes
        self._root = root
        self._is_prefix = is_prefix
        self._quarantine = quarantine
        self._verified = verified
        self.durable = KnownFiles()
        self._unsynced_parents = tuple(unsynced_parents)
        self._made_directories: set[str] = set()
        self._durable_directories: set[str] = set()
        self._can_sync_filesystem: bool | None = None

    # Batches

    def publish(self, items: Sequence[tuple[bytes, Sequence[bytes | memoryview]]], *, verified: bool) -> None:
        """See BufferDirectory.publish."""
        batch: dict[bytes, _Item] = {}
        for digest, parts in items:
            self._prepare(batch, digest, parts, verified)
        with translated_os_errors("publish buffers", self._root):
            self._publish(list(batch.values()))

    def _prepare(
        self, batch: dict[bytes, _Item], digest: bytes, parts: Sequence[bytes | memoryview], verified: bool
    ) -> None:
        check_digest(digest)
        if isinstance(parts, (bytes, bytearray, memoryview)):
            raise TypeError("publish expects a sequence of parts for each digest; put the bytes into a list")
        views = [view for view in map(_as_bytes, parts) if view.nbytes]
        size_bytes = sum(view.nbytes for view in views)
        is_hashed = verified
        if not verified and (size_bytes <= CHUNK_BYTES or digest in batch):
            _check(digest, self._hash_parts(views), size_bytes, self._root)
            is_hashed = True
        if digest not in batch:
            path = self.path(digest)
            batch[digest] = _Item(digest, views, size_bytes, is_hashed, path)

    def _publish(self, batch: list[_Item]) -> None:
        new: list[_Item] = []
        unsynced: list[str] = []  # present and intact, but perhaps still in the page cache only
        for item in batch:
            if not self.filesystem.exists(item.path) or not self._is_intact(item, unsynced):
                new.append(item)
        if not new and not unsynced:
            return
        sync_each = len(new) + len(unsynced) <= SYNC_EACH_MAX or not self.syncs_whole()
        try:
            for item in new:
                self._write_temporary(item, fsync=sync_each)
            if sync_each:
                for path in unsynced:
                    self.fsync_path(path)
            else:
                self.sync_filesystem()
            for item in new:
                self._rename(item)
        except BaseException:
            self.discard(item.temporary for item in new)
            raise
        paths = unsynced + [item.path for item in new]
        self.sync_directories({directory_of(path) for path in paths})
        for path in unsynced:
            self.durable.add(path, file_key(self.filesystem.stat(path)))
        for item in new:
            self.acknowledge(item.path, item.inode)

    def _is_intact(self, item: _Item, unsynced: list[str]) -> bool:
        """Tell whether the present file holds the item's bytes; put it into quarantine if not."""
        try:
            stat = self.filesystem.stat(item.path)
        except FileNotFoundError:
            return False
        key = file_key(stat)
        known = self._verified.holds(item.path, key)
        if not known or not item.is_hashed:
            if not item.is_hashed:
                _check(item.digest, self._hash_parts(item.parts), item.size_bytes, self._root)
                item.is_hashed = True
            known = known or (
                stat_module.S_ISREG(stat.st_mode)
                and stat.st_size == item.size_bytes
                and self._holds_parts(item.path, item.parts)
            )
        if not known:
            self.put_aside(item.path, item.digest, (stat.st_dev, stat.st_ino), "found when publishing")
            return False
        if stat.st_mode & 0o777 != FILE_MODE and self.is_ours_alone(item.path, stat):
            with contextlib.suppress(PermissionError):  # another user's file: it stays readable, unmapped
                self.filesystem.chmod(item.path, FILE_MODE)
        if not self.durable.holds(item.path, key):
            unsynced.append(item.path)
        return True

    def is_ours_alone(self, path: str, stat: os.stat_result) -> bool:
        """Tell whether no name outside stands for the same file: the mode of a user's own file is the user's."""
        return stat.st_nlink == 1 and not stat_module.S_ISLNK(self.filesystem.lstat(path).st_mode)

    def _holds_parts(self, path: str, parts: list[memoryview]) -> bool:
        try:
            fd = self.filesystem.open(path, _READ)
        except FileNotFoundError:
            return False
        try:
            for part in parts:
                for start in range(0, part.nbytes, CHUNK_BYTES):
                    wanted = part[start : start + CHUNK_BYTES]
                    while wanted.nbytes:
                        found = self.filesystem.read(fd, wanted.nbytes)
                        if not found or wanted[: len(found)] != found:
                            return False
                        wanted = wanted[len(found) :]
            return not self.filesystem.read(fd, 1)
        finally:
            self.filesystem.close(fd)

    def _write_temporary(self, item: _Item, *, fsync: bool) -> None:
        filesystem = self.filesystem
        fd, item.temporary = self.create_temporary(item.digest)
        try:
            if item.is_hashed:
                self._write_parts(fd, item.parts, item.size_bytes)
            else:
                hasher, file = SideHash(self.new_hash()), FileFiller(filesystem, fd)
                with contextlib.closing(hasher):
                    for part in item.parts:
                        for start in range(0, part.nbytes, CHUNK_BYTES):
                            chunk = part[start : start + CHUNK_BYTES]
                            hasher.update(chunk, file.write)
                _check(item.digest, hasher.digest(), item.size_bytes, self._root)
            filesystem.fchmod(fd, FILE_MODE)
            if fsync:
                filesystem.fsync(fd)
            item.inode = filesystem.fstat(fd).st_ino
        finally:
            filesystem.close(fd)

    def _write_parts(self, fd: int, parts: list[memoryview], size_bytes: int) -> None:
        if size_bytes > WRITEBACK_BYTES:
            file = FileFiller(self.filesystem, fd)
            for part in parts:
                for start in range(0, part.nbytes, WRITEBACK_BYTES):
                    file.write(part[start : start + WRITEBACK_BYTES])
            return
        if len(parts) == 1:
            write_all(self.filesystem, fd, parts[0])
            return
        for start in range(0, len(parts), _IOV_MAX):
            group = parts[start : start + _IOV_MAX]
            written = self.filesystem.writev(fd, group)
            for part in group:  # after a short write, the rest one by one
                if written < part.nbytes:
                    write_all(self.filesystem, fd, part[written:])
                written = max(written - part.nbytes, 0)

    def _rename(self, item: _Item) -> None:
        try:
            self.filesystem.rename(item.temporary, item.path)
        except PermissionError:
            # In a sticky directory nobody may replace another user's file: perhaps one came meanwhile.
            if not (self.filesystem.exists(item.path) and self._holds_parts(item.path, item.parts)):
                raise
            self.discard([item.temporary])
            self.fsync_path(item.path)
        item.temporary = ""

    # Pieces that batches and streams share

    def path(self, digest: bytes) -> str:
        """Return the path of the plain form."""
        name = digest.hex()
        return f"{self._root}/{name[:2]}/{name}" if self._is_prefix else f"{self._root}/{name}"

    def create_temporary(self, digest: bytes) -> tuple[int, str]:
        """Open a new temporary file beside the place of the buffer; return descriptor and path."""
        path = self.path(digest)
        directory = directory_of(path)
        if directory not in self._made_directories:
            self._make_directory(directory)
        owner = self.filesystem.process_identity()
        while True:
            temporary = f"{path}-{owner}-{next(_serial):x}"
            try:
                return self.filesystem.open(temporary, _CREATE, TEMPORARY_MODE), temporary
            except FileExistsError:
                continue  # left by a process of another machine that has our identity by chance
            except FileNotFoundError:  # the prefix directory was removed since we made it
                if not self._is_prefix or not self.filesystem.exists(self._root):
                    raise
                self._durable_directories.discard(directory)
                self._make_directory(directory)

    def _make_directory(self, directory: str) -> None:
        if directory != self._root:
            try:
                self.filesystem.mkdir(directory, DIRECTORY_MODE)
            except FileExistsError:
                pass
            else:
                with contextlib.suppress(
                    PermissionError
                ):  # setgid may be refused; sharing then needs an admin
                    self.filesystem.chmod(directory, DIRECTORY_MODE)
        self._made_directories.add(directory)

    def write_sidecar(self, digest: bytes, size_bytes: int, *, fsync: bool = True) -> None:
        """Write the `.BUFFERLENGTH` file of a compressed buffer: whole or not at all.

        fsync=False: the caller makes it durable before the buffer gets its name.
        """
        fd, temporary = self.create_temporary(digest)
        try:
            try:
                write_all(self.filesystem, fd, str(size_bytes).encode())
                self.filesystem.fchmod(fd, SIDECAR_MODE)
                if fsync:
                    self.filesystem.fsync(fd)
            finally:
                self.filesystem.close(fd)
            self.filesystem.rename(temporary, self.path(digest) + LENGTH_SUFFIX)
        except BaseException:
            self.discard([temporary])
            raise

    def put_aside(self, path: str, digest: bytes, inode: tuple[int, int], reason: str) -> str:
        """Move a damaged file into quarantine; return where to, "" if it is already gone or another."""
        try:
            return self._quarantine.move(path, inode, reason)
        except PermissionError as exc:
            raise BufferDamaged(
                f"{path} does not hold the buffer of its name ({reason}), and may not be moved away: {exc}.",
                digest=digest,
                path=path,
                remedy=f"let the owner of {path} or an administrator remove it; then store the buffer again.",
            ) from exc

    def acknowledge(self, path: str, inode: int) -> None:
        """Remember a file that we wrote ourselves and that is durable now."""
        try:
            stat = self.filesystem.stat(path)
        except FileNotFoundError:
            return  # someone removed it in the meantime: nothing to remember
        if stat.st_ino == inode:
            key = file_key(stat)
            self._verified.add(path, key)
            self.durable.add(path, key)
            with contextlib.suppress(FileNotFoundError, PermissionError):
                if self.filesystem.exists(path + LENGTH_SUFFIX):  # the plain form tells its length itself
                    self.filesystem.unlink(path + LENGTH_SUFFIX)

    def sync_directories(self, directories: set[str]) -> None:
        """Make the names in `directories` durable, and on first use the directories' own names."""
        fresh = directories - self._durable_directories
        wanted = set(directories)
        parents = self._unsynced_parents
        if fresh:
            wanted.add(self._root)
        if len(wanted) <= SYNC_EACH_MAX or not self.syncs_whole():
            for directory in sorted(wanted):
                self.fsync_path(directory)
        else:
            self.sync_filesystem()
        for parent in parents:
            self.fsync_path(parent)
        self._unsynced_parents = ()
        self._durable_directories |= fresh

    def fsync_path(self, path: str) -> None:
        fd = self.filesystem.open(path, _READ)
        try:
            self.filesystem.fsync(fd)
        finally:
            self.filesystem.close(fd)

    def syncs_whole(self) -> bool:
        """Tell whether `sync_filesystem` keeps its promise here."""
        if self._can_sync_filesystem is None:
            self._can_sync_filesystem = self.filesystem.can_sync_filesystem(self._root)
        return self._can_sync_filesystem

    def sync_filesystem(self) -> None:
        """Make everything on the file system of the directory durable."""
        fd = self.filesystem.open(self._root, _READ)
        try:
            self.filesystem.sync_filesystem(fd)
        finally:
            self.filesystem.close(fd)

    def discard(self, temporaries: Iterable[str]) -> None:
        """Remove temporary files as far as possible; sweep() removes the others later."""
        for temporary in temporaries:
            if temporary:
                with contextlib.suppress(OSError):
                    self.filesystem.unlink(temporary)

    def _hash_parts(self, parts: Sequence[memoryview]) -> bytes:
        hasher = self.new_hash()
        for part in parts:
            hasher.update(part)
        return hasher.digest()


def directory_of(path: str) -> str:
    """Return the directory part of an absolute path that we have composed."""
    return path.rpartition("/")[0]


def _as_bytes(part: bytes | memoryview) -> memoryview:
    view = memoryview(part)
    if view.format == "B" and view.ndim == 1 and view.contiguous:
        return view
    if not view.nbytes:
        return memoryview(b"")
    if not view.c_contiguous:
        raise TypeError(
            f"cannot store a memoryview of shape {view.shape} and strides {view.strides}: not C-contiguous. "
            "Pass contiguous parts (numpy.ascontiguousarray)."
        )
    return view.cast("B")


def _check(expected: bytes, actual: bytes, size_bytes: int, path: str) -> None:
    if expected != actual:
        raise DigestMismatch(expected=check_digest(expected), actual=actual, size_bytes=size_bytes, path=path)

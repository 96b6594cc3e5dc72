"""The file system of a simulated machine, as one of its processes sees it."""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Sequence

from .simulated_world import Inode, Opened, SimulatedClock, SimulatedCrash, SimulatedWorld, names_of, os_error

__all__ = ("SimulatedClock", "SimulatedCrash", "SimulatedFileSystem", "SimulatedWorld")

_DEVICE = 7


class SimulatedFileSystem:
    """The file system as one process sees it; implements `seamless_store.filesystem.FileSystem`."""

    def __init__(self, world: SimulatedWorld, pid: int) -> None:
        self.world = world
        self.pid = pid
        self.is_alive = True
        self.descriptors: dict[int, Opened] = {}
        self._next_fd = 3

    def open(self, path: str, flags: int, mode: int = 0o777, /) -> int:
        self._begin("open", path)
        try:
            inode = self.world.lookup(path)
        except FileNotFoundError:
            if not flags & os.O_CREAT:
                raise
            self._demand_writable(path)
            inode = self.world.create(path, stat.S_IFREG | mode)
        else:
            if flags & os.O_CREAT and flags & os.O_EXCL:
                raise os_error(errno.EEXIST, path)
            if flags & os.O_DIRECTORY and inode.entries is None:
                raise os_error(errno.ENOTDIR, path)
            if flags & (os.O_WRONLY | os.O_RDWR):
                self._demand_writable(path)
                if inode.entries is not None:
                    raise os_error(errno.EISDIR, path)
            if flags & os.O_TRUNC and inode.data:
                inode.data = bytearray()
                self._touch(inode)
        fd, self._next_fd = self._next_fd, self._next_fd + 1
        self.descriptors[fd] = Opened(inode, flags)
        return fd

    def close(self, fd: int, /) -> None:
        self._begin("close", str(fd))
        inode = self._opened(fd).inode
        if inode.lock_owner == (self.pid, fd):
            inode.lock_owner = None
        del self.descriptors[fd]

    def read(self, fd: int, n_bytes: int, /) -> bytes:
        self._begin("read", str(fd))
        file = self._opened(fd)
        if file.inode.entries is not None:
            raise os_error(errno.EISDIR, str(fd))
        chunk = bytes(file.inode.data[file.offset : file.offset + n_bytes])
        file.offset += len(chunk)
        return chunk

    def readinto(self, fd: int, target: memoryview, /) -> int:
        chunk = self.read(fd, target.nbytes)
        target[: len(chunk)] = chunk
        return len(chunk)

    def write(self, fd: int, chunk: bytes | memoryview, /) -> int:
        self._begin("write", str(fd))
        file = self._opened(fd)
        self._demand_writable(str(fd))
        n_bytes = self.world.room_for(len(chunk))
        if len(chunk) and not n_bytes:
            raise os_error(errno.ENOSPC, str(fd))
        file.inode.data[file.offset : file.offset + n_bytes] = chunk[:n_bytes]
        file.offset += n_bytes
        self._touch(file.inode)
        return n_bytes

    def writev(self, fd: int, chunks: Sequence[bytes | memoryview], /) -> int:
        return self.write(fd, b"".join(chunks))

    def map(self, fd: int, size_bytes: int, /) -> memoryview:
        self._begin("map", str(fd))
        return memoryview(bytes(self._opened(fd).inode.data[:size_bytes]))

    def fsync(self, fd: int, /) -> None:
        inode = self._opened(fd).inode
        try:
            self._begin("fsync", str(fd))
        except OSError:
            inode.is_poisoned = inode.is_dirty
            raise
        self.world.sync_inode(inode)

    def start_writeback(self, fd: int, offset: int, n_bytes: int, /) -> None:
        self._begin("start_writeback", str(fd))
        self._opened(fd)

    def sync_filesystem(self, fd: int, /) -> None:
        self._begin("sync_filesystem", str(fd))
        self._opened(fd)
        self.world.sync_all()

    def can_sync_filesystem(self, path: str, /) -> bool:
        return self.world.can_sync_filesystem

    def flock(self, fd: int, operation: int, /) -> None:
        import fcntl

        self._begin("flock", str(fd))
        inode = self._opened(fd).inode
        if operation & fcntl.LOCK_UN:
            inode.lock_owner = None
            return
        if inode.lock_owner not in (None, (self.pid, fd)):
            if operation & fcntl.LOCK_NB:
                raise os_error(errno.EWOULDBLOCK, str(fd))
            self.world.wait_until(lambda: inode.lock_owner is None)
        inode.lock_owner = (self.pid, fd)

    def fchmod(self, fd: int, mode: int, /) -> None:
        self._begin("fchmod", f"{fd} {mode:o}")
        self._chmod(self._opened(fd).inode, mode)

    def chmod(self, path: str, mode: int, /) -> None:
        self._begin("chmod", f"{path} {mode:o}")
        self._chmod(self.world.lookup(path), mode)

    def fstat(self, fd: int, /) -> os.stat_result:
        self._begin("fstat", str(fd))
        return _stat_result(self._opened(fd).inode)

    def stat(self, path: str, /) -> os.stat_result:
        self._begin("stat", path)
        return _stat_result(self.world.lookup(path))

    def lstat(self, path: str, /) -> os.stat_result:
        return self.stat(path)  # there are no symbolic links here

    def exists(self, path: str, /) -> bool:
        self._begin("exists", path)
        try:
            self.world.lookup(path)
        except (FileNotFoundError, NotADirectoryError):
            return False
        return True

    def can_read(self, path: str, /) -> bool:
        return self.exists(path)

    def listdir(self, path: str, /) -> list[str]:
        self._begin("listdir", path)
        entries = self.world.lookup(path).entries
        if entries is None:
            raise os_error(errno.ENOTDIR, path)
        return list(entries)

    def mkdir(self, path: str, mode: int = 0o777, /) -> None:
        self._begin("mkdir", path)
        self._demand_writable(path)
        directory, name = self.world.parent(path)
        if name in (directory.entries or {}):
            raise os_error(errno.EEXIST, path)
        self.world.create(path, stat.S_IFDIR | mode)

    def rename(self, source: str, target: str, /) -> None:
        self._begin("rename", f"{source} {target}")
        self._demand_writable(target)
        inode = self.world.lookup(source)
        source_directory, source_name = self.world.parent(source)
        target_directory, target_name = self.world.parent(target)
        present = (target_directory.entries or {}).get(target_name)
        if present is not None and inode.entries is None and self.world.lookup(target).entries is not None:
            raise os_error(errno.EISDIR, target)
        self.world.change((source_directory, source_name, None), (target_directory, target_name, inode))

    def link(self, source: str, target: str, /) -> None:
        self._begin("link", f"{source} {target}")
        self._demand_writable(target)
        inode = self.world.lookup(source)
        directory, name = self.world.parent(target)
        if name in (directory.entries or {}):
            raise os_error(errno.EEXIST, target)
        self.world.change((directory, name, inode))

    def symlink(self, target: str, path: str, /) -> None:
        raise os_error(errno.EPERM, path)

    def unlink(self, path: str, /) -> None:
        self._begin("unlink", path)
        self._demand_writable(path)
        if self.world.lookup(path).entries is not None:
            raise os_error(errno.EISDIR, path)
        directory, name = self.world.parent(path)
        self.world.change((directory, name, None))

    def is_network(self, path: str, /) -> bool:
        return self.world.is_network

    def process_identity(self) -> str:
        return f"{self.pid:x}.1.{self.world.boot:08x}"

    def process_lives(self, identity: str, /) -> bool | None:
        try:
            pid, _, boot = identity.split(".")
            return self.world.lives(int(pid, 16), int(boot, 16))
        except ValueError:
            return None

    # For tests: the disk without counting, switching or failing

    def put_file(self, path: str, content: bytes, *, mode: int = 0o444, age_s: float = 3600.0) -> None:
        """Make a durable file, and the directories above it, that was last changed `age_s` ago."""
        names = names_of(path)
        for depth in range(1, len(names)):
            directory = "/" + "/".join(names[:depth])
            try:
                self.world.lookup(directory)
            except FileNotFoundError:
                self.world.create(directory, stat.S_IFDIR | 0o755)
        try:
            inode = self.world.lookup(path)
        except FileNotFoundError:
            inode = self.world.create(path, stat.S_IFREG | mode)
        inode.data = bytearray(content)
        inode.mtime_ns = inode.ctime_ns = self.world.now_ns - int(age_s * 1e9)
        self.world.sync_all()

    def file_content(self, path: str) -> bytes:
        return bytes(self.world.lookup(path).data)

    def all_files(self, path: str = "/") -> list[str]:
        """Return the paths of all files below a directory, sorted."""
        found = []
        for name, number in sorted((self.world.lookup(path).entries or {}).items()):
            below = f"{path.rstrip('/')}/{name}"
            inode = self.world._inodes[number]
            found += [below] if inode.entries is None else self.all_files(below)
        return found

    def _begin(self, name: str, subject: str) -> None:
        self.world.operation(self, name, subject)

    def _opened(self, fd: int) -> Opened:
        if fd not in self.descriptors:
            raise os_error(errno.EBADF, str(fd))
        return self.descriptors[fd]

    def _demand_writable(self, subject: str) -> None:
        if self.world.is_read_only:
            raise os_error(errno.EROFS, subject)

    def _touch(self, inode: Inode) -> None:
        inode.is_dirty = True
        inode.mtime_ns = inode.ctime_ns = self.world.now_ns

    def _chmod(self, inode: Inode, mode: int) -> None:
        self._demand_writable(str(inode.number))
        inode.mode = stat.S_IFMT(inode.mode) | mode
        inode.ctime_ns = self.world.now_ns


def _stat_result(inode: Inode) -> os.stat_result:
    times = (inode.mtime_ns // 10**9, inode.mtime_ns // 10**9, inode.ctime_ns // 10**9)
    fields = (
        inode.mode,
        inode.number,
        _DEVICE,
        max(inode.n_links, 0),
        os.geteuid(),
        os.getegid(),
        len(inode.data),
        *times,
    )
    exact = {
        "st_mtime_ns": inode.mtime_ns,
        "st_ctime_ns": inode.ctime_ns,
        "st_mtime": inode.mtime_ns / 1e9,
        "st_ctime": inode.ctime_ns / 1e9,
    }
    return os.stat_result(fields, exact)

"""The two ports of the storage engines: the file system and the clock, and their real forms.

`FileSystem` holds exactly the operations that the engines use, with the meaning of the system calls
of the same names. `OsFileSystem` passes them through (most attributes *are* the functions of `os`).
The simulator of `seamless_store.testing` is the other implementation.
"""

from __future__ import annotations

import os
import sys
import time as time_module
from collections.abc import Iterable, Sequence
from typing import Protocol, runtime_checkable

__all__ = (
    "OS_FILESYSTEM",
    "SYSTEM_CLOCK",
    "Clock",
    "FileSystem",
    "OsFileSystem",
    "SystemClock",
    "is_network_filesystem",
)

# File systems of this machine's own kernel and disks. Everything else (nfs, cifs, lustre, gpfs, beegfs,
# ceph, 9p, fuse.sshfs, ...) may have other machines behind it: no safe mmap, no shared memory there.
_LOCAL_TYPES = frozenset(
    {"apfs", "aufs", "bcachefs", "btrfs", "erofs", "exfat", "ext2", "ext3", "ext4", "f2fs"}
    | {"fuse.fuse-overlayfs", "fuseblk", "hfsplus", "iso9660", "jfs", "msdos", "nilfs2", "ntfs3", "overlay"}
    | {"ramfs", "reiserfs", "rootfs", "squashfs", "tmpfs", "ubifs", "udf", "vfat", "xfs", "zfs"}
)
# Where syncfs(2) writes everything back and says so when it could not.
_SYNCFS_TYPES = frozenset(
    {"bcachefs", "btrfs", "ext2", "ext3", "ext4", "f2fs", "overlay", "ramfs", "tmpfs", "xfs"}
)
_SYNCFS_REPORTS_ERRORS_SINCE = (5, 8)
_SYNC_FILE_RANGE_WRITE = 2


@runtime_checkable
class Clock(Protocol):
    """Time, as far as the engines look at it."""

    def time(self) -> float: ...

    def monotonic(self) -> float: ...

    def sleep(self, seconds: float) -> None: ...


class SystemClock:
    """The clock of this machine."""

    time = staticmethod(time_module.time)
    monotonic = staticmethod(time_module.monotonic)
    sleep = staticmethod(time_module.sleep)


SYSTEM_CLOCK = SystemClock()


@runtime_checkable
class FileSystem(Protocol):
    """What the engines ask of an operating system. Errors are OSError with the usual numbers."""

    def open(self, path: str, flags: int, mode: int = 0o777, /) -> int: ...

    def close(self, fd: int, /) -> None: ...

    def read(self, fd: int, n_bytes: int, /) -> bytes: ...

    def readinto(self, fd: int, target: memoryview, /) -> int: ...

    def write(self, fd: int, chunk: bytes | memoryview, /) -> int: ...

    def writev(self, fd: int, chunks: Sequence[bytes | memoryview], /) -> int: ...

    def map(self, fd: int, size_bytes: int, /) -> memoryview:
        """Map the file for reading; the mapping goes when the last view of it goes."""
        ...

    def fsync(self, fd: int, /) -> None: ...

    def start_writeback(self, fd: int, offset: int, n_bytes: int, /) -> None:
        """Begin to write these bytes to the disk, without waiting. A hint: it promises nothing."""
        ...

    def sync_filesystem(self, fd: int, /) -> None:
        """Make everything on the file system of `fd` durable, names included."""
        ...

    def can_sync_filesystem(self, path: str, /) -> bool:
        """Tell whether `sync_filesystem` keeps its promise, and reports failure, at this path."""
        ...

    def flock(self, fd: int, operation: int, /) -> None: ...

    def fchmod(self, fd: int, mode: int, /) -> None: ...

    def chmod(self, path: str, mode: int, /) -> None: ...

    def fstat(self, fd: int, /) -> os.stat_result: ...

    def stat(self, path: str, /) -> os.stat_result: ...

    def lstat(self, path: str, /) -> os.stat_result:
        """Do what `stat` does, for a symbolic link itself."""
        ...

    def exists(self, path: str, /) -> bool:
        """Tell whether the name exists; cheaper than `stat` when it does not."""
        ...

    def can_read(self, path: str, /) -> bool:
        """Tell whether this process may open the file or list the directory."""
        ...

    def listdir(self, path: str, /) -> list[str]: ...

    def mkdir(self, path: str, mode: int = 0o777, /) -> None: ...

    def rename(self, source: str, target: str, /) -> None: ...

    def link(self, source: str, target: str, /) -> None: ...

    def symlink(self, target: str, path: str, /) -> None: ...

    def unlink(self, path: str, /) -> None: ...

    def is_network(self, path: str, /) -> bool: ...

    def process_identity(self) -> str:
        """Return a text of letters, digits and dots that no other process ever had or will have."""
        ...

    def process_lives(self, identity: str, /) -> bool | None:
        """Tell whether the process with this identity lives; None when that cannot be told."""
        ...


class OsFileSystem:
    """The file system of this machine."""

    open = staticmethod(os.open)
    close = staticmethod(os.close)
    read = staticmethod(os.read)
    write = staticmethod(os.write)
    writev = staticmethod(os.writev)
    fchmod = staticmethod(os.fchmod)
    fstat = staticmethod(os.fstat)
    chmod = staticmethod(os.chmod)
    stat = staticmethod(os.stat)
    lstat = staticmethod(os.lstat)
    mkdir = staticmethod(os.mkdir)
    rename = staticmethod(os.rename)
    link = staticmethod(os.link)
    symlink = staticmethod(os.symlink)
    unlink = staticmethod(os.unlink)

    def __init__(self) -> None:
        self._identity: tuple[int, str] = (0, "")

    def readinto(self, fd: int, target: memoryview, /) -> int:
        return os.readv(fd, [target])

    def listdir(self, path: str, /) -> list[str]:
        return os.listdir(path)

    def exists(self, path: str, /) -> bool:
        return os.access(path, os.F_OK)

    def can_read(self, path: str, /) -> bool:
        return os.access(path, os.R_OK)

    def map(self, fd: int, size_bytes: int, /) -> memoryview:
        import mmap

        if sys.version_info >= (3, 13):  # a mapping needs no descriptor of its own
            return memoryview(mmap.mmap(fd, size_bytes, prot=mmap.PROT_READ, trackfd=False))
        return memoryview(mmap.mmap(fd, size_bytes, prot=mmap.PROT_READ))

    def fsync(self, fd: int, /) -> None:
        if sys.platform == "darwin":  # fsync there leaves the bytes in the drive's cache
            import fcntl

            fcntl.fcntl(fd, fcntl.F_FULLFSYNC)
        else:
            os.fsync(fd)

    def start_writeback(self, fd: int, offset: int, n_bytes: int, /) -> None:
        if not sys.platform.startswith("linux"):
            return
        import ctypes

        begin = getattr(ctypes.CDLL(None), "sync_file_range", None)  # missing in musl
        if begin is not None:
            long = ctypes.c_int64
            begin(fd, long(offset), long(n_bytes), ctypes.c_uint(_SYNC_FILE_RANGE_WRITE))

    def sync_filesystem(self, fd: int, /) -> None:
        import ctypes

        libc = ctypes.CDLL(None, use_errno=True)
        if libc.syncfs(fd) != 0:
            number = ctypes.get_errno()
            raise OSError(number, f"syncfs: {os.strerror(number)}")

    def can_sync_filesystem(self, path: str, /) -> bool:
        return _kernel_version() >= _SYNCFS_REPORTS_ERRORS_SINCE and _filesystem_type(path) in _SYNCFS_TYPES

    def flock(self, fd: int, operation: int, /) -> None:
        import fcntl

        fcntl.flock(fd, operation)

    def is_network(self, path: str, /) -> bool:
        return is_network_filesystem(path)

    def process_identity(self) -> str:
        pid = os.getpid()
        if self._identity[0] != pid:  # first use, or a fork since
            self._identity = (pid, f"{pid:x}.{_start_time(pid) or 0:x}.{_pid_scope()}")
        return self._identity[1]

    def process_lives(self, identity: str, /) -> bool | None:
        pid_hex, _, rest = identity.partition(".")
        start_hex, _, scope = rest.partition(".")
        if not scope or scope != _pid_scope():
            return None
        try:
            pid, start_time = int(pid_hex, 16), int(start_hex, 16)
        except ValueError:
            return None
        if not start_time:
            return None
        found = _start_time(pid)
        return None if found is None and _pid_is_taken(pid) else found == start_time


OS_FILESYSTEM = OsFileSystem()


def is_network_filesystem(path: str | os.PathLike[str]) -> bool:
    """Tell whether other machines may have the same files open (NFS, SMB, Lustre, GPFS, sshfs, ...).

    path: need not exist; its nearest existing parent decides.
    Linux: True as well for types that are not known to be local, because a wrong "local" can damage
    a database and a wrong "network" costs only speed. Elsewhere the type cannot be read: False.
    """
    if not sys.platform.startswith("linux"):
        return False
    return _filesystem_type(os.fspath(path)) not in _LOCAL_TYPES


def _filesystem_type(path: str) -> str:
    """Return the type of the file system of `path` from the mount table, "" if it cannot be told."""
    try:
        with open("/proc/self/mountinfo", "rb") as mounts:
            return _type_in_mount_table(mounts, os.path.realpath(path))
    except (FileNotFoundError, PermissionError):
        return ""


def _type_in_mount_table(mounts: Iterable[bytes], target: str) -> str:
    """Return the type of the mount that `target` lies in: the innermost, of equals the latest."""
    best_length, best_type = -1, ""
    for line in mounts:
        fields, _, tail = line.partition(b" - ")
        point = _unescape(fields.split(b" ")[4])
        is_inside = target == point or target.startswith(point.rstrip("/") + "/")
        if is_inside and len(point) >= best_length:
            best_length, best_type = len(point), tail.split(b" ", 1)[0].decode()
    return best_type


def _unescape(mount_point: bytes) -> str:
    """Undo the octal escapes of the mount table (space, tab, newline, backslash)."""
    for escape, byte in ((b"\\040", b" "), (b"\\011", b"\t"), (b"\\012", b"\n"), (b"\\134", b"\\")):
        mount_point = mount_point.replace(escape, byte)
    return os.fsdecode(mount_point)


def _kernel_version() -> tuple[int, int]:
    if not sys.platform.startswith("linux"):
        return (0, 0)
    major, minor = [*os.uname().release.split("."), "0"][:2]
    return (int(major), int("".join(c for c in minor if c.isdigit()) or "0"))


def _start_time(pid: int) -> int | None:
    """Return when the process started, in clock ticks since boot; None if there is no such process to
    be seen, -1 if it is dead but not yet reaped by its parent."""
    try:
        with open(f"/proc/{pid}/stat", "rb") as stat:
            fields = stat.read().rpartition(b")")[2].split()
    except (FileNotFoundError, ProcessLookupError):
        return None
    return -1 if fields[0] in (b"Z", b"X") else int(fields[19])


def _pid_is_taken(pid: int) -> bool:
    """Tell whether a process has this number, even one that /proc hides from us (hidepid)."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


_scope: tuple[int, str] = (0, "")


def _pid_scope() -> str:
    """Return 8 hex digits that stand for the set of processes among which our pids are unique:
    this boot of this machine and our pid namespace (containers share the boot, not the pids)."""
    global _scope
    if _scope[0] != os.getpid():
        import hashlib

        text = ""
        for path in ("/proc/sys/kernel/random/boot_id", "/etc/machine-id"):
            try:
                with open(path, encoding="ascii") as file:
                    text += file.read()
            except (FileNotFoundError, PermissionError):
                text += os.uname().nodename
        try:
            text += os.readlink("/proc/self/ns/pid")  # noqa: PTH115 (pathlib costs a command 8 ms)
        except (FileNotFoundError, PermissionError):
            text += "-"
        _scope = (os.getpid(), hashlib.sha256(text.encode()).hexdigest()[:8])
    return _scope[1]

"""A file system in memory that forgets what was not made durable, and virtual processes that use it.

What is volatile and what is durable is kept apart, for file contents and for names separately:

- written data become durable by fsync of the file or by a sync of the file system. At a power cut,
  other data are lost, cut short, zeroed in part or whole, or kept;
- names (create, link, rename, unlink, mkdir) become durable by fsync of their directory or a sync of
  the file system. At a power cut, any subset of the other changes is kept; a rename is kept or lost as
  one change, and syncing a later change of a name includes the earlier ones.

Every operation of every process counts. `crash_at` stops the world before that operation;
`after_power_cut(seed)` and `after_kill()` say what is found afterwards. `fail_at` lets single operations
fail; `capacity_bytes`, `is_read_only` and `is_network` set the scene.
"""

from __future__ import annotations

import copy
import errno
import os
import random
import stat
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import TypeVar

from .schedule import Outcome, Schedule

__all__ = ("SimulatedClock", "SimulatedCrash", "SimulatedFileSystem", "SimulatedWorld")

T = TypeVar("T")
_DEVICE = 7
_START_NS = 1_700_000_000 * 10**9
_OPERATION_NS = 1_000
_SECTOR_BYTES = 512


class SimulatedCrash(BaseException):
    """Power is cut, or the process is killed. Not an Exception: nothing may handle it."""


@dataclass
class _Inode:
    number: int
    mode: int
    data: bytearray = field(default_factory=bytearray)
    durable_data: bytes = b""
    durable_mode: int = 0
    entries: dict[str, int] | None = None  # of a directory: name -> inode number
    durable_entries: dict[str, int] = field(default_factory=dict)
    n_links: int = 0
    mtime_ns: int = 0
    ctime_ns: int = 0
    is_dirty: bool = False
    is_poisoned: bool = False  # a failed fsync has dropped its dirty data, as Linux does
    lock_owner: tuple[int, int] | None = None  # (process, descriptor) that holds the flock


@dataclass
class _Open:
    inode: _Inode
    flags: int
    offset: int = 0


@dataclass(frozen=True)
class _Change:
    """One atomic change of names: (directory, name, inode or None for gone)."""

    effects: tuple[tuple[int, str, int | None], ...]


class SimulatedWorld:
    """One machine: a disk, a clock, and processes."""

    def __init__(self, *, capacity_bytes: int | None = None) -> None:
        self.capacity_bytes = capacity_bytes
        self.is_read_only = False
        self.is_network = False
        self.can_sync_filesystem = True
        self.crash_at: int | None = None
        self.fail_at: dict[int, int] = {}
        self.n_operations = 0
        self.trace: list[str] = []
        self.now_ns = _START_NS
        self.boot = 1
        self.clock = SimulatedClock(self)
        self._is_crashed = False
        self._inodes: dict[int, _Inode] = {}
        self._pending: list[_Change] = []
        self._processes: dict[int, SimulatedFileSystem] = {}
        self._wake_ups: list[int] = []
        self._schedule = Schedule(0, advance=self._advance)
        self._root = self._new_inode(stat.S_IFDIR | 0o755)

    def process(self) -> SimulatedFileSystem:
        """Start a process and return its view of the file system."""
        pid = 100 + len(self._processes)
        process = SimulatedFileSystem(self, pid)
        self._processes[pid] = process
        return process

    def interleave(self, functions: Sequence[Callable[[], T]], *, seed: int) -> list[Outcome[T]]:
        """Run the functions at once, switching at every operation in an order drawn from `seed`."""
        self._schedule = Schedule(seed, advance=self._advance)
        try:
            return self._schedule.run(functions)
        finally:
            self._schedule = Schedule(0, advance=self._advance)

    def kill(self, process: SimulatedFileSystem) -> None:
        """End a process: its descriptors are closed and its locks released, the disk stays as seen."""
        process.is_alive = False
        for inode in self._inodes.values():
            if inode.lock_owner is not None and inode.lock_owner[0] == process.pid:
                inode.lock_owner = None
        process.descriptors.clear()

    def after_kill(self) -> SimulatedWorld:
        """Return the same machine, up and running, with all its processes gone."""
        world = copy.deepcopy(self)
        for process in list(world._processes.values()):
            world.kill(process)
        world._restart()
        return world

    def after_power_cut(self, seed: int) -> SimulatedWorld:
        """Return the machine after it was switched on again; `seed` says what of the volatile survived."""
        world = self.after_kill()
        world.boot = self.boot + 1
        rng = random.Random(seed)
        for change in world._pending:
            if rng.random() < 0.5:
                world._make_durable(change)
        world._pending.clear()
        for inode in world._inodes.values():
            inode.entries = None if inode.entries is None else dict(inode.durable_entries)
            if inode.entries is None and (inode.is_dirty or inode.is_poisoned):
                inode.data = bytearray(_surviving_data(inode, rng))
            if rng.random() < 0.5:
                inode.mode = inode.durable_mode or inode.mode
            inode.durable_data, inode.durable_mode = bytes(inode.data), inode.mode
            inode.is_dirty = inode.is_poisoned = False
        world._recount_links()
        return world

    # For the processes

    def operation(self, process: SimulatedFileSystem, name: str, subject: str) -> int:
        """Count an operation; switch, crash or fail first where that is due. Returns its number."""
        self._schedule.switch()
        if self._is_crashed or not process.is_alive:
            raise SimulatedCrash
        self.n_operations += 1
        self.now_ns += _OPERATION_NS
        self.trace.append(f"{self.n_operations} p{process.pid} {name} {subject}")
        if self.n_operations == self.crash_at:
            self._is_crashed = True
            raise SimulatedCrash
        if self.n_operations in self.fail_at:
            number = self.fail_at[self.n_operations]
            raise OSError(number, os.strerror(number), subject)
        return self.n_operations

    def lookup(self, path: str) -> _Inode:
        inode = self._root
        for name in _names(path):
            if inode.entries is None:
                raise _error(errno.ENOTDIR, path)
            if name not in inode.entries:
                raise _error(errno.ENOENT, path)
            inode = self._inodes[inode.entries[name]]
        return inode

    def parent(self, path: str) -> tuple[_Inode, str]:
        directory, _, name = path.rstrip("/").rpartition("/")
        inode = self.lookup(directory)
        if inode.entries is None:
            raise _error(errno.ENOTDIR, path)
        return inode, name

    def create(self, path: str, mode: int) -> _Inode:
        directory, name = self.parent(path)
        inode = self._new_inode(mode)
        self.change((directory, name, inode))
        return inode

    def change(self, *effects: tuple[_Inode, str, _Inode | None]) -> None:
        """Change names, all at once."""
        for directory, name, inode in effects:
            entries = directory.entries
            assert entries is not None
            if inode is None:
                del entries[name]
            else:
                entries[name] = inode.number
                inode.ctime_ns = self.now_ns
            directory.mtime_ns = directory.ctime_ns = self.now_ns
        numbers = tuple((d.number, name, i.number if i else None) for d, name, i in effects)
        self._pending.append(_Change(numbers))
        self._recount_links()

    def sync_inode(self, inode: _Inode) -> None:
        inode.durable_mode = inode.mode
        if inode.entries is None:
            if not inode.is_poisoned:
                inode.durable_data = bytes(inode.data)
            inode.is_dirty = False
            return
        wanted: set[_Change] = {c for c in self._pending if any(e[0] == inode.number for e in c.effects)}
        names = {effect[:2] for change in wanted for effect in change.effects}
        for change in reversed(self._pending):  # what earlier happened to the same names comes first
            if any(effect[:2] in names for effect in change.effects):
                wanted.add(change)
                names.update(effect[:2] for effect in change.effects)
        for change in self._pending:
            if change in wanted:
                self._make_durable(change)
        self._pending = [change for change in self._pending if change not in wanted]

    def sync_all(self) -> None:
        for change in self._pending:
            self._make_durable(change)
        self._pending.clear()
        for inode in self._inodes.values():
            self.sync_inode(inode)

    def room_for(self, n_bytes: int) -> int:
        """Return how many of so many bytes fit on the disk."""
        if self.capacity_bytes is None:
            return n_bytes
        opened = {id(f.inode) for p in self._processes.values() for f in p.descriptors.values()}
        used = sum(len(i.data) for i in self._inodes.values() if i.n_links or id(i) in opened)
        return max(min(n_bytes, self.capacity_bytes - used), 0)

    def wait_until(self, ready: Callable[[], bool]) -> None:
        self._schedule.wait_until(ready)

    def sleep_until(self, wake_ns: int) -> None:
        self._wake_ups.append(wake_ns)
        self._schedule.wait_until(lambda: self.now_ns >= wake_ns or self._is_crashed)
        self._wake_ups.remove(wake_ns)

    def lives(self, pid: int, boot: int) -> bool | None:
        if boot != self.boot:
            return None
        return pid in self._processes and self._processes[pid].is_alive

    # Private

    def _advance(self) -> bool:
        later = [wake_ns for wake_ns in self._wake_ups if wake_ns > self.now_ns]
        if not later:
            return False
        self.now_ns = min(later)
        return True

    def _new_inode(self, mode: int) -> _Inode:
        inode = _Inode(len(self._inodes) + 1, mode, mtime_ns=self.now_ns, ctime_ns=self.now_ns)
        if stat.S_ISDIR(mode):
            inode.entries = {}
        self._inodes[inode.number] = inode
        return inode

    def _make_durable(self, change: _Change) -> None:
        for directory, name, number in change.effects:
            entries = self._inodes[directory].durable_entries
            if number is None:
                entries.pop(name, None)
            else:
                entries[name] = number

    def _recount_links(self) -> None:
        for inode in self._inodes.values():
            inode.n_links = 0
        for inode in self._inodes.values():
            for number in (inode.entries or {}).values():
                self._inodes[number].n_links += 1

    def _restart(self) -> None:
        self._is_crashed = False
        self.crash_at = None
        self.fail_at = {}
        self.n_operations = 0
        self.trace = []
        self._schedule = Schedule(0, advance=self._advance)

    def __deepcopy__(self, memo: dict[int, object]) -> SimulatedWorld:
        world = SimulatedWorld(capacity_bytes=self.capacity_bytes)
        memo[id(self)] = world
        world.is_read_only, world.is_network = self.is_read_only, self.is_network
        world.can_sync_filesystem = self.can_sync_filesystem
        world.now_ns, world.boot = self.now_ns, self.boot
        world._inodes = copy.deepcopy(self._inodes, memo)
        world._root = world._inodes[self._root.number]
        world._pending = list(self._pending)
        for pid in self._processes:
            world._processes[pid] = SimulatedFileSystem(world, pid)
        return world


class SimulatedClock:
    """The clock of a simulated world. Sleeping takes no real time."""

    def __init__(self, world: SimulatedWorld) -> None:
        self._world = world

    def time(self) -> float:
        return self._world.now_ns / 1e9

    def monotonic(self) -> float:
        return (self._world.now_ns - _START_NS) / 1e9

    def sleep(self, seconds: float) -> None:
        self._world.sleep_until(self._world.now_ns + int(seconds * 1e9))


class SimulatedFileSystem:
    """The file system as one process sees it; implements `seamless_store.filesystem.FileSystem`."""

    def __init__(self, world: SimulatedWorld, pid: int) -> None:
        self.world = world
        self.pid = pid
        self.is_alive = True
        self.descriptors: dict[int, _Open] = {}
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
                raise _error(errno.EEXIST, path)
            if flags & os.O_DIRECTORY and inode.entries is None:
                raise _error(errno.ENOTDIR, path)
            if flags & (os.O_WRONLY | os.O_RDWR):
                self._demand_writable(path)
                if inode.entries is not None:
                    raise _error(errno.EISDIR, path)
            if flags & os.O_TRUNC and inode.data:
                inode.data = bytearray()
                self._touch(inode)
        fd, self._next_fd = self._next_fd, self._next_fd + 1
        self.descriptors[fd] = _Open(inode, flags)
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
            raise _error(errno.EISDIR, str(fd))
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
            raise _error(errno.ENOSPC, str(fd))
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
                raise _error(errno.EWOULDBLOCK, str(fd))
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
            raise _error(errno.ENOTDIR, path)
        return list(entries)

    def mkdir(self, path: str, mode: int = 0o777, /) -> None:
        self._begin("mkdir", path)
        self._demand_writable(path)
        directory, name = self.world.parent(path)
        if name in (directory.entries or {}):
            raise _error(errno.EEXIST, path)
        self.world.create(path, stat.S_IFDIR | mode)

    def rename(self, source: str, target: str, /) -> None:
        self._begin("rename", f"{source} {target}")
        self._demand_writable(target)
        inode = self.world.lookup(source)
        source_directory, source_name = self.world.parent(source)
        target_directory, target_name = self.world.parent(target)
        present = (target_directory.entries or {}).get(target_name)
        if present is not None and inode.entries is None and self.world.lookup(target).entries is not None:
            raise _error(errno.EISDIR, target)
        self.world.change((source_directory, source_name, None), (target_directory, target_name, inode))

    def link(self, source: str, target: str, /) -> None:
        self._begin("link", f"{source} {target}")
        self._demand_writable(target)
        inode = self.world.lookup(source)
        directory, name = self.world.parent(target)
        if name in (directory.entries or {}):
            raise _error(errno.EEXIST, target)
        self.world.change((directory, name, inode))

    def unlink(self, path: str, /) -> None:
        self._begin("unlink", path)
        self._demand_writable(path)
        if self.world.lookup(path).entries is not None:
            raise _error(errno.EISDIR, path)
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
        names = _names(path)
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

    def _opened(self, fd: int) -> _Open:
        if fd not in self.descriptors:
            raise _error(errno.EBADF, str(fd))
        return self.descriptors[fd]

    def _demand_writable(self, subject: str) -> None:
        if self.world.is_read_only:
            raise _error(errno.EROFS, subject)

    def _touch(self, inode: _Inode) -> None:
        inode.is_dirty = True
        inode.mtime_ns = inode.ctime_ns = self.world.now_ns

    def _chmod(self, inode: _Inode, mode: int) -> None:
        self._demand_writable(str(inode.number))
        inode.mode = stat.S_IFMT(inode.mode) | mode
        inode.ctime_ns = self.world.now_ns


def _surviving_data(inode: _Inode, rng: random.Random) -> bytes:
    """Draw what a power cut leaves of a file whose last writes were not made durable."""
    volatile = bytes(inode.data)
    kind = rng.choice(("old", "kept", "short", "zeros", "holes"))
    if kind == "old" or inode.is_poisoned:
        return inode.durable_data
    if kind == "short":
        return volatile[: rng.randrange(len(volatile) + 1)]
    if kind == "zeros":
        return bytes(len(volatile))
    if kind == "holes":
        sectors = [volatile[i : i + _SECTOR_BYTES] for i in range(0, len(volatile), _SECTOR_BYTES)]
        return b"".join(sector if rng.random() < 0.5 else bytes(len(sector)) for sector in sectors)
    return volatile


def _stat_result(inode: _Inode) -> os.stat_result:
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


def _names(path: str) -> list[str]:
    return [name for name in path.split("/") if name]


def _error(number: int, subject: str) -> OSError:
    return OSError(number, os.strerror(number), subject)

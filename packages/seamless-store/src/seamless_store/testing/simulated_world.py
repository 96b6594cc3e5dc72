"""A machine in memory whose disk forgets what was not made durable.

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
from typing import TYPE_CHECKING, TypeVar

from .schedule import Outcome, Schedule

if TYPE_CHECKING:
    from .simulated_filesystem import SimulatedFileSystem

__all__ = ("Inode", "Opened", "SimulatedClock", "SimulatedCrash", "SimulatedWorld", "names_of", "os_error")

T = TypeVar("T")
_START_NS = 1_700_000_000 * 10**9
_OPERATION_NS = 1_000
_SECTOR_BYTES = 512


class SimulatedCrash(BaseException):
    """Power is cut, or the process is killed. Not an Exception: nothing may handle it.

    Remedy: go on with `after_power_cut` or `after_kill`.
    """


@dataclass
class Inode:
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
class Opened:
    inode: Inode
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
        self._inodes: dict[int, Inode] = {}
        self._pending: list[_Change] = []
        self._processes: dict[int, SimulatedFileSystem] = {}
        self._wake_ups: list[int] = []
        self._schedule = Schedule(0, advance=self._advance)
        self._root = self._new_inode(stat.S_IFDIR | 0o755)

    def process(self) -> SimulatedFileSystem:
        """Start a process and return its view of the file system."""
        pid = 100 + len(self._processes)
        from .simulated_filesystem import SimulatedFileSystem

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

    def lookup(self, path: str) -> Inode:
        inode = self._root
        for name in names_of(path):
            if inode.entries is None:
                raise os_error(errno.ENOTDIR, path)
            if name not in inode.entries:
                raise os_error(errno.ENOENT, path)
            inode = self._inodes[inode.entries[name]]
        return inode

    def parent(self, path: str) -> tuple[Inode, str]:
        directory, _, name = path.rstrip("/").rpartition("/")
        inode = self.lookup(directory)
        if inode.entries is None:
            raise os_error(errno.ENOTDIR, path)
        return inode, name

    def create(self, path: str, mode: int) -> Inode:
        directory, name = self.parent(path)
        inode = self._new_inode(mode)
        self.change((directory, name, inode))
        return inode

    def change(self, *effects: tuple[Inode, str, Inode | None]) -> None:
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

    def sync_inode(self, inode: Inode) -> None:
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

    def _new_inode(self, mode: int) -> Inode:
        inode = Inode(len(self._inodes) + 1, mode, mtime_ns=self.now_ns, ctime_ns=self.now_ns)
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
        for process in self._processes.values():
            world._processes[process.pid] = type(process)(world, process.pid)
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


def _surviving_data(inode: Inode, rng: random.Random) -> bytes:
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


def names_of(path: str) -> list[str]:
    return [name for name in path.split("/") if name]


def os_error(number: int, subject: str) -> OSError:
    return OSError(number, os.strerror(number), subject)

"""The simulator forgets what real disks may forget, and keeps what they must keep."""

from __future__ import annotations

import errno
import fcntl
import os

import pytest
from seamless_store.testing.schedule import SimulatedDeadlock
from seamless_store.testing.simulated_filesystem import SimulatedCrash, SimulatedWorld

CREATE = os.O_WRONLY | os.O_CREAT | os.O_EXCL
SEEDS = range(40)


@pytest.fixture
def world():
    return SimulatedWorld()


def _write(process, path, content, *, sync=False):
    fd = process.open(path, CREATE, 0o600)
    process.write(fd, content)
    for _ in range(sync):
        process.fsync(fd)
    process.close(fd)


def _sync_directory(process, path):
    fd = process.open(path, os.O_RDONLY)
    process.fsync(fd)
    process.close(fd)


def _outcomes(world, path):
    """Return everything that power cuts leave of a file: contents, or None for a lost name."""
    found = set()
    for seed in SEEDS:
        process = world.after_power_cut(seed).process()
        found.add(process.file_content(path) if process.exists(path) else None)
    return found


def test_synced_file_with_synced_name_always_survives(world):
    process = world.process()
    _write(process, "/a", b"content", sync=True)
    _sync_directory(process, "/")
    assert _outcomes(world, "/a") == {b"content"}


def test_name_that_was_not_synced_may_be_lost(world):
    _write(world.process(), "/a", b"content", sync=True)
    assert _outcomes(world, "/a") == {b"content", None}


def test_data_that_were_not_synced_may_be_lost_cut_or_zeroed(world):
    process = world.process()
    _write(process, "/a", b"content")
    _sync_directory(process, "/")
    found = _outcomes(world, "/a")
    assert {b"", b"content", bytes(7)} <= found
    assert any(0 < len(content) < 7 for content in found)


def test_rename_is_kept_or_lost_as_one(world):
    process = world.process()
    process.put_file("/old", b"content")
    process.rename("/old", "/new")
    for seed in SEEDS:
        after = world.after_power_cut(seed).process()
        assert len(after.all_files()) == 1
    assert _outcomes(world, "/new") == {b"content", None}


def test_syncing_a_name_includes_what_happened_to_it_before(world):
    process = world.process()
    process.mkdir("/d")
    _sync_directory(process, "/")
    _write(process, "/d/t", b"one", sync=True)
    process.rename("/d/t", "/kept")
    _sync_directory(process, "/")
    assert _outcomes(world, "/kept") == {b"one"}
    assert _outcomes(world, "/d/t") == {None}


def test_sync_of_the_file_system_keeps_everything(world):
    process = world.process()
    process.mkdir("/d")
    _write(process, "/d/a", b"content")
    fd = process.open("/", os.O_RDONLY)
    process.sync_filesystem(fd)
    assert _outcomes(world, "/d/a") == {b"content"}


def test_failed_sync_loses_the_data_for_good(world):
    process = world.process()
    fd = process.open("/a", CREATE, 0o600)
    process.write(fd, b"content")
    world.fail_at[world.n_operations + 1] = errno.EIO
    with pytest.raises(OSError, match="Input/output"):
        process.fsync(fd)
    process.fsync(fd)
    _sync_directory(process, "/")
    assert _outcomes(world, "/a") == {b""}


def test_kill_keeps_what_was_written_and_releases_locks(world):
    process = world.process()
    fd = process.open("/a", CREATE, 0o600)
    process.write(fd, b"content")
    process.flock(fd, fcntl.LOCK_EX)
    world.kill(process)
    with pytest.raises(SimulatedCrash):
        process.exists("/a")
    other = world.process()
    other.flock(other.open("/a", os.O_RDWR), fcntl.LOCK_EX | fcntl.LOCK_NB)
    assert other.file_content("/a") == b"content"
    assert other.process_lives(process.process_identity()) is False


@pytest.mark.provokes("SimulatedCrash")
def test_crash_stops_the_world_at_the_given_operation(world):
    process = world.process()
    world.crash_at = 2
    process.mkdir("/a")
    with pytest.raises(SimulatedCrash):
        process.mkdir("/b")
    with pytest.raises(SimulatedCrash):
        process.mkdir("/c")
    assert world.after_kill().process().listdir("/") == ["a"]


def test_full_disk_takes_what_fits_and_then_refuses():
    world = SimulatedWorld(capacity_bytes=10)
    process = world.process()
    fd = process.open("/a", CREATE, 0o600)
    assert process.write(fd, b"12345678") == 8
    assert process.write(fd, b"abcdef") == 2
    with pytest.raises(OSError, match="No space"):
        process.write(fd, b"x")
    process.close(fd)
    process.unlink("/a")
    _write(process, "/b", b"1234567890")


def test_same_seed_gives_the_same_order_and_others_give_others():
    def trace(seed):
        world = SimulatedWorld()
        processes = [world.process() for _ in range(3)]
        world.interleave(
            [lambda p=p: [p.exists(f"/{n}") for n in range(5)] and None for p in processes], seed=seed
        )
        return tuple(world.trace)

    assert trace(3) == trace(3)
    assert len({trace(seed) for seed in range(10)}) > 5


def test_lock_is_waited_for_until_it_is_released(world):
    first, second = world.process(), world.process()
    first.put_file("/lock", b"")
    order = []

    def hold(process, name):
        fd = process.open("/lock", os.O_RDWR)
        process.flock(fd, fcntl.LOCK_EX)
        order.append(f"{name} in")
        world.clock.sleep(1.0)
        order.append(f"{name} out")
        process.close(fd)

    world.interleave([lambda: hold(first, "a"), lambda: hold(second, "b")], seed=0)
    assert order in (["a in", "a out", "b in", "b out"], ["b in", "b out", "a in", "a out"])


@pytest.mark.provokes("SimulatedDeadlock")
def test_processes_that_wait_for_each_other_are_a_deadlock(world):
    processes = [world.process(), world.process()]
    for name in ("/a", "/b"):
        processes[0].put_file(name, b"")

    def lock_both(process, names):
        for name in names:
            process.flock(process.open(name, os.O_RDWR), fcntl.LOCK_EX)
            world.clock.sleep(1.0)

    outcomes = world.interleave(
        [lambda: lock_both(processes[0], ["/a", "/b"]), lambda: lock_both(processes[1], ["/b", "/a"])], seed=0
    )
    assert SimulatedDeadlock in [type(outcome.error) for outcome in outcomes]


def test_sleeping_takes_simulated_time_only(world):
    start = world.clock.monotonic()
    world.clock.sleep(100_000.0)
    assert world.clock.monotonic() - start == pytest.approx(100_000.0)
    assert world.clock.time() > 1_600_000_000


@pytest.mark.parametrize(
    ("use", "number"),
    [
        (lambda p: p.open("/missing", os.O_RDONLY), errno.ENOENT),
        (lambda p: p.open("/file", CREATE), errno.EEXIST),
        (lambda p: p.open("/file/below", os.O_RDONLY), errno.ENOTDIR),
        (lambda p: p.open("/file", os.O_RDONLY | os.O_DIRECTORY), errno.ENOTDIR),
        (lambda p: p.mkdir("/folder"), errno.EEXIST),
        (lambda p: p.unlink("/folder"), errno.EISDIR),
        (lambda p: p.rename("/file", "/folder"), errno.EISDIR),
        (lambda p: p.link("/file", "/folder/x"), errno.EEXIST),
        (lambda p: p.close(99), errno.EBADF),
        (lambda p: p.listdir("/file"), errno.ENOTDIR),
    ],
)
def test_misuse_gives_the_error_of_the_operating_system(world, use, number):
    process = world.process()
    process.put_file("/file", b"")
    process.put_file("/folder/x", b"")
    with pytest.raises(OSError, match=r"\[Errno") as caught:
        use(process)
    assert caught.value.errno == number

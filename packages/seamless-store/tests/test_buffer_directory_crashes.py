"""Power cuts, kills and failing operations at every point, on the simulated disk.

A failing assertion names the call that repeats it: `_check_crash("damaged", "power", 17, 3)`.
"""

from __future__ import annotations

import errno
import gzip
import hashlib
from collections.abc import Callable
from dataclasses import dataclass, field

import pytest
import zstandard
from seamless_store.buffer_directory import BufferDirectory
from seamless_store.errors import StoreError, StoreFull, StoreIOError, StoreReadOnly
from seamless_store.layout import QUARANTINE, buffer_digest, temporary_owner
from seamless_store.testing.simulated_filesystem import SimulatedCrash, SimulatedFileSystem, SimulatedWorld

ROOT = "/data/buffers"
SMALL = [b"", b"one", b"two" * 100]
MANY = [b"buffer %d" % n for n in range(10)]
LARGE = bytes(range(256)) * 5_000  # more than one chunk
DAMAGED = b"not what the name says"


def _digest(content: bytes) -> bytes:
    return hashlib.sha256(content).digest()


def _file(content: bytes, *, layout: str = "prefix", suffix: str = "") -> str:
    name = _digest(content).hex()
    return f"{ROOT}/{name[:2]}/{name}{suffix}" if layout == "prefix" else f"{ROOT}/{name}{suffix}"


def _publish(directory: BufferDirectory, contents: list[bytes], acknowledged: list[bytes]) -> None:
    directory.publish([(_digest(content), [content[:2], content[2:]]) for content in contents])
    acknowledged += contents


def _publish_twice(directory: BufferDirectory, acknowledged: list[bytes]) -> None:
    _publish(directory, SMALL[:2], acknowledged)
    _publish(directory, SMALL, acknowledged)


def _compress(directory: BufferDirectory, acknowledged: list[bytes]) -> None:
    directory.put_compressed(_digest(SMALL[2]), "zst", [zstandard.compress(SMALL[2])])
    acknowledged.append(SMALL[2])
    directory.put_compressed(_digest(SMALL[1]), "gz", [gzip.compress(SMALL[1])])
    acknowledged.append(SMALL[1])


def _compress_then_publish(directory: BufferDirectory, acknowledged: list[bytes]) -> None:
    _compress(directory, acknowledged)
    _publish(directory, SMALL, acknowledged)


def _stream(directory: BufferDirectory, acknowledged: list[bytes]) -> None:
    with directory.writer(_digest(SMALL[2])) as writer:
        writer.write(SMALL[2][:100])
        writer.write(SMALL[2][100:])
        writer.commit()
    acknowledged.append(SMALL[2])


def _read_damaged(directory: BufferDirectory, acknowledged: list[bytes]) -> None:
    with pytest.raises(StoreError):
        directory.get(_digest(SMALL[1]))
    _publish(directory, SMALL, acknowledged)


@dataclass(frozen=True)
class Scenario:
    """What is on the disk, and what is done to it."""

    act: Callable[[BufferDirectory, list[bytes]], None]
    layout: str = "prefix"
    present: dict[str, bytes] = field(default_factory=dict)
    can_sync_filesystem: bool = True


SCENARIOS = {
    "small": Scenario(lambda d, a: _publish(d, SMALL, a)),
    "flat": Scenario(lambda d, a: _publish(d, SMALL, a), layout="flat"),
    "many": Scenario(lambda d, a: _publish(d, MANY, a)),
    "many, fsync each": Scenario(lambda d, a: _publish(d, MANY, a), can_sync_filesystem=False),
    "large": Scenario(lambda d, a: _publish(d, [LARGE], a)),
    "twice": Scenario(_publish_twice),
    "damaged": Scenario(lambda d, a: _publish(d, SMALL, a), present={_file(SMALL[1]): DAMAGED}),
    "damaged, same size": Scenario(lambda d, a: _publish(d, SMALL, a), present={_file(SMALL[1]): b"onE"}),
    "damaged, flat": Scenario(
        lambda d, a: _publish(d, SMALL, a), layout="flat", present={_file(SMALL[1], layout="flat"): DAMAGED}
    ),
    "damaged, read first": Scenario(_read_damaged, present={_file(SMALL[1]): DAMAGED}),
    "present": Scenario(lambda d, a: _publish(d, SMALL, a), present={_file(SMALL[1]): SMALL[1]}),
    "compressed": Scenario(_compress),
    "compressed, flat": Scenario(_compress, layout="flat"),
    "compressed over damaged": Scenario(_compress, present={_file(SMALL[2], suffix=".zst"): DAMAGED}),
    "compressed, then plain": Scenario(_compress_then_publish),
    "streamed": Scenario(_stream),
}
POWER_CUTS_PER_POINT = 2


def _open(filesystem: SimulatedFileSystem, scenario: Scenario) -> BufferDirectory:
    layout = "flat" if scenario.layout == "flat" else None
    return BufferDirectory(ROOT, layout=layout, filesystem=filesystem, clock=filesystem.world.clock)


def _run(scenario: Scenario, prepare: Callable[[SimulatedWorld], None]) -> tuple[SimulatedWorld, list[bytes]]:
    world = SimulatedWorld()
    world.can_sync_filesystem = scenario.can_sync_filesystem
    process = world.process()
    for path, content in scenario.present.items():
        process.put_file(path, content)
    prepare(world)
    acknowledged: list[bytes] = []
    try:
        scenario.act(_open(process, scenario), acknowledged)
    except (SimulatedCrash, StoreError) as exc:
        world.trace.append(repr(exc))
    return world, acknowledged


def _n_operations(scenario: Scenario) -> int:
    world, acknowledged = _run(scenario, lambda world: None)
    assert acknowledged, world.trace[-1]
    return world.n_operations


def _content_of(path: str, stored: bytes) -> bytes:
    if path.endswith(".zst"):
        return zstandard.ZstdDecompressor().decompressobj().decompress(stored)
    return gzip.decompress(stored) if path.endswith(".gz") else stored


def _untrue_files(filesystem: SimulatedFileSystem, scenario: Scenario) -> list[str]:
    """Return the visible files that do not hold what their names say, but those that never did."""
    untrue = []
    for path in filesystem.all_files():
        digest = buffer_digest(path.rpartition("/")[2])
        if QUARANTINE in path or digest is None:
            continue
        stored = filesystem.file_content(path)
        if scenario.present.get(path) != stored and _digest(_content_of(path, stored)) != digest:
            untrue.append(path)
    return untrue


def _temporaries(filesystem: SimulatedFileSystem) -> list[str]:
    names = {path: path.rpartition("/")[2] for path in filesystem.all_files() if QUARANTINE not in path}
    return [path for path, name in names.items() if temporary_owner(name) is not None]


def _check_disk(world: SimulatedWorld, scenario: Scenario, acknowledged: list[bytes], replay: str) -> None:
    """The promises: what is visible is true, what was acknowledged is there, the rest can be made anew."""
    process = world.process()
    assert not _untrue_files(process, scenario), replay
    world.now_ns += 10**9
    directory = _open(process, scenario)
    assert [content for content in acknowledged if directory.get(_digest(content)) != content] == [], replay
    directory.sweep(max_age_s=0.5)
    assert not _temporaries(process), replay
    directory.publish([(_digest(content), [content]) for content in SMALL])
    assert directory.get_many([_digest(content) for content in SMALL]) == SMALL, replay


def _check_crash(name: str, kind: str, crash_at: int, seed: int) -> None:
    scenario = SCENARIOS[name]
    world, acknowledged = _run(scenario, lambda world: setattr(world, "crash_at", crash_at))
    after = world.after_power_cut(seed) if kind == "power" else world.after_kill()
    _check_disk(after, scenario, acknowledged, f"_check_crash({name!r}, {kind!r}, {crash_at}, {seed})")


@pytest.mark.invariant("I-20")
@pytest.mark.parametrize("name", SCENARIOS)
def test_power_cut_at_any_operation_leaves_true_files_and_all_that_was_acknowledged(name):
    for crash_at in range(1, _n_operations(SCENARIOS[name]) + 2):
        for seed in range(POWER_CUTS_PER_POINT):
            _check_crash(name, "power", crash_at, seed)


@pytest.mark.parametrize("name", SCENARIOS)
def test_kill_at_any_operation_leaves_true_files_and_all_that_was_acknowledged(name):
    for crash_at in range(1, _n_operations(SCENARIOS[name]) + 2):
        _check_crash(name, "kill", crash_at, 0)


@pytest.mark.parametrize("number", [errno.EIO, errno.ENOSPC, errno.EACCES])
@pytest.mark.parametrize("name", ["small", "many", "damaged", "compressed", "streamed"])
def test_failure_of_any_operation_is_a_store_error_and_loses_nothing(name, number):
    scenario = SCENARIOS[name]
    for fail_at in range(1, _n_operations(scenario) + 1):
        world, acknowledged = _run(scenario, lambda world, k=fail_at: world.fail_at.update({k: number}))
        _check_disk(world.after_power_cut(fail_at), scenario, acknowledged, f"{name}, {number}, {fail_at}")


@pytest.mark.parametrize("capacity", range(0, 500, 23))
def test_full_disk_is_reported_and_leaves_no_temporary_and_no_untrue_file(capacity):
    world = SimulatedWorld(capacity_bytes=capacity + 3)
    process = world.process()
    directory = BufferDirectory(ROOT, filesystem=process, clock=world.clock)
    with pytest.raises(StoreFull, match="free space"):
        directory.publish([(_digest(content), [content]) for content in (b"a" * 300, b"b" * 300)])
    assert _temporaries(process) == []
    assert list(directory.iterate()) == []


@pytest.mark.provokes("StoreIOError")
def test_disk_that_fails_to_sync_is_reported_and_nothing_becomes_visible():
    world = SimulatedWorld()
    process = world.process()
    directory = BufferDirectory(ROOT, filesystem=process, clock=world.clock)
    world.fail_at = dict.fromkeys(range(1, 1000), errno.EIO)
    with pytest.raises(StoreIOError, match="Input/output error") as caught:
        directory.publish([(_digest(b"new"), [b"new"])])
    assert "dmesg" in caught.value.remedy
    world.fail_at = {}
    assert list(directory.iterate()) == []


def test_after_a_full_disk_the_same_batch_can_be_stored():
    world = SimulatedWorld(capacity_bytes=100)
    directory = BufferDirectory(ROOT, filesystem=world.process(), clock=world.clock)
    with pytest.raises(StoreFull):
        directory.publish([(_digest(LARGE), [LARGE])])
    world.capacity_bytes = None
    directory.publish([(_digest(LARGE), [LARGE])])
    assert directory.get(_digest(LARGE)) == LARGE


def test_file_system_that_becomes_read_only_refuses_writes_and_serves_reads():
    world = SimulatedWorld()
    directory = BufferDirectory(ROOT, filesystem=world.process(), clock=world.clock)
    directory.publish([(_digest(b"here"), [b"here"])])
    world.is_read_only = True
    with pytest.raises(StoreReadOnly, match="Read-only"):
        directory.publish([(_digest(b"new"), [b"new"])])
    assert directory.get(_digest(b"here")) == b"here"


def test_buffer_that_another_program_left_in_the_page_cache_is_durable_once_published():
    world = SimulatedWorld()
    process = world.process()
    process.put_file(_file(b"elsewhere"), b"makes the directory")
    fd = process.open(_file(b"cached"), 0o101) if process.exists(_file(b"cached")[:-65]) else -1
    assert fd == -1  # another prefix: the directory is made below, as the other program would
    process.mkdir(_file(b"cached")[:-65])
    fd = process.open(_file(b"cached"), 0o101, 0o444)
    process.write(fd, b"cached")
    process.close(fd)
    BufferDirectory(ROOT, filesystem=process, clock=world.clock).publish([(_digest(b"cached"), [b"cached"])])
    for seed in range(8):
        after = world.after_power_cut(seed)
        reader = BufferDirectory(ROOT, filesystem=after.process(), clock=after.clock)
        assert reader.get(_digest(b"cached")) == b"cached", seed


# Several processes at once


def _interleaved(seed: int, *, same: bool, damaged: bool, crash_at: int | None = None) -> None:
    world = SimulatedWorld()
    processes = [world.process() for _ in range(3)]
    processes[0].put_file(f"{ROOT}/.HASHSERVER_PREFIX", b"1\n")
    contents = [SMALL, SMALL if same else MANY[:3]]
    if damaged:
        processes[0].put_file(_file(SMALL[1]), DAMAGED)
    acknowledged: list[list[bytes]] = [[], []]
    seen: list[object] = []

    def publish(number: int) -> None:
        directory = BufferDirectory(ROOT, filesystem=processes[number], clock=world.clock)
        _publish(directory, contents[number], acknowledged[number])

    def read() -> None:
        directory = BufferDirectory(ROOT, filesystem=processes[2], clock=world.clock)
        for content in (*contents[0], *contents[1]) * 2:
            try:
                found = directory.get(_digest(content))
            except StoreError as exc:
                seen.append((content == SMALL[1] and damaged) or exc)
            else:
                seen.append(found in (None, content) or found)

    world.crash_at = crash_at
    outcomes = world.interleave([lambda: publish(0), lambda: publish(1), read], seed=seed)
    replay = f"_interleaved({seed}, same={same}, damaged={damaged}, crash_at={crash_at})"
    failures = [outcome.error for outcome in outcomes if not isinstance(outcome.error, SimulatedCrash | None)]
    assert not failures, (replay, failures)
    assert [entry for entry in seen if entry is not True] == [], replay
    scenario = Scenario(_compress, present={_file(SMALL[1]): DAMAGED} if damaged else {})
    _check_disk(world.after_power_cut(seed), scenario, acknowledged[0] + acknowledged[1], replay)


@pytest.mark.parametrize("damaged", [False, True])
@pytest.mark.parametrize("same", [False, True])
def test_interleaved_publishers_and_a_reader_see_only_whole_buffers(same, damaged):
    for seed in range(20):
        _interleaved(seed, same=same, damaged=damaged)


@pytest.mark.parametrize("damaged", [False, True])
@pytest.mark.parametrize("same", [False, True])
def test_power_cut_between_interleaved_publishers_keeps_all_that_was_acknowledged(same, damaged):
    for seed in range(25):
        _interleaved(seed, same=same, damaged=damaged, crash_at=20 + 11 * seed)


@pytest.mark.invariant("I-23")
def test_reader_never_moves_away_what_a_publisher_has_just_repaired():
    for seed in range(60):
        world = SimulatedWorld()
        writer, reader = world.process(), world.process()
        writer.put_file(f"{ROOT}/.HASHSERVER_PREFIX", b"1\n")
        writer.put_file(_file(b"repaired"), DAMAGED)
        publisher = BufferDirectory(ROOT, filesystem=writer, clock=world.clock)
        getter = BufferDirectory(ROOT, filesystem=reader, clock=world.clock)
        world.interleave(
            [
                lambda d=publisher: d.publish([(_digest(b"repaired"), [b"repaired"])]),
                lambda d=getter: d.get(_digest(b"repaired")),
            ],
            seed=seed,
        )
        assert getter.get(_digest(b"repaired")) == b"repaired", seed
        assert len(getter.quarantined()) == 1, seed


def test_sweep_spares_the_temporaries_of_a_living_process():
    for seed in range(30):
        world = SimulatedWorld()
        directories = [BufferDirectory(ROOT, filesystem=world.process(), clock=world.clock) for _ in range(2)]
        outcomes = world.interleave(
            [
                lambda d=directories[0]: d.publish([(_digest(content), [content]) for content in SMALL]),
                lambda d=directories[1]: d.sweep(max_age_s=0.0) and None,
            ],
            seed=seed,
        )
        assert [outcome.error for outcome in outcomes] == [None, None], seed
        assert directories[1].get_many([_digest(content) for content in SMALL]) == SMALL, seed

"""Other programs' lock files, in simulated time."""

from __future__ import annotations

import hashlib

import pytest
from seamless_store.buffer_directory import BufferDirectory
from seamless_store.errors import BufferDamaged
from seamless_store.testing.simulated_filesystem import SimulatedWorld

CONTENT = b"written by another program"
DIGEST = hashlib.sha256(CONTENT).digest()
NAME = DIGEST.hex()
LAYOUTS = {"prefix": f"/buffers/{NAME[:2]}", "flat": "/buffers"}


class _Scene:
    """A directory, a reader, and another program that has locked something."""

    def __init__(self, layout: str, lock: str) -> None:
        self.world = SimulatedWorld()
        self.other = self.world.process()
        self.folder = LAYOUTS[layout]
        self.lock = f"{self.folder}/{lock}"
        self.other.put_file(f"{self.folder}/unrelated", b"")
        self.reader = BufferDirectory(
            "/buffers", layout=layout, filesystem=self.world.process(), clock=self.world.clock
        )

    def finish_after(self, delay_s: float, content: bytes | None) -> None:
        self.world.clock.sleep(delay_s)
        for present in [content] * (content is not None):
            self.other.put_file(f"{self.folder}/{NAME}", present)
        self.other.unlink(self.lock)

    def get_while(self, delay_s: float, content: bytes | None) -> tuple[object, float]:
        """Let the other program finish after a while; return what the reader got, and when."""
        start = self.world.clock.monotonic()
        read = self.world.interleave(
            [
                lambda: (self.reader.get(DIGEST), self.world.clock.monotonic() - start),
                lambda: self.finish_after(delay_s, content),
            ],
            seed=1,
        )[0]
        assert read.error is None
        return read.value


@pytest.fixture(params=["prefix", "flat"])
def layout(request):
    return request.param


@pytest.mark.parametrize("lock", [".LOCK", f"{NAME}.LOCK", f"{NAME}.zst.LOCK", f"{NAME}.gz.LOCK"])
def test_reader_waits_for_a_lock_and_finds_what_was_written_under_it(layout, lock):
    scene = _Scene(layout, lock)
    scene.other.put_file(scene.lock, b"", age_s=0.0)
    content, waited_s = scene.get_while(7.5, CONTENT)
    assert content == CONTENT
    assert 7.5 <= waited_s < 9.5


def test_reader_waits_for_a_lock_in_vain_and_finds_nothing(layout):
    scene = _Scene(layout, ".LOCK")
    scene.other.put_file(scene.lock, b"", age_s=0.0)
    content, waited_s = scene.get_while(3.0, None)
    assert content is None
    assert 3.0 <= waited_s < 5.0


def test_damaged_file_under_a_lock_is_read_again_when_the_lock_is_gone(layout):
    scene = _Scene(layout, f"{NAME}.LOCK")
    scene.other.put_file(f"{scene.folder}/{NAME}", CONTENT[:5])
    scene.other.put_file(scene.lock, b"", age_s=0.0)
    content, _ = scene.get_while(3.0, CONTENT)
    assert content == CONTENT
    assert scene.reader.quarantined() == []


@pytest.mark.parametrize("age_s", [121.0, 100_000.0])
def test_stale_lock_is_not_waited_for(layout, age_s):
    scene = _Scene(layout, ".LOCK")
    scene.other.put_file(scene.lock, b"", age_s=age_s)
    start = scene.world.clock.monotonic()
    assert scene.reader.get(DIGEST) is None
    assert scene.world.clock.monotonic() - start < 0.1


@pytest.mark.parametrize("age_s", [0.0, -1_000_000.0], ids=["left behind", "from the future"])
def test_no_lock_is_waited_for_longer_than_the_timeout(layout, age_s):
    scene = _Scene(layout, ".LOCK")
    scene.other.put_file(scene.lock, b"", age_s=age_s)
    start = scene.world.clock.monotonic()
    assert scene.reader.get(DIGEST) is None
    assert 119.0 < scene.world.clock.monotonic() - start < 122.0


def test_damage_that_stays_under_a_lock_is_reported_in_the_end(layout):
    scene = _Scene(layout, f"{NAME}.LOCK")
    scene.other.put_file(f"{scene.folder}/{NAME}", CONTENT[:5])
    scene.other.put_file(scene.lock, b"", age_s=0.0)
    with pytest.raises(BufferDamaged):
        scene.reader.get(DIGEST)


def test_true_file_is_read_whatever_is_locked(layout):
    scene = _Scene(layout, ".LOCK")
    scene.other.put_file(f"{scene.folder}/{NAME}", CONTENT)
    scene.other.put_file(scene.lock, b"", age_s=0.0)
    start = scene.world.clock.monotonic()
    assert scene.reader.get(DIGEST) == CONTENT
    assert scene.world.clock.monotonic() - start < 0.1


def test_miss_without_locks_costs_eight_looks_and_no_waiting(layout):
    scene = _Scene(layout, ".LOCK")
    before = scene.world.n_operations
    assert scene.reader.get(DIGEST) is None
    assert scene.world.n_operations - before <= 8

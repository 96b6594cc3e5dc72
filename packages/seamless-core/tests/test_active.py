"""The active set is replaced as a whole, and retired when its work has drained."""

from __future__ import annotations

import pytest
from seamless import Buffer, active, buffer_cache, resolution
from seamless.active import ActiveSet, get_active, replace_active
from seamless.buffer_cache import BufferCache
from seamless.embedded import memory_set, open_embedded


class Closing:
    """A result cache that notes when it is closed."""

    closed = 0

    def close(self) -> None:
        self.closed += 1


@pytest.fixture(autouse=True)
def _own_active_set(monkeypatch):
    monkeypatch.setattr(active, "_active", None)
    yield
    active._close_active()


def set_with(results: Closing) -> ActiveSet:
    return ActiveSet(buffers=memory_set().buffers, results=results, persistent=False, location="test")  # type: ignore[arg-type]


def test_without_configuration_results_live_in_memory():
    assert get_active().location == "memory"
    assert get_active() is get_active()


def test_a_replaced_set_is_closed_at_once_when_nothing_uses_it():
    results = Closing()
    replace_active(set_with(results))
    replace_active(memory_set())
    assert results.closed == 1


@pytest.mark.invariant("I-56")
def test_a_replaced_set_stays_open_until_its_last_step_has_left():
    results = Closing()
    former = set_with(results)
    replace_active(former)
    former.work.enter()
    former.work.enter()
    replace_active(memory_set())
    former.work.leave()
    assert results.closed == 0
    former.work.leave()
    assert results.closed == 1


def test_a_part_that_cannot_be_closed_does_not_keep_the_others_open():
    class Failing:
        def close(self) -> None:
            raise OSError("disk full")

    executor = Closing()
    one = ActiveSet(
        buffers=Failing(),  # type: ignore[arg-type]
        results=Failing(),  # type: ignore[arg-type]
        persistent=False,
        location="test",
        executor=executor,  # type: ignore[arg-type]
    )
    with pytest.raises(OSError, match="disk full"):
        one.close()
    assert executor.closed == 1


def test_replacing_a_set_by_itself_changes_nothing():
    results = Closing()
    same = set_with(results)
    replace_active(same)
    replace_active(same)
    assert (get_active(), results.closed) == (same, 0)


def test_a_referenced_buffer_that_the_store_holds_makes_room_under_the_hard_limit(tmp_path, monkeypatch):
    cache = BufferCache(soft_bytes=2_000, hard_bytes=3_000)
    monkeypatch.setattr(buffer_cache, "_cache", cache)
    replace_active(open_embedded(tmp_path))
    stored = Buffer(bytes(2_000))
    get_active().buffers.put(stored)
    cache.incref(stored.get_checksum().bytes(), stored)
    checksum = stored.get_checksum()
    del stored
    other = Buffer(b"x" * 2_500)
    cache.incref(other.get_checksum().bytes(), other)
    assert cache.size_bytes == 2_500
    assert resolution.resolve(checksum).content == bytes(2_000)


def test_what_a_store_that_cannot_be_asked_may_lack_is_not_dropped(monkeypatch):
    from seamless.errors import SeamlessError

    class Gone(type(memory_set().buffers)):  # type: ignore[misc]
        def has(self, checksum):
            raise SeamlessError("the server does not answer")

    cache = BufferCache(soft_bytes=100, hard_bytes=100)
    monkeypatch.setattr(buffer_cache, "_cache", cache)
    replace_active(
        ActiveSet(buffers=Gone(cache), results=Closing(), persistent=True, location="test")  # type: ignore[arg-type]
    )
    held = Buffer(b"x" * 80)
    held.incref(scratch=True)
    with pytest.raises(buffer_cache.BufferCacheFull):
        Buffer(b"y" * 80).incref(scratch=True)
    assert cache.get(held.get_checksum().bytes()) is held

"""The buffer cache keeps what is used and referenced, within its limits."""

from __future__ import annotations

import contextlib
import gc

import pytest
from hypothesis import given
from hypothesis import strategies as st
from seamless import Buffer
from seamless.buffer_cache import BufferCache, BufferCacheFull, parse_size


class Clock:
    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


def buffer(number: int, size: int = 1000) -> tuple[bytes, Buffer]:
    made = Buffer(number.to_bytes(4, "little") + bytes(size - 4))
    return made.get_checksum().bytes(), made


def cache_of(soft: int = 10_000, hard: int = 20_000, clock: Clock | None = None) -> BufferCache:
    return BufferCache(soft_bytes=soft, hard_bytes=hard, clock=clock or Clock())


def holds(cache: BufferCache, digest: bytes) -> bool:
    gc.collect()
    return cache.get(digest) is not None


def test_least_recently_used_buffers_leave_first():
    cache = cache_of()
    digests = []
    for number in range(10):
        digest, made = buffer(number)
        cache.add(digest, made)
        digests.append(digest)
        del made
    cache.get(digests[0])
    cache.add(*buffer(10))
    assert holds(cache, digests[0])
    assert not holds(cache, digests[1])
    assert cache.size_bytes == 10_000


def test_large_buffers_leave_before_small_ones():
    cache = cache_of(soft=200_000, hard=400_000)
    small, large = buffer(0), buffer(1, 100_000)
    cache.add(*small)
    cache.add(*large)
    digests = small[0], large[0]
    del small, large
    cache.add(*buffer(2, 150_000))
    assert [holds(cache, digest) for digest in digests] == [True, False]


def test_a_buffer_above_the_soft_limit_is_not_kept_and_pushes_nothing_out():
    cache = cache_of()
    digest, _ = kept = buffer(0)
    cache.add(*kept)
    huge, made = buffer(1, 15_000)
    cache.add(huge, made)
    assert holds(cache, huge)
    del made
    assert not holds(cache, huge)
    assert holds(cache, digest)


def test_a_referenced_buffer_stays_above_the_soft_limit():
    cache = cache_of()
    digest, made = buffer(0)
    cache.incref(digest, made)
    del made
    for number in range(1, 15):
        cache.add(*buffer(number))
    assert holds(cache, digest)
    cache.decref(digest)
    for number in range(20, 35):
        cache.add(*buffer(number))
    assert not holds(cache, digest)


def test_incref_before_the_buffer_exists_adopts_it_when_it_comes():
    cache = cache_of()
    digest, made = buffer(0)
    cache.incref(digest)
    cache.register(digest, made)
    del made
    assert holds(cache, digest)


def test_decref_of_the_unknown_does_nothing_and_counts_never_go_below_zero():
    cache = cache_of()
    digest, made = buffer(0)
    cache.decref(digest)
    cache.incref(digest, made)
    assert cache.refcount(digest) == 1


@pytest.mark.provokes("BufferCacheFull")
def test_the_hard_limit_refuses_what_nothing_can_make_room_for():
    cache = cache_of()
    for number in range(20):
        cache.incref(*buffer(number))
    digest, made = buffer(99)
    cache.incref(digest)
    with pytest.raises(BufferCacheFull, match="SEAMLESS_MEMORY_HARD_LIMIT"):
        cache.register(digest, made)


def test_a_refused_reference_holds_nothing():
    cache = cache_of()
    for number in range(20):
        cache.incref(*buffer(number))
    digest, made = buffer(99)
    for reference in (cache.incref, cache.tempref):
        with pytest.raises(BufferCacheFull, match="21000 bytes"):
            reference(digest, made)
    assert (cache.size_bytes, cache.refcount(digest)) == (20_000, 0)
    del made
    assert not holds(cache, digest)
    with pytest.raises(BufferCacheFull, match="20000 bytes"):
        cache.set_limits(soft_bytes=5_000, hard_bytes=15_000)
    assert (cache.soft_limit_bytes, cache.hard_limit_bytes) == (10_000, 20_000)


def test_the_hard_limit_drops_referenced_buffers_that_a_store_holds():
    cache = cache_of()
    stored = {buffer(number)[0] for number in range(5)}
    cache.set_stored_check(stored.__contains__)
    for number in range(25):
        cache.incref(*buffer(number))
    assert cache.size_bytes == 20_000
    assert [holds(cache, digest) for digest in sorted(stored)] == [False] * 5


def test_a_tempref_fades_with_time():
    clock = Clock()
    cache = cache_of(clock=clock)
    digest, made = buffer(0)
    cache.tempref(digest, made)
    del made
    clock.now = 27.9
    cache.set_limits(soft_bytes=500)
    assert holds(cache, digest)
    clock.now = 28.1
    cache.set_limits(soft_bytes=400)
    assert not holds(cache, digest)


def test_a_second_tempref_refreshes_and_only_raises():
    clock = Clock()
    cache = cache_of(clock=clock)
    digest, made = buffer(0)
    cache.tempref(digest, made)
    del made
    clock.now = 20
    cache.tempref(digest, interest=1)
    clock.now = 40
    cache.set_limits(soft_bytes=500)
    assert holds(cache, digest)
    assert cache.refcount(digest) == 1


def test_an_empty_buffer_is_found_too():
    cache = cache_of()
    made = Buffer(b"")
    digest = made.get_checksum().bytes()
    cache.incref(digest, made)
    del made
    assert holds(cache, digest)


@pytest.mark.invariant("I-54")
@given(st.lists(st.tuples(st.sampled_from(["add", "incref", "decref"]), st.integers(0, 9)), max_size=60))
def test_the_size_is_always_that_of_what_is_held_and_within_the_soft_limit_without_references(actions):
    cache = cache_of(soft=5_000, hard=50_000)
    references = dict.fromkeys(range(10), 0)
    for action, number in actions:
        digest, made = buffer(number)
        if action == "add":
            cache.add(digest, made)
        elif action == "incref":
            cache.incref(digest, made)
            references[number] += 1
        else:
            cache.decref(digest)
            references[number] = max(0, references[number] - 1)
        del made
        referenced = sum(1000 for count in references.values() if count)
        assert referenced <= cache.size_bytes <= max(5_000, referenced)


@pytest.mark.invariant("I-54")
@given(
    st.lists(
        st.tuples(
            st.sampled_from(["add", "register", "incref", "decref", "tempref", "fade"]), st.integers(0, 5)
        ),
        min_size=20,
        max_size=80,
    ),
    st.sets(st.integers(0, 5), max_size=2),
)
def test_no_sequence_of_uses_gets_above_the_limits(actions, stored):
    clock = Clock()
    cache = cache_of(soft=2_000, hard=3_000, clock=clock)
    cache.set_stored_check({buffer(number)[0] for number in stored}.__contains__)
    uses = {
        "add": cache.add,
        "register": cache.register,
        "incref": cache.incref,
        "decref": lambda digest, _: cache.decref(digest),
        "tempref": cache.tempref,
        "fade": lambda digest, _: setattr(clock, "now", clock.now + 10),
    }
    everything = [buffer(number) for number in range(6)]
    for action, number in actions:
        digest, made = everything[number]
        n_references = cache.refcount(digest)
        with contextlib.suppress(BufferCacheFull):
            uses[action](digest, made)
            n_references = cache.refcount(digest)
        assert cache.refcount(digest) == n_references
        assert cache.size_bytes <= 3_000
        assert cache.get(digest) in (None, made)
    for digest, _ in everything:
        cache.drop_tempref(digest)
        for _ in range(cache.refcount(digest)):
            cache.decref(digest)
    assert cache.size_bytes <= 2_000


@pytest.mark.parametrize(
    ("text", "size"),
    [("1000", 1000), ("1K", 1024), ("1.5G", 3 << 29), ("2 GiB", 2 << 30), ("10mb", 10 << 20)],
)
def test_sizes_are_read_with_suffixes(text, size):
    assert parse_size(text) == size


@pytest.mark.parametrize("text", ["", "G", "-1", "0", "ten", "1X", "nan", "inf"])
def test_what_is_no_size_is_refused_by_name(text):
    with pytest.raises(ValueError, match="is no size"):
        parse_size(text)


@pytest.mark.parametrize(
    "limits", [{"soft_bytes": 0}, {"soft_bytes": True}, {"soft_bytes": 30_000}, {"hard_bytes": 1}]
)
def test_impossible_limits_are_refused_and_change_nothing(limits):
    cache = cache_of()
    with pytest.raises(ValueError, match="memory limit"):
        cache.set_limits(**limits)
    assert (cache.soft_limit_bytes, cache.hard_limit_bytes) == (10_000, 20_000)

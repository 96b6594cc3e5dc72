"""Scratch results, and buffers that are computed again."""

from __future__ import annotations

import gc

import pytest
from seamless import Buffer, CacheMissError, Checksum
from seamless.active import replace_active
from seamless.buffer_cache import get_buffer_cache
from seamless.embedded import open_embedded
from seamless.transformer import TransformationError, delayed, direct
from seamless_transformer.fingertip import MAX_DEPTH, FingertipDepthError


@pytest.fixture
def forget():
    """Return a function that drops large buffers from memory, as the limit of the cache does; small ones stay."""
    cache = get_buffer_cache()
    soft = cache.soft_limit_bytes

    def forget():
        gc.collect()
        cache.set_limits(soft_bytes=cache.size_bytes - sum(map(len, cache._large.values())) + 1)
        cache.set_limits(soft_bytes=soft)

    yield forget
    cache.set_limits(soft_bytes=soft)


def big(n):
    return f"the number {n:09}, " * 4000


def longer(text):
    return text + "and so on"


def scratch(function):
    step = delayed(function)
    step.scratch = True
    return step


def test_a_scratch_result_is_mapped_but_not_stored(tmp_path, forget, counted):
    active = open_embedded(tmp_path / "cache")
    replace_active(active)
    tf = scratch(big)(1)
    result = tf.compute()
    active.buffers.flush()
    assert active.results.get(tf.transformation_checksum) == result
    assert not active.buffers.has(result)
    assert active.buffers.has(tf.transformation_checksum)


def test_a_scratch_result_is_recomputed_by_run_and_by_fingertip(any_cache, forget, counted):
    result = scratch(big)(2).compute()
    forget()
    with counted() as count:
        assert scratch(big)(2).run() == big(2)
        forget()
        assert result.fingertip_sync("mixed") == big(2)
    assert count.executed == 2


def test_value_and_resolve_recompute_nothing(any_cache, forget, counted):
    result = scratch(big)(3).compute()
    forget()
    tf = scratch(big)(3)
    with counted() as count:
        assert tf.compute() == result
        with pytest.raises(CacheMissError):
            _ = tf.value
        with pytest.raises(CacheMissError):
            result.resolve()
    assert count.executed == 0


def test_scratch_leaves_of_a_deepcell_are_not_stored(tmp_path):
    active = open_embedded(tmp_path / "cache")
    replace_active(active)
    step = scratch(lambda a: {"x": "leaf " * a * 400})
    step.celltypes.result = "deepcell"
    index = step(50).run()
    active.buffers.flush()
    leaf = Checksum(index["x"])
    assert not active.buffers.has(leaf)
    assert leaf.resolve("mixed") == "leaf " * 50 * 400


def test_a_dependant_recomputes_a_scratch_result_that_is_gone(any_cache, forget, counted):
    inner = scratch(big)(4)
    inner.compute()
    del inner
    forget()
    with counted() as count:
        assert delayed(longer)(scratch(big)(4)).run() == longer(big(4))
    assert count.executed == 2


def test_a_missing_input_is_a_cache_miss_unless_fingertips_are_allowed(any_cache, forget, counted):
    missing = scratch(big)(5).compute()
    forget()
    with pytest.raises(CacheMissError, match=missing.hex()):
        direct(longer)(missing)
    allowed = direct(longer)
    allowed.allow_input_fingertip = True
    with counted() as count:
        assert allowed(missing) == longer(big(5))
    assert count.executed == 2


def test_a_result_that_was_evicted_is_computed_again(active, forget, counted):
    step = direct(big)
    assert step(6) == big(6)
    forget()
    with counted() as count:
        assert step(6) == big(6)
        assert step(6) == big(6)
    assert count.executed == 1


def test_a_chain_of_missing_buffers_is_computed_from_its_beginning(any_cache, forget, counted):
    def chain():
        tf = scratch(big)(7)
        for _ in range(10):
            tf = scratch(longer)(tf)
        return tf

    result = chain().compute()
    forget()
    with counted() as count:
        assert result.fingertip_sync("mixed") == big(7) + "and so on" * 10
    assert count.executed == 11


@pytest.mark.provokes("FingertipDepthError")
def test_a_chain_deeper_than_the_limit_says_what_to_do(active, forget):
    step = scratch(lambda text: text + "-")
    tf = step("x" * 100_000)
    for _ in range(MAX_DEPTH + 1):
        tf = step(tf)
    result = tf.compute()
    del tf
    forget()
    with pytest.raises(FingertipDepthError, match="without scratch"):
        result.fingertip_sync()


def test_a_result_that_is_its_own_input_is_not_searched_for_ever(active, forget):
    step = scratch(lambda a: a)
    text = "itself " * 20_000
    buffer = Buffer(text, "mixed")
    checksum = buffer.get_checksum()
    assert step(buffer).compute() == checksum
    del buffer
    forget()
    with pytest.raises(CacheMissError):
        checksum.fingertip_sync()


def test_a_missing_leaf_is_looked_for_once_however_many_ways_lead_to_it(active, forget, monkeypatch):
    join = scratch(lambda a, b: a + b)
    leaf = Buffer("leaf " * 20_000, "mixed")
    halve = scratch(lambda a, b: a[::2] + b[1::2])
    tf = join(leaf, leaf)
    for _ in range(12):
        tf = halve(tf, tf)
    result = tf.compute()
    del tf, leaf
    forget()
    asked = []
    reverse = active.results.reverse
    monkeypatch.setattr(
        active.results, "reverse", lambda checksum: asked.append(checksum) or reverse(checksum)
    )
    with pytest.raises(CacheMissError):
        result.fingertip_sync()
    assert len(asked) == 14


def test_a_failing_way_gives_way_to_another(active, forget, tmp_path):
    sometimes = scratch(lambda path, text: (open(path).close(), text)[1])
    flag = tmp_path / "flag"
    flag.touch()
    text = "reached " * 20_000
    result = sometimes(str(flag), text + "")
    first = result.compute()
    other = scratch(lambda n: "reached " * n)(20_000).compute()
    assert first == other
    del result
    flag.unlink()
    forget()
    assert first.fingertip_sync("mixed") == text


def test_an_irreproducible_result_is_replaced_and_reported(active, forget, capfd, tmp_path, counted):
    counter = tmp_path / "count"

    @delayed
    def irreproducible(path):
        from pathlib import Path

        path = Path(path)
        n = len(path.read_text()) if path.exists() else 0
        path.write_text("x" * (n + 1))
        return f"run {n}, " * 20_000

    first = irreproducible(str(counter)).compute()
    forget()
    with counted() as count:
        tf = irreproducible(str(counter))
        value = tf.run()
    assert value.startswith("run ")
    assert tf.result_checksum != first
    assert active.results.get(tf.transformation_checksum) == tf.result_checksum
    assert "the new result replaces it" in capfd.readouterr().err
    assert count.total.conflicts == 1


def test_a_recorded_result_whose_step_fails_now_says_so(active, forget, tmp_path):
    flag = tmp_path / "flag"
    flag.touch()

    @delayed
    def fragile(path):
        open(path).close()
        return "fragile " * 20_000

    fragile(str(flag)).compute()
    forget()
    flag.unlink()
    with pytest.raises(CacheMissError, match="running the step again failed"):
        fragile(str(flag)).run()


def test_a_missing_input_of_a_step_is_named(active):
    absent = Checksum("12" * 32)
    with pytest.raises(TransformationError, match="12" * 32):
        direct(longer)(absent)

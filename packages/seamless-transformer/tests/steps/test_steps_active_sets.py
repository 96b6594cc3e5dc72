"""The active set: captured by each step, closed when its last step has left it."""

from __future__ import annotations

import gc

import pytest
from seamless.active import replace_active
from seamless.embedded import memory_set, open_embedded
from seamless.transformer import delayed, direct


@delayed
def add(a, b):
    return a + b


@pytest.mark.invariant("I-75")
def test_a_step_is_looked_up_and_recorded_in_the_set_it_was_made_in(active):
    tf = add(1, 2)
    other = memory_set()
    replace_active(other)
    tf.compute()
    assert active.results.get(tf.transformation_checksum) == tf.result_checksum
    assert other.results.get(tf.transformation_checksum) is None


def test_a_replaced_set_is_closed_when_its_last_step_has_left(tmp_path, monkeypatch):
    first = open_embedded(tmp_path / "first")
    closed = []
    close = first.results.close
    monkeypatch.setattr(first.results, "close", lambda: (closed.append(1), close()))
    replace_active(first)
    one, two, never = add(1, 2), add(3, 4), add(5, 6)
    replace_active(memory_set())
    assert one.run() == 3
    assert closed == []
    assert two.run() == 7
    del never
    gc.collect()
    assert closed == [1]


def test_a_result_stays_readable_for_its_holder_after_the_set_was_replaced(any_cache):
    tf = add(20, 22)
    tf.compute()
    replace_active(memory_set())
    assert tf.value == tf.run() == 42


@pytest.mark.parametrize("kind", ["memory", "embedded"])
def test_sets_replaced_while_threads_call_steps_disturb_nobody(kind, in_thread, tmp_path):
    step = direct(add)

    def call(start):
        return [step(start, n) for n in range(60)]

    calls = [in_thread(call, 1000 * k) for k in range(4)]
    for k in range(12):
        replace_active(open_embedded(tmp_path / str(k)) if kind == "embedded" else memory_set())
    assert [each.join().error for each in calls] == [None] * 4
    assert [each.result for each in calls] == [[1000 * k + n for n in range(60)] for k in range(4)]


def test_scratch_and_stored_results_of_two_sets_do_not_mix(tmp_path):
    replace_active(open_embedded(tmp_path / "cache"))
    tf = add(4, 5)
    tf.compute()
    replace_active(memory_set())
    assert add(4, 5).status == "Status: ready"
    again = open_embedded(tmp_path / "cache")
    replace_active(again)
    assert again.results.get(tf.transformation_checksum) == tf.result_checksum

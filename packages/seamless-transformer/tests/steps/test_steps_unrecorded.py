"""What was cancelled or interrupted leaves no trace in the cache."""

from __future__ import annotations

import threading
import uuid

import pytest
from seamless.transformer import delayed


@delayed
def passing(gate, a):
    import threading

    getattr(threading, gate).passage()
    return "result of " + a


@delayed
def interrupted(event, a):
    import threading

    if not getattr(threading, event).is_set():
        getattr(threading, event).set()
        raise KeyboardInterrupt
    return "result of " + a


@pytest.fixture
def event():
    name = f"event_{uuid.uuid4().hex}"
    setattr(threading, name, threading.Event())
    yield name
    delattr(threading, name)


@pytest.fixture
def recorded(any_cache):
    """Return what the cache knows of a step: its result, its record, whether its definition is stored."""

    def look_up(tf):
        checksum = tf.transformation_checksum
        any_cache.results.flush()
        return (
            any_cache.results.get(checksum),
            any_cache.results.record(checksum),
            any_cache.buffers.has(checksum),
        )

    return look_up


NOTHING = (None, None, False)


@pytest.mark.invariant("I-68")
def test_a_cancelled_step_records_nothing_although_its_code_ends(gate, in_thread, recorded, counted):
    with counted() as count:
        tf = passing(gate.name, "cancelled")
        call = in_thread(tf.run)
        gate.wait_for_entry()
        tf.cancel()
        gate.opened.set()
        assert str(call.join().error) == "Transformation was canceled"
        assert recorded(tf) == NOTHING
    assert (count.executed, gate.n_entered) == (0, 1)


@pytest.mark.invariant("I-68")
def test_an_interrupted_step_records_nothing(event, recorded, counted):
    tf = interrupted(event, "interrupted")
    with counted() as count, pytest.raises(KeyboardInterrupt):
        tf.run()
    assert (count.executed, recorded(tf)) == (0, NOTHING)
    assert tf.run() == "result of interrupted"
    result, record, is_stored = recorded(tf)
    assert (result, is_stored) == (tf.result_checksum, True)
    assert record["result_checksum"] == result.hex()

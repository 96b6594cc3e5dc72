"""From a checksum to its buffer: what is found is what was asked for."""

from __future__ import annotations

import hashlib

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from seamless import Buffer, Checksum, active, buffer_cache
from seamless.active import get_active, replace_active
from seamless.buffer_cache import BufferCache
from seamless.embedded import memory_set, open_embedded

JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**63 - 1) | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=6,
)
SIZES = st.sampled_from([0, 1, 1000, 1 << 17])


def array(size: int) -> np.ndarray:
    return np.arange(size, dtype=np.uint8)


def frozen_array(size: int) -> np.ndarray:
    made = array(size)
    made.flags.writeable = False
    return made


def view_of_bytes(size: int) -> np.ndarray:
    return np.frombuffer(bytes(size), np.uint8)


ARRAYS = st.builds(
    lambda make, size: make(size), st.sampled_from([array, frozen_array, view_of_bytes]), SIZES
)
VALUES = (
    st.tuples(JSON, st.sampled_from(["plain", "mixed"]))
    | st.tuples(st.text(), st.sampled_from(["text", "str", "bytes"]))
    | st.tuples(st.builds(bytes, SIZES), st.sampled_from(["bytes", "mixed", "binary"]))
    | st.tuples(ARRAYS, st.sampled_from(["binary", "mixed"]))
    | st.tuples(st.builds(lambda made: {"a": made}, ARRAYS), st.just("mixed"))
)


@pytest.fixture(params=["memory", "cache directory"])
def _own_cache(request, tmp_path, monkeypatch):
    monkeypatch.setattr(buffer_cache, "_cache", BufferCache())
    monkeypatch.setattr(active, "_active", None)
    replace_active(memory_set() if request.param == "memory" else open_embedded(tmp_path))
    yield
    active._close_active()


@pytest.mark.invariant("I-51")
@pytest.mark.usefixtures("_own_cache")
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(VALUES)
def test_what_a_checksum_resolves_to_hashes_to_it(given_value):
    value, celltype = given_value
    buffer = Buffer(value, celltype)
    checksum = Checksum(buffer.get_checksum().hex())
    get_active().buffers.put(buffer)
    for writeable in _writeable_arrays(value):
        writeable[...] = 7
    del buffer  # so that the cache directory, not this variable, gives it back
    found = checksum.resolve()
    assert hashlib.sha256(found.content).digest() == checksum
    assert hashlib.sha256(b"".join(found.parts)).digest() == checksum


def _writeable_arrays(value: object) -> list[np.ndarray]:
    items = [value, *(value.values() if isinstance(value, dict) else ())]
    return [item for item in items if isinstance(item, np.ndarray) and item.flags.writeable]

"""The class Buffer: content, identity, independence of the value it was made from."""

from __future__ import annotations

import asyncio
import copy
import hashlib
import pickle
import tracemalloc
import weakref

import numpy as np
import pytest
from seamless import Buffer, CacheMissError, Checksum

MB = 1 << 20


def test_bytes_are_taken_as_they_are():
    buffer = Buffer(b"abc")
    assert (buffer.content, len(buffer), buffer.parts, buffer.decode()) == (b"abc", 3, (b"abc",), "abc")
    assert buffer.get_checksum() == hashlib.sha256(b"abc").digest()


@pytest.mark.parametrize("value", ["abc", bytearray(b"abc"), None, 3])
def test_without_celltype_only_bytes_and_buffers(value):
    with pytest.raises(TypeError, match="celltype"):
        Buffer(value)


@pytest.mark.parametrize("celltype", [None, "plain", "bytes"])
def test_a_checksum_is_refused(celltype):
    with pytest.raises(TypeError, match=r"resolve\(\)"):
        Buffer(Checksum("a" * 64), celltype)


def test_a_buffer_contributes_its_content():
    assert Buffer(Buffer(b"abc")).content == b"abc"
    assert Buffer(Buffer(b"abc\n\n"), "text").content == b"abc\n"
    assert Buffer(Buffer(b"abc"), "bytes").content == b"abc"
    assert Buffer(Buffer(b"5"), "int").content == b"5\n"
    assert Buffer(Buffer(b"abc"), "mixed").content == Buffer(b"abc", "mixed").content


def test_checksum_is_unknown_until_computed():
    buffer = Buffer(b"abc")
    with pytest.raises(AttributeError, match="get_checksum"):
        buffer.checksum
    assert buffer.get_checksum() is buffer.checksum


def test_given_checksum_is_known_at_once():
    right = Buffer(b"abc").get_checksum()
    assert Buffer(b"abc", checksum=right).checksum == right
    assert Buffer(b"abc", checksum=right.hex()).checksum == right


def test_given_checksum_of_other_content_is_refused_and_not_resolvable():
    wrong = "b" * 64
    with pytest.raises(ValueError, match=f"not {wrong} as given"):
        Buffer(b"abc", checksum=wrong)
    with pytest.raises(CacheMissError):
        Checksum(wrong).resolve()


def test_equality_is_that_of_content_and_never_fails():
    assert Buffer(b"abc") == Buffer("abc", "bytes")
    assert Buffer(b"abc") != Buffer(b"abd")
    assert Buffer(b"abc") != Buffer(b"abcd")
    assert Buffer(b"abc") != b"abc"
    assert len({Buffer(b"abc"), Buffer(b"abc")}) == 1


def test_empty_buffer_is_truthy():
    assert Buffer(b"")


def test_buffer_can_be_weakly_referenced():
    buffer = Buffer(b"abc")
    reference = weakref.ref(buffer)
    assert reference() is buffer
    del buffer
    assert reference() is None


@pytest.mark.invariant("I-50")
def test_changing_an_array_does_not_change_its_buffer():
    array = np.arange(1 << 16)
    buffer = Buffer(array, "mixed")
    before = buffer.get_checksum()
    array[:] = 7
    assert hashlib.sha256(buffer.content).digest() == before
    assert buffer.get_value("mixed")[1] == 1


@pytest.mark.invariant("I-50")
def test_changing_an_array_inside_a_container_does_not_change_its_buffer():
    array = np.arange(1 << 16)
    buffer = Buffer({"a": [array, 3]}, "mixed")
    content = buffer.content
    array[:] = 7
    assert Buffer({"a": [np.arange(1 << 16), 3]}, "mixed").content == content
    assert b"".join(buffer.parts) == content


@pytest.mark.invariant("I-50")
def test_changing_an_array_through_another_view_does_not_change_the_buffer_of_a_read_only_view():
    array = np.arange(1 << 16)
    view = array[:]
    view.flags.writeable = False
    buffer = Buffer(view, "mixed")
    array[0] = 99
    assert buffer.get_value("mixed")[0] == 0


def test_frozen_array_is_not_copied():
    array = np.zeros(8 * MB, np.uint8)
    array.flags.writeable = False
    tracemalloc.start()
    buffer = Buffer(array, "mixed")
    buffer.get_checksum()
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < MB
    assert len(buffer) == 8 * MB + 128


def test_value_of_a_large_array_is_a_read_only_view():
    buffer = Buffer(np.arange(1 << 16), "mixed")
    value = buffer.get_value("mixed")
    assert not value.flags.writeable
    assert np.shares_memory(value, np.frombuffer(buffer.parts[1], np.uint8))
    with pytest.raises(ValueError, match="read-only"):
        value[0] = 3


def test_value_of_a_large_array_is_written_again_without_a_copy():
    buffer = Buffer(np.arange(MB), "mixed")
    value = buffer.get_value("mixed")
    tracemalloc.start()
    again = Buffer(value, "mixed")
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert again == buffer
    assert peak < MB


@pytest.mark.parametrize("celltype", ["plain", "mixed"])
def test_values_are_fresh_each_time(celltype):
    buffer = Buffer({"a": [1, 2]}, celltype)
    buffer.get_value(celltype)["a"].append(3)
    assert buffer.get_value(celltype) == {"a": [1, 2]}


def test_joined_content_of_a_small_buffer_is_kept_and_of_a_large_one_not():
    small = Buffer._from_parts((b"abc", b"def"))
    assert small.content is small.content
    large = Buffer._from_parts((bytes(MB), bytes(MB)))
    assert large.content == bytes(2 * MB)
    assert large.content is not large.content


@pytest.mark.parametrize("protocol", range(2, pickle.HIGHEST_PROTOCOL + 1))
@pytest.mark.parametrize("value", [b"abc", np.arange(1 << 16)])
def test_pickle_keeps_content_and_checksum(protocol, value):
    buffer = Buffer(value, "mixed")
    checksum = buffer.get_checksum()
    loaded = pickle.loads(pickle.dumps(buffer, protocol))
    assert loaded.content == buffer.content
    assert loaded.checksum == checksum


def test_pickle_hands_large_parts_out_of_band():
    buffer = Buffer(np.arange(1 << 16), "mixed")
    pieces: list[pickle.PickleBuffer] = []
    pickled = pickle.dumps(buffer, 5, buffer_callback=pieces.append)
    assert len(pickled) < 1000
    assert pickle.loads(pickled, buffers=[bytes(piece) for piece in pieces]) == buffer
    assert copy.deepcopy(buffer) is buffer
    assert copy.copy(buffer) is buffer


def test_save_and_load(tmp_path):
    buffer = Buffer(np.arange(1 << 16), "mixed")
    buffer.save(tmp_path / "array.npy")
    assert Buffer.load(tmp_path / "array.npy") == buffer
    assert np.array_equal(np.load(tmp_path / "array.npy"), np.arange(1 << 16))
    assert [path.name for path in tmp_path.iterdir()] == ["array.npy"]


def test_failed_save_leaves_the_old_file_and_nothing_else(tmp_path):
    (tmp_path / "x").write_bytes(b"old")
    with pytest.raises(TypeError):
        Buffer._from_parts((b"new", 3)).save(tmp_path / "x")  # type: ignore[arg-type]
    assert [(path.name, path.read_bytes()) for path in tmp_path.iterdir()] == [("x", b"old")]


def test_async_forms_agree():
    async def run():
        buffer = await Buffer.from_async([1, 2.5], "mixed")
        return buffer.content, (await buffer.get_checksum_async()), await buffer.get_value_async("mixed")

    content = b"[\n  1,\n  2.5\n]\n"
    assert asyncio.run(run()) == (content, Checksum(hashlib.sha256(content).digest()), [1, 2.5])


def test_write_says_whether_a_store_took_it():
    assert asyncio.run(Buffer(b"nowhere to go").write()) is False


def test_incref_keeps_the_buffer_resolvable():
    buffer = Buffer(b"held by incref")
    buffer.incref()
    checksum = buffer.checksum
    del buffer
    assert checksum.resolve().content == b"held by incref"
    checksum.resolve().decref()


def test_tempref_keeps_the_buffer_resolvable():
    buffer = Buffer(b"held by tempref")
    reference = buffer.tempref()
    checksum = buffer.checksum
    del buffer
    assert checksum.resolve().content == b"held by tempref"
    reference.clear()

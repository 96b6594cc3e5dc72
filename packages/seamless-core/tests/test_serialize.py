"""Writing values: parts without copies, ownership, and what each celltype refuses."""

from __future__ import annotations

import array as array_module
import hashlib
import tracemalloc

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from seamless import Buffer, Checksum
from seamless.celltypes import ALIASES, CELLTYPES
from seamless.deserialize import deserialize
from seamless.parts import is_stable, join_parts
from seamless.serialize import digest_of_parts, own_array_parts, serialize, serialize_parts, snapshot_parts

MB = 1 << 20
A64 = "a" * 64
TEXT = st.text(st.characters(exclude_categories=["Cs"]))
JSON_VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**63)
    | st.floats(allow_nan=False, allow_infinity=False)
    | TEXT,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(TEXT, inner, max_size=4),
    max_leaves=12,
)


@pytest.mark.parametrize("celltype", ["plain", "mixed", *ALIASES])
@given(value=JSON_VALUES)
def test_json_values_round_trip(celltype, value):
    content = serialize(value, celltype)
    assert deserialize(content, celltype) == value
    assert serialize(deserialize(content, celltype), celltype) == content


@pytest.mark.parametrize(
    ("celltype", "values"),
    [
        ("str", TEXT),
        ("int", st.integers(-(2**63), 2**64 - 1)),
        ("float", st.floats(allow_nan=False, allow_infinity=False)),
        ("bool", st.booleans()),
        ("text", TEXT.map(lambda text: text.rstrip("\n"))),
    ],
)
@given(data=st.data())
def test_scalars_round_trip(celltype, values, data):
    value = data.draw(values)
    again = deserialize(serialize(value, celltype), celltype)
    assert (type(again), again) == (type(value), value)


@given(st.binary())
def test_bytes_round_trip(content):
    assert deserialize(serialize(content, "bytes"), "bytes").content == content
    assert serialize(content, "binary") == content


@given(st.dictionaries(TEXT, st.integers(0, 9), max_size=6))
def test_order_of_insertion_does_not_matter_in_plain_and_pure_mixed(members):
    reversed_members = dict(reversed(members.items()))
    for celltype in ("plain", "mixed"):
        assert serialize({"m": members}, celltype) == serialize({"m": reversed_members}, celltype)


def test_tuple_equals_list():
    for celltype in ("plain", "mixed"):
        assert serialize((1, (2,)), celltype) == serialize([1, [2]], celltype)
    assert serialize((1, np.arange(2)), "mixed") == serialize([1, np.arange(2)], "mixed")


@pytest.mark.parametrize("celltype", CELLTYPES)
def test_parts_joined_are_the_bytes(celltype):
    value = "5" if celltype != "binary" else np.arange(MB)
    parts, _ = serialize_parts(value, celltype)
    assert join_parts(parts) == serialize(value, celltype)
    assert digest_of_parts(parts) == hashlib.sha256(serialize(value, celltype)).digest()


# --- aliasing ---


def test_large_writeable_array_is_aliased_and_snapshot_ends_that():
    array = np.zeros(MB, np.uint8)
    parts, aliases = serialize_parts(array, "mixed")
    kept = snapshot_parts(parts)
    array[:] = 1
    assert aliases
    assert all(map(is_stable, kept))
    assert set(bytes(kept[1])) == {0}
    assert set(bytes(parts[1])) == {1}


def frozen(array: np.ndarray) -> np.ndarray:
    array.flags.writeable = False
    return array


def view_of_bytes() -> np.ndarray:
    return np.frombuffer(bytes(MB), np.uint8)


def view_of_bytearray() -> np.ndarray:
    return frozen(np.frombuffer(bytearray(MB), np.uint8))


def view_of_read_only_bytearray() -> np.ndarray:
    return np.frombuffer(memoryview(bytearray(MB)).toreadonly(), np.uint8)


def read_only_view_of_writeable() -> np.ndarray:
    return frozen(np.zeros(MB, np.uint8)[:])


@pytest.mark.invariant("I-50")
@pytest.mark.parametrize(
    ("make", "aliases"),
    [
        (lambda: np.zeros(MB, np.uint8), True),
        (lambda: frozen(np.zeros(MB, np.uint8)), False),
        (lambda: frozen(np.zeros(MB, np.uint8))[5:], False),
        (lambda: np.zeros(2 * MB, np.uint8)[::2], False),  # copied to make it contiguous
        (view_of_bytes, False),
        (view_of_bytearray, True),
        (view_of_read_only_bytearray, True),
        (read_only_view_of_writeable, True),
        (lambda: np.zeros(10), False),  # small: copied
    ],
)
@pytest.mark.parametrize("wrap", [lambda a: a, lambda a: {"a": a}])
def test_aliasing_is_told_truly(make, aliases, wrap):
    assert serialize_parts(wrap(make()), "mixed")[1] is aliases


def test_fortran_order_is_aliased_alone_and_copied_in_a_container():
    array = np.zeros((1024, 1024), np.uint8, order="F")
    assert serialize_parts(array, "mixed")[1] is True
    assert serialize_parts([array], "mixed")[1] is False


def test_read_only_memory_map_of_a_file_counts_as_aliasing(tmp_path):
    (tmp_path / "x").write_bytes(bytes(MB))
    mapped = np.memmap(tmp_path / "x", mode="r")
    assert serialize_parts(mapped, "mixed")[1] is True


def test_hashing_a_large_array_makes_no_copy():
    array = np.zeros(16 * MB, np.uint8)
    tracemalloc.start()
    parts, _ = serialize_parts(array, "mixed")
    digest_of_parts(parts)
    in_dict, _ = serialize_parts({"a": array, "b": array}, "mixed")
    digest_of_parts(in_dict)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < MB


def test_snapshot_copies_once_and_only_what_aliases():
    mutable, stable = np.zeros(4 * MB, np.uint8), frozen(np.ones(4 * MB, np.uint8))
    parts, _ = serialize_parts([mutable, stable], "mixed")
    tracemalloc.start()
    kept = snapshot_parts(parts)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert kept[2] is parts[2]
    assert 4 * MB <= peak < 5 * MB


def test_owned_array_becomes_read_only_and_is_not_copied():
    array = np.zeros(4 * MB, np.uint8)
    tracemalloc.start()
    parts = own_array_parts(array)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert not array.flags.writeable
    assert all(map(is_stable, parts))
    assert peak < MB
    assert join_parts(parts) == serialize(np.zeros(4 * MB, np.uint8), "mixed")


def test_owning_a_view_copies_because_its_base_may_change():
    base = np.zeros(2 * MB, np.uint8)
    parts = own_array_parts(base[:MB])
    base[:] = 1
    assert all(map(is_stable, parts))
    assert not any(bytes(parts[1]))


# --- celltypes ---


def test_text_with_lone_surrogates_is_a_value_error():
    for celltype in ("text", "bytes", "python"):
        with pytest.raises(ValueError, match="surrogate"):
            serialize("x\ud800", celltype)


def test_bytes_takes_the_raw_data_of_what_has_some():
    assert serialize(array_module.array("B", [1, 2]), "bytes") == b"\1\2"
    assert serialize(np.int16(258), "bytes") == b"\2\1"
    assert serialize(np.arange(4, dtype="u1").reshape(2, 2).T, "bytes") == bytes([0, 2, 1, 3])
    assert serialize(np.bytes_(b"abc"), "bytes") == b"abc"


def test_bytes_refuses_arrays_of_pointers_and_zeroes_padding():
    aligned = np.dtype([("a", "u1"), ("b", "f8")], align=True)
    dirty = np.empty(2, aligned)
    dirty.view("u1")[:] = 0xEE
    dirty["a"], dirty["b"] = 1, 0.0
    assert serialize(dirty, "bytes") == (b"\1" + bytes(15)) * 2
    with pytest.raises(TypeError, match="object"):
        serialize(np.array([object()]), "bytes")


@pytest.mark.parametrize("value", [None, 5, b"x", {1}])
def test_checksum_takes_checksums_only(value):
    with pytest.raises(TypeError, match="64 hexadecimal digits"):
        serialize(value, "checksum")


def test_checksum_objects_stand_for_their_hex():
    assert serialize(Checksum(A64), "checksum") == serialize(A64, "checksum")
    assert serialize({"a": [Checksum(A64)]}, "plain") == serialize({"a": [A64]}, "plain")
    assert serialize({"a": [Checksum(A64)]}, "mixed") == serialize({"a": [A64]}, "mixed")


def test_binary_refuses_what_is_no_array():
    with pytest.raises(TypeError, match="no array of numbers"):
        serialize({"a": 1}, "binary")
    with pytest.raises(ValueError, match="binary"):
        serialize([[1], [1, 2]], "binary")
    with pytest.raises(TypeError, match="text"):
        serialize("q", "binary")


@pytest.mark.parametrize(
    ("array", "text"),
    [
        (np.array(["x"]), b'"x"\n'),
        (np.array("word"), b'"word"\n'),
        (np.array(""), b'""\n'),
        (np.array([["a", "bc"]]), b'[\n  "a",\n  "bc"\n]\n'),
    ],
)
def test_text_array_that_loses_nothing_is_written_as_text(array, text):
    assert serialize(array, "mixed") == text


@pytest.mark.parametrize("array", [np.array(["x", "y"]), np.array([["x"], ["y"]]), np.array([], "U3")])
@pytest.mark.parametrize("wrap", [lambda a: a, lambda a: {"a": [a]}])
def test_text_array_that_would_lose_something_is_refused(array, wrap):
    with pytest.raises(TypeError, match=r"tolist\(\)"):
        serialize(wrap(array), "mixed")


def test_infinite_int_and_bad_text_keep_python_exceptions():
    with pytest.raises(OverflowError):
        serialize(float("inf"), "int")
    with pytest.raises(UnicodeDecodeError):
        serialize(b"\xff", "text")


def test_a_buffer_is_its_content():
    assert serialize(Buffer(b"abc"), "bytes") == b"abc"
    assert serialize(Buffer(b"abc"), "mixed") == serialize(b"abc", "mixed")
    assert serialize(Buffer(b"abc"), "str") == b"\"b'abc'\"\n"


def test_scalar_classes_of_numpy():
    assert serialize(np.float64(1e-7), "mixed") == b"1e-07\n"
    assert serialize(np.float64(1e-7), "float") == b"1e-7\n"
    assert serialize(np.int64(5), "int") == b"5\n"
    assert serialize(np.longdouble(0.5), "mixed") == b"0.5\n"

"""The npy format against NumPy itself, and its reader against malformed buffers."""

from __future__ import annotations

import ast
import io
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from seamless.array_dtypes import aligned_dtype, check_dtype, padding_offsets
from seamless.npy import npy_header, npy_of_bytes, npy_parts, read_npy
from seamless.parts import join_parts

ALIGNED = np.dtype([("a", "u1"), ("b", "f8"), ("c", "i2")], align=True)
NESTED = np.dtype([("p", "?"), ("q", ALIGNED), ("r", "f4", (3,))], align=True)

SIMPLE = hnp.boolean_dtypes() | hnp.integer_dtypes(endianness="=") | hnp.floating_dtypes(endianness="=")
ARRAYS = hnp.arrays(SIMPLE, hnp.array_shapes(min_dims=0, max_dims=4, min_side=0, max_side=5))


def written(array) -> bytes:
    return join_parts(npy_parts(array))


def saved(array) -> bytes:
    file = io.BytesIO()
    np.save(file, array, allow_pickle=False)
    return file.getvalue()


def without_longdouble(array) -> bool:
    return array.dtype.type is not np.longdouble


@pytest.mark.invariant("I-52")
@given(ARRAYS.filter(without_longdouble))
def test_bytes_are_those_of_numpy_save(array):
    assert written(array) == saved(array)
    assert written(np.asfortranarray(array)) == saved(np.asfortranarray(array))


@given(ARRAYS)
def test_round_trip(array):
    again = np.asarray(read_npy(npy_parts(array)))
    assert again.dtype == array.dtype
    assert again.shape == array.shape
    np.testing.assert_array_equal(again, array)


@pytest.mark.parametrize(
    "shape", [(), (1,), (10**18,), (3, 10**6), (2, 3, 4), (1,) * 32, (123456789, 1), (9,) * 9, (10,) * 11]
)
@pytest.mark.parametrize("fortran_order", [True, False])
@pytest.mark.parametrize("dtype", ["<i4", "|S12345", ALIGNED, NESTED])
def test_header_is_the_one_of_numpy(shape, fortran_order, dtype):
    file = io.BytesIO()
    described = {
        "descr": np.lib.format.dtype_to_descr(np.dtype(dtype)),
        "fortran_order": fortran_order,
        "shape": shape,
    }
    np.lib.format.write_array_header_1_0(file, described)
    assert npy_header(np.dtype(dtype), fortran_order, shape) == file.getvalue()


@pytest.mark.parametrize("n_blanks_needed", range(0, 70))
def test_header_padding_is_the_one_of_numpy_for_every_length(n_blanks_needed):
    dtype = np.dtype([("x" * (1 + n_blanks_needed), "i4")], align=True)
    assert written(np.zeros(2, dtype)) == saved(np.zeros(2, dtype))


def test_header_beyond_64_kib_is_version_2():
    dtype = np.dtype([(f"field{i:05}", "i4") for i in range(4000)], align=True)
    with pytest.warns(UserWarning, match=r"format 2\.0"):
        expected = saved(np.zeros(1, dtype))
    assert written(np.zeros(1, dtype)) == expected
    assert read_npy((expected,)).dtype == dtype


def test_header_with_field_names_beyond_latin_1_is_version_3():
    dtype = np.dtype([("\u03b1", "i4")], align=True)
    with pytest.warns(UserWarning, match=r"format 3\.0"):
        expected = saved(np.zeros(1, dtype))
    assert written(np.zeros(1, dtype)) == expected
    assert read_npy((expected,)).dtype == dtype


@given(st.binary())
def test_bytes_are_a_zero_dimensional_byte_string(content):
    assert join_parts(npy_of_bytes(content)) == saved(np.array(content, f"S{len(content) or 1}"))


def test_large_bytes_are_not_copied():
    content = bytes(1 << 20)
    assert npy_of_bytes(content)[1] is content


@pytest.mark.invariant("I-53")
@pytest.mark.parametrize("dtype", [ALIGNED, NESTED, np.dtype("longdouble")])
@pytest.mark.parametrize("order", ["C", "F"])
@pytest.mark.parametrize("n", [3, 5000])
def test_padding_does_not_matter(dtype, order, n):
    dirty = np.empty((n, 2), dtype, order=order)
    flat = dirty.reshape(-1, order=order).view("u1") if order == "C" else dirty.T.reshape(-1).view("u1")
    flat[:] = 0xAB
    clean = np.zeros((n, 2), dtype, order=order)
    for array in (dirty, clean):
        fill(array)
    padding = padding_offsets(dtype)
    raw = np.frombuffer(join_parts(npy_parts(dirty))[-n * 2 * dtype.itemsize :], "u1")
    assert written(dirty) == written(clean)
    assert not raw.reshape(-1, dtype.itemsize)[:, list(padding)].any()


def fill(array):
    if array.dtype.names is None:
        array[...] = 3
        return
    for name in array.dtype.names:
        fill(array[name])


def test_padding_of_a_nested_structure_is_found():
    nested_offset = NESTED.fields["q"][1]
    inner = {nested_offset + i for i in padding_offsets(ALIGNED)}
    assert inner < set(padding_offsets(NESTED))
    assert len(padding_offsets(NESTED)) == NESTED.itemsize - (1 + 11 + 12)


def test_contiguous_array_is_not_copied_and_others_are():
    array = np.arange(1 << 16).reshape(256, 256)
    assert np.shares_memory(np.frombuffer(npy_parts(array)[1], "u1"), array)
    assert np.shares_memory(np.frombuffer(npy_parts(array.T)[1], "u1"), array)
    assert not np.shares_memory(np.frombuffer(npy_parts(array[:, ::2])[1], "u1"), array)


@pytest.mark.parametrize(
    ("array", "remedy"),
    [
        (np.zeros(2, object), "tolist"),
        (np.zeros(2, complex), r"array\.real"),
        (np.zeros(2, "M8[s]"), "int64"),
        (np.zeros(2, "m8[s]"), "int64"),
        (np.zeros(2, "V3"), "uint8"),
        (np.zeros(2, ">i4"), "newbyteorder"),
        (np.zeros(2, [("a", "u1"), ("b", "f8")]), "align=True"),
        (np.zeros(2, np.dtype([("a", "u1"), ("b", ">f8")], align=True)), "newbyteorder"),
        (np.zeros(2, np.dtype([("a", "u1"), ("b", "c16")], align=True)), "field 'b'"),
        (np.zeros(2, np.dtype([("a", "U3")], align=True)), "field 'a'"),
        (np.zeros(2, {"names": ["b", "a"], "formats": ["u1", "u1"], "offsets": [1, 0]}), "align=True"),
        (np.zeros(2, {"names": ["a", "b"], "formats": ["i4", "i4"], "offsets": [0, 0]}), "align=True"),
        (np.ma.masked_array([1, 2], [True, False]), "mask"),
    ],
)
def test_array_that_cannot_be_stored_is_refused_with_a_way_out(array, remedy):
    with pytest.raises(TypeError, match=remedy):
        npy_parts(array)


def test_structure_that_happens_to_be_aligned_is_stored_as_the_aligned_one():
    packed = np.array([(1, 2)], [("x", "i4"), ("y", "i4")])
    assert written(packed) == written(packed.astype(aligned_dtype(packed.dtype)))


def test_subclasses_are_stored_as_arrays(tmp_path):
    mapped = np.memmap(tmp_path / "x", np.uint8, "w+", shape=(3,))
    assert written(mapped) == written(np.zeros(3, np.uint8))
    assert written(np.rec.array([(1, 2)], np.dtype([("x", "i4"), ("y", "i4")], align=True))) == written(
        np.array([(1, 2)], np.dtype([("x", "i4"), ("y", "i4")], align=True))
    )


@pytest.mark.parametrize("dtype", ["?", "i1", "u8", "f2", "f4", "S3", ALIGNED, NESTED])
def test_storable_dtypes(dtype):
    check_dtype(np.dtype(dtype))


# --- reading ---


def test_packed_structure_comes_back_aligned():
    packed = np.array([(1, 2.5), (3, 4.5)], [("a", "u1"), ("b", "<f8")])
    again = read_npy((saved(packed),))
    assert again.dtype == np.dtype([("a", "u1"), ("b", "<f8")], align=True)
    assert again.tolist() == packed.tolist()


def test_array_of_another_byte_order_can_be_read():
    assert read_npy((saved(np.arange(3, dtype=">i4")),)).tolist() == [0, 1, 2]


def test_zero_dimensional_structure_is_independent_of_the_buffer():
    content = saved(np.zeros((), ALIGNED))
    value = read_npy((content,))
    value["b"] = 5.0
    assert value["b"] == 5.0
    assert read_npy((content,))["b"] == 0.0


HEADER = "{'descr': '<i8', 'fortran_order': False, 'shape': (3,), }"


def npy(header: str, data: bytes = bytes(24), version: int = 1) -> bytes:
    encoded = header.encode()
    return b"\x93NUMPY" + bytes([version, 0]) + len(encoded).to_bytes(2, "little") + encoded + data


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"\x93NUMPY", "no header"),
        (npy(HEADER, version=9), "version 9.0"),
        (npy(HEADER)[:40], "header should end at byte 67"),
        (npy(HEADER, bytes(23)), "announces 24 bytes.*but 23 follow"),
        (npy(HEADER, bytes(25)), "announces 24 bytes.*but 25 follow"),
        (npy(HEADER.replace("(3,)", "(4,)")), "announces 32 bytes"),
        (npy(HEADER.replace("(3,)", "(-3,)")), "shape"),
        (npy(HEADER.replace("(3,)", "[3]")), "shape"),
        (npy(HEADER.replace("(3,)", "(True,)")), "shape"),
        (npy(HEADER.replace("(3,)", f"(0, {2**62}, {2**62})"), b""), "no array"),
        (npy(HEADER.replace("False", "0")), "fortran_order"),
        (npy(HEADER.replace("<i8", "|O")), "never read"),
        (npy(HEADER.replace("'<i8'", "[('a', '|O')]")), "never read"),
        (npy(HEADER.replace("'<i8'", "'i4,O'")), "never read"),
        (npy(HEADER.replace("<i8", "nonsense")), "no dtype"),
        (npy(HEADER.replace("'<i8'", "[3]")), "no dtype"),
        (npy(HEADER.replace("'<i8'", "[()]")), "no dtype"),
        (npy("{'descr': '<i8'}"), "expected a dict"),
        (npy("[1]"), "expected a dict"),
        (npy("__import__('os').getcwd()"), "malformed npy header"),
        (npy("(" * 5000), "malformed npy header"),
        (npy(HEADER + "\0"), "malformed npy header"),
        (b"\x93NUMPY\x02\x00\xff\xff\xff\xff" + bytes(64), "4294967295 bytes"),
        (b"\x93NUMPY\x03\x00\x02\x00\x00\x00\xff\xff", "UTF-8"),
    ],
)
def test_malformed_npy_is_a_value_error(content, message):
    with pytest.raises(ValueError, match=message):
        read_npy((content,))


@given(st.integers(1, 200), st.data())
def test_parts_may_be_cut_anywhere(cut, data):
    content = saved(np.arange(10))
    cut = min(cut, len(content) - 1)
    second = data.draw(st.integers(cut, len(content)))
    parts = (content[:cut], memoryview(content)[cut:second], content[second:])
    assert read_npy(parts).tolist() == list(range(10))


def test_size_of_the_example_is_right():
    assert math.prod((3,)) * 8 == 24


def test_a_header_is_read_although_python_stumbles_over_another_parse(monkeypatch):
    """Before 3.11.8 `ast.parse` raises SystemError now and then, when another thread parses at the same time."""
    real, n_calls = ast.literal_eval, 0

    def stumbling(text: str):
        nonlocal n_calls
        n_calls += 1
        if n_calls == 1:
            raise SystemError("AST constructor recursion depth mismatch (before=135, after=187)")
        return real(text)

    monkeypatch.setattr(ast, "literal_eval", stumbling)
    array = np.zeros(3, ALIGNED)

    assert np.array_equal(read_npy(npy_parts(array)), array)
    assert n_calls == 2

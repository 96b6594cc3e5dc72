"""Deep structures: what is a leaf, what is an index, and which paths stay inside a folder."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from seamless import Buffer, Checksum
from seamless.deep import check_path, checksums_of, pack, unpack, validate_index
from seamless.serialize import serialize

A64 = "a" * 64


def test_deepcell_leaves_are_mixed_buffers():
    index, buffers = pack({"x": np.arange(3), "y": [1, (2.5, "s")], "z": {}}, "deepcell")
    leaf = {value: Buffer(value, "mixed").get_checksum().hex() for value in (1, 2.5, "s")}
    array = Buffer(np.arange(3), "mixed").get_checksum().hex()
    assert index == {"x": array, "y": [leaf[1], [leaf[2.5], leaf["s"]]], "z": {}}
    assert [buffer.checksum.hex() for buffer in buffers] == [array, leaf[1], leaf[2.5], leaf["s"]]


def test_folder_leaves_are_raw_bytes():
    index, buffers = pack({"dir/a.txt": b"abc", "b": "text"}, "folder")
    assert [buffer.content for buffer in buffers] == [b"abc", b"text"]
    assert list(index) == ["dir/a.txt", "b"]
    assert index["b"] == Buffer(b"text").get_checksum()


def test_checksums_and_buffers_are_leaves_already():
    index, buffers = pack([Checksum(A64), A64, Buffer(b"abc")], "deepcell")
    assert index == [A64, A64, Buffer(b"abc").get_checksum().hex()]
    assert [buffer.content for buffer in buffers] == [b"abc"]


@pytest.mark.parametrize("text", ["A" * 64, "a" * 63, "g" * 64])
def test_only_64_lower_case_digits_make_a_text_a_checksum(text):
    index, buffers = pack([text], "deepcell")
    assert index != [text]
    assert [buffer.get_value("mixed") for buffer in buffers] == [text]


def test_equal_leaves_are_one_buffer():
    index, buffers = pack([b"x", b"x", b"y"], "deepcell")
    assert len(buffers) == 2
    assert index[0] == index[1]


@given(
    st.recursive(
        st.integers() | st.text(max_size=5),
        lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=4), inner, max_size=4),
        max_leaves=10,
    )
)
def test_pack_and_unpack_are_inverse(value):
    index, buffers = pack([value], "deepcell")
    by_checksum = {buffer.checksum: buffer for buffer in buffers}
    assert unpack(index, "deepcell", lambda checksum: by_checksum[checksum].get_value("mixed")) == [value]
    assert set(checksums_of(index)) == by_checksum.keys()
    assert serialize(index, "deepcell") == serialize(unpack(index, "deepcell", lambda c: c), "plain")


def test_checksums_of_an_index_come_once_and_in_order():
    b64 = "b" * 64
    assert checksums_of({"x": [b64, A64], "y": b64}) == [Checksum(b64), Checksum(A64)]
    assert checksums_of({"f": A64}, "folder") == [Checksum(A64)]
    assert checksums_of([]) == []


@pytest.mark.parametrize(
    ("index", "celltype", "message"),
    [
        ({"a": "A" * 64}, "deepcell", r"value\['a'\].*64 lower-case"),
        ({"a": [5]}, "deepcell", r"value\['a'\]\[0\]"),
        (A64, "deepcell", "dict or list"),
        ({"a": None}, "deepcell", r"value\['a'\]"),
        ({1: A64}, "deepcell", "key 1"),
        ([A64], "folder", "relative path"),
        ({"a": {"b": A64}}, "folder", "flat.*'a/name'"),
        ({"a": [A64]}, "deepfolder", r"value\['a'\]"),
        ({3: A64}, "folder", "str such as"),
    ],
)
def test_what_is_no_index_is_a_type_error(index, celltype, message):
    with pytest.raises(TypeError, match=message):
        validate_index(index, celltype)


@pytest.mark.invariant("I-58")
@pytest.mark.parametrize(
    "path", ["", "/etc/passwd", "../x", "a/../../x", "a//b", "a/", "./a", "a/./b", "a\0b", ".", ".."]
)
def test_paths_that_leave_their_folder_are_refused(path):
    for function in (pack, validate_index):
        with pytest.raises(ValueError, match="inside its folder"):
            function({path: A64}, "folder")


@pytest.mark.parametrize("path", ["a", "a/b", "..a", "a..", "a b/ü", "..."])
def test_paths_inside_are_kept(path):
    assert check_path(path) == path


def test_leaf_that_cannot_be_written_is_named():
    with pytest.raises(TypeError, match=r"value\['a'\]\[1\] into a deepcell"):
        pack({"a": [1, {1, 2}]}, "deepcell")


def test_cycle_is_a_value_error():
    cycle: list[object] = []
    cycle.append(cycle)
    with pytest.raises(ValueError, match="holds itself"):
        pack(cycle, "deepcell")


def test_other_celltypes_have_no_index():
    with pytest.raises(TypeError, match="deepcell, deepfolder, folder"):
        pack({}, "plain")

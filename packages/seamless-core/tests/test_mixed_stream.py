"""The mixed stream: round trip, independence of layout, and its reader against damaged streams."""

from __future__ import annotations

import json
import struct

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from seamless import Buffer, Checksum
from seamless.mixed_stream import mixed_stream_parts, read_mixed_stream
from seamless.parts import join_parts
from seamless.serialize import serialize

ALIGNED = np.dtype([("a", "u1"), ("b", "f8")], align=True)

ARRAYS = hnp.arrays(
    st.sampled_from(["?", "i1", "u2", "i8", "f4", "f8", "S3", ALIGNED]),
    hnp.array_shapes(min_dims=0, max_dims=3, min_side=0, max_side=3),
)
LEAVES = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=4)
VALUES = st.recursive(
    LEAVES | ARRAYS | st.binary(max_size=4),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=3), inner, max_size=4),
    max_leaves=12,
)


def stream(value: object) -> bytes:
    return join_parts(mixed_stream_parts(value))


def read(content: bytes) -> object:
    return read_mixed_stream((content,))


def as_read(value: object) -> object:
    """What a value is expected to come back as: bytes as zero-dimensional S arrays."""
    if isinstance(value, dict):
        return {key: as_read(item) for key, item in value.items()}
    if isinstance(value, list):
        return [as_read(item) for item in value]
    return np.array(value or b"\0") if isinstance(value, bytes) else value


def same(a: object, b: object) -> bool:
    if isinstance(a, dict) and isinstance(b, dict):
        return list(a) == list(b) and all(same(a[key], b[key]) for key in a)
    if isinstance(a, list) and isinstance(b, list):
        return len(a) == len(b) and all(map(same, a, b))
    if isinstance(a, np.ndarray) and isinstance(b, np.ndarray):
        return a.dtype == b.dtype and a.shape == b.shape and serialize(a, "bytes") == serialize(b, "bytes")
    return type(a) is type(b) and (a == b or (a != a and b != b))


@given(st.lists(VALUES, max_size=3), st.dictionaries(st.text(max_size=3), VALUES, max_size=3))
@settings(suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large])
def test_round_trip(items, members):
    value = {**members, "items": items, "array": np.arange(3)}
    assert same(read(stream(value)), as_read(value))


@pytest.mark.invariant("I-52")
@given(VALUES)
@settings(suppress_health_check=[HealthCheck.too_slow])
def test_equal_values_have_equal_bytes(value):
    assert stream([value, np.arange(2)]) == stream([copied(value), np.arange(2)])


def copied(value: object) -> object:
    if isinstance(value, dict):
        return {str(key): copied(item) for key, item in value.items()}
    if isinstance(value, list):
        return tuple(copied(item) for item in value)
    return value.copy() if isinstance(value, np.ndarray) else value


def test_arrays_come_back_writeable_and_independent():
    content = stream({"a": np.arange(1000), "b": b"xy"})
    value = read(content)
    value["a"][0] = 5
    assert read(content)["a"][0] == 0


def test_large_arrays_are_not_copied():
    array = np.arange(1 << 16)
    parts = mixed_stream_parts({"a": array, "b": [b"x" * 100, array[:4]]})
    assert [type(part) for part in parts] == [bytes, memoryview, bytes]
    assert np.shares_memory(np.frombuffer(parts[1], "u1"), array)


def test_structure_comes_back_as_a_structure():
    one = np.array([(7, 1.25)], ALIGNED)[0]
    value = read(stream({"q": one, "r": [one, np.zeros((), ALIGNED)]}))
    assert isinstance(value["q"], np.void)
    assert value["q"].dtype == ALIGNED
    assert value["q"].tolist() == (7, 1.25)
    assert isinstance(value["r"][1], np.ndarray)


@pytest.mark.invariant("I-53")
def test_padding_does_not_matter():
    clean, dirty = np.zeros(3, ALIGNED), np.empty(3, ALIGNED)
    dirty.view("u1")[:] = 0xCD
    for array in (clean, dirty):
        array["a"] = 1
        array["b"] = 2.0
    assert stream({"x": dirty, "y": dirty[0]}) == stream({"x": clean, "y": clean[0]})


def test_leaves_lie_in_the_order_of_the_keys_text():
    content = stream({10: np.array([10], "u1"), 9: np.array([9], "u1")})
    assert content.endswith(bytes([10, 9]))
    assert {key: item.tolist() for key, item in read(content).items()} == {"10": [10], "9": [9]}


def test_two_keys_with_one_text_are_refused():
    with pytest.raises(TypeError, match="two keys that are written as '1'"):
        stream({1: np.arange(2), "1": np.arange(3)})


@pytest.mark.parametrize("empty", [np.zeros((5, 3))[:0], np.zeros((0, 3)), np.zeros((0, 3), order="F")])
def test_arrays_without_elements_have_one_identity(empty):
    assert stream({"a": empty}) == stream({"a": np.zeros((0, 3))})


def test_checksums_and_numpy_scalars_are_written_as_plain():
    checksum = Checksum("a" * 64)
    value = read(stream([checksum, np.int16(3), np.float32(0.5), np.array([1])]))
    assert value[:3] == ["a" * 64, 3, 0.5]


@pytest.mark.parametrize(
    ("value", "place", "remedy"),
    [
        ({"a": [np.arange(2), {"b": np.array(["x"])}]}, r"value\['a'\]\[1\]\['b'\]", "tolist"),
        ({"a": np.zeros(2, ">i4"), "b": 1}, r"value\['a'\]", "newbyteorder"),
        ([b"x", np.bool_(True)], r"value\[1\]", r"bool\(\)"),
        ([b"x", np.zeros(1, complex)], r"value\[1\]", "real"),
        ([b"x", {(1, 2): 3}], r"value\[1\]", "keys must be"),
        ([b"x", np.ma.masked_array([1])], r"value\[1\]", "mask"),
    ],
)
def test_refusals_name_place_and_remedy(value, place, remedy):
    with pytest.raises(TypeError, match=f"{place}.*as mixed: .*{remedy}"):
        stream(value)


def test_cycle_and_depth_are_value_errors():
    cycle: list[object] = [np.arange(2)]
    cycle.append(cycle)
    deep: object = b"x"
    for _ in range(600):
        deep = [deep]
    with pytest.raises(ValueError, match="holds itself"):
        Buffer(cycle, "mixed")
    with pytest.raises(ValueError, match=r"deeper than 512|Python's stack"):
        Buffer(deep, "mixed")


# --- reading what others wrote ---


def build(form: object, index: object, data: bytes = b"", storage: bytes = b"mixed-plain") -> bytes:
    form_text = form if isinstance(form, bytes) else json.dumps(form).encode()
    index_text = index if isinstance(index, bytes) else json.dumps(index).encode()
    return (
        b"\x94SEAMLESS-MIXED"
        + bytes([len(storage)])
        + storage
        + struct.pack("<I", len(form_text))
        + form_text
        + b"\x93SEAMLESS"
        + struct.pack("<QQ", len(index_text), len(data))
        + index_text
        + data
    )


def array_form(items: object, shape: object, **more: object) -> dict[str, object]:
    return {
        "type": "array",
        "items": items,
        "identical": True,
        "shape": shape,
        "storage": "pure-binary",
    } | more


U1 = {"type": "integer", "bytesize": 1, "unsigned": True}


def one(leaf: object) -> dict[str, object]:
    return {"type": "object", "properties": {"a": leaf}}


def test_strides_are_ignored():
    form = one(array_form(U1, [2], contiguous=False, strides=[-400]))
    assert read(build(form, [[0, 2], {"a": 0}], b"\1\2"))["a"].tolist() == [1, 2]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"\x94SEAMLESS-MIXED", "at byte 15"),
        (build({}, [], storage=b"other"), "storage b'other' at byte 16"),
        (build({}, [])[:30], "at byte 27"),
        (build({}, []) + b"x", "1 bytes follow byte"),
        (build({}, [], b"12")[:-1], "the data at byte"),
        (build(b"{", []), "not JSON"),
        (build(b"[" * 100_000, []), "not JSON"),
        (build({}, b"\xff"), "not JSON"),
        (build({}, [1]), "list of two"),
        (build({}, {"a": 1}), "list of two"),
        (build("integer", [[0], 3]), "storage"),
        (build({"type": "set"}, [[0], {}]), "type 'set'"),
        (build({"type": "object"}, [[0], {"a": 1}]), "other keys"),
        (build({"type": "object", "properties": {"a": "null"}}, [[0], []]), "other keys"),
        (build({"type": "array", "shape": [2]}, [[0], [1]]), "other lengths"),
        (build({"type": "array", "shape": [1], "items": []}, [[0], [1]]), "form for each item"),
        (build(one(array_form(U1, [2])), [[0, 3], {"a": 0}], b"123"), "has 3 bytes.*expected 2"),
        (build(one(array_form(U1, [2])), [[0, 2], {"a": 0}], b"123"), "offsets"),
        (build(one(array_form(U1, [2])), [[0, 3, 2], {"a": 0}], b"12"), "offsets"),
        (build(one(array_form(U1, [2])), [[0, True], {"a": 0}], b"1"), "offsets"),
        (build(one(array_form(U1, [2])), [7, {"a": 0}], b"12"), "offsets"),
        (build(one(array_form(U1, [2])), [[0], {"a": 0}]), "no data for the leaf"),
        (build(one("integer"), [[0, 2], {"a": 0}], b"12"), "1 leaves in the data, but 0"),
        (build(one(array_form(U1, [-2])), [[0, 2], {"a": 0}], b"12"), "shape"),
        (build(one(array_form(U1, [1] * 65)), [[0, 1], {"a": 0}], b"1"), "shape"),
        (build(one(array_form(U1, [0, 2**62, 2**62])), [[0, 0], {"a": 0}]), "leaf"),
        (
            build(one(array_form({"type": "integer", "bytesize": 3}, [1])), [[0, 3], {"a": 0}], b"123"),
            "no dtype",
        ),
        (build(one(array_form({"type": "string", "bytesize": 0}, [1])), [[0, 0], {"a": 0}]), "no dtype"),
        (build(one(array_form({"type": "string", "bytesize": 2**40}, [1])), [[0, 0], {"a": 0}]), "no dtype"),
        (
            build(
                one(
                    array_form(
                        {"type": "object", "properties": {"x": U1}, "order": ["y"], "bytesize": 1}, [1]
                    )
                ),
                [[0, 1], {"a": 0}],
                b"1",
            ),
            "no dtype",
        ),
        (
            build(
                one(
                    array_form(
                        {"type": "object", "properties": {"x": U1}, "order": ["x"], "bytesize": 8}, [1]
                    )
                ),
                [[0, 8], {"a": 0}],
                bytes(8),
            ),
            "no dtype",
        ),
        (build(one(array_form(None, [1])), [[0, 1], {"a": 0}], b"1"), "no dtype"),
        (build(one({"type": "object", "storage": "pure-binary"}), [[0, 1], {"a": 0}], b"1"), "no dtype"),
        (
            build(one({"type": "object", "storage": "pure-gold"}), [[0, 1], {"a": 0}], b"1"),
            "storage 'pure-gold'",
        ),
    ],
)
def test_malformed_stream_is_a_value_error(content, message):
    with pytest.raises(ValueError, match=message):
        read(content)


EXAMPLE = stream({"a": np.arange(3), "b": [b"xy", np.zeros((), ALIGNED)], "c": [1, {"d": np.zeros((2, 0))}]})


@pytest.mark.invariant("I-55")
@given(st.integers(0, len(EXAMPLE) - 1), st.binary(max_size=3), st.integers(0, 3))
@settings(max_examples=200)
def test_damaged_stream_is_read_or_a_value_error(place, inserted, n_removed):
    damaged = EXAMPLE[:place] + inserted + EXAMPLE[place + n_removed :]
    assert refusal(Buffer(damaged)) != ""


def refusal(buffer: Buffer) -> str | None:
    """Return the message of the TypeError or ValueError, None when the buffer has a value."""
    try:
        buffer.get_value("mixed")
    except (TypeError, ValueError) as exc:
        return str(exc)
    return None

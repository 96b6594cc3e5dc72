"""The two JSON dialects: their rules, and our own writer against orjson and the standard library."""

from __future__ import annotations

import collections
import dataclasses
import datetime
import enum
import json
import math
import random
import struct
import subprocess
import sys
import uuid

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from seamless import Checksum, dialect_m, dialect_p, json_fast

A64 = "a" * 64

TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=12)
ASCII = st.text(st.characters(max_codepoint=0x7F), max_size=12)
INT64 = st.integers(-(2**63), 2**64 - 1)
DECADES = st.builds(lambda m, e: m * 10.0**e, st.floats(-10, 10), st.integers(-8, 20))
FLOATS = st.one_of(st.floats(allow_nan=True), DECADES)


def nested(leaves, keys):
    return st.recursive(
        leaves,
        lambda inner: st.lists(inner, max_size=5) | st.dictionaries(keys, inner, max_size=5),
        max_leaves=30,
    )


P_VALUES = nested(st.none() | st.booleans() | INT64 | FLOATS | TEXT, TEXT)
M_VALUES = nested(
    st.none() | st.booleans() | st.integers() | FLOATS | st.text(max_size=12), st.text(max_size=8)
)


def random_doubles(n: int) -> list[float]:
    rng = random.Random(20240607)
    patterns = (struct.unpack("<d", rng.randbytes(8))[0] for _ in range(n))
    decades = (rng.uniform(-10, 10) * 10.0 ** rng.randint(-12, 25) for _ in range(n))
    return [*patterns, *decades]


def float_text_by_rule(x: float) -> str:
    """The documented rule, spelled out from the shortest digits."""
    if not math.isfinite(x):
        return "null"
    sign = "-" if math.copysign(1.0, x) < 0 else ""
    digits, _, exponent_text = f"{float.__repr__(abs(x))}e0".partition("e")
    exponent = int(exponent_text.split("e")[0])
    whole, _, fraction = digits.partition(".")
    significant = (whole + fraction).lstrip("0")
    point = len(whole) + exponent - (len(whole + fraction) - len(significant))
    significant = significant.rstrip("0")
    if not significant:
        return f"{sign}0.0"
    if 1e-5 <= abs(x) < 1e16:
        if point <= 0:
            return f"{sign}0.{'0' * -point}{significant}"
        padded = significant.ljust(point, "0")
        return f"{sign}{padded[:point]}.{padded[point:] or '0'}"
    mantissa = significant[0] + (f".{significant[1:]}" if len(significant) > 1 else "")
    return f"{sign}{mantissa}e{'+' if point > 0 else ''}{point - 1}"


# --- dialect P ---


def test_p_floats_follow_the_rule():
    values = random_doubles(20_000)
    assert [dialect_p.float_text(x) for x in values] == [float_text_by_rule(x) for x in values]


def test_p_floats_read_back():
    values = [x for x in random_doubles(5_000) if math.isfinite(x)]
    assert [float(dialect_p.float_text(x)) for x in values] == values


@pytest.mark.invariant("I-52")
@given(P_VALUES)
def test_p_of_orjson_equals_p_of_our_own_writer(value):
    assert json_fast.write_like_p(value, dialect_p.float_text) == dialect_p.dumps_exactly(value)


@given(P_VALUES)
def test_p_is_json_with_sorted_keys(value):
    text = dialect_p.dumps_exactly(value)
    assert text.endswith(b"\n")
    assert not text.endswith(b"\n\n")
    again = json.loads(text, object_pairs_hook=lambda pairs: pairs if pairs == sorted(pairs) else None)
    assert again is not None or value is None or value != value or math.isinf(value)


@given(st.lists(FLOATS | TEXT | st.sampled_from(["1e16", "x 2.5e22", "0.00001", "e+5"]), max_size=20))
def test_p_of_an_orjson_without_plus_is_mended(values):
    text = dialect_p.dumps_exactly({"a": values, "1e22": 1e22, "2e16,": [1e16, "3e17"]})
    without_plus = b"\n".join(
        line if line.lstrip().startswith(b'"') and b'": ' not in line else line.replace(b"e+", b"e")
        for line in text.split(b"\n")
    )
    old, json_fast._p_floats = json_fast._p_floats, False
    try:
        mended = json_fast._with_floats(without_plus, dialect_p.float_text)
    finally:
        json_fast._p_floats = old
    assert mended == text


class Color(enum.Enum):
    RED = 1
    PAIR = (1, 2.0)


class Name(str, enum.Enum):
    X = "x"


class Level(enum.IntEnum):
    LOW = 3


class Words(list):
    pass


class Text(str):
    pass


Point = collections.namedtuple("Point", "x y")


@dataclasses.dataclass
class Settings:
    zeta: int = 1
    alpha: float = 1e22
    _hidden: int = 3


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (Color.RED, "1"),
        (Color.PAIR, "[\n  1,\n  2.0\n]"),
        (Name.X, '"x"'),
        (Level.LOW, "3"),
        (Words([1]), "[\n  1\n]"),
        (Text("é"), '"é"'),
        (Point(1, 2), "[\n  1,\n  2\n]"),
        (collections.OrderedDict(b=1, a=2), '{\n  "a": 2,\n  "b": 1\n}'),
        (Settings(), '{\n  "zeta": 1,\n  "alpha": 1e+22\n}'),
        (datetime.datetime(2020, 1, 2, 3, 4, 5), '"2020-01-02T03:04:05"'),
        (datetime.date(2020, 1, 2), '"2020-01-02"'),
        (uuid.UUID(int=5), '"00000000-0000-0000-0000-000000000005"'),
        (Checksum(A64), f'"{A64}"'),
    ],
)
def test_p_of_less_usual_types_with_and_without_orjson(value, text):
    assert dialect_p.dumps_exactly(value) == text.encode() + b"\n"
    assert dialect_p.dumps(value) == text.encode() + b"\n"
    inside = dialect_p.dumps_exactly({"k": [value] * 300, "n": (value,)})
    assert dialect_p.dumps({"k": [value] * 300, "n": (value,)}) == inside


@pytest.mark.parametrize(
    ("value", "where", "remedy"),
    [
        ({"a": [1, {"b": {1, 2}}]}, r"value\['a'\]\[1\]\['b'\]", r"sorted\(\)"),
        ({"a": b"x"}, r"value\['a'\]", "'bytes'"),
        ([np.float64(1.5)], r"value\[0\]", r"tolist\(\)"),
        ([1, np.arange(3)], r"value\[1\]", "'mixed'"),
        ([1, 2**64], r"value\[1\]", "'mixed'"),
        ({"x": -(2**63) - 1}, r"value\['x'\]", "65|64 bits"),
        ({"x": {1: 2}}, r"value\['x'\]", "keys must be str"),
        ({"x": 1, 2: 3}, "value", "keys must be str"),
        ("\ud800", "value", "surrogate"),
        ({"\ud800": 1}, "value", "surrogate"),
        (1 + 2j, "value", "complex"),
        (object(), "value", "object"),
    ],
)
def test_p_refuses_with_place_and_remedy(value, where, remedy):
    with pytest.raises(TypeError, match=f"(?s){where}.*{remedy}|{remedy}"):
        dialect_p.dumps(value)
    with pytest.raises(TypeError, match=where):
        dialect_p.dumps([0] * 300 + [value]) if where == "value" else dialect_p.dumps(value)


def deep_list(n_levels: int) -> list[object]:
    value: list[object] = []
    for _ in range(n_levels - 1):
        value = [value]
    return value


@pytest.mark.parametrize("write", [dialect_p.dumps, dialect_p.dumps_exactly])
def test_p_goes_254_levels_deep(write):
    assert json.loads(write(deep_list(254))) == deep_list(254)
    with pytest.raises(TypeError, match="deeper than 254 levels"):
        write(deep_list(255))


def cyclic_list() -> list[object]:
    value: list[object] = [1]
    value.append([value])
    return value


def cyclic_dict() -> dict[str, object]:
    value: dict[str, object] = {"a": 1}
    value["b"] = {"c": (value, value)}
    return value


@pytest.mark.parametrize("value", [cyclic_list(), cyclic_dict()])
@pytest.mark.parametrize("write", [dialect_p.dumps, dialect_p.dumps_exactly, dialect_m.dumps])
def test_a_container_that_holds_itself_is_a_value_error(write, value):
    with pytest.raises(ValueError, match="holds itself"):
        write(value)


def test_a_container_used_twice_is_no_cycle():
    shared = [1]
    assert dialect_p.dumps([shared, shared]) == dialect_p.dumps([[1], [1]])


# --- dialect M ---


def standard_text(value: object) -> bytes:
    return json.dumps(value, indent=2, sort_keys=True).encode("ascii") + b"\n"


@given(M_VALUES)
def test_m_is_what_the_standard_library_writes(value):
    assert dialect_m.dumps_exactly(value) == standard_text(value)


@pytest.mark.invariant("I-52")
@given(M_VALUES | nested(st.none() | INT64 | FLOATS | ASCII, ASCII))
@settings(max_examples=200)
def test_m_of_orjson_where_it_is_taken_equals_the_standard_library(value):
    fast = json_fast.write_like_m([value], dialect_m._float_text)
    assert fast in (None, standard_text([value]))


def test_m_of_large_values_takes_orjson_and_equals_the_standard_library():
    value = {"x": random_doubles(3_000)[3_000:], "rows": [[i, str(i), None, i * 1e-5] for i in range(300)]}
    finite = {"x": [x for x in value["x"] if math.isfinite(x)], "rows": value["rows"][1:]}
    del finite["rows"][:]
    assert json_fast.write_like_m(finite, dialect_m._float_text) == standard_text(finite)
    assert dialect_m.dumps(value) == standard_text(value)


@pytest.mark.parametrize(
    "value",
    [
        ["é"],
        ["\x7f"],
        [float("nan")],
        [float("inf"), None],
        [2**64],
        [uuid.UUID(int=1)],
        [Name.X],
        [datetime.date(2020, 1, 1)],
        {1: 2},
        [b"x"],
    ],
)
def test_m_does_not_leave_to_orjson_what_could_differ(value):
    assert json_fast.write_like_m(value * 300 if isinstance(value, list) else value, repr) is None


@pytest.mark.parametrize(
    "value",
    [
        {10: 1, 9: 2},
        {True: 1, 2: 3},
        {None: 1},
        {1.5: 1, float("inf"): 2},
        {Level.LOW: Level.LOW},
        [Name.X, Text("ü")],
        collections.OrderedDict(b=(1, Point(2, 3)), a=[]),
        "\ud800",
        -(2**200),
        [[], {}, (), [[]]],
    ],
)
def test_m_keys_subclasses_and_large_integers_follow_the_standard_library(value):
    assert dialect_m.dumps(value) == standard_text(value)


def test_m_takes_numpy_scalars_and_checksums():
    value = {
        "a": np.float32(0.1),
        "b": [np.int8(3), np.uint64(2**64 - 1)],
        "c": np.str_("x"),
        "d": Checksum(A64),
    }
    plain = {"a": float(np.float32(0.1)), "b": [3, 2**64 - 1], "c": "x", "d": A64}
    assert dialect_m.dumps(value) == standard_text(plain)


@pytest.mark.parametrize(
    ("value", "where", "remedy"),
    [
        ([1, np.bool_(True)], r"value\[1\]", r"bool\(\)"),
        ({"a": {1, 2}}, r"value\['a'\]", r"sorted\(\)"),
        ({"a": bytearray(b"x")}, r"value\['a'\]", r"bytes\(\)"),
        ({"a": {1: 2, "b": 3}}, r"value\['a'\]", "one type"),
        ({(1, 2): 3}, "value", "keys must be"),
        (Color.RED, "value", "Color"),
        (np.timedelta64(3, "s"), "value", "timedelta64"),
        (1 + 2j, "value", "real and imaginary"),
    ],
)
def test_m_refuses_with_place_and_remedy(value, where, remedy):
    with pytest.raises(TypeError, match=f"{where} as mixed: .*{remedy}"):
        dialect_m.dumps(value)


def test_m_too_deep_is_a_value_error():
    assert dialect_m.dumps(deep_list(dialect_m.MAX_DEPTH)) == standard_text(deep_list(dialect_m.MAX_DEPTH))
    with pytest.raises(ValueError, match="deeper than 512 levels"):
        dialect_m.dumps(deep_list(dialect_m.MAX_DEPTH + 1))
    with pytest.raises(ValueError, match="deeper than 512 levels"):
        dialect_m.dumps(deep_list(100_000))


def test_too_little_stack_is_a_value_error():
    def descend(levels: int) -> bytes:
        return dialect_m.dumps(deep_list(400)) if levels == 0 else descend(levels - 1)

    frames_left = sys.getrecursionlimit() - len(__import__("inspect").stack(0))
    with pytest.raises(ValueError, match="Python's stack"):
        descend(frames_left - 200)


# --- start-up ---


def test_small_values_import_neither_numpy_nor_orjson():
    code = (
        "import sys\n"
        "from seamless.serialize import serialize, serialize_parts\n"
        "from seamless.buffer import Buffer\n"
        "for celltype in ('mixed', 'plain', 'str', 'text', 'bytes', 'checksum', 'python', 'yaml'):\n"
        "    serialize('a' * 64, celltype)\n"
        "serialize({'a': [1, 2.5, None], 'b': 'x'}, 'mixed'); serialize({'a': (1, 2)}, 'plain')\n"
        "serialize(3, 'int'); serialize(b'abc', 'mixed'); serialize({'a': b'abc'}, 'mixed')\n"
        "Buffer(5, 'mixed').get_value('mixed'); Buffer({'a': 1.5}, 'mixed').get_value('mixed')\n"
        "print(sorted({'numpy', 'orjson', 'asyncio', 'yaml', 'pathlib', 'ast'} & set(sys.modules)))\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=30, check=True
    )
    assert done.stdout == "[]\n"


def test_a_process_that_writes_often_gets_orjson():
    code = (
        "import sys\n"
        "from seamless import dialect_p\n"
        "texts = {dialect_p.dumps({'a': [1e22, 'x']}) for _ in range(1000)}\n"
        "print(len(texts), 'orjson' in sys.modules)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=30, check=True
    )
    assert done.stdout == "1 True\n"

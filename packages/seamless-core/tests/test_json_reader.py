"""Reading JSON: the standard library to the same rules as orjson."""

from __future__ import annotations

import json
import random
import subprocess
import sys

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st
from seamless import json_reader

VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=4), inner, max_size=4),
    max_leaves=10,
)


def outcome(read, content: bytes) -> str:
    """What reading gives, so that two ways can be compared: the value with its types, or `refused`."""
    try:
        return repr(read(content))
    except (ValueError, RecursionError):
        return "refused"


def with_standard_library(content: bytes) -> object:
    return json_reader._strict_decoder()(content.decode().strip("\n"))


def with_orjson(content: bytes) -> object:
    return orjson.loads(content.rstrip(b"\n"))


@given(VALUES)
def test_both_readers_agree_on_json(value):
    content = json.dumps(value, ensure_ascii=False).encode("utf-8", "surrogatepass")
    assert outcome(with_standard_library, content) == outcome(with_orjson, content)


SEEDS = [
    b'{"a": [1, 2.5e3, "x\\n", null], "b": true}\n',
    b"-0",
    b"-0.0",
    b"1e400",
    b"12345678901234567890123",
    b"01",
    b"[]",
]


def test_both_readers_agree_on_damaged_json():
    rng = random.Random(7)
    alphabet = b'0123456789eE+-.,:[]{}"ntfNI\\ \t\r\n\x01\xc3'
    for _ in range(4000):
        content = bytearray(rng.choice(SEEDS))
        for _ in range(rng.randint(0, 3)):
            place = rng.randint(0, len(content))
            content[place : place + rng.randint(0, 2)] = bytes(rng.choices(alphabet, k=rng.randint(0, 2)))
        assert outcome(with_standard_library, bytes(content)) == outcome(with_orjson, bytes(content)), content


@pytest.mark.parametrize(
    "content", [*SEEDS, b"0", b"7\n", b"-12", b"00", b"-", b"", b"\n", b"1_0", b"+1", "\u0661".encode()]
)
def test_small_integers_are_read_as_json_reads_them(content):
    assert outcome(json_reader.read_strict, content) == outcome(with_orjson, content)
    small = json_reader._small_int(content)
    assert small is None or repr(small) == outcome(with_orjson, content)


def test_small_plain_values_are_read_without_orjson():
    code = (
        "import sys\n"
        "from seamless.deserialize import deserialize\n"
        "print(deserialize(b'{\"a\": [1, 18446744073709551616]}', 'plain'), deserialize(b'\"x\"', 'str'))\n"
        "print('orjson' in sys.modules)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=30, check=True
    )
    assert done.stdout == "{'a': [1, 1.8446744073709552e+19]} x\nFalse\n"

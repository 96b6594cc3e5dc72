"""Reading values: what each celltype makes of other content, and that rubbish is refused clearly."""

from __future__ import annotations

import random
import sys

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from seamless import Buffer
from seamless.celltypes import ALIASES, CELLTYPES
from seamless.deserialize import deserialize
from seamless.serialize import serialize

SEEDS = [
    b"",
    b"null\n",
    b"-12",
    b"1.5e400",
    b'{"a": [1, NaN]}',
    b"a" * 64,
    b'"' + b"a" * 64 + b'"\n',
    b"x = (1\n",
    b"a: [1, *b]\n",
    b"%ls\n",
    b"\x93NUMPY\x01\x00",
    b"\x94SEAMLESS-MIXED\x0bmixed-plain",
    serialize(np.arange(3), "mixed"),
    serialize({"a": np.zeros((2, 2)), "b": [b"x"]}, "mixed"),
]


def mutated(seed: bytes, rng: random.Random) -> bytes:
    content = bytearray(seed)
    for _ in range(rng.randint(0, 4)):
        place = rng.randint(0, len(content))
        content[place : place + rng.randint(0, 3)] = rng.randbytes(rng.randint(0, 3))
    return bytes(content)


def refusal(content: Buffer | bytes, celltype: str) -> str | None:
    """Return the message of the TypeError or ValueError, None when the content has a value."""
    try:
        deserialize(content, celltype)
    except (TypeError, ValueError) as exc:
        return str(exc)
    return None


@pytest.mark.parametrize("celltype", CELLTYPES + ALIASES)
def test_rubbish_is_a_value_or_a_clear_error(celltype):
    rng = random.Random(celltype)
    for content in [mutated(seed, rng) for seed in SEEDS for _ in range(40)]:
        assert refusal(Buffer(content), celltype) != ""


@pytest.mark.invariant("I-55")
@given(st.binary(max_size=40), st.sampled_from(CELLTYPES))
@settings(max_examples=200)
def test_random_bytes_are_a_value_or_a_clear_error(content, celltype):
    assert refusal(content, celltype) != ""


@pytest.mark.parametrize("celltype", [c for c in CELLTYPES + ALIASES if c not in ("bytes", "text")])
def test_deep_nesting_is_a_value_or_a_clear_error(celltype):
    for content in (b"[" * 4_000, b"(" * 4_000, b"[" * 4_000 + b"]" * 4_000, b"{'a':" * 5_000):
        assert refusal(content, celltype) != ""


def test_only_buffers_and_bytes_are_read():
    for value in ("5", bytearray(b"5"), None):
        with pytest.raises(TypeError, match="Buffer or bytes"):
            deserialize(value, "plain")  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("content", "value"),
    [
        (b"0", 0),
        (b"-7\n", -7),
        (b"-0", 0),
        (b"007", ValueError),
        (b"12345678901234567", 12345678901234567),
        (b"123456789012345678901", 1.2345678901234568e20),
        (b"true\n\n", True),
        (b"nul", ValueError),
        (b"1 2", ValueError),
        (b"\xff", ValueError),
        (b'"\\ud800"', ValueError),
        (b"[" * 2000, ValueError),
    ],
)
def test_plain_is_strict_json(content, value):
    if value is ValueError:
        with pytest.raises(ValueError, match="plain JSON"):
            deserialize(content, "plain")
    else:
        assert deserialize(content, "plain") == value
        assert type(deserialize(content, "plain")) is type(value)


def test_mixed_is_lenient_json():
    assert deserialize(b"-0", "mixed") == 0
    assert deserialize(b"[Infinity, 1e400]", "mixed") == [float("inf"), float("inf")]
    assert deserialize(b"123456789012345678901", "mixed") == 123456789012345678901
    assert deserialize(b"007", "mixed").tolist() == b"007"


def test_mixed_integer_of_too_many_digits_is_a_value_error():
    with pytest.raises(ValueError, match="digits"):
        deserialize(b"1" * 5000, "mixed")


def test_mixed_nested_too_deeply_is_a_value_error():
    with pytest.raises(ValueError, match="nested too deeply"):
        deserialize(b"[" * 200_000 + b"]" * 200_000, "mixed")


def test_raw_bytes_under_binary():
    assert deserialize(b"\xff\x00", "binary").tobytes() == b"\xff\x00"
    with pytest.raises(UnicodeDecodeError):
        deserialize(b"\xff\x00", "mixed")
    with pytest.raises(TypeError, match="it is JSON"):
        deserialize(b"[1]", "binary")


def test_checksum_in_every_form():
    digits = "0123456789abcdef" * 4
    for content in (digits, digits.upper(), f"{digits}\n", f'"{digits}"', f'"{digits}"\n'):
        assert deserialize(content.encode(), "checksum") == digits
    assert deserialize(serialize([digits], "checksum"), "checksum") == [digits]
    assert deserialize(serialize({"x": digits}, "checksum"), "checksum") == {"x": digits}
    for content in (b'"short"', b"[5]", b"5", b'{"a": null}'):
        with pytest.raises(TypeError, match="64 hexadecimal digits"):
            deserialize(content, "checksum")


@pytest.mark.invariant("I-55")
def test_python_is_checked_and_not_run(tmp_path):
    code = f"open({str(tmp_path / 'ran')!r}, 'w')"
    assert deserialize(code.encode(), "python") == code
    assert list(tmp_path.iterdir()) == []
    with pytest.raises(ValueError, match=r"not Python code: .*line 2"):
        deserialize(b"x = 1\ny = (\n", "python")
    with pytest.raises(ValueError, match="not Python code"):
        deserialize(b"x = 1\0", "python")


@pytest.mark.invariant("I-55")
def test_yaml_is_checked_and_never_constructs_objects():
    assert deserialize(b"a: [1, 2]\n", "yaml") == "a: [1, 2]"
    with pytest.raises(ValueError, match="not YAML"):
        deserialize(b"!!python/object/apply:os.getcwd []", "yaml")


def test_ipython_that_is_plain_python_needs_no_ipython(monkeypatch):
    monkeypatch.setitem(sys.modules, "IPython.core.inputtransformer2", None)
    assert deserialize(b"x = 1\n", "ipython") == "x = 1"
    with pytest.raises(ValueError, match="pip install ipython"):
        deserialize(b"%ls\n", "ipython")


def test_ipython_magics_are_read_with_ipython(monkeypatch):
    import types

    class TransformerManager:
        def transform_cell(self, text: str) -> str:
            return text.replace("%ls", "get_ipython().run_line_magic('ls', '')")

    module = types.ModuleType("IPython.core.inputtransformer2")
    module.TransformerManager = TransformerManager  # type: ignore[attr-defined]
    for name in ("IPython", "IPython.core"):
        monkeypatch.setitem(sys.modules, name, types.ModuleType(name))
    monkeypatch.setitem(sys.modules, "IPython.core.inputtransformer2", module)
    assert deserialize(b"%ls\n", "ipython") == "%ls"
    with pytest.raises(ValueError, match="not IPython code"):
        deserialize(b"%ls (\n", "ipython")


def test_scalar_casts_name_the_value():
    with pytest.raises(ValueError, match=r"'x' as int"):
        deserialize(b'"x"', "int")
    with pytest.raises(TypeError, match=r"'\[1\]' as float"):
        deserialize(b"[1]", "float")


def test_value_of_bytes_is_the_buffer():
    buffer = Buffer(b"abc")
    assert deserialize(buffer, "bytes") is buffer
    assert deserialize(b"abc", "bytes") == buffer


@pytest.mark.parametrize("value", [5, 1.5, "x" * 50, [1, {"a": 2}], np.arange(3), {"a": [np.arange(3)]}])
def test_buffer_in_mapped_memory_reads_as_bytes_do(value):
    content = serialize(value, "mixed")
    mapped = Buffer._from_parts((memoryview(content),))
    assert serialize(deserialize(mapped, "mixed"), "mixed") == content
    assert repr(deserialize(mapped, "mixed")) == repr(deserialize(content, "mixed"))


def test_buffer_in_parts_reads_as_the_joined_one():
    for content, celltype in ((b'{"a": [1]}', "plain"), (b"x = 1\n", "python"), (b"[1, 2]", "mixed")):
        parts = (content[:3], memoryview(content)[3:])
        assert deserialize(Buffer._from_parts(parts), celltype) == deserialize(content, celltype)

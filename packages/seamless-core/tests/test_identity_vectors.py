"""Every serialization and deserialization vector of the reference; deliberate differences by name."""

from __future__ import annotations

import base64
import datetime
import hashlib
import json
import uuid
from pathlib import Path

import numpy as np
import pytest
from seamless import Buffer, Checksum

VECTORS = json.loads(
    (Path(__file__).parents[3] / "contracts" / "vectors" / "identity.json").read_text(encoding="utf-8")
)

SERIALIZATION_DIFFERENCES = {
    # name: (the exception that we raise, why)
    "s095_mixed_np_array_ab_c": (TypeError, "the reference keeps the first text only, silently"),
    "s149_binary_abc": (TypeError, "the reference keeps the first character only, silently"),
    "s150_binary_ab_c": (TypeError, "the reference keeps the first text only, silently"),
    "s127_mixed_a_np_array_ab_c": (
        TypeError,
        "the reference fails with AssertionError; ours says what to do",
    ),
}
DESERIALIZATION_DIFFERENCES = {
    "d022_mixed": (ValueError, "the reference reads out of bounds (IndexError)"),
    "d053_checksum": ("a" * 64, "the reference cannot read a checksum with a newline"),
    "d054_checksum": ("a" * 64, "the reference cannot read the quoted form that it writes"),
}


def zstruct(dtype, n, values):
    array = np.zeros(n, dtype)
    for i, value in enumerate(values):
        array[i] = value
    return array


NAMES = {
    "np": np,
    "nan": float("nan"),
    "inf": float("inf"),
    "A64": "a" * 64,
    "Checksum": Checksum,
    "Buffer": Buffer,
    "datetime": datetime,
    "uuid": uuid,
    "zstruct": zstruct,
    "AL": np.dtype([("a", "u1"), ("b", "f8")], align=True),
    "AL2": np.dtype([("x", "i4"), ("y", "i4")], align=True),
    "NEST": np.dtype(
        [("a", "u1"), ("b", np.dtype([("x", "i4", (2,)), ("y", "f8")], align=True))], align=True
    ),
}

SERIALIZATION = {entry["name"]: entry for entry in VECTORS["serialization"]}
DESERIALIZATION = {entry["name"]: entry for entry in VECTORS["deserialization"]}
WRITTEN = [n for n, e in SERIALIZATION.items() if "error" not in e and n not in SERIALIZATION_DIFFERENCES]
REFUSED = [n for n, e in SERIALIZATION.items() if "error" in e and n not in SERIALIZATION_DIFFERENCES]
READ = [n for n, e in DESERIALIZATION.items() if "error" not in e and n not in DESERIALIZATION_DIFFERENCES]
UNREADABLE = [n for n, e in DESERIALIZATION.items() if "error" in e and n not in DESERIALIZATION_DIFFERENCES]


def exception_named(name: str) -> type[Exception]:
    return {
        "TypeError": TypeError,
        "ValueError": ValueError,
        "UnicodeDecodeError": UnicodeDecodeError,
    }[name]


def as_described(value: object) -> dict[str, object]:
    shown = value.content if isinstance(value, Buffer) else value
    described: dict[str, object] = {"type": type(value).__name__, "repr": repr(shown)}
    if isinstance(value, np.generic):  # as NumPy 2 shows it
        described["repr"] = f"np.{type(value).__name__}({value.item()!r})"
    if isinstance(value, np.ndarray):
        described |= {"dtype": str(value.dtype), "shape": list(value.shape), "tolist": repr(value.tolist())}
    return described


def test_every_vector_is_used_once():
    assert len(WRITTEN) + len(REFUSED) + len(SERIALIZATION_DIFFERENCES) == len(VECTORS["serialization"])
    assert len(READ) + len(UNREADABLE) + len(DESERIALIZATION_DIFFERENCES) == len(VECTORS["deserialization"])
    assert SERIALIZATION.keys() >= SERIALIZATION_DIFFERENCES.keys()
    assert DESERIALIZATION.keys() >= DESERIALIZATION_DIFFERENCES.keys()


@pytest.mark.parametrize("name", WRITTEN)
def test_value_is_written_as_the_vector_says(name):
    entry = SERIALIZATION[name]
    buffer = Buffer(eval(entry["input"], dict(NAMES)), entry["celltype"])
    content = base64.b64decode(entry.get("buffer_base64", "")) or buffer.content
    checksum = entry.get("checksum") or hashlib.sha256(content).hexdigest()  # none: padding_undefined
    assert buffer.content == content
    assert len(buffer) == entry.get("length", len(content))
    assert buffer.get_checksum() == checksum


@pytest.mark.parametrize("name", REFUSED)
def test_value_is_refused_as_the_vector_says(name):
    entry = SERIALIZATION[name]
    value = eval(entry["input"], dict(NAMES))
    with pytest.raises(exception_named(entry["error"])):
        Buffer(value, entry["celltype"])


@pytest.mark.parametrize("name", SERIALIZATION_DIFFERENCES)
def test_lossy_value_is_refused_with_a_way_out(name):
    entry = SERIALIZATION[name]
    value = eval(entry["input"], dict(NAMES))
    with pytest.raises(SERIALIZATION_DIFFERENCES[name][0], match=r"tolist\(\)"):
        Buffer(value, entry["celltype"])


@pytest.mark.parametrize("name", READ)
def test_buffer_is_read_as_the_vector_says(name):
    entry = DESERIALIZATION[name]
    value = Buffer(base64.b64decode(entry["buffer_base64"])).get_value(entry["celltype"])
    assert as_described(value) == entry["value"]


@pytest.mark.parametrize("name", UNREADABLE)
def test_buffer_is_refused_as_the_vector_says(name):
    entry = DESERIALIZATION[name]
    buffer = Buffer(base64.b64decode(entry["buffer_base64"]))
    with pytest.raises(exception_named(entry["error"])):
        buffer.get_value(entry["celltype"])


def test_truncated_mixed_stream_is_refused_by_offset():
    entry = DESERIALIZATION["d022_mixed"]
    with pytest.raises(ValueError, match="at byte 15"):
        Buffer(base64.b64decode(entry["buffer_base64"])).get_value("mixed")


@pytest.mark.parametrize("name", ["d053_checksum", "d054_checksum"])
def test_checksum_is_read_with_newline_and_quotes(name):
    buffer = Buffer(base64.b64decode(DESERIALIZATION[name]["buffer_base64"]))
    assert buffer.get_value("checksum") == DESERIALIZATION_DIFFERENCES[name][0]

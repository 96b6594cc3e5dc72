"""JSON dialect M: of `mixed` values that hold no array and no bytes.

The text of `json.dumps(value, indent=2, sort_keys=True)` and a newline, with NumPy's integer and float
scalars as Python's and Checksums as their hex, from a writer of our own; `json_fast` gets the bytes of
large values from orjson (the standard library indents in pure Python). `contracts/dialect-m.md` has
the table.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any

from .checksum import Checksum
from .json_fast import has_many_items, write_like_m
from .json_writer import JsonWriter, _Refused, is_cyclic

try:
    from _json import encode_basestring_ascii as _quote
except ImportError:  # pragma: no cover  (an interpreter without the C accelerator)
    from json.encoder import py_encode_basestring_ascii as _quote

__all__ = ("MAX_DEPTH", "dumps", "dumps_exactly", "key_text", "plain_scalar", "refusal")

MAX_DEPTH = 512  # within Python's default stack of 1000 frames, with room for the caller's own


_CONTAINERS = frozenset({dict, list, tuple})


class _HoldsBinary(Exception):
    """Internal: the value holds an array, a structure or bytes, so dialect M does not apply."""


def dumps(value: Any) -> bytes:
    """Return `value` in dialect M, with its final newline.

    Raises _HoldsBinary at the first array, structure or bytes; TypeError for what `mixed` cannot hold;
    ValueError for a container that holds itself or is nested deeper than MAX_DEPTH.

    >>> dumps({"b": 1e-7, "a": ["é", 2**70]})
    b'{\\n  "a": [\\n    "\\\\u00e9",\\n    1180591620717411303424\\n  ],\\n  "b": 1e-07\\n}\\n'
    """
    if type(value) in _CONTAINERS and has_many_items(value):
        encoded = write_like_m(value, _float_text)
        if encoded is not None:
            return encoded
    return dumps_exactly(value)


def dumps_exactly(value: Any) -> bytes:
    """Return what `dumps` returns, always with our own writer: the rule itself."""
    try:
        return _WRITER.text(value).encode("ascii") + b"\n"
    except _Refused as refused:
        raise refusal(value, refused) from refused.__cause__


def refusal(value: Any, refused: _Refused) -> TypeError | ValueError:
    """Return the exception that the caller sees for a refused `mixed` value."""
    if not refused.too_deep:
        return TypeError(f"cannot write {refused.where()} as mixed: {refused.reason}")
    if is_cyclic(value):
        return ValueError("cannot write the value as mixed: a container in it holds itself; break the cycle")
    return ValueError(f"cannot write the value as mixed: {refused.reason}; store its parts separately")


def _float_text(value: float) -> str:
    if value - value == 0.0:
        return float.__repr__(value)
    if value != value:
        return "NaN"
    return "Infinity" if value > 0 else "-Infinity"


def _bool_text(value: bool) -> str:
    return "true" if value else "false"


def _none_text(value: None) -> str:
    return "null"


_SCALARS: dict[type, Callable[[Any], str]] = {
    str: _quote,
    int: int.__repr__,
    float: _float_text,
    bool: _bool_text,
    type(None): _none_text,
}


def key_text(key: object) -> str:
    """Return the text of a dictionary key as Python's json module makes it; raises _Refused."""
    if isinstance(key, str):
        return key
    if key is True or key is False or key is None:
        return {True: "true", False: "false", None: "null"}[key]
    if isinstance(key, int):
        return int.__repr__(key)
    if isinstance(key, float):
        return _float_text(key)
    raise _Refused(
        f"its key {key!r} is of type {type(key).__name__}; keys must be str, int, float, bool or None"
    )


def plain_scalar(value: Any) -> Any:
    """Return the str, int or float that stands for a scalar of a less usual type.

    Checksum -> its hex, subclasses -> their base, NumPy integers and floats -> int and float.
    Raises _Refused for any other type.
    """
    if isinstance(value, str):
        return str.__str__(value)
    if isinstance(value, int):
        return int(value)
    if isinstance(value, float):
        return float(value)
    if isinstance(value, Checksum):
        return value.hex()
    np = sys.modules.get("numpy")
    if np is not None:
        if isinstance(value, np.integer) and not isinstance(value, np.timedelta64):
            return int(value)
        if isinstance(value, np.floating):
            return float(value)
    raise _Refused(_advice(value))


def _other(value: Any) -> Any:
    if isinstance(value, (dict, list, tuple)):
        return value
    if isinstance(value, bytes):
        raise _HoldsBinary
    np = sys.modules.get("numpy")
    if np is not None and isinstance(value, (np.ndarray, np.void)):
        raise _HoldsBinary
    scalar = plain_scalar(value)
    return _SCALARS[type(scalar)](scalar)


def _advice(value: Any) -> str:
    kind = f"{type(value).__module__}.{type(value).__qualname__}".removeprefix("builtins.")
    remedies = {
        "numpy.bool": "convert it with bool()",
        "numpy.bool_": "convert it with bool()",
        "bytearray": "convert it with bytes()",
        "memoryview": "convert it with bytes()",
        "set": "convert it with sorted()",
        "frozenset": "convert it with sorted()",
        "complex": "store its real and imaginary part",
    }
    remedy = remedies.get(kind, "convert it to dict, list, str, int, float, bool, None, bytes or an array")
    return f"{kind} is not a type that mixed can hold; {remedy}"


_WRITER = JsonWriter(scalars=_SCALARS, quote=_quote, key_text=key_text, other=_other, max_depth=MAX_DEPTH)

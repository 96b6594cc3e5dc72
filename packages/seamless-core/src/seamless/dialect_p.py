"""JSON dialect P: of `plain`, `str`, `int`, `float`, `bool`, `checksum` and the transformation dictionary.

Fixed rules of our own, whatever orjson does: UTF-8 unescaped, keys sorted by code point, integers of 64
bits, floats with shortest digits and a `+` in large exponents, NaN and infinities as `null`, at most 254
levels, one final newline. `contracts/dialect-p.md` has the table.

`json_fast` gets the same bytes from orjson where that pays.
"""

from __future__ import annotations

import sys
from collections.abc import Callable

from .checksum import Checksum
from .json_fast import is_ready, write_like_p
from .json_writer import JsonWriter, Members, _Refused, is_cyclic

try:
    from _json import encode_basestring as _quote
except ImportError:  # pragma: no cover  (an interpreter without the C accelerator)
    from json.encoder import py_encode_basestring as _quote

TYPE_CHECKING = False  # importing typing costs a command 6 ms
if TYPE_CHECKING:
    from typing import Any

__all__ = ("MAX_DEPTH", "dumps", "dumps_exactly", "float_text")

MAX_DEPTH = 254
INT_MIN, INT_MAX = -(2**63), 2**64 - 1


def dumps(value: Any) -> bytes:
    """Return `value` in dialect P, with its final newline.

    Accepts None, bool, int, float, str, dict, list, tuple, their subclasses (not of float), Checksum
    (as its hex), Enum (as its value), dataclasses, datetime, date, time and UUID.
    Raises TypeError for anything else and for what the dialect cannot hold, ValueError for a container
    that holds itself.

    >>> dumps({"b": 1e22, "a": [1.0, None]})
    b'{\\n  "a": [\\n    1.0,\\n    null\\n  ],\\n  "b": 1e+22\\n}\\n'
    """
    if type(value) in _SCALARS:
        return dumps_exactly(value)
    if is_ready(value):
        encoded = write_like_p(value, float_text)
        if encoded is not None:
            return encoded
    return dumps_exactly(value)


def dumps_exactly(value: Any) -> bytes:
    """Return what `dumps` returns, always with our own writer: the rule itself."""
    try:
        text = _WRITER.text(value)
    except _Refused as refused:
        if refused.too_deep and is_cyclic(value):
            raise ValueError(
                "cannot write the value as plain JSON: a container in it holds itself; break the cycle"
            ) from None
        raise TypeError(
            f"cannot write {refused.where()} as plain JSON: {refused.reason}"
        ) from refused.__cause__
    try:
        return text.encode() + b"\n"
    except UnicodeEncodeError as exc:
        raise TypeError(
            f"cannot write the value as plain JSON: it holds a string with the lone surrogate "
            f"{exc.object[exc.start]!r}, which UTF-8 cannot encode; use the celltype 'mixed' or remove it"
        ) from None


def float_text(value: float) -> str:
    """Return a float as dialect P writes it.

    >>> [float_text(x) for x in (1e-5, 1e-7, 1e16, float("nan"))]
    ['0.00001', '1e-7', '1e+16', 'null']
    """
    text = float.__repr__(value)
    mantissa, letter, exponent_text = text.partition("e")
    if not letter:
        return text if value - value == 0.0 else "null"
    exponent = int(exponent_text)
    if exponent == -5:
        digits = mantissa.replace(".", "")
        return "-0.0000" + digits[1:] if digits[0] == "-" else "0.0000" + digits
    return f"{mantissa}e{exponent:+d}" if exponent > 0 else f"{mantissa}e{exponent}"


def _int_text(value: int) -> str:
    if INT_MIN <= value <= INT_MAX:
        return int.__repr__(value)
    raise _Refused(
        f"an integer of {value.bit_length()} bits is outside the range -2**63 .. 2**64-1; use the celltype "
        "'mixed', or write it as a string"
    )


def _bool_text(value: bool) -> str:
    return "true" if value else "false"


def _none_text(value: None) -> str:
    return "null"


_SCALARS: dict[type, Callable[[Any], str]] = {
    str: _quote,
    int: _int_text,
    float: float_text,
    bool: _bool_text,
    type(None): _none_text,
}


def _other(value: Any) -> Any:
    """Return what stands for a value of a less usual type: JSON text or a container."""
    if isinstance(value, Checksum):
        return f'"{value.hex()}"'
    enum = sys.modules.get("enum")
    if enum is not None and isinstance(value, enum.Enum):
        inner = value.value
        scalar = _SCALARS.get(type(inner))
        return scalar(inner) if scalar is not None else _other(inner)
    if isinstance(value, str):
        return _quote(value)
    if isinstance(value, int):
        return _int_text(value)
    if isinstance(value, (dict, list, tuple)):
        return value
    if hasattr(type(value), "__dataclass_fields__"):
        names = [name for name in _field_names(value) if not name.startswith("_")]
        return Members((name, getattr(value, name)) for name in names)
    return _time_or_uuid(value)


def _field_names(value: Any) -> list[str]:
    import dataclasses

    return [field.name for field in dataclasses.fields(value)]


def _time_or_uuid(value: Any) -> str:
    """Return a datetime, date, time or UUID as orjson writes it; refuse every other type."""
    for module, names in (("datetime", ("date", "time")), ("uuid", ("UUID",))):
        loaded = sys.modules.get(module)
        if loaded is not None and isinstance(value, tuple(getattr(loaded, name) for name in names)):
            import orjson

            try:
                return orjson.dumps(value).decode()
            except TypeError as exc:
                raise _Refused(f"{value!r}: {exc}") from exc
    raise _Refused(_advice(value))


def _advice(value: Any) -> str:
    kind = f"{type(value).__module__}.{type(value).__qualname__}".removeprefix("builtins.")
    remedy = "convert it to dict, list, str, int, float, bool or None"
    if type(value).__module__ == "numpy":
        remedy = "use the celltype 'mixed' or 'binary', or convert it with .tolist()"
    elif isinstance(value, (bytes, bytearray, memoryview)):
        remedy = "use the celltype 'bytes' or 'mixed', or decode it to str"
    elif isinstance(value, (set, frozenset)):
        remedy = "convert it with sorted()"
    return f"{kind} is not a JSON type; {remedy}"


_WRITER = JsonWriter(scalars=_SCALARS, quote=_quote, key_text=None, other=_other, max_depth=MAX_DEPTH)

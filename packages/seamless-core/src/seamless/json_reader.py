"""Read JSON: strictly for the plain celltypes, leniently for `mixed`.

Strict is what orjson takes: no NaN, no number beyond a float's range, no lone surrogates; integers beyond
64 bits come back as floats. Small texts are read with the standard library to the same rules, because
importing orjson costs 15 to 30 ms; tests compare both.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any

__all__ = ("read_lenient", "read_strict")

INT_MIN, INT_MAX = -(2**63), 2**64 - 1
SMALL_BYTES = 4096  # read by the standard library in less than the time of importing orjson

_WORDS = {b"null": None, b"true": True, b"false": False, b"null\n": None, b"true\n": True, b"false\n": False}
_MAX_WORD_BYTES = 20

_strict: Callable[[str], Any] | None = None
_lenient: Callable[[str], Any] | None = None


def read_strict(content: bytes) -> Any:
    """Return the value of JSON text in UTF-8. Raises ValueError."""
    if len(content) <= _MAX_WORD_BYTES:
        if content in _WORDS:
            return _WORDS[content]
        integer = _small_int(content)
        if integer is not None:
            return integer
    if len(content) <= SMALL_BYTES and "orjson" not in sys.modules and b"\\u" not in content:
        return _strict_decoder()(content.decode().strip("\n"))
    import orjson

    return orjson.loads(content.rstrip(b"\n"))


def read_lenient(content: bytes) -> tuple[bool, Any]:
    """Return whether `content` is JSON as Python's json module takes it, and its value.

    Lenient: NaN, infinities, integers of any size. Raises ValueError for what it can neither read nor
    tell to be something else: too many digits, too deep; UnicodeDecodeError for what is not UTF-8.
    """
    if len(content) <= _MAX_WORD_BYTES:
        if content in _WORDS:
            return True, _WORDS[content]
        integer = _small_int(content)
        if integer is not None:
            return True, integer
    text = content.decode()
    try:
        return True, _lenient_decoder()(text)
    except RecursionError:
        raise ValueError(
            f"cannot read {text[:60]!r}... as JSON: it is nested too deeply for Python's stack"
        ) from None
    except ValueError as exc:
        from json import JSONDecodeError

        if isinstance(exc, JSONDecodeError):
            return False, None
        raise ValueError(f"cannot read {text[:60]!r}... as JSON: {exc}") from None  # too many digits


def _small_int(content: bytes) -> int | None:
    """Return an integer of at most 18 digits, which int() and JSON read alike; None for anything else."""
    digits = content[:-1] if content[-1:] == b"\n" else content
    magnitude = digits[1:] if digits[:1] == b"-" else digits
    if magnitude.isdigit() and len(magnitude) <= 18 and (magnitude[:1] != b"0" or digits == b"0"):
        return int(digits)
    return None


def _lenient_decoder() -> Callable[[str], Any]:
    global _lenient
    if _lenient is None:
        from json import JSONDecoder

        _lenient = JSONDecoder().decode
    return _lenient


def _strict_decoder() -> Callable[[str], Any]:
    global _strict
    if _strict is None:
        from json import JSONDecoder

        _strict = JSONDecoder(
            parse_int=_strict_int, parse_float=_strict_float, parse_constant=_refuse_constant
        ).decode
    return _strict


def _strict_int(text: str) -> int | float:
    value = int(text)
    return value if INT_MIN <= value <= INT_MAX else _strict_float(text)


def _strict_float(text: str) -> float:
    value = float(text)
    if value in (float("inf"), float("-inf")):
        raise ValueError(f"number out of range: {text[:40]}")
    return value


def _refuse_constant(name: str) -> None:
    raise ValueError(f"{name} is not JSON")

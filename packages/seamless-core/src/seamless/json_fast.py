"""orjson as a fast way to the bytes of both JSON dialects, only where they are the same.

orjson writes large values 5 to 50 times as fast as we do, but importing it costs 15 to 30 ms, and what it
writes is not ours to decide: releases differ in the exponents of floats. So it is used for large values,
or once the process has it; every float that it wrote in a form that could differ is written again to the
dialect's rule; and where it refuses a value our own writer decides, so errors name the place.
Tests compare both ways on generated values.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Callable, Iterator

TYPE_CHECKING = False  # importing typing costs a command 6 ms
if TYPE_CHECKING:
    from typing import Any

__all__ = ("has_many_items", "is_ready", "plain_types", "write_like_m", "write_like_p")

MAX_DEPTH = 250  # orjson stops at 254, and counts dicts and lists only
MIN_ITEMS = 256  # our own writer takes about 0.3 us an item
READY_AFTER_CALLS = 500  # a process that writes this often will write on

_CONTAINERS = frozenset({dict, list, tuple})
_PLAIN = frozenset({str, int, float, bool, type(None)}) | _CONTAINERS
_STR_ONLY = frozenset({str})

FLOAT_SPECIMENS = [0.0, -0.0, 1.5, 1e-4, 1e-5, 1.5e-5, 9.999e-6, 1e-6, 5e-324, 1e15, 1e16, -1.5e22, 1.7e308]
FLOAT_SPECIMENS_P = (
    b"[0.0,-0.0,1.5,0.0001,0.00001,0.000015,9.999e-6,1e-6,5e-324,1000000000000000.0,1e+16,-1.5e+22,1.7e+308]"
)
_p_floats: bool | None = None  # None: not found out yet
_OPTION = 0

_BARE_EXPONENT = re.compile(rb"[0-9]e[0-9]")
_FLOAT_LINE = re.compile(
    rb'( *(?:"(?:[^"\\]|\\.)*": )?)(-?(?:[0-9]+(?:\.[0-9]+)?e[+-]?[0-9]+|0\.0000[0-9]+)),?'
)

_n_calls = 0


def is_ready(value: Any) -> bool:
    """Return whether orjson pays for `value`: it is large, or the process has orjson loaded already."""
    global _n_calls
    if "orjson" in sys.modules:
        return True
    _n_calls += 1
    return _n_calls > READY_AFTER_CALLS or has_many_items(value)


def has_many_items(value: Any) -> bool:
    """Return whether a container, or the containers right inside it together, have many items."""
    if not isinstance(value, (dict, list, tuple)):
        return False
    if len(value) >= MIN_ITEMS:
        return True
    children = value.values() if isinstance(value, dict) else value
    return sum(len(child) for child in children if isinstance(child, (dict, list, tuple))) >= MIN_ITEMS


def write_like_p(value: Any, float_text: Callable[[float], str]) -> bytes | None:
    """Return `value` in dialect P, or None where our own writer must decide."""
    types: set[type] = set()
    encoded = _encoded(value, types)
    if encoded is None or _p_floats or float not in types:
        return encoded
    return _with_floats(encoded, float_text)


def write_like_m(value: Any, float_text: Callable[[float], str]) -> bytes | None:
    """Return `value` in dialect M, or None where our own writer must decide.

    The dialects differ in other characters than printable ASCII, in NaN and infinity (which orjson writes as
    null), in integers beyond 64 bits (which it refuses), in floats, and in the types that are accepted.
    """
    types: set[type] = set()
    encoded = _encoded(value, types)
    if encoded is None or not encoded.isascii() or b"\x7f" in encoded:
        return None
    if float not in types:
        return encoded
    return None if b"null" in encoded else _with_floats(encoded, float_text)


def plain_types(value: Any, types: set[type], max_depth: int) -> bool:
    """Return whether `value` is made of JSON's own Python types only, with str keys; collect the types."""
    items = value
    if type(value) not in _CONTAINERS:
        types.add(type(value))
        return type(value) in _PLAIN
    if type(value) is dict:
        if value and set(map(type, value)) != _STR_ONLY:
            return False
        items = value.values()
    found = set(map(type, items))
    if not found <= _PLAIN or max_depth <= 0:
        return False
    types |= found
    if found.isdisjoint(_CONTAINERS):
        return True
    return all(plain_types(item, types, max_depth - 1) for item in items if type(item) in _CONTAINERS)


def _encoded(value: Any, types: set[type]) -> bytes | None:
    """Return what orjson writes, or None; collect the types in `value`.

    Only Python's own types reach orjson, MAX_DEPTH deep at most: it does not count tuples, and crashes
    the process when they are nested without end.
    """
    if not plain_types(value, types, MAX_DEPTH):
        return None
    import orjson

    if _p_floats is None:
        _find_p_floats(orjson)
    try:
        return orjson.dumps(value, None, _OPTION)
    except TypeError:
        return None


def _find_p_floats(module: Any) -> None:
    """Find out whether this release of orjson writes floats as dialect P does, and its option numbers."""
    global _p_floats, _OPTION
    _OPTION = module.OPT_INDENT_2 | module.OPT_SORT_KEYS | module.OPT_APPEND_NEWLINE
    _p_floats = module.dumps(FLOAT_SPECIMENS) == FLOAT_SPECIMENS_P


def _with_floats(encoded: bytes, float_text: Callable[[float], str]) -> bytes:
    """Write again each float with an exponent, or in the decade 1e-5, of indented JSON.

    A number stands at the end of its line, alone or after a key; a string cannot hold the end of a line.
    """
    starts = {encoded.rfind(b"\n", 0, place) + 1 for place in _places(encoded)}
    if not starts:
        return encoded
    pieces = []
    position = 0
    for start in sorted(starts):
        end = encoded.find(b"\n", start)
        match = _FLOAT_LINE.fullmatch(encoded, start, end)
        if match is not None:
            number = float_text(float(match[2])).encode()
            pieces += [encoded[position : match.start(2)], number]
            position = match.end(2)
    pieces.append(encoded[position:])
    return b"".join(pieces)


def _places(encoded: bytes) -> Iterator[int]:
    """Yield at least one place in each line that may hold such a float, found at the speed of memchr."""
    for needle in (b"e-", b"e+", b"0.0000"):
        place = encoded.find(needle)
        while place >= 0:
            yield place
            place = encoded.find(needle, encoded.find(b"\n", place))
    if not _p_floats:
        for match in _BARE_EXPONENT.finditer(encoded):
            yield match.start()

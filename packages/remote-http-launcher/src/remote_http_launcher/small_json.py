"""JSON without the module `json`, whose import costs a helper 7 ms of the 30 it has.

Reads and writes what `json` does: the C scanner of CPython does the reading, which `json` uses as well. Where there
is none, and for the words of an error, `json` is imported.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any  # JSON values have no narrower type

__all__ = ("dumps", "loads")

_SPACE = " \t\n\r"


class _Settings:
    """What the scanner asks for."""

    strict = True
    object_hook = None
    object_pairs_hook = None
    parse_float = float
    parse_int = int
    parse_constant = {
        "-Infinity": float("-inf"),
        "Infinity": float("inf"),
        "NaN": float("nan"),
    }.__getitem__
    memo: dict[str, str] = {}


def loads(text: str) -> Any:
    """Return the value that the text stands for. Raises ValueError with place and cause; also when it is too deep."""
    scan = _scanner()
    if scan is not None:
        start = len(text) - len(text.lstrip(_SPACE))
        try:
            value, end = scan(text, start)
        except (StopIteration, ValueError, SystemError):
            pass  # SystemError: up to Python 3.12 it looks for its exception in json.decoder, which is not imported
        except RecursionError:
            raise ValueError("it is nested too deeply") from None
        else:
            if not text[end:].strip(_SPACE):
                return value
    import json

    try:
        return json.loads(text)
    except RecursionError:
        raise ValueError("it is nested too deeply") from None


def _scanner() -> Callable[[str, int], tuple[Any, int]] | None:
    try:
        from _json import make_scanner
    except ImportError:
        return None
    make: Any = make_scanner  # what it takes is typed as its own result
    scanner: Callable[[str, int], tuple[Any, int]] = make(_Settings)
    return scanner


def dumps(value: Any, *, sort_keys: bool = False, indent: int | None = None, compact: bool = False) -> str:
    """Return the text, ASCII, as `json.dumps` writes it. compact: no blanks. Raises TypeError for what JSON has not."""
    pieces: list[str] = []
    colon = ":" if compact else ": "
    comma = "," if compact or indent is not None else ", "
    _write(value, pieces.append, sort_keys, indent, "\n", comma, colon)
    return "".join(pieces)


def _write(
    value: Any,
    put: Callable[[str], None],
    sort_keys: bool,
    indent: int | None,
    newline: str,
    comma: str,
    colon: str,
) -> None:
    if isinstance(value, (dict, list, tuple)):
        is_object = isinstance(value, dict)
        opening, closing = "{}" if is_object else "[]"
        inner = newline + " " * (indent or 0)
        if not value:
            put(opening + closing)
            return
        items: Any = value
        if isinstance(value, dict):
            items = [(_key(name), member) for name, member in value.items()]
            if sort_keys:
                items.sort(key=_first)
        between = opening
        for item in items:
            put(between)
            if indent is not None:
                put(inner)
            if is_object:
                put(_text(item[0]) + colon)
                item = item[1]
            _write(item, put, sort_keys, indent, inner, comma, colon)
            between = comma
        if indent is not None:
            put(newline)
        put(closing)
    else:
        put(_scalar(value))


def _first(item: tuple[str, Any]) -> str:
    return item[0]


def _key(name: Any) -> str:
    return name if isinstance(name, str) else _scalar(name)


def _scalar(value: Any) -> str:
    if isinstance(value, str):
        return _text(value)
    if value is None or value is True or value is False:
        return {None: "null", True: "true", False: "false"}[value]
    if isinstance(value, int):
        return int.__repr__(value)
    if isinstance(value, float):
        if value != value:
            return "NaN"
        if value in (float("inf"), float("-inf")):
            return "Infinity" if value > 0 else "-Infinity"
        return float.__repr__(value)
    raise TypeError(f"a {type(value).__name__} is no JSON value")


def _text(text: str) -> str:
    try:
        from _json import encode_basestring_ascii
    except ImportError:
        import json

        return json.dumps(text)
    return encode_basestring_ascii(text)

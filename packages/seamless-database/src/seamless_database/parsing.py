"""From the bytes of a request to values of known types; everything from the network is bounded here.

Bounds: 64 MiB a body, 64 levels of nesting, 10,000 entries a list (`capped`).
"""

from __future__ import annotations

import json
from typing import Any

from .refusals import malformed, refuse_unless

__all__ = ("bounded_json", "capped", "checksum_of", "parse_request", "result_field")

BODY_BYTES_MAX = 64 * 1024 * 1024
DEPTH_MAX = 64
LIST_LENGTH_MAX = 10_000


def parse_request(body: bytes) -> dict[str, Any]:
    """Return the JSON object in a body, or refuse it."""
    try:
        fields = bounded_json(body.decode())
    except ValueError:
        raise malformed() from None
    refuse_unless(isinstance(fields, dict))
    return fields  # type: ignore[no-any-return]


def bounded_json(text: str) -> Any:  # any JSON value
    """Return the value of a JSON text. Raises ValueError for what is none, or nested too deeply."""
    try:
        value = json.loads(text)
    except RecursionError:
        raise ValueError("nested too deeply") from None
    if text.count("[") + text.count("{") > DEPTH_MAX and _is_deeper(value, DEPTH_MAX):
        raise ValueError("nested too deeply")
    return value


def _is_deeper(value: object, depth: int) -> bool:
    """Return whether containers are nested more than `depth` levels. Does not recurse."""
    level = [value]
    for _ in range(depth):
        inner: list[object] = []
        for container in level:
            members = container.values() if isinstance(container, dict) else container
            inner += [member for member in members if type(member) in (dict, list)]  # type: ignore[attr-defined]
        if not inner:
            return False
        level = inner
    return True


def checksum_of(value: object, text: str = "Malformed request") -> bytes:
    """Return the 32 bytes that 64 hex digits stand for; else refuse: with `text` what is text but not hex."""
    if not isinstance(value, str):
        raise malformed()
    try:
        digest = bytes.fromhex(value)
    except ValueError:
        raise malformed(text) from None
    refuse_unless(len(digest) == 32 and len(value) == 64)  # blanks between the digits are no digits
    return digest


def result_field(fields: dict[str, Any], name: str, text: str) -> bytes:
    """Return the checksum in a member that must be there; refuse with `text` what is missing or not text."""
    value = fields.get(name)
    refuse_unless(isinstance(value, str), text)
    return checksum_of(value, text)


def capped(value: object, text: str) -> list[Any]:
    """Return a list of not too many entries; refuse with `text` what is no list."""
    if not isinstance(value, list):
        raise malformed(text)
    refuse_unless(len(value) <= LIST_LENGTH_MAX, f"More than {LIST_LENGTH_MAX} entries in one request")
    return value

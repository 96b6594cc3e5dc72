"""Byte ranges of a file: `Range: bytes=0-99,200-,-5`. Pure functions."""

from __future__ import annotations

import re

__all__ = ("MAX_RANGES", "RangeMalformed", "RangeNotSatisfiable", "ranges_of")

MAX_RANGES = 64  # a client that wants more gets the whole file
_RANGE = re.compile(r"(\d{0,19})\s*-\s*(\d{0,19})")


class RangeMalformed(Exception):
    """A Range header cannot be read.

    Remedy: ask for `bytes=FIRST-LAST`, `bytes=FIRST-` or `bytes=-COUNT`, or several of them with commas.
    """


class RangeNotSatisfiable(Exception):
    """None of the asked ranges lies inside the file.

    Remedy: ask for bytes below the length that the answer's Content-Range tells.
    """


def ranges_of(header: str, size_bytes: int) -> list[tuple[int, int]] | None:
    """Return the asked ranges as (first, behind the last) in ascending order; overlapping ones are joined.

    None: the client asks for so many that it gets everything. Raises RangeMalformed, RangeNotSatisfiable.

    >>> ranges_of("bytes=0-1, 4-5, -2", 14)
    [(0, 2), (4, 6), (12, 14)]
    """
    unit, equals, specs = header.partition("=")
    if not equals:
        raise RangeMalformed("Malformed range header.")
    if unit.strip().lower() != "bytes":
        raise RangeMalformed("Only support bytes range")
    parts = [part.strip() for part in specs.split(",", MAX_RANGES)]
    if len(parts) > MAX_RANGES:
        return None
    found = sorted(span for span in (_span(part, size_bytes) for part in parts if part) if span is not None)
    if not found:
        raise RangeNotSatisfiable(f"the file has {size_bytes} bytes")
    joined = [found[0]]
    for first, behind in found[1:]:
        if first <= joined[-1][1]:
            joined[-1] = (joined[-1][0], max(joined[-1][1], behind))
        else:
            joined.append((first, behind))
    return joined


def _span(part: str, size_bytes: int) -> tuple[int, int] | None:
    match = _RANGE.fullmatch(part)
    if match is None or not (match[1] or match[2]):
        raise RangeMalformed("Range header: a range could not be read")
    if not match[1]:
        count = min(int(match[2]), size_bytes)
        return (size_bytes - count, size_bytes) if count else None
    first = int(match[1])
    if match[2] and int(match[2]) < first:
        raise RangeMalformed("Range header: start must be less than end")
    behind = min(int(match[2]) + 1, size_bytes) if match[2] else size_bytes
    return (first, behind) if first < size_bytes else None

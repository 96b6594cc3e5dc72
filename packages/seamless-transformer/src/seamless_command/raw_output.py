"""Write bytes to a descriptor as they are."""

from __future__ import annotations

import os
from collections.abc import Iterable

__all__ = ("write_all",)

_PIECE_BYTES = 1 << 20


def write_all(descriptor: int, parts: Iterable[bytes | memoryview]) -> None:
    """Write everything, whatever a single call takes. Raises BrokenPipeError when nobody reads it."""
    for part in parts:
        view = memoryview(part).cast("B")
        for start in range(0, len(view), _PIECE_BYTES):
            piece = view[start : start + _PIECE_BYTES]
            while piece:
                piece = piece[os.write(descriptor, piece) :]

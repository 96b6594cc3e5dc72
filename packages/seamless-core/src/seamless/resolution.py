"""From a checksum to its buffer or value: memory, then the active store, then recomputation if asked."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from .active import get_active
from .buffer_cache import get_buffer_cache
from .errors import CacheMissError

if TYPE_CHECKING:
    from .active import ActiveSet
    from .buffer import Buffer
    from .checksum import Checksum

__all__ = ("find_buffer", "fingertip", "read_buffer", "resolve", "set_recompute", "write_buffer")

TRIVIAL_CONTENTS = (b"", b"{}", b"{}\n", b"[]", b"[]\n")
"""Buffers that always resolve, without any store."""

Recompute = Callable[["Checksum"], "Buffer | None"]
_recompute: Recompute | None = None
_trivial: dict[bytes, Buffer] = {}


def set_recompute(recompute: Recompute) -> None:
    """Fill the port through which a buffer is computed again from a step that is known to produce it."""
    global _recompute
    _recompute = recompute


def find_buffer(checksum: Checksum, active: ActiveSet | None = None) -> Buffer | None:
    """Return the buffer from memory or the store, or None."""
    digest = checksum.bytes()
    cache = get_buffer_cache()
    buffer = cache.get(digest)
    if buffer is None:
        buffer = (active or get_active()).buffers.get(checksum)
        if buffer is not None:
            cache.add(digest, buffer)
        else:
            buffer = _trivial_buffer(digest)
    return buffer


def read_buffer(checksum: Checksum, active: ActiveSet | None = None) -> Buffer:
    """Return the buffer. Raises CacheMissError."""
    buffer = find_buffer(checksum, active)
    if buffer is None:
        raise CacheMissError(checksum)
    return buffer


def resolve(checksum: Checksum, celltype: str | None = None) -> Buffer | Any:
    """Return the buffer, or with a celltype its value. Raises CacheMissError, or what parsing raises."""
    return _value_of(read_buffer(checksum), celltype)


def fingertip(checksum: Checksum, celltype: str | None = None) -> Buffer | Any:
    """Like `resolve`, but compute the buffer again when a step is known that produces it."""
    buffer = find_buffer(checksum)
    if buffer is None:
        recompute = _recompute or _load_recompute()
        if recompute is not None:
            buffer = recompute(checksum)
    if buffer is None:
        raise CacheMissError(checksum)
    return _value_of(buffer, celltype)


def write_buffer(buffer: Buffer) -> bool:
    """Put the buffer into the active store; False when there is no store beyond this process."""
    active = get_active()
    active.buffers.put(buffer)
    return active.persistent


def _value_of(buffer: Buffer, celltype: str | None) -> Buffer | Any:
    return buffer if celltype is None else buffer.get_value(celltype)


def _trivial_buffer(digest: bytes) -> Buffer | None:
    if not _trivial:
        from .buffer import Buffer

        for content in TRIVIAL_CONTENTS:
            buffer = Buffer(content)
            _trivial[buffer.get_checksum().bytes()] = buffer
    return _trivial.get(digest)


def _load_recompute() -> Recompute | None:
    from importlib.metadata import entry_points

    for entry_point in entry_points(group="seamless.plugins", name="recompute"):
        set_recompute(entry_point.load())
    return _recompute

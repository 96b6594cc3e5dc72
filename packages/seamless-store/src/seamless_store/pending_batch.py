"""Rows and buffers that become durable together: the unit of the write-behind queue."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from .database_errors import DatabaseArgumentInvalid
from .errors import InvalidDigest

if TYPE_CHECKING:
    from .key_claims import ClaimSet
    from .results_database import ResultRow

__all__ = ("Item", "Part", "PendingBatch", "check_buffers")

Part = bytes | memoryview
Item = tuple[bytes, Sequence[Part]]

_PART_TYPES = (bytes, memoryview)


class PendingBatch:
    """What becomes durable together."""

    __slots__ = ("buffers", "claims", "number", "rows", "size_bytes", "unclaimed")

    def __init__(self, number: int) -> None:
        self.number = number
        self.unclaimed: set[bytes] = set()  # keys whose claims were given up with a failed attempt
        self.rows: dict[bytes, ResultRow] = {}
        self.buffers: dict[bytes, Sequence[Part]] = {}
        self.claims: ClaimSet | None = None
        self.size_bytes = 0

    def add_buffer(self, digest: bytes, parts: Sequence[Part]) -> None:
        self.buffers[digest] = parts
        self.size_bytes += sum(map(_size_bytes, parts))

    def __bool__(self) -> bool:
        return bool(self.rows or self.buffers)


def _size_bytes(part: Part) -> int:
    return part.nbytes if isinstance(part, memoryview) else len(part)


def check_buffers(buffers: Sequence[Item]) -> None:
    """Raise for what is no (digest, parts)."""
    for digest, parts in buffers:
        if type(digest) is not bytes or len(digest) != 32:
            raise InvalidDigest(
                f"A buffer's checksum must be 32 bytes, not {digest!r:.80}.",
                remedy="pass bytes.fromhex(text) of its 64 hex digits.",
            )
        for part in parts:
            if not isinstance(part, _PART_TYPES):
                raise DatabaseArgumentInvalid(
                    f"The parts of buffer {digest.hex()} must be bytes or memoryviews, "
                    f"not {type(part).__name__}.",
                    remedy="pass [data] for a buffer of one part.",
                )

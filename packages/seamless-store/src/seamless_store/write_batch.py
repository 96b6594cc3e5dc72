"""What a queue writes at once: buffers first, then the rows that name them, with a few attempts.

Invariant: rows are inserted only after every buffer of the batch is durable.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Protocol

from .database_errors import DatabaseArgumentInvalid
from .errors import InvalidDigest
from .results_database import ResultRow, ResultsDatabase

if TYPE_CHECKING:
    from .key_claims import ClaimSet

__all__ = ("Batch", "BatchWriter", "BufferPublisher", "Item", "Part", "check_buffers", "size_bytes")

_log = logging.getLogger("seamless_store.write_behind")

Part = bytes | memoryview
Item = tuple[bytes, Sequence[Part]]

ATTEMPTS = 4
ATTEMPT_PAUSE_S = 0.1  # doubled after each attempt
_CLAIM_AGAIN_S = 2.0


class BufferPublisher(Protocol):
    """What is needed of a buffer directory."""

    def publish(self, items: Sequence[Item], *, verified: bool = False) -> None:
        """Return when all items are durable."""


class Batch:
    """What becomes durable together."""

    __slots__ = ("buffers", "claims", "number", "rows", "size_bytes", "unclaimed")

    def __init__(self, number: int) -> None:
        self.number = number
        self.unclaimed: set[bytes] = set()  # keys whose claims were given up with a failed attempt
        self.rows: dict[bytes, ResultRow] = {}
        self.buffers: dict[bytes, Sequence[Part]] = {}
        self.claims: ClaimSet | None = None
        self.size_bytes = 0

    def __bool__(self) -> bool:
        return bool(self.rows or self.buffers)


class BatchWriter:
    """Writes batches to a buffer directory and a results database.

    report: called with (transformation, ours, winner) when another program stored a result first.
    """

    def __init__(
        self,
        directory: BufferPublisher,
        database: ResultsDatabase,
        report: Callable[[bytes, bytes, bytes], None],
    ) -> None:
        self._directory = directory
        self._database = database
        self._report = report

    def write(self, batch: Batch) -> None:
        """Return when the batch is durable and its claims are dropped; raise what the last attempt raised."""
        pause_s = ATTEMPT_PAUSE_S
        for attempt in range(1, ATTEMPTS + 1):
            try:
                self._write_once(batch)
                return
            except Exception as exc:
                if attempt == ATTEMPTS:
                    raise
                _log.warning("writing %d results failed, will try again: %s", len(batch.rows), exc)
            time.sleep(pause_s)
            pause_s *= 2

    def _write_once(self, batch: Batch) -> None:
        if batch.buffers:
            self._directory.publish(list(batch.buffers.items()), verified=True)
        if batch.unclaimed:
            self._claim_again(batch)
        if batch.rows:
            rows = list(batch.rows.values())
            winners = self._database.insert_results(rows, claimed=batch.claims)
            for row, winner in zip(rows, winners, strict=True):
                if winner != row.result:
                    _log.error(
                        "result %s of transformation %s was called final, but a program that ignores claims "
                        "stored %s first",
                        row.result.hex(),
                        row.transformation.hex(),
                        winner.hex(),
                    )
                    self._report(row.transformation, row.result, winner)
        if batch.claims is not None:
            batch.claims.close()

    def _claim_again(self, batch: Batch) -> None:
        """Claim the rows of a failed batch once more, so that they spoil no promise made since."""
        if batch.claims is None:
            batch.claims = self._database.claims.open()
        deadline = time.monotonic() + _CLAIM_AGAIN_S
        for key in sorted(batch.unclaimed):
            batch.claims.claim(key, deadline)
        batch.unclaimed.clear()


_PART_TYPES = (bytes, memoryview)


def size_bytes(part: Part) -> int:
    return part.nbytes if isinstance(part, memoryview) else len(part)


def check_buffers(buffers: Sequence[Item]) -> None:
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

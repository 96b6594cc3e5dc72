"""Keep what a run gave: the result that stands, what it was made from, and what it cost, in one batch."""

from __future__ import annotations

from typing import TYPE_CHECKING

from seamless.buffer import Buffer
from seamless.buffer_cache import get_buffer_cache

from .counters import counting
from .execution_record import minimal_record

if TYPE_CHECKING:
    from collections.abc import Iterable

    from seamless.active import ActiveSet
    from seamless.checksum import Checksum
    from seamless.step import StepOutcome

__all__ = ("record_outcome",)


def record_outcome(
    active: ActiveSet,
    tf_checksum: Checksum,
    outcome: StepOutcome,
    *,
    text: bytes,
    inputs: Iterable[Buffer],
    scratch: bool,
) -> Checksum:
    """Store the outcome of a step and return the result that stands: the first one wins.

    text: the identity text, whose checksum is `tf_checksum`; a step is computed again from it and its inputs.
    inputs: those that the store may lack.
    scratch: what the step gave stays in memory; everything else is stored nevertheless.
    """
    result = outcome.result.get_checksum()
    buffers = [Buffer._from_parts((text,), tf_checksum), *inputs]
    cache = get_buffer_cache()
    if scratch:
        for attachment in outcome.attachments:
            cache.add(attachment.get_checksum().bytes(), attachment)
    else:
        buffers.extend(outcome.attachments)
        buffers.append(outcome.result)
    record = minimal_record(
        tf_checksum.hex(), result.hex(), outcome.usage, execution=active.execution, remote=None
    )
    winner = active.results.put(tf_checksum, result, buffers=buffers, record=record)
    if winner != result:
        counting.add("conflicts")
    elif not scratch:
        cache.add(result.bytes(), outcome.result)
    return winner

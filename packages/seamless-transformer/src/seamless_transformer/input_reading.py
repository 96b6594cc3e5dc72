"""Find the inputs of a step: at hand, in memory or the store, or computed again."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from seamless.errors import CacheMissError
from seamless.resolution import find_buffer

if TYPE_CHECKING:
    from seamless.active import ActiveSet
    from seamless.buffer import Buffer
    from seamless.checksum import Checksum

__all__ = ("input_reader",)


def input_reader(
    active: ActiveSet,
    at_hand: Callable[[Checksum], Buffer | None],
    *,
    last_resort: Callable[[Checksum], Buffer | None] | None = None,
) -> Callable[[Checksum], Buffer]:
    """Return what a step reads its inputs with: `at_hand`, then memory and store, then `last_resort`.

    What is returned raises CacheMissError.
    """

    def read_buffer(checksum: Checksum) -> Buffer:
        buffer = at_hand(checksum)
        if buffer is None:
            buffer = find_buffer(checksum, active)
        if buffer is None and last_resort is not None:
            buffer = last_resort(checksum)
        if buffer is None:
            raise CacheMissError(checksum)
        return buffer

    return read_buffer

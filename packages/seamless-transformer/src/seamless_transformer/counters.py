"""What this process computed and what it found: the proof that a result came from a run or from the cache."""

from __future__ import annotations

import threading
from dataclasses import dataclass

__all__ = ("StepCounters", "step_counters")


@dataclass(frozen=True, slots=True)
class StepCounters:
    """Numbers since the start of the process.

    executed: steps whose code ran here and succeeded; hits: results taken from memory or a cache;
    shared: calls that waited for an identical step that was running already; failed: steps whose code raised;
    conflicts: results of ours that lost against an earlier, different one.
    """

    executed: int
    hits: int
    shared: int
    failed: int
    conflicts: int

    def __sub__(self, earlier: StepCounters) -> StepCounters:
        return StepCounters(
            self.executed - earlier.executed,
            self.hits - earlier.hits,
            self.shared - earlier.shared,
            self.failed - earlier.failed,
            self.conflicts - earlier.conflicts,
        )


class _Counting:
    __slots__ = ("_lock", "conflicts", "executed", "failed", "hits", "shared")

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self.executed = self.hits = self.shared = self.failed = self.conflicts = 0

    def add(self, name: str) -> None:
        with self._lock:
            setattr(self, name, getattr(self, name) + 1)


counting = _Counting()


def step_counters() -> StepCounters:
    """Return the numbers as they are now; subtract an earlier reading to count a stretch of work.

    >>> from seamless.transformer import direct
    >>> before = step_counters()
    >>> (step_counters() - before).executed
    0
    """
    return StepCounters(
        counting.executed, counting.hits, counting.shared, counting.failed, counting.conflicts
    )

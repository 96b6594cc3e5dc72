"""Proof that steps really ran: each step of a workload appends to `calls`.

A cached answer leaves it alone, so a workload compares its length with the number of runs that it
expects: a false hit, or a false miss, ends the benchmark instead of flattering it.
"""

from __future__ import annotations

from typing import Any

__all__ = ("calls", "expect")

calls: list[Any] = []


def expect(n_runs: int) -> None:
    """Raise unless exactly `n_runs` steps have run in this process since the last call."""
    n_seen = len(calls)
    calls.clear()
    if n_seen != n_runs:
        raise RuntimeError(f"{n_runs} steps had to run, but {n_seen} ran: the figures mean nothing")

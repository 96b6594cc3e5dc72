"""What a benchmark is: its cases, its figures and its budgets. Standard library only.

A *case* is one variant (a size, a mode) that runs in processes of its own. A workload returns
`{figure: number}` for one case and peer; the harness calls the figure `figure@case` (or plain
`figure` when the benchmark has a single unnamed case).
"""

from __future__ import annotations

import math
from dataclasses import dataclass

__all__ = ("Benchmark", "Budget", "Case")


@dataclass(frozen=True)
class Case:
    """One variant of a benchmark and the peers that take part in it."""

    name: str = ""
    peers: tuple[str, ...] = ("ours", "reference", "joblib", "floor")
    rounds: int = 5
    large: bool = False  # runs only with --large
    timeout_s: float = 300.0


@dataclass(frozen=True)
class Budget:
    """A promise about one figure of ours (smaller is better for every figure).

    limit: the figure must not be above it; with `against`, its ratio to that must not be.
    against: a peer, for the same figure of that peer; or another figure of ours.
    """

    figure: str
    limit: float
    against: str | None = None

    @property
    def text(self) -> str:
        if self.against is None:
            return f"<= {self.limit:g}"
        factor = f"{self.limit:.3g} x " if not math.isclose(self.limit, 1.0) else ""
        return f"<= {factor}{self.against}"


@dataclass(frozen=True)
class Benchmark:
    """A benchmark as its workload module declares it."""

    name: str
    summary: str
    units: dict[str, str]
    """Unit of each figure, without the case."""
    budgets: tuple[Budget, ...] = ()
    cases: tuple[Case, ...] = (Case(),)

    def unit(self, figure: str) -> str:
        return self.units[figure.partition("@")[0]]

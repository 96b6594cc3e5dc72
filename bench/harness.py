"""Run benchmarks: every peer in turn, A B C A B C, each run a cold process; keep all figures.

The peers of one round run directly after each other, so that what disturbs the machine disturbs
them alike; ratios are taken inside a round and their median is reported.
"""

from __future__ import annotations

import importlib
import pkgutil
import statistics
import sys
from collections.abc import Callable
from dataclasses import dataclass, field

from . import workloads
from .define import Benchmark, Budget, Case
from .peers import PeerFailed, PeerMissing, Peers

__all__ = ("Outcome", "Verdict", "all_benchmarks", "run_benchmark")


@dataclass(frozen=True)
class Verdict:
    """A budget and what was measured: `met` is None when it could not be judged."""

    budget: Budget
    value: float | None
    met: bool | None


@dataclass
class Outcome:
    """All figures of one benchmark: `samples[peer][figure@case]` is one number a round."""

    benchmark: Benchmark
    samples: dict[str, dict[str, list[float]]] = field(default_factory=dict)
    missing: dict[str, str] = field(default_factory=dict)  # "peer case" -> why it could not take part
    failed: dict[str, str] = field(default_factory=dict)

    def figures(self) -> list[str]:
        return list(dict.fromkeys(figure for peer in self.samples.values() for figure in peer))

    def median(self, peer: str, figure: str) -> float | None:
        values = self.samples.get(peer, {}).get(figure)
        return statistics.median(values) if values else None

    def ratio(self, figure: str, against: str) -> float | None:
        """Return the median over rounds of ours / peer (or ours / another figure of ours)."""
        ours = self.samples.get("ours", {}).get(figure)
        peer, other_figure = (against, figure) if against in self.samples else ("ours", against)
        other = self.samples.get(peer, {}).get(other_figure)
        if not ours or not other:
            return None
        if len(ours) != len(other):  # other case, other number of rounds
            ours, other = [statistics.median(ours)], [statistics.median(other)]
        pairs = [(a, b) for a, b in zip(ours, other, strict=True) if b]
        return statistics.median(a / b for a, b in pairs) if pairs else None

    def verdict(self, budget: Budget) -> Verdict:
        if budget.against is None:
            value = self.median("ours", budget.figure)
        else:
            value = self.ratio(budget.figure, budget.against)
        return Verdict(budget, value, None if value is None else value <= budget.limit)

    def breaks_promise(self) -> bool:
        """Tell whether a budget was missed, or ours could not take part in some case."""
        missing = any(label.split()[0] == "ours" for label in self.missing)
        return missing or any(verdict.met is False for verdict in self.verdicts())

    def verdicts(self) -> list[Verdict]:
        return [self.verdict(budget) for budget in self.benchmark.budgets]


def all_benchmarks() -> dict[str, tuple[str, Benchmark]]:
    """Return `{name: (module, benchmark)}` of all workloads."""
    modules = [f"{workloads.__name__}.{found.name}" for found in pkgutil.iter_modules(workloads.__path__)]
    pairs = [(module, importlib.import_module(module).BENCHMARK) for module in sorted(modules)]
    return {benchmark.name: (module, benchmark) for module, benchmark in pairs}


def run_benchmark(
    module: str,
    outcome: Outcome,
    peers: Peers,
    *,
    large: bool = False,
    rounds: int | None = None,
    only: frozenset[str] | None = None,
    say: Callable[[str], None] = lambda text: print(text, file=sys.stderr, flush=True),
) -> None:
    """Run all cases into `outcome`; a peer that fails or is missing leaves its case, the others go on."""
    for case in outcome.benchmark.cases:
        if case.large and not large:
            continue
        for round_number in range(rounds or case.rounds):
            for peer in case.peers:
                label = f"{peer} {case.name}".strip()
                if (only and peer not in only) or label in outcome.missing or label in outcome.failed:
                    continue
                _run_once(module, case, peer, label, peers, outcome, say, round_number)


def _run_once(
    module: str,
    case: Case,
    peer: str,
    label: str,
    peers: Peers,
    outcome: Outcome,
    say: Callable[[str], None],
    round_number: int,
) -> None:
    try:
        output = peers.run(module, peer, case.name, timeout_s=case.timeout_s)
    except PeerMissing as exc:
        outcome.missing[label] = str(exc)
        say(f"  {label}: not there: {str(exc).strip().splitlines()[-1]}")
    except PeerFailed as exc:
        outcome.failed[label] = str(exc)
        say(f"  {label}: FAILED\n{exc}")
    else:
        say(f"  {label}, round {round_number + 1}: {output.seconds:.1f} s")
        samples = outcome.samples.setdefault(peer, {})
        for figure, value in output.figures.items():
            samples.setdefault(f"{figure}@{case.name}" if case.name else figure, []).append(value)

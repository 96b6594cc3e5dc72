"""The table for people and the JSON value for programs."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from .harness import Outcome, Verdict

__all__ = ("as_json", "as_table")

PEERS = ("ours", "reference", "joblib", "floor")
RATIOS = ("REF/OURS", "JOBLIB/OURS", "OURS/FLOOR", "OURS/BEFORE")
HEADER = ("FIGURE", "UNIT", *(name.upper() for name in PEERS), *RATIOS, "BUDGET")


def as_table(outcomes: Sequence[Outcome], before: dict[str, Any] | None = None) -> str:
    """Return one row a figure: medians with [min max], ratios (medians of paired ones), budgets.

    before: what `as_json` gave for an earlier run, to compare ours with.
    """
    rows = [HEADER]
    for outcome in outcomes:
        rows.append((f"[{outcome.benchmark.name}]", *[""] * (len(HEADER) - 1)))
        rows += [_row(outcome, figure, before or {}) for figure in outcome.figures()]
    widths = [max(len(row[i]) for row in rows) for i in range(len(HEADER))]
    lines = [
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows
    ]
    return "\n".join([*lines, "", *_summary(outcomes)])


def _row(outcome: Outcome, figure: str, before: dict[str, Any]) -> tuple[str, ...]:
    cells = [_sample_cell(outcome.samples.get(peer, {}).get(figure)) for peer in PEERS]
    ratios = [_inverse(outcome.ratio(figure, "reference")), _inverse(outcome.ratio(figure, "joblib"))]
    ratios += [outcome.ratio(figure, "floor"), _ratio_to_before(outcome, figure, before)]
    verdicts = [_verdict_text(v) for v in outcome.verdicts() if v.budget.figure == figure]
    ratio_cells = ["-" if ratio is None else f"{ratio:.3g}x" for ratio in ratios]
    return (figure, outcome.benchmark.unit(figure), *cells, *ratio_cells, "; ".join(verdicts))


def _ratio_to_before(outcome: Outcome, figure: str, before: dict[str, Any]) -> float | None:
    benchmark = before.get("benchmarks", {}).get(outcome.benchmark.name, {})
    then = benchmark.get("samples", {}).get("ours", {}).get(figure)
    now = outcome.median("ours", figure)
    return now / statistics.median(then) if then and now is not None and statistics.median(then) else None


def _inverse(ratio: float | None) -> float | None:
    return 1 / ratio if ratio else None


def _sample_cell(values: list[float] | None) -> str:
    if not values:
        return "-"
    if len(values) == 1:
        return _number(values[0])
    return f"{_number(statistics.median(values))} [{_number(min(values))} {_number(max(values))}]"


def _number(value: float) -> str:
    return f"{value:.0f}" if abs(value) >= 1000 or value == int(value) else f"{value:.3g}"


def _verdict_text(verdict: Verdict) -> str:
    word = {True: "met", False: "NOT MET", None: "not measured"}[verdict.met]
    return f"{verdict.budget.text}: {word}"


def _summary(outcomes: Sequence[Outcome]) -> list[str]:
    verdicts = [verdict.met for outcome in outcomes for verdict in outcome.verdicts()]
    failed = [f"{outcome.benchmark.name} ({label})" for outcome in outcomes for label in outcome.failed]
    lines = [
        f"budgets: {verdicts.count(True)} met, {verdicts.count(False)} not met, "
        f"{verdicts.count(None)} not measured",
        "figures: median [min max] of the rounds, smaller is better; ratios: median of those of each round",
    ]
    return [*lines, f"failed: {', '.join(failed)}"] if failed else lines


def as_json(machine: dict[str, object], outcomes: Sequence[Outcome]) -> dict[str, object]:
    """Return everything measured: every sample of every round, and the verdicts."""
    return {
        "schema": 1,
        "machine": machine,
        "benchmarks": {
            outcome.benchmark.name: {
                "units": {figure: outcome.benchmark.unit(figure) for figure in outcome.figures()},
                "samples": outcome.samples,
                "budgets": [
                    asdict(verdict.budget) | {"value": verdict.value, "met": verdict.met}
                    for verdict in outcome.verdicts()
                ],
                "missing": outcome.missing,
                "failed": outcome.failed,
            }
            for outcome in outcomes
        },
    }

"""Measure what Seamless promises about speed, beside the reference, joblib and the physical floor.

Examples:
  python -m bench                          every benchmark, one table (some minutes)
  python -m bench warm_hit import --json figures.json
Exit codes: 0 measured (budgets may be missed) · 1 ours failed, or with --check a budget was
missed or ours could not take part · 2 wrong usage.
"""

from __future__ import annotations

import argparse
import json
import signal
import sys
from pathlib import Path

from .harness import Outcome, all_benchmarks, run_benchmark
from .machine import describe, machine_line
from .peers import BENCH_DIR, Peers
from .report import as_json, as_table

COMMITTED = Path(__file__).with_name("figures.json")


def main(argv: list[str] | None = None) -> int:
    known = all_benchmarks()
    names = "\n".join(f"  {name:18} {benchmark.summary}" for name, (_, benchmark) in known.items())
    parser = argparse.ArgumentParser(
        prog="python -m bench",
        description=__doc__,
        epilog=f"benchmarks:\n{names}",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("names", nargs="*", metavar="NAME", help="benchmarks to run (default: all)")
    parser.add_argument("--large", action="store_true", help="the largest sizes too (up to an hour)")
    parser.add_argument("--peers", metavar="P,P", help="only these: ours, reference, joblib, floor")
    parser.add_argument("--rounds", type=int, metavar="N", help="rounds of every case")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write all figures there")
    parser.add_argument("--compare", type=Path, metavar="FILE", default=COMMITTED, help="earlier figures")
    parser.add_argument("--check", action="store_true", help="exit 1 when a budget is missed")
    options = parser.parse_args(argv)
    unknown = [name for name in options.names if name not in known]
    if unknown:
        parser.error(f"unknown benchmark {unknown[0]!r}; known are {', '.join(known)}")
    chosen = {name: known[name] for name in options.names or known}
    only = frozenset(options.peers.split(",")) if options.peers else None
    wanted = {peer for _, benchmark in chosen.values() for case in benchmark.cases for peer in case.peers}

    peers = Peers.prepare(wanted & only if only else wanted)
    BENCH_DIR.mkdir(exist_ok=True)
    machine = describe(BENCH_DIR)
    print(machine_line(machine), flush=True)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # so that what runs is ended and removed
    outcomes: list[Outcome] = []
    try:
        for name, (module, benchmark) in chosen.items():
            print(f"{name} ...", file=sys.stderr, flush=True)
            outcomes.append(Outcome(benchmark))
            run_benchmark(module, outcomes[-1], peers, large=options.large, rounds=options.rounds, only=only)
    finally:
        _hand_over(machine, outcomes, options)
    if any(label.split()[0] == "ours" for outcome in outcomes for label in outcome.failed):
        return 1
    return 1 if options.check and any(outcome.breaks_promise() for outcome in outcomes) else 0


def _hand_over(machine: dict[str, object], outcomes: list[Outcome], options: argparse.Namespace) -> None:
    """Print the table and write the JSON value, of what was measured even if the run was interrupted."""
    before = json.loads(options.compare.read_text()) if options.compare.exists() else None
    if before:
        print(f"before ({options.compare.name}): {machine_line(before['machine'])}")
    print(as_table(outcomes, before))
    if options.json:
        options.json.write_text(json.dumps(as_json(machine, outcomes), indent=1) + "\n")


if __name__ == "__main__":
    sys.exit(main())

"""Eight processes on one durable cache at the same time, each with its own and with shared new steps.

In the case `pure` a step gives what its argument says; in the case `random` its result differs from
run to run, so that the cache has to settle on one: `disagreements` counts arguments for which the
processes, or a second crowd that finds everything cached, saw more than one answer, `errors` counts
calls that raised. `step` is wall time divided by the steps of all processes; `p50` and `p99` are of
the single new step, own and shared. A process that wants what another one has under way waits for it,
so these have no budget.

In the case `distinct` all steps are a process's own, one every 20 ms, so that the cores are not the
bottleneck; `commit_p99` is the 99th percentile of a call: to run the step and settle its result.
"""

from __future__ import annotations

import json
import subprocess
import sys
import time
from itertools import chain

from bench import ran
from bench.define import Benchmark, Budget, Case
from bench.measure import each_us, percentile, salt, use_cache, workload_main

_CASES = ("pure", "random", "distinct")
BENCHMARK = Benchmark(
    "processes",
    "Eight processes on one durable cache at the same time",
    units={
        "step": "us",
        "p50": "us",
        "p99": "us",
        "commit_p99": "us",
        "disagreements": "steps",
        "errors": "calls",
    },
    budgets=(
        Budget("commit_p99@distinct", 10_000),
        *(Budget(f"{figure}@{case}", 0) for figure in ("disagreements", "errors") for case in _CASES),
    ),
    cases=tuple(
        Case(case, peers=("ours", "reference", "joblib"), rounds=2, timeout_s=120) for case in _CASES
    ),
)
N_PROCESSES = 8
N_SHARED = 50
N_OWN = 50
PAUSE_S = 0.02


def pure(a):
    from bench.ran import calls

    calls.append(a)
    return [a, str(a)]


def random(a):
    import os

    from bench.ran import calls

    calls.append(a)
    return [a, os.urandom(8).hex()]


def _open(peer, case):
    step = random if case == "random" else pure
    if peer == "joblib":
        from joblib import Memory

        return Memory("joblib", verbose=0).cache(step), lambda: None
    use_cache(peer)
    import seamless
    from seamless.transformer import direct

    return direct(step), seamless.close


def child(peer, case, first, number):
    """Wait for the start line, then call own and shared steps in turn; print costs and answers."""
    call, close = _open(peer, case)
    call(-2 - number)  # everyone opens the cache, and has run a step, before the start
    own_first = first + N_SHARED + number * N_OWN
    own = range(own_first, own_first + N_OWN)
    pairs = zip(range(first, first + N_SHARED), own, strict=True)
    arguments = list(own) if case == "distinct" else list(chain.from_iterable(pairs))
    answers, errors = [], []

    def collect(a):
        try:
            answers.append(call(a))
        except Exception as exc:  # counted and reported, whatever it is
            errors.append(repr(exc))

    ran.calls.clear()
    print("ready", flush=True)
    sys.stdin.readline()
    costs_us = (
        [_paced_us(collect, a) for a in arguments] if case == "distinct" else each_us(collect, arguments)
    )
    close()
    report = {"costs_us": costs_us, "answers": answers, "errors": errors, "ran": list(ran.calls)}
    print("\n" + json.dumps(report), flush=True)


def _paced_us(call, argument):
    time.sleep(PAUSE_S)
    return each_us(call, [argument])[0]


def _crowd(peer, case, first):
    """Run eight children at once; return their reports and the wall time."""
    command = [sys.executable, "-m", __spec__.name, "--child", peer, case, str(first)]
    crowd = [
        subprocess.Popen([*command, str(i)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        for i in range(N_PROCESSES)
    ]
    for process in crowd:
        while process.stdout.readline() != "ready\n":
            if process.poll() is not None:
                raise RuntimeError(f"a process ended early with exit code {process.returncode}")
    start = time.perf_counter()
    for process in crowd:
        process.stdin.write("go\n")
        process.stdin.flush()
    reports = [json.loads(process.communicate()[0].splitlines()[-1]) for process in crowd]
    return reports, time.perf_counter() - start


def _parent(peer):
    def measure(case):
        call, close = _open(peer, case)
        call(-1)  # starts the servers of a peer that has some; no race of eight launches
        first = salt()
        reports, wall_s = _crowd(peer, case, first)
        again, _ = _crowd(peer, case, first)
        close()
        n_different = N_PROCESSES * N_OWN + (0 if case == "distinct" else N_SHARED)
        if len({a for report in reports for a in report["ran"]}) != n_different:
            raise RuntimeError("not every new step ran, so not every figure is of a new step")
        seen = {}
        for a, answer in chain.from_iterable(report["answers"] for report in (*reports, *again)):
            seen.setdefault(a, set()).add(answer)
        errors = [error for report in (*reports, *again) for error in report["errors"]]
        print(*errors[:3], sep="\n", file=sys.stderr)
        costs_us = list(chain.from_iterable(report["costs_us"] for report in reports))
        return {
            "step": wall_s * 1e6 / len(costs_us),
            "p50": percentile(costs_us, 50),
            "commit_p99" if case == "distinct" else "p99": percentile(costs_us, 99),
            "disagreements": sum(len(answers) > 1 for answers in seen.values()),
            "errors": len(errors),
        }

    return measure


if __name__ == "__main__":
    if sys.argv[1] == "--child":
        child(sys.argv[2], sys.argv[3], int(sys.argv[4]), int(sys.argv[5]))
    else:
        workload_main({peer: _parent(peer) for peer in BENCHMARK.cases[0].peers})

"""Commands of the shell as whole processes: seamless-run on a stored result, on a new one, and the help of each.

The input is a file of 6 bytes. The floor is the plain command for `hit` and `new`, and an empty Python for `help`.
The reference's servers run all the time; ours needs none.
"""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
import time
from pathlib import Path

from bench.define import Benchmark, Budget, Case
from bench.measure import salt, workload_main

BENCHMARK = Benchmark(
    "shell_commands",
    __doc__.partition(":")[0],
    units={"hit": "ms", "new": "ms", "help": "ms"},
    budgets=(Budget("hit", 90), Budget("help", 60)),
    cases=(Case(peers=("ours", "reference", "floor"), rounds=3),),
)
COMMANDS = (
    "seamless-run",
    "seamless-upload",
    "seamless-download",
    "seamless-checksum",
    "seamless-checksum-file",
    "seamless-checksum-index",
    "seamless-run-transformation",
    "seamless-cancel",
)
N_RUNS = 11


def _ms(*argv, expected=None):
    start = time.perf_counter_ns()
    done = subprocess.run(
        argv, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, check=True, stdin=subprocess.DEVNULL
    )
    milliseconds = (time.perf_counter_ns() - start) / 1e6
    if expected is not None and done.stdout != expected:
        raise RuntimeError(f"{argv} printed {done.stdout!r}")
    return milliseconds


def _counted(word):
    return f"echo once >> {Path('ran').absolute()}; echo {word}"


def _n_runs():
    return len(Path("ran").read_text().splitlines())


def seamless(_case):
    os.environ["SEAMLESS_CACHE"] = str(Path.cwd() / "cache")
    Path("a.txt").write_text("alpha\n")
    new = []
    for word in (f"w{salt()}" for _ in range(N_RUNS + 1)):
        new.append(_ms("seamless-run", "-c", _counted(word), expected=f"{word}\n".encode()))
    if _n_runs() != N_RUNS + 1:
        raise RuntimeError("a new command did not run, or ran twice")
    hit_line = ("seamless-run", "-i", "a.txt", "-c", _counted("x").replace("echo x", "cat a.txt"))
    _ms(*hit_line)
    n_before = _n_runs()
    hits = [_ms(*hit_line, expected=b"alpha\n") for _ in range(N_RUNS)]
    if _n_runs() != n_before:
        raise RuntimeError("a hit ran the command")
    helps = [statistics.median(_ms(command, "--help") for _ in range(5)) for command in COMMANDS]
    return {"hit": statistics.median(hits), "new": statistics.median(new[1:]), "help": max(helps)}


def floor(_case):
    Path("a.txt").write_text("alpha\n")
    plain = [_ms("/bin/bash", "-c", "cat a.txt", expected=b"alpha\n") for _ in range(N_RUNS)]
    python = [_ms(sys.executable, "-c", "pass") for _ in range(N_RUNS)]
    return {
        "hit": statistics.median(plain),
        "new": statistics.median(plain),
        "help": statistics.median(python),
    }


if __name__ == "__main__":
    workload_main({"ours": seamless, "reference": seamless, "floor": floor})

"""Start-up: what an import adds to a bare Python process, and whole `--help` processes.

Bare and importing processes take turns; the figure is the difference of their medians. The floor
imports what any such library needs from the standard library.
"""

from __future__ import annotations

import statistics
import subprocess
import sys
import time
from pathlib import Path

from bench.define import Benchmark, Budget, Case
from bench.measure import workload_main

BENCHMARK = Benchmark(
    "import",
    "What an import adds to a bare Python process, and whole --help processes",
    units={"seamless": "ms", "transformer": "ms", "transformer_modules": "modules", "numpy_loaded": "0/1"}
    | {"seamless_run_help": "ms", "rhl_ps_help": "ms"},
    budgets=(
        Budget("transformer", 120),
        Budget("numpy_loaded", 0),
        Budget("seamless_run_help", 60),
        Budget("rhl_ps_help", 30),
    ),
    cases=(Case(peers=("ours", "reference", "floor"), rounds=3),),
)
N_TURNS = 5
COUNT = "import sys; n = len(sys.modules); {}; print(len(sys.modules) - n, int('numpy' in sys.modules))"


def _run_ms(command):
    start = time.perf_counter()
    subprocess.run(command, check=True, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
    return (time.perf_counter() - start) * 1e3


def _import_ms(statement):
    bare, full = [], []
    _run_ms([sys.executable, "-c", statement])  # compiles the modules
    for _ in range(N_TURNS):
        bare.append(_run_ms([sys.executable, "-c", "pass"]))
        full.append(_run_ms([sys.executable, "-c", statement]))
    return statistics.median(full) - statistics.median(bare)


def seamless(_case):
    statement = "import seamless.transformer"
    counts = subprocess.check_output([sys.executable, "-c", COUNT.format(statement)])
    n_modules, numpy_loaded = map(int, counts.split())
    figures = {
        "seamless": _import_ms("import seamless"),
        "transformer": _import_ms(statement),
        "transformer_modules": n_modules,
        "numpy_loaded": numpy_loaded,
    }
    for figure, command in (("seamless_run_help", "seamless-run"), ("rhl_ps_help", "rhl-ps")):
        program = Path(sys.executable).with_name(command)
        if program.exists():
            figures[figure] = statistics.median(_run_ms([program, "--help"]) for _ in range(N_TURNS))
    return figures


def floor(_case):
    return {"transformer": _import_ms("import dataclasses, hashlib, inspect, json, threading, typing")}


if __name__ == "__main__":
    workload_main({"ours": seamless, "reference": seamless, "floor": floor})

"""The rhl-* helpers as whole processes: a listing of five services, a look at one, and the help of each.

The services are state files whose process is gone. The floor is an empty Python.
"""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
import time
from pathlib import Path

from bench.define import Benchmark, Budget, Case
from bench.measure import workload_main

BENCHMARK = Benchmark(
    "helpers",
    __doc__.partition(":")[0],
    units={"ps": "ms", "inspect": "ms", "help": "ms"},
    budgets=(Budget("ps", 30), Budget("inspect", 30), Budget("help", 30)),
    cases=(Case(peers=("ours", "reference", "floor"), rounds=3),),
)
COMMANDS = (
    *("rhl-ps", "rhl-inspect", "rhl-logs", "rhl-stop", "rhl-rm", "rhl-clear", "rhl-ps-persistent"),
    *("rhl-handshake", "rhl-pid-alive", "rhl-verify-port"),
)
N_RUNS = 15
N_SERVICES = 5


def _ms(*argv, expected=None):
    start = time.perf_counter_ns()
    done = subprocess.run(argv, capture_output=True, check=True, stdin=subprocess.DEVNULL)
    milliseconds = (time.perf_counter_ns() - start) / 1e6
    if expected is not None and done.stdout.count(b"\n") != expected:
        raise RuntimeError(f"{argv} printed {done.stdout!r}")
    return milliseconds


def helpers(_case):
    folder = Path(os.environ["HOME"], ".remote-http-launcher", "server")
    folder.mkdir(parents=True)
    gone = subprocess.Popen([sys.executable, "-S", "-c", ""])
    gone.wait()
    for n in range(N_SERVICES):
        state = {
            "status": "running",
            "pid": gone.pid,
            "port": 5000 + n,
            "command": "hashserver x",
            "workdir": "/w",
        }
        (folder / f"service-{n}.json").write_text(json.dumps(state))
    listing = [_ms("rhl-ps", "--status", "stale", expected=N_SERVICES + 1) for _ in range(N_RUNS)]
    inspect = [_ms("rhl-inspect", "service-1", expected=7) for _ in range(N_RUNS)]
    helps = [statistics.median(_ms(command, "--help") for _ in range(5)) for command in COMMANDS]
    return {"ps": statistics.median(listing), "inspect": statistics.median(inspect), "help": max(helps)}


def floor(_case):
    python = statistics.median(_ms(sys.executable, "-c", "pass") for _ in range(N_RUNS))
    return {"ps": python, "inspect": python, "help": python}


if __name__ == "__main__":
    workload_main({"ours": helpers, "reference": helpers, "floor": floor})

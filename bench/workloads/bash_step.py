"""A new trivial bash step: a directory, a shell, a RESULT file, nothing cached before.

joblib.Memory caches a Python function that starts the same shell. The floor does that by hand.
"""

from __future__ import annotations

import os
import statistics
import subprocess
import tempfile
from pathlib import Path

from bench.define import Benchmark, Case
from bench.measure import each_us, salt, workload_main

BENCHMARK = Benchmark("bash_step", __doc__.partition(":")[0], units={"new": "us"}, cases=(Case(rounds=3),))
CODE = 'echo ran >> "$BENCH_RAN"; echo $((a + 1)) > RESULT'
N_WARM_UP = 3
N_STEPS = 30


def run_bash(a):
    with tempfile.TemporaryDirectory() as directory:
        Path(directory, "a").write_text(f"{a}\n")
        command = ["/bin/bash", "-c", f"set -u -e\n{CODE}"]
        subprocess.run(command, cwd=directory, env=dict(os.environ, a=str(a)), check=True)
        return int(Path(directory, "RESULT").read_text())


def _measure(call):
    counter, first = Path("ran").absolute(), salt()
    os.environ["BENCH_RAN"] = str(counter)

    def checked(i):
        if call(first + i) != first + i + 1:
            raise RuntimeError("the bash step gave a wrong result")

    costs = each_us(checked, range(N_WARM_UP + N_STEPS))
    if len(counter.read_text().splitlines()) != N_WARM_UP + N_STEPS:
        raise RuntimeError("the command did not run once a step")
    return {"new": statistics.median(costs[N_WARM_UP:])}


def seamless(_case):
    from seamless import close
    from seamless.transformer import direct

    step = direct(CODE, "bash")
    step.celltypes.a = "int"
    step.celltypes.result = "int"
    figures = _measure(lambda a: step(a=a))
    close()
    return figures


def joblib(_case):
    from joblib import Memory

    return _measure(Memory("joblib", verbose=0).cache(run_bash))


def floor(_case):
    return _measure(run_bash)


if __name__ == "__main__":
    workload_main({"ours": seamless, "reference": seamless, "joblib": joblib, "floor": floor})

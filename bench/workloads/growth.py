"""Cost and memory per step as the number of steps grows: a flat list, and a chain.

`flat_N`: N independent steps built, then run through `parallel`, all kept. `chain_N`: each step takes
the one before it, and only the last is asked for. Both should cost the same per step whatever N is:
the budgets compare sizes of ours with each other. The reference's chains cost O(N) per step and end
in a RecursionError before 1,000, so it takes part up to 200.
"""

from __future__ import annotations

import time

from bench import ran
from bench.define import Benchmark, Budget, Case
from bench.measure import peak_memory, salt, workload_main

_FLAT = 1.3  # what counts as flat, given the noise of a shared machine
_PAIRS = [("flat_10000", "flat_1000"), ("flat_100000", "flat_1000"), ("flat_1000000", "flat_1000")]
_PAIRS += [("chain_10000", "chain_1000"), ("chain_100000", "chain_1000"), ("chain_1000000", "chain_1000")]
BENCHMARK = Benchmark(
    "growth",
    __doc__.partition(":")[0],
    units={"step": "us", "memory": "bytes/step"},
    budgets=tuple(
        Budget(f"{figure}@{large}", _FLAT, against=f"{figure}@{small}")
        for figure in ("step", "memory")
        for large, small in _PAIRS
    ),
    cases=(
        Case("flat_1000", peers=("ours", "reference"), rounds=3),
        Case("flat_10000", peers=("ours",), rounds=1),
        Case("flat_100000", peers=("ours",), rounds=1),
        Case("flat_1000000", peers=("ours",), rounds=1, large=True, timeout_s=1800),
        Case("chain_200", peers=("ours", "reference"), rounds=3),
        Case("chain_1000", peers=("ours",), rounds=3),
        Case("chain_10000", peers=("ours",), rounds=1),
        Case("chain_100000", peers=("ours",), rounds=1),
        Case("chain_1000000", peers=("ours",), rounds=1, large=True, timeout_s=1800),
    ),
)
N_WARM_UP = 100
N_PARALLEL = 8


def step(a, b):
    from bench.ran import calls

    calls.append(None)
    return a + b


def _flat(delayed_step, n_steps):
    from seamless.transformer import TransformationList, parallel

    first = salt()
    steps = [delayed_step(first + i, 1) for i in range(n_steps)]
    for i, done in enumerate(parallel(TransformationList(steps, show_progress=False))):
        if done.value != first + i + 1:
            raise RuntimeError(f"step {i}: wrong result, {done.exception}")
    return steps


def _chain(delayed_step, n_steps):
    first = salt()
    last = delayed_step(first, 1)
    for _ in range(n_steps - 1):
        last = delayed_step(last, 1)
    if last.run() != first + n_steps:
        raise RuntimeError("the chain gave a wrong result")
    return last


def seamless(case):
    from seamless import close
    from seamless.config import set_nparallel
    from seamless.transformer import delayed

    shape, _, n_steps = case.partition("_")
    work = {"flat": _flat, "chain": _chain}[shape]
    set_nparallel(N_PARALLEL)
    delayed_step = delayed(step)
    work(delayed_step, N_WARM_UP)
    ran.expect(N_WARM_UP)
    with peak_memory() as memory:
        start = time.perf_counter()
        kept = work(delayed_step, int(n_steps))
        cost_s = time.perf_counter() - start
    ran.expect(int(n_steps))
    figures = {"step": cost_s / int(n_steps) * 1e6, "memory": memory.growth_mib * 2**20 / int(n_steps)}
    del kept  # a chain must also come apart without recursion
    close()
    return figures


if __name__ == "__main__":
    workload_main({"ours": seamless, "reference": seamless})

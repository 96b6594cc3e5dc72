"""A step that takes, or makes, an array of 100 MB: the speed of SHA-256 is what it may cost.

`argument_hit`: an equal array in another object, so it must be hashed, and then it is a hit.
`argument_new`: a new array, so the step must run. `result_new`: the step makes the array. `*_peak`
is the growth of resident memory during the operation. The floor is hashlib over the same bytes
(plus, for `result_new`, making them); in the case `embedded` it also writes and fsyncs what is new.
`stale_answers` counts wrong answers after the same array was changed in place.
"""

from __future__ import annotations

import time

from bench import ran
from bench.define import Benchmark, Budget, Case
from bench.measure import peak_memory, salt, use_cache, workload_main

_FIGURES = ("argument_hit", "argument_new", "result_new")
_SPEED = 1 / 0.85  # at least 85 % of the floor's speed
BENCHMARK = Benchmark(
    "large_array",
    "A step that takes, or makes, an array of 100 MB",
    units=dict.fromkeys((*_FIGURES, "close"), "ms")
    | {f"{f}_peak": "MiB" for f in _FIGURES}
    | {"stale_answers": "answers"},
    budgets=(
        *(Budget(f"stale_answers@{case}", 0) for case in ("memory", "embedded")),
        *(Budget(f"{figure}@memory", _SPEED, against="floor") for figure in _FIGURES),
        Budget("argument_hit@embedded", _SPEED, against="floor"),
        *(Budget(f"argument_{kind}_peak@memory", 8) for kind in ("hit", "new")),
        Budget("argument_hit_peak@embedded", 8),
        *(Budget(f"result_new_peak@{case}", 1.1, against="floor") for case in ("memory", "embedded")),
    ),
    cases=(Case("memory", rounds=3), Case("embedded", rounds=2)),
)
N_ITEMS = 12_500_000
N_REPEATS = 3


def first_item(array):
    from bench.ran import calls

    calls.append("first_item")
    return float(array[0])


def make(n_items, value):
    import numpy

    from bench.ran import calls

    calls.append("make")
    return numpy.full(n_items, value, dtype="float64")


def _measure(first_item_step, make_step, close):
    import numpy

    first = salt() % 10**6
    array = numpy.arange(first, first + N_ITEMS, dtype="float64")
    figures = {"stale_answers": 0}

    def take(changed):
        if first_item_step(changed) != changed[0]:
            raise RuntimeError("a wrong result")

    def produce(value):
        if make_step(N_ITEMS, value)[-1] != value:
            raise RuntimeError("a wrong result")

    def copy_with_first_item(value):
        copy = array.copy()
        copy[0] = value
        return copy

    take(array)
    array[0] += 1
    if first_item_step(array) != array[0]:
        figures["stale_answers"] = 1
        take(array.copy())
    ran.expect(2)
    rows = (
        ("argument_hit", lambda _i: array.copy(), take),
        ("argument_new", lambda i: copy_with_first_item(-float(first + i)), take),
        ("result_new", lambda i: float(first + i), produce),
    )
    for name, prepare, work in rows:
        costs, peaks = [], []
        for i in range(N_REPEATS):
            argument = prepare(i)
            with peak_memory() as memory:
                start = time.perf_counter()
                work(argument)
                costs.append((time.perf_counter() - start) * 1e3)
            peaks.append(memory.peak_growth_mib)
        figures |= {name: min(costs), f"{name}_peak": max(peaks)}
    ran.expect(2 * N_REPEATS)
    start = time.perf_counter()
    close()
    return figures | {"close": (time.perf_counter() - start) * 1e3}


def _seamless(peer):
    def measure(case):
        if case == "embedded":
            use_cache(peer)
        import seamless
        from seamless.transformer import direct

        return _measure(direct(first_item), direct(make), seamless.close)

    return measure


def joblib(_case):
    from joblib import Memory

    memory = Memory("joblib", verbose=0)
    return _measure(memory.cache(first_item), memory.cache(make), lambda: None)


def floor(case):
    import hashlib
    import os

    results = {}

    def hash_and_keep(array, *, new):
        key = hashlib.sha256(memoryview(array).cast("B")).digest()
        if new(key) and case == "embedded":
            with open(key.hex(), "wb") as file:
                file.write(memoryview(array).cast("B"))
                file.flush()
                os.fsync(file.fileno())
        return key

    def take(array):
        key = hash_and_keep(array, new=lambda key: key not in results)
        if key not in results:
            results[key] = first_item(array)
        return results[key]

    def produce(n_items, value):
        array = make(n_items, value)
        hash_and_keep(array, new=lambda _key: True)
        return array

    return _measure(take, produce, lambda: None)


if __name__ == "__main__":
    peers = {peer: _seamless(peer) for peer in ("ours", "reference")}
    workload_main(peers | {"joblib": joblib, "floor": floor})

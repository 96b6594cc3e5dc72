"""A new no-op step with a durable cache on disk (SEAMLESS_CACHE).

`to_value` is the mean time until the caller has the value; `with_close` adds `seamless.close()`,
after which everything is durable, shared among the n steps. Ours opens the files itself; the
reference talks to two servers that it launches (not counted: a few steps go first).
joblib.Memory writes files and never syncs them. The floor is the least a durable cache must do:
hash, keep the results in one SQLite file, one transaction with fsync at the end.
"""

from __future__ import annotations

import time

from bench import ran
from bench.define import Benchmark, Budget, Case
from bench.measure import salt, use_cache, workload_main

BENCHMARK = Benchmark(
    "new_step_embedded",
    "A new no-op step with a durable cache on disk",
    units={"to_value": "us", "with_close": "us"},
    budgets=tuple(
        Budget(f"{figure}@{n}", limit)
        for n in (100, 1000)
        for figure, limit in (("to_value", 500), ("with_close", 1000))
    ),
    cases=(Case("100", rounds=3), Case("1000", peers=("ours", "joblib", "floor"), rounds=3)),
)
N_WARM_UP = 5


def step(a, b):
    from bench.ran import calls

    calls.append(a)
    return a + b


def _measure(case, call, close):
    n_steps, first = int(case), salt()
    for i in range(N_WARM_UP):
        call(first + i, 1)
    start = time.perf_counter()
    values = [call(a, 1) for a in range(first + N_WARM_UP, first + N_WARM_UP + n_steps)]
    seen = time.perf_counter()
    close()
    closed = time.perf_counter()
    if values != list(range(first + N_WARM_UP + 1, first + N_WARM_UP + n_steps + 1)):
        raise RuntimeError("a step gave a wrong result")
    ran.expect(N_WARM_UP + n_steps)
    return {"to_value": (seen - start) / n_steps * 1e6, "with_close": (closed - start) / n_steps * 1e6}


def _seamless(peer):
    def measure(case):
        use_cache(peer)
        import seamless
        from seamless.transformer import direct

        return _measure(case, direct(step), seamless.close)

    return measure


def joblib(case):
    from joblib import Memory

    return _measure(case, Memory("joblib", verbose=0).cache(step), lambda: None)


def floor(case):
    import hashlib
    import json
    import sqlite3

    database = sqlite3.connect("floor.db")
    database.execute("pragma synchronous = full")
    database.execute("create table result (step blob primary key, value blob)")
    rows = []

    def call(a, b):
        value = step(a, b)
        rows.append((hashlib.sha256(json.dumps([a, b]).encode()).digest(), json.dumps(value)))
        return value

    def close():
        with database:
            database.executemany("insert into result values (?, ?)", rows)
        database.close()

    return _measure(case, call, close)


if __name__ == "__main__":
    peers = {peer: _seamless(peer) for peer in ("ours", "reference")}
    workload_main(peers | {"joblib": joblib, "floor": floor})

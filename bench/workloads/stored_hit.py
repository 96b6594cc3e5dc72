"""A hit from disk: another process ran the step, this one asks for it for the first time.

Each of 200 steps is asked for once, after a few others that open the cache. This is what
joblib.Memory does at every hit. The floor is a row of one SQLite file, found by a hash.
"""

from __future__ import annotations

import statistics
import subprocess
import sys

from bench import ran
from bench.define import Benchmark, Case
from bench.measure import each_us, salt, use_cache, workload_main

BENCHMARK = Benchmark("stored_hit", __doc__.partition(":")[0], units={"first": "us"}, cases=(Case(rounds=3),))
N_WARM_UP = 5
N_STEPS = 200


def step(a, b):
    from bench.ran import calls

    calls.append(a)
    return a + b


def _seamless(peer):
    use_cache(peer)
    import seamless
    from seamless.transformer import direct

    return direct(step), seamless.close


def _joblib():
    from joblib import Memory

    return Memory("joblib", verbose=0).cache(step), lambda: None


def _floor():
    import hashlib
    import json
    import sqlite3

    database = sqlite3.connect("floor.db", isolation_level=None)
    database.execute("create table if not exists result (step blob primary key, value text)")

    def call(a, b):
        key = hashlib.sha256(json.dumps([a, b]).encode()).digest()
        for (value,) in database.execute("select value from result where step = ?", (key,)):
            return json.loads(value)
        value = step(a, b)
        database.execute("insert into result values (?, ?)", (key, json.dumps(value)))
        return value

    return call, database.close


OPEN = {
    "ours": lambda: _seamless("ours"),
    "reference": lambda: _seamless("reference"),
    "joblib": _joblib,
    "floor": _floor,
}


def _ask(peer, first, *, n_runs):
    call, close = OPEN[peer]()
    values = []
    costs_us = each_us(lambda i: values.append(call(first + i, 1)), range(N_WARM_UP + N_STEPS))
    close()
    if values != [first + i + 1 for i in range(N_WARM_UP + N_STEPS)]:
        raise RuntimeError("a step gave a wrong result")
    ran.expect(n_runs)
    return {"first": statistics.median(costs_us[N_WARM_UP:])}


def _measure(peer):
    def measure(_case):
        first = salt()
        subprocess.run([sys.executable, "-m", __spec__.name, "--fill", peer, str(first)], check=True)
        return _ask(peer, first, n_runs=0)

    return measure


if __name__ == "__main__":
    if sys.argv[1] == "--fill":
        _ask(sys.argv[2], int(sys.argv[3]), n_runs=N_WARM_UP + N_STEPS)
    else:
        workload_main({peer: _measure(peer) for peer in OPEN})

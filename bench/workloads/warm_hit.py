"""A warm hit with small arguments, in process: the step has run before, its answer is looked up.

`direct` calls the step, `delayed` builds a Transformation and runs it. joblib.Memory answers from
its files, as it always does. The floor is what any identity costs: two small values and one
description of the step put into JSON and hashed, then one look-up in a dict.
"""

from __future__ import annotations

from bench import ran
from bench.define import Benchmark, Budget, Case
from bench.measure import batches_us, salt, workload_main

BENCHMARK = Benchmark(
    "warm_hit",
    __doc__.partition(":")[0],
    units={"direct": "us", "delayed": "us"},
    budgets=(
        Budget("direct", 50),
        Budget("direct", 1.0, against="joblib"),
        Budget("direct", 1 / 12, against="reference"),
        Budget("delayed", 50),
        Budget("delayed", 1 / 12, against="reference"),
    ),
    cases=(Case(rounds=5),),
)
N_ARGUMENTS = 50


def step(a, b):
    from bench.ran import calls

    calls.append(a)
    return a + len(b)


def _measure(call):
    """Run every step once, cold; then time hits, which must not run it again."""
    first = salt()
    arguments = [(first + i, f"value {i}") for i in range(N_ARGUMENTS)]
    expected = [a + len(b) for a, b in arguments]
    if [call(a, b) for a, b in arguments] != expected:
        raise RuntimeError("a step gave a wrong result")
    ran.expect(N_ARGUMENTS)
    cost_us = batches_us(lambda: [call(a, b) for a, b in arguments], N_ARGUMENTS)
    if [call(a, b) for a, b in arguments] != expected:
        raise RuntimeError("a hit gave a wrong result")
    ran.expect(0)
    return cost_us


def seamless(_case):
    from seamless import close
    from seamless.transformer import delayed, direct

    direct_step, delayed_step = direct(step), delayed(step)
    figures = {"direct": _measure(direct_step), "delayed": _measure(lambda a, b: delayed_step(a, b).run())}
    close()
    return figures


def joblib(_case):
    from joblib import Memory

    return {"direct": _measure(Memory("joblib", verbose=0).cache(step))}


def floor(_case):
    import hashlib
    import json

    results = {}

    def identity(*values):
        pins = [hashlib.sha256(json.dumps(value).encode()).hexdigest() for value in values]
        text = json.dumps({"a": ["mixed", None, pins[0]], "b": ["mixed", None, pins[1]], "code": "0" * 64})
        return hashlib.sha256(text.encode()).digest()

    def call(a, b):
        key = identity(a, b)
        return results[key] if key in results else results.setdefault(key, step(a, b))

    return {"direct": _measure(call)}


if __name__ == "__main__":
    workload_main({"ours": seamless, "reference": seamless, "joblib": joblib, "floor": floor})

"""A new no-op step with nothing configured: identified, executed, its result kept in memory.

Each figure is the mean over 300 steps with arguments never seen before, after 20 that are not
counted. The floor is the identity of a step, hashed by hand, and a plain call of the function.
"""

from __future__ import annotations

import statistics

from bench import ran
from bench.define import Benchmark, Budget, Case
from bench.measure import each_us, salt, workload_main

BENCHMARK = Benchmark(
    "new_step_memory",
    __doc__.partition(":")[0],
    units={"direct": "us", "delayed": "us"},
    budgets=(Budget("direct", 300), Budget("delayed", 300)),
    cases=(Case(peers=("ours", "reference", "floor"), rounds=5),),
)
N_WARM_UP = 20
N_STEPS = 300


def step(a, b):
    from bench.ran import calls

    calls.append(a)
    return a + b


def _measure(call):
    first = salt()

    def checked(i):
        if call(first + i, 1) != first + i + 1:
            raise RuntimeError("a step gave a wrong result")

    each_us(checked, range(N_WARM_UP))
    cost_us = statistics.mean(each_us(checked, range(N_WARM_UP, N_WARM_UP + N_STEPS)))
    ran.expect(N_WARM_UP + N_STEPS)
    return cost_us


def seamless(_case):
    from seamless import close
    from seamless.transformer import delayed, direct

    direct_step, delayed_step = direct(step), delayed(step)
    figures = {"direct": _measure(direct_step), "delayed": _measure(lambda a, b: delayed_step(a, b).run())}
    close()
    return figures


def floor(_case):
    import hashlib
    import json

    def call(a, b):
        pins = [hashlib.sha256(json.dumps(value).encode()).hexdigest() for value in (a, b)]
        hashlib.sha256(json.dumps({"a": pins[0], "b": pins[1], "code": "0" * 64}).encode())
        result = step(a, b)
        hashlib.sha256(json.dumps(result).encode())
        return result

    return {"direct": _measure(call)}


if __name__ == "__main__":
    workload_main({"ours": seamless, "reference": seamless, "floor": floor})

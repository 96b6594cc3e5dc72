"""A hashserver launched on this machine: cold, found again, and found again by a client that knows nothing of it.

`cold`: to the answer of `run`, each time a new key and directory. `reuse`: the next call of the same process.
`again`: the same without the client state, so the target is asked. Both peers run the same lines with their own
launcher and server. The floor of `cold` is our server started by hand, until it says that it runs.
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
from bench.measure import batches_us, workload_main

BENCHMARK = Benchmark(
    "launch",
    "A hashserver launched on this machine, and found again",
    units={"cold": "s", "reuse": "ms", "again": "ms"},
    budgets=(Budget("cold", 0.5), Budget("reuse", 1)),
    cases=(Case(peers=("ours", "reference", "floor"), rounds=3),),
)
N_COLD = 5


def _config(key):
    return {
        "workdir": str(Path.cwd() / f"buffers-{key}"),
        "key": key,
        "command": "hashserver --status-file {status_file} --host 127.0.0.1 --timeout 30 {workdir} --writable",
        "network_interface": "127.0.0.1",
        "handshake": "healthcheck",
        "log_level": "minimal",
    }


def _launcher(_case):
    os.environ["HOME"] = str(Path.cwd())
    os.environ["PATH"] = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    from remote_http_launcher import run

    cold, again = [], []
    for n in range(N_COLD):
        config = _config(f"k{n}")
        start = time.perf_counter()
        run(config)
        cold.append(time.perf_counter() - start)
    client = next(Path.cwd().rglob("client/k0.json"))
    for _ in range(N_COLD):
        client.unlink()
        start = time.perf_counter()
        run(_config("k0"))
        again.append((time.perf_counter() - start) * 1e3)
    reuse_us = batches_us(lambda: run(_config("k0")), 1)
    for n in range(N_COLD):
        subprocess.run(["rhl-stop", f"k{n}"], stdout=subprocess.DEVNULL, check=True)
    return {"cold": statistics.median(cold), "again": statistics.median(again), "reuse": reuse_us / 1e3}


def floor(_case):
    cold = []
    for n in range(N_COLD):
        directory, status = Path(f"buffers-{n}"), Path(f"status-{n}.json")
        directory.mkdir()
        start = time.perf_counter()
        status.write_text(json.dumps({"status": "starting"}))
        words = [Path(sys.executable).with_name("hashserver"), str(directory), "--status-file", str(status)]
        server = subprocess.Popen(words, stderr=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
        while json.loads(status.read_text())["status"] == "starting":
            time.sleep(0.002)
        cold.append(time.perf_counter() - start)
        server.terminate()
        server.wait(20)
    return {"cold": statistics.median(cold)}


if __name__ == "__main__":
    workload_main({"ours": _launcher, "reference": _launcher, "floor": floor})

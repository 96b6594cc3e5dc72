"""A folder of 2,000 files of 1 kB: its index, its upload into a cold cache, and the same upload again.

Whole processes. The floor of the index is find with sha256sum, that of the upload sha256sum and cp, neither of which
makes anything durable. The reference's servers run before anything is measured.
"""

from __future__ import annotations

import os
import shutil
import statistics
import subprocess
import time
from pathlib import Path

from bench.define import Benchmark, Budget, Case
from bench.measure import workload_main

N_FILES = 2000
N_BYTES = 1024
BENCHMARK = Benchmark(
    "shell_files",
    __doc__.partition(":")[0],
    units={"index": "ms", "upload": "ms", "again": "ms"},
    budgets=(Budget("index", 2, "floor"), Budget("upload", 2, "floor"), Budget("again", 150)),
    cases=(Case(peers=("ours", "reference", "floor"), rounds=3),),
)


def _fill(folder):
    for number in range(N_FILES):
        path = Path(folder, f"s{number % 20}", f"f{number}.dat")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(os.urandom(N_BYTES))


def _ms(command, **options):
    start = time.perf_counter_ns()
    subprocess.run(
        command,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        stdin=subprocess.DEVNULL,
        check=True,
        **options,
    )
    return (time.perf_counter_ns() - start) / 1e6


def seamless(_case):
    os.environ["SEAMLESS_CACHE"] = str(Path.cwd() / "cache")
    _fill("warm-up")
    _ms(["seamless-upload", "-y", "warm-up"])
    index, upload, again = [], [], []
    for name in ("d0", "d1", "d2"):
        _fill(name)
        index.append(_ms(["seamless-checksum-index", name]))
        if len(Path(f"{name}.INDEX").read_text().splitlines()) != N_FILES + 2:
            raise RuntimeError("the index is not complete")
        Path(f"{name}.INDEX").unlink()
        Path(f"{name}.CHECKSUM").unlink()
        upload.append(_ms(["seamless-upload", "-y", name]))
        again.append(_ms(["seamless-upload", "-y", name]))
    stored = [path for path in Path("cache").rglob("*") if len(path.name) == 64]
    if len(stored) < 4 * N_FILES:
        raise RuntimeError(f"{len(stored)} buffers were stored, not {4 * N_FILES}")
    return {
        "index": statistics.median(index),
        "upload": statistics.median(upload),
        "again": statistics.median(again),
    }


def floor(_case):
    index, upload, again = [], [], []
    shasum = "find {} -type f -print0 | xargs -0 sha256sum > sums"
    for name in ("d0", "d1", "d2"):
        _fill(name)
        index.append(_ms(["/bin/sh", "-c", shasum.format(name)]))
        upload.append(_ms(["/bin/sh", "-c", f"{shasum.format(name)} && cp -r {name} copy-{name}"]))
        again.append(_ms(["/bin/sh", "-c", shasum.format(name)]))
        shutil.rmtree(f"copy-{name}")
    return {
        "index": statistics.median(index),
        "upload": statistics.median(upload),
        "again": statistics.median(again),
    }


if __name__ == "__main__":
    workload_main({"ours": seamless, "reference": seamless, "floor": floor})

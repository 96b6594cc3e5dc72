"""What workloads share: timing, peak memory, opening Seamless, and handing the figures over.

Runs under the interpreter of the peer, so nothing beyond the standard library is imported here.
"""

from __future__ import annotations

import contextlib
import json
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

__all__ = (
    "Memory",
    "batches_us",
    "database_server_port",
    "each_us",
    "peak_memory",
    "percentile",
    "reference_database_port",
    "salt",
    "service_port",
    "use_cache",
    "workload_main",
)

Figures = dict[str, float]
MIN_SECONDS = 0.25  # one figure is measured at least so long, where the workload can repeat itself


def workload_main(functions: Mapping[str, Callable[[str], Figures]]) -> None:
    """Run `functions[peer](case)` as the command line says; the last line of stdout is its figures."""
    peer, case = sys.argv[1:3]
    figures = functions[peer](case)
    print("\n" + json.dumps(figures), flush=True)


def use_cache(peer: str) -> None:
    """Give Seamless a cold durable cache below the current directory. Call it before the import."""
    os.environ["SEAMLESS_CACHE"] = str(Path.cwd() / "cache")
    if peer == "reference":  # it starts its servers with the first step; ours needs no call and no server
        import seamless.config

        seamless.config.init()


def salt() -> int:
    """Return a number that no earlier run has used, so that nothing can be cached already."""
    return int.from_bytes(os.urandom(5), "big")


def batches_us(work: Callable[[], object], n_per_batch: int) -> float:
    """Return the median cost in us of one operation; `work()` does `n_per_batch` of them.

    Repeats for a quarter of a second and at least five times; one unmeasured batch goes first.
    """
    work()
    costs: list[float] = []
    deadline = time.perf_counter() + MIN_SECONDS
    while len(costs) < 5 or time.perf_counter() < deadline:
        start = time.perf_counter_ns()
        work()
        costs.append((time.perf_counter_ns() - start) / 1e3 / n_per_batch)
    return statistics.median(costs)


def each_us(work: Callable[[Any], object], items: Iterable[Any]) -> list[float]:
    """Return what `work(item)` cost in us, for each item."""
    costs = []
    for item in items:
        start = time.perf_counter_ns()
        work(item)
        costs.append((time.perf_counter_ns() - start) / 1e3)
    return costs


def percentile(values: Iterable[float], percent: float) -> float:
    """Return the value that `percent` of `values` do not exceed (nearest rank)."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(len(ordered) * percent / 100))]


class Memory:
    """Resident memory of this process around a block, in MiB."""

    peak_growth_mib = 0.0
    growth_mib = 0.0


@contextlib.contextmanager
def peak_memory() -> Iterator[Memory]:
    """Measure by how much resident memory grows inside the block, at its peak and at its end."""
    memory = Memory()
    Path("/proc/self/clear_refs").write_text("5")  # resets VmHWM, the peak, to the present size
    before = _status_mib("VmRSS")
    yield memory
    memory.peak_growth_mib = _status_mib("VmHWM") - before
    memory.growth_mib = _status_mib("VmRSS") - before


def _status_mib(field: str) -> float:
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith(field + ":"):
            return int(line.split()[1]) / 1024
    raise RuntimeError(f"/proc/self/status has no field {field}")


def database_server_port(path: str | Path, command: Sequence[str]) -> int:
    """Return the port of a database server for this file, ours or the reference's; start it at the first call."""
    return service_port("database", [*command, str(path)])


def service_port(name: str, command: Sequence[str]) -> int:
    """Return the port of a service, ours or the reference's; start it, writable, at the first call.

    Its status file lies where a launcher's would, so that the harness ends it after the run.
    """
    states = Path.home() / ".remote-http-launcher" / "server"
    state = states / f"bench-{name}.json"
    if not state.exists():
        states.mkdir(parents=True, exist_ok=True)
        options = ["--port-range", "20000", "60000", "--host", "127.0.0.1"]
        options += ["--writable", "--status-file", str(state), "--timeout", "600"]
        state.write_text(json.dumps({"status": "starting"}))
        process = subprocess.Popen([*command, *options], stdout=subprocess.DEVNULL, start_new_session=True)
        state.write_text(json.dumps({"status": "starting", "pid": process.pid}))
    deadline = time.monotonic() + 30.0
    while time.monotonic() < deadline:
        answer = json.loads(state.read_text() or "{}")
        if answer.get("status") == "running":
            return int(answer["port"])
        time.sleep(0.02)
    raise RuntimeError(f"the {name} server did not start: {state.read_text()}")


def reference_database_port(path: str | Path) -> int:
    """Return the port of the reference's database server for this file; start it at the first call."""
    return database_server_port(path, ["seamless-database"])

"""The machine that the figures come from: processor, cores, system, and what a sync costs here."""

from __future__ import annotations

import os
import platform
import statistics
import tempfile
import time
from pathlib import Path

__all__ = ("describe", "machine_line")

N_SYNCS = 30


def describe(directory: Path) -> dict[str, object]:
    """Return facts about this machine; `directory` is where its disk is tried."""
    return {
        "cpu": _cpu_model(),
        "cores": len(os.sched_getaffinity(0)),
        "python": platform.python_version(),
        "kernel": platform.release(),
        "load_1min": round(os.getloadavg()[0], 2),
        "file_system": _file_system(directory),
        "fdatasync_4k_ms": round(_sync_ms(directory), 3),
    }


def machine_line(facts: dict[str, object]) -> str:
    return (
        f"{facts['cpu']}, {facts['cores']} cores, Linux {facts['kernel']}, Python {facts['python']}, "
        f"{facts['file_system']} with fdatasync of 4 kB in {facts['fdatasync_4k_ms']} ms, "
        f"load {facts['load_1min']}"
    )


def _cpu_model() -> str:
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            return line.partition(":")[2].strip()
    return platform.machine()


def _file_system(directory: Path) -> str:
    real = str(directory.resolve())
    best = ("", "unknown")
    for line in Path("/proc/self/mounts").read_text().splitlines():
        _, mount, kind = line.split()[:3]
        if real.startswith(mount.rstrip("/") + "/") and len(mount) > len(best[0]):
            best = (mount, kind)
    return best[1]


def _sync_ms(directory: Path) -> float:
    costs = []
    with tempfile.TemporaryFile(dir=directory, buffering=0) as file:
        for _ in range(N_SYNCS):
            file.write(os.urandom(4096))
            start = time.perf_counter()
            os.fdatasync(file.fileno())
            costs.append((time.perf_counter() - start) * 1e3)
    return statistics.median(costs)

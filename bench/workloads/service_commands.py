"""The commands of configuration and services as whole processes: help of each, a listing, a resolved key, the values.

The listing is of five services whose process is gone, on a local cluster. The floor is an empty Python.
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
from bench.measure import workload_main

BENCHMARK = Benchmark(
    "service_commands",
    __doc__.partition(":")[0],
    units={"help": "ms", "ps": "ms", "resolve": "ms", "show": "ms"},
    budgets=(Budget("help", 60), Budget("ps", 120), Budget("resolve", 120), Budget("show", 120)),
    cases=(Case(peers=("ours", "reference", "floor"), rounds=3),),
)
SERVICE_COMMANDS = tuple(
    f"seamless-service-{name}" for name in ("ps", "logs", "inspect", "stop", "rm", "clear", "resolve")
)
OWN_COMMANDS = (
    "seamless-service-start",
    "seamless-service-restart",
    "seamless-config-show",
    "seamless-config-check",
    "seamless-config-init",
    "seamless-init",
)
N_RUNS = 11
N_SERVICES = 5
CLUSTERS = """\
local_cluster: lab
lab:
  type: local
  frontends:
  - hashserver: {bufferdir: /data/buffers}
    database: {database_dir: /data/db}
"""


def _ms(*argv, expected):
    start = time.perf_counter_ns()
    done = subprocess.run(argv, capture_output=True, check=True, stdin=subprocess.DEVNULL)
    milliseconds = (time.perf_counter_ns() - start) / 1e6
    if expected not in done.stdout:
        raise RuntimeError(f"{argv} printed {done.stdout!r}")
    return milliseconds


def _prepare():
    home = Path(os.environ["HOME"])
    (home / ".seamless").mkdir(parents=True)
    (home / ".seamless" / "clusters.yaml").write_text(CLUSTERS)
    folder = home / ".remote-http-launcher" / "server"
    folder.mkdir(parents=True)
    gone = subprocess.Popen([sys.executable, "-S", "-c", ""])
    gone.wait()
    for n in range(N_SERVICES):
        key = f"hashserver-lab-rw-p{n}"
        state = {
            "status": "running",
            "pid": gone.pid,
            "port": 5000 + n,
            "command": "hashserver x",
            "workdir": "/w",
        }
        (folder / f"{key}.json").write_text(json.dumps(state))
    project = home / "project"
    project.mkdir()
    (project / "seamless.yaml").write_text("- project: p\n")
    (project / "seamless.profile.yaml").write_text("- cluster: lab\n- execution: process\n")
    os.chdir(project)


def _median(*argv, expected):
    return statistics.median(_ms(*argv, expected=expected) for _ in range(N_RUNS))


def _measured(commands):
    helps = [
        statistics.median(_ms(command, "--help", expected=b"usage") for _ in range(5)) for command in commands
    ]
    wanted = ("--service", "hashserver", "--cluster", "lab", "--project", "p")
    return {
        "help": max(helps),
        "ps": _median("seamless-service-ps", "--server", "--cluster", "lab", expected=b"stale"),
        "resolve": _median("seamless-service-resolve", *wanted, expected=b"hashserver-lab-rw-p"),
    }


def ours(_case):
    _prepare()
    found = _measured((*SERVICE_COMMANDS, *OWN_COMMANDS))
    return {**found, "show": _median("seamless-config-show", expected=b"absent")}


def reference(_case):
    _prepare()
    return _measured(SERVICE_COMMANDS)


def floor(_case):
    python = statistics.median(_ms(sys.executable, "-c", "print('x')", expected=b"x") for _ in range(N_RUNS))
    return dict.fromkeys(("help", "ps", "resolve", "show"), python)


if __name__ == "__main__":
    workload_main({"ours": ours, "reference": reference, "floor": floor})

"""A project on a cluster of this machine: its services started cold, found warm, and a stored result of seamless-run.

`cold`: from `init()` to two services that answer, each time of a new project. `warm`: the same in a new process, after
the imports, with both running. `hit`: seamless-run as a whole process on a stored result. Ours starts the two side by
side, the reference one after the other. The floor of `hit` is the plain command.
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
    "config",
    "The services of a cluster on this machine: started, found, used by seamless-run",
    units={"cold": "s", "warm": "ms", "hit": "ms"},
    budgets=(Budget("cold", 0.8), Budget("warm", 20), Budget("hit", 120)),
    cases=(Case(peers=("ours", "reference", "floor"), rounds=3),),
)
N_COLD, N_WARM, N_HITS = 3, 5, 11

INIT = """
import json, sys, time
import seamless.config
from seamless_remote import buffer_remote, database_remote
import remote_http_launcher
peer = sys.argv[1]
if peer == "ours":
    import yaml, seamless.embedded, seamless_config.activation, seamless_config.cluster_files
    import remote_http_launcher.launcher, remote_http_launcher.templates, remote_http_launcher.connecting
    from seamless_config import activation_plan, configuration, launch_dictionaries, launching, project_files
    from seamless_config import service_activation, starting, yaml_reader
    import seamless_remote.remote_set
start = time.perf_counter()
seamless.config.init()
if peer == "ours":
    failures = starting.start_services(service_activation.active_services())
    if any(failures):
        raise SystemExit(str(failures))
else:
    buffer_remote.ensure_initialized()
    database_remote.ensure_initialized()
seconds = time.perf_counter() - start
print(json.dumps(seconds))
"""


def _project(number):
    """Make a project of its own name on the local cluster; return its folder."""
    home = Path.cwd()
    frontend = {
        "hashserver": {"bufferdir": f"{home}/buffers", "network_interface": "127.0.0.1"},
        "database": {"database_dir": f"{home}/databases", "network_interface": "127.0.0.1"},
    }
    (home / ".seamless").mkdir(exist_ok=True)
    clusters = {"local_cluster": "mine", "mine": {"type": "local", "frontends": [frontend]}}
    (home / ".seamless/clusters.yaml").write_text(json.dumps(clusters))
    folder = home / f"project{number}"
    folder.mkdir()
    commands = [{"project": f"p{number}"}, {"cluster": "mine"}, {"execution": "process"}]
    (folder / "seamless.yaml").write_text(json.dumps(commands))
    return folder


def _init(peer, folder):
    program = folder / "init.py"
    program.write_text(INIT)
    done = subprocess.run(
        [sys.executable, "-W", "ignore", str(program), peer],
        cwd=folder,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        check=True,
        text=True,
    )
    return float(done.stdout.splitlines()[-1])


def _run(folder, command):
    start = time.perf_counter_ns()
    done = subprocess.run(
        ["seamless-run", "-c", command],
        cwd=folder,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        stdin=subprocess.DEVNULL,
        check=True,
    )
    if done.stdout != b"x\n":
        raise RuntimeError(f"seamless-run printed {done.stdout!r}")
    return (time.perf_counter_ns() - start) / 1e6


def _seamless(peer):
    def measure(_case):
        os.environ["HOME"] = str(Path.cwd())
        os.environ["PATH"] = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
        os.environ.pop("SEAMLESS_CACHE", None)
        folders = [_project(number) for number in range(N_COLD)]
        try:
            cold = [_init(peer, folder) for folder in folders]
            warm = [_init(peer, folders[0]) * 1e3 for _ in range(N_WARM)]
            command = f"echo once >> {Path('ran').absolute()}; echo x"
            _run(folders[0], command)
            hits = [_run(folders[0], command) for _ in range(N_HITS)]
            if Path("ran").read_text() != "once\n":
                raise RuntimeError("the command did not run exactly once")
        finally:
            keys = [path.stem for path in Path.cwd().glob(".remote-http-launcher/server/*.json")]
            subprocess.run(["rhl-stop", *keys], stdout=subprocess.DEVNULL, check=False)
        return {
            "cold": statistics.median(cold),
            "warm": statistics.median(warm),
            "hit": statistics.median(hits),
        }

    return measure


def floor(_case):
    hits = []
    for _ in range(N_HITS):
        start = time.perf_counter_ns()
        subprocess.run(["bash", "-c", "echo x"], stdout=subprocess.DEVNULL, check=True)
        hits.append((time.perf_counter_ns() - start) / 1e6)
    return {"hit": statistics.median(hits)}


if __name__ == "__main__":
    workload_main({"ours": _seamless("ours"), "reference": _seamless("reference"), "floor": floor})

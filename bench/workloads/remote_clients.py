"""Steps, files and large buffers over a hashserver and a database on this machine.

`steps`: a new no-op step to its value, which is durable then, and the hit of another process (its first look at each
result). Ours and the reference use their own servers; the reference's make nothing durable. The floor of the hit is a
look-up in SQLite in this process, of the new step a plain insert with fsync.
`files`: upload of 2,000 files of 1 kB by the command; floor: sha256sum and cp.
`large`: a verified GET of 1 GiB into memory, and a download into a file; floor: hashlib alone, and with a plain write.
"""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
import time
from pathlib import Path

from bench.define import Benchmark, Budget, Case
from bench.measure import database_server_port, salt, service_port, workload_main

BENCHMARK = Benchmark(
    "remote_clients",
    "Steps, files and large buffers over two servers on this machine",
    units={"new": "us", "hit": "us", "upload": "ms", "again": "ms", "download": "ms", "verify": "ms"},
    budgets=(
        Budget("hit@steps", 1, "reference"),
        Budget("upload@files", 2, "floor"),
        Budget("again@files", 150),
        Budget("download@large", 1.25, "floor"),
        Budget("verify@large", 1.25, "floor"),
    ),
    cases=(
        Case("steps", ("ours", "reference", "floor"), rounds=3),
        Case("files", ("ours", "floor"), rounds=3),
        Case("large", ("ours", "floor"), rounds=3),
    ),
)
N_STEPS = 100
N_FILES = 2000
N_BYTES = 1024
LARGE_BYTES = 1 << 30
COMMANDS = {
    "ours": ([sys.executable, "-m", "hashserver"], [sys.executable, "-m", "seamless_database"]),
    "reference": (["hashserver"], ["seamless-database"]),
}


def _use_services(peer):
    """Start the servers of the peer, and name them in the environment."""
    hashserver, database = COMMANDS[peer]
    Path("buffers").mkdir(exist_ok=True)
    port = service_port("hashserver", [*hashserver, str(Path("buffers").absolute())])
    entry = {"readonly": False, "remote_url": f"http://127.0.0.1:{port}"}
    results = database_server_port(Path("seamless.db").absolute(), database)
    os.environ["SEAMLESS_REMOTE_CLIENTS"] = json.dumps(
        {"buffer": [entry], "database": [{"readonly": False, "remote_url": f"http://127.0.0.1:{results}"}]}
    )
    return entry["remote_url"]


STEPS = """
import json, sys, time
import seamless.config
seamless.config.init()
from seamless.transformer import direct
def step(a, b):
    with open("ran", "a") as file:
        file.write("x")
    return a + b
call, first, n = direct(step), int(sys.argv[1]), int(sys.argv[2])
for a in range(first - 3, first):
    call(a, 1)
start = time.perf_counter()
values = [call(a, 1) for a in range(first, first + n)]
seconds = time.perf_counter() - start
if values != list(range(first + 1, first + n + 1)):
    raise SystemExit("a step gave a wrong result")
import seamless
seamless.close()
print(json.dumps(seconds / n * 1e6))
"""


def _steps(first):
    Path("steps.py").write_text(STEPS)
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "steps.py", str(first), str(N_STEPS)],
        stdout=subprocess.PIPE,
        check=True,
        text=True,
    )
    return float(done.stdout.splitlines()[-1])


def _ms(command):
    start = time.perf_counter_ns()
    subprocess.run(
        command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, stdin=subprocess.DEVNULL, check=True
    )
    return (time.perf_counter_ns() - start) / 1e6


def _fill(folder):
    for number in range(N_FILES):
        path = Path(folder, f"s{number % 20}", f"f{number}.dat")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(os.urandom(N_BYTES))


def _seamless(peer):
    def measure(case):
        url = _use_services(peer)
        if case == "steps":
            first = salt()
            new, hit = _steps(first), _steps(first)
            if len(Path("ran").read_text()) != N_STEPS + 3:
                raise RuntimeError("a step ran twice, or not at all")
            return {"new": new, "hit": hit}
        if case == "files":
            _fill("warm-up"), _fill("data")
            _ms(["seamless-upload", "-y", "warm-up"])
            return {
                "upload": _ms(["seamless-upload", "-y", "data"]),
                "again": _ms(["seamless-upload", "-y", "data"]),
            }
        return _transfers(url)

    return measure


def _transfers(url):
    from seamless_remote import BufferClient

    hasher = hashlib.sha256()
    block = os.urandom(1 << 20)
    with open("large", "wb") as file:
        for _ in range(LARGE_BYTES >> 20):
            file.write(block)
            hasher.update(block)
    checksum = hasher.hexdigest()
    client = BufferClient(readonly=False)
    client.url = url
    client.write_file_sync(checksum, "large")
    os.unlink("large")
    os.sync()
    if len(client.get_sync(checksum)) != LARGE_BYTES:  # the server has verified it now
        raise RuntimeError("the buffer is not whole")
    start = time.perf_counter_ns()
    found = client.get_sync(checksum)
    verify = (time.perf_counter_ns() - start) / 1e6
    del found
    start = time.perf_counter_ns()
    client.download_sync(checksum, "copy")
    return {"verify": verify, "download": (time.perf_counter_ns() - start) / 1e6}


def floor(case):
    if case == "files":
        _fill("data")
        script = "find data -type f -exec sha256sum {} + > sums; cp -r data copy"
        return {"upload": _ms(["sh", "-c", script]), "again": _ms(["sh", "-c", script])}
    if case == "large":
        block = memoryview(os.urandom(1 << 20))
        hasher = hashlib.sha256()
        start = time.perf_counter_ns()
        for _ in range(LARGE_BYTES >> 20):
            hasher.update(block)
        verify = (time.perf_counter_ns() - start) / 1e6
        os.sync()
        start = time.perf_counter_ns()
        with open("copy", "wb") as file:
            for _ in range(LARGE_BYTES >> 20):
                hasher.update(block)
                file.write(block)
        return {"verify": verify, "download": (time.perf_counter_ns() - start) / 1e6}
    import apsw

    connection = apsw.Connection("floor.db")
    connection.execute("pragma journal_mode=wal; pragma synchronous=full")
    connection.execute("create table t (a primary key, b)")
    first = salt()
    start = time.perf_counter()
    for number in range(first, first + N_STEPS):
        connection.execute("insert into t values (?, ?)", (number, number + 1))
    new = (time.perf_counter() - start) / N_STEPS * 1e6
    start = time.perf_counter()
    for number in range(first, first + N_STEPS):
        next(connection.execute("select b from t where a = ?", (number,)))
    return {"new": new, "hit": (time.perf_counter() - start) / N_STEPS * 1e6}


if __name__ == "__main__":
    workload_main({"ours": _seamless("ours"), "reference": _seamless("reference"), "floor": floor})

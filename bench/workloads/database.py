"""The results database at growing sizes: look-up, durable single insert, look-up of 1,000 at once,
and the cost of a row in durable batches of 10,000 (`insert_batch`; the reference's by plain SQL).

Ours is the engine in process, `seamless_store.ResultsDatabase`. The reference has none: its figures
are of its server over one kept HTTP connection, and its inserts are not durable (it turns SQLite's
syncing off). The floor is apsw with a WAL, synchronous=FULL and the same two rows in each insert.
`crowd_*`: eight processes insert at the same time, p50 and p99 of one durable insert.
"""

from __future__ import annotations

import hashlib
import json
import subprocess
import sys
from pathlib import Path
from statistics import median

from bench.define import Benchmark, Budget, Case
from bench.measure import each_us, percentile, reference_database_port, salt, workload_main

_PEERS = ("ours", "reference", "floor")
_FLAT = 2.0
_OVER_FLOOR = 1.5  # a B-tree grows by its depth, and its pages leave the caches: the floor shows how much
_SIZES = ("1000", "100000", "1000000")
BENCHMARK = Benchmark(
    "database",
    "The results database: look-ups and durable inserts at growing sizes",
    units={
        "insert_batch": "us/row",
        "lookup": "us",
        "insert": "us",
        "lookup_1000": "us",
        "crowd_p50": "us",
        "crowd_p99": "us",
    },
    budgets=(
        *(Budget(f"lookup@{n}", 150) for n in _SIZES),
        *(
            Budget(f"insert@{n}", 300) for n in _SIZES
        ),  # an fdatasync included: where that alone takes longer, see the floor
        *(Budget(f"lookup_1000@{n}", 5000) for n in _SIZES),
        *(Budget(f"crowd_p99@{n}", 10_000) for n in _SIZES),
        *(Budget(f"insert@{n}", _FLAT, against="insert@1000") for n in _SIZES[1:]),
        *(Budget(f"lookup@{n}", _OVER_FLOOR, against="floor") for n in _SIZES),
    ),
    cases=tuple(Case(n, _PEERS, rounds=3 if n == "1000" else 1, large=n == "1000000") for n in _SIZES),
)
N_LOOKUPS, N_INSERTS, N_PROCESSES, N_CROWD_INSERTS = 500, 200, 8, 100


def digest(number):
    return hashlib.sha256(b"%d" % number).digest()


class _Filled:
    def fill(self, keys):
        for start in range(0, len(keys), 10_000):
            self.insert(keys[start : start + 10_000])


class Ours(_Filled):
    def __init__(self, path):
        from seamless_store.results_database import ResultRow, ResultsDatabase

        self.row, self.database = ResultRow, ResultsDatabase(path)
        self.database.open()
        self.lookup, self.lookup_many = self.database.transformation, self.database.transformation_many
        self.close = self.database.close

    def insert(self, keys):
        self.database.insert_results([self.row(key, digest(0), None) for key in keys])


class Floor(_Filled):
    def __init__(self, path):
        import apsw

        self.connection = apsw.Connection(str(path))
        self.connection.set_busy_timeout(30_000)
        self.connection.execute("pragma journal_mode=wal; pragma synchronous=full")
        table = "create table if not exists"
        self.connection.execute(f"{table} transformation (checksum char(64) primary key, result char(64))")
        self.connection.execute(f"{table} rev (id integer primary key, result char(64), checksum char(64))")
        self.close = self.connection.close

    def insert(self, keys):
        rows = [(key.hex(), digest(0).hex()) for key in keys]
        self.connection.execute("begin immediate")
        self.connection.executemany("insert into transformation values (?, ?)", rows)
        self.connection.executemany("insert into rev (checksum, result) values (?, ?)", rows)
        self.connection.execute("commit")

    def lookup(self, key):
        query = "select result from transformation where checksum = ?"
        return next((bytes.fromhex(row[0]) for row in self.connection.execute(query, (key.hex(),))), None)

    def lookup_many(self, keys):
        return [self.lookup(key) for key in keys]


class Reference:
    def __init__(self, path):
        import http.client

        self.http = http.client.HTTPConnection("127.0.0.1", reference_database_port(path))
        self.close = self.http.close
        self.path = path

    def fill(self, keys):
        import sqlite3

        rows = [(key.hex(), digest(0).hex()) for key in keys]  # behind its back: by HTTP it takes minutes
        with sqlite3.connect(self.path) as connection:
            connection.executemany("insert into transformation (checksum, result) values (?, ?)", rows)
            connection.executemany("insert into rev_transformation (checksum, result) values (?, ?)", rows)
        connection.close()

    def _ask(self, method, **request):
        self.http.request(method, "/", json.dumps(request))
        response = self.http.getresponse()
        return response.status, response.read()

    def insert(self, keys):
        for key in keys:
            status, body = self._ask("PUT", type="transformation", checksum=key.hex(), value=digest(0).hex())
            if status != 200:
                raise RuntimeError(f"the reference answered {status}: {body[:200]!r}")

    def lookup(self, key):
        status, body = self._ask("GET", type="transformation", checksum=key.hex())
        return bytes.fromhex(body.decode()) if status == 200 else None

    def lookup_many(self, keys):
        return [self.lookup(key) for key in keys]


ADAPTERS = {"ours": Ours, "reference": Reference, "floor": Floor}


def crowd_member(peer, path, first):
    database = ADAPTERS[peer](path)
    database.lookup(digest(0))
    print("ready", flush=True)
    sys.stdin.readline()
    costs_us = each_us(lambda i: database.insert([digest(first + i)]), range(N_CROWD_INSERTS))
    found = database.lookup_many([digest(first + i) for i in range(N_CROWD_INSERTS)])
    database.close()
    print(json.dumps(costs_us if found == [digest(0)] * N_CROWD_INSERTS else None))


def _crowd_costs(peer, path, first):
    command = [sys.executable, "-m", __spec__.name, "--member", peer, str(path)]
    starts = [str(first + i * N_CROWD_INSERTS) for i in range(N_PROCESSES)]
    pipe = subprocess.PIPE
    crowd = [subprocess.Popen([*command, start], stdin=pipe, stdout=pipe, text=True) for start in starts]
    ready = [process.stdout.readline() for process in crowd]
    if ready != ["ready\n"] * N_PROCESSES:
        raise RuntimeError("a process of the crowd could not open the database")
    for process in crowd:
        process.stdin.write("go\n")
        process.stdin.flush()
    costs = [json.loads(process.communicate()[0]) for process in crowd]
    if None in costs:
        raise RuntimeError("a row that was inserted is not there")
    return [cost for of_one in costs for cost in of_one]


def _measure(peer):
    def measure(case):
        n_rows, path, first = int(case), Path("seamless.db").absolute(), salt()
        database = ADAPTERS[peer](path)
        known = [digest(first + i) for i in range(n_rows)]
        fill_us = each_us(database.fill, [known])[0]
        found = []
        some = known[:: max(1, n_rows // N_LOOKUPS)][:N_LOOKUPS]
        lookup_us = each_us(lambda key: found.append(database.lookup(key)), some)
        batch = known[:: n_rows // 1000][:1000]
        lookup_1000_us = each_us(lambda _: found.extend(database.lookup_many(batch)), range(5))
        if found != [digest(0)] * len(found):
            raise RuntimeError("a look-up gave a wrong result")
        insert_us = each_us(lambda i: database.insert([digest(first + n_rows + i)]), range(N_INSERTS))
        if database.lookup(digest(first + n_rows + N_INSERTS - 1)) != digest(0) or database.lookup(
            digest(-1)
        ):
            raise RuntimeError("a row is not there, or one is there that nobody inserted")
        crowd_us = _crowd_costs(peer, path, first + n_rows + N_INSERTS)
        database.close()
        return {
            "insert_batch": fill_us / n_rows,
            "lookup": median(lookup_us),
            "insert": median(insert_us),
            "lookup_1000": median(lookup_1000_us),
            "crowd_p50": median(crowd_us),
            "crowd_p99": percentile(crowd_us, 99),
        }

    return measure


if __name__ == "__main__":
    if sys.argv[1] == "--member":
        crowd_member(sys.argv[2], sys.argv[3], int(sys.argv[4]))
    else:
        workload_main({peer: _measure(peer) for peer in ADAPTERS})

"""The database server over HTTP: look-up, durable write, and both of 1,000 at once, over one kept connection
and over sixteen at the same time (`@16`: the wall time that one of them costs).

The client is the same for ours and the reference: bare sockets, so that the server is what is measured. The
reference has no batches: its figures are of 1,000 requests. Its writes are not durable (it turns SQLite's syncing
off). The floor is apsw in this process, without any server: a WAL, synchronous=FULL, the same two rows in each
write; for sixteen, sixteen writes in one transaction.
"""

from __future__ import annotations

import hashlib
import json
import selectors
import socket
import sys
import time
from pathlib import Path
from statistics import median

from bench.define import Benchmark, Budget, Case
from bench.measure import database_server_port, each_us, salt, workload_main

_PEERS = ("ours", "reference", "floor")
BENCHMARK = Benchmark(
    "database_server",
    "The database server over HTTP: look-ups and durable writes, one by one and 1,000 at once",
    units={"lookup": "us", "write": "us", "lookup_1000": "us", "write_1000": "us"},
    budgets=(
        Budget("lookup@1", 150),
        Budget("write@1", 300),  # a sync of the disk included: where that alone takes longer, see the floor
        Budget("lookup_1000@1", 5000),
        Budget("lookup@16", 1, against="reference"),
        Budget("lookup@1", 1, against="reference"),
    ),
    cases=(Case("1", _PEERS, rounds=5), Case("16", _PEERS, rounds=5)),
)
N_LOOKUPS, N_WRITES, N_KNOWN, N_BATCHES, N_CROWD = 1000, 300, 2000, 5, 1600


def digest(number):
    return hashlib.sha256(b"%d" % number).hexdigest()


RESULT = digest(0)


def request(method, **fields):
    body = json.dumps(fields).encode()
    return b"%s / HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n%s" % (method, len(body), body)


def lookup_request(key):
    return request(b"GET", type="transformation", checksum=key)


class Server:
    """A server and one kept connection to it."""

    def __init__(self, path, command):
        self.port = database_server_port(path, command)
        self.connection = self.connect()

    def connect(self):
        connection = socket.create_connection(("127.0.0.1", self.port))
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return connection

    def ask(self, message):
        self.connection.sendall(message)
        received = b""
        while (answer := complete(received)) is None:
            received += self.connection.recv(1 << 20)
        return answer

    def lookup(self, key):
        return self.ask(lookup_request(key)).decode()

    def write(self, key):
        self.ask(self.write_request(key))

    def crowd(self, make, keys):
        """Return the wall time of one request in us, sixteen being under way at any time."""
        messages, answers = iter([make(key) for key in keys]), []
        selector = selectors.DefaultSelector()
        received = {}
        start = time.perf_counter_ns()
        for _ in range(16):
            connection = self.connect()
            selector.register(connection, selectors.EVENT_READ)
            connection.sendall(next(messages))
            received[connection] = b""
        while received:
            for ready, _ in selector.select():
                connection = ready.fileobj
                received[connection] += connection.recv(65536)
                answer = complete(received[connection])
                if answer is None:
                    continue
                answers.append(answer)
                received[connection] = b""
                message = next(messages, None)
                if message is None:
                    selector.unregister(connection)
                    connection.close()
                    del received[connection]
                else:
                    connection.sendall(message)
        cost_us = (time.perf_counter_ns() - start) / 1e3 / len(answers)
        selector.close()
        return cost_us, answers

    def crowd_lookup(self, keys):
        cost_us, answers = self.crowd(lookup_request, keys)
        if set(answers) != {RESULT.encode()}:
            raise RuntimeError("a look-up gave a wrong result")
        return cost_us

    def crowd_write(self, keys):
        return self.crowd(self.write_request, keys)[0]


def complete(received):
    """Return the body if the answer is complete, else None; raise unless it is a success."""
    head, end, body = received.partition(b"\r\n\r\n")
    if not end:
        return None
    if not head.startswith(b"HTTP/1.1 200"):
        raise RuntimeError(f"the server answered {received[:300]!r}")
    length = next(line for line in head.lower().split(b"\r\n") if line.startswith(b"content-length:"))
    return body if len(body) >= int(length.partition(b":")[2]) else None


class Ours(Server):
    def __init__(self, path):
        super().__init__(path, [sys.executable, "-m", "seamless_database"])

    def write_request(self, key):
        return request(b"PUT", type="transformation_insert", checksum=key, value=RESULT)

    def write_many(self, keys):
        rows = [[key, RESULT, None] for key in keys]
        self.ask(request(b"PUT", type="transformation_insert_many", rows=rows))

    def lookup_many(self, keys):
        return json.loads(self.ask(request(b"GET", type="transformation_many", checksums=keys)))


class Reference(Server):
    def __init__(self, path):
        super().__init__(path, ["seamless-database"])

    def write_request(self, key):
        return request(b"PUT", type="transformation", checksum=key, value=RESULT)

    def write_many(self, keys):
        for key in keys:
            self.write(key)

    def lookup_many(self, keys):
        return [self.lookup(key) for key in keys]


class Floor:
    def __init__(self, path):
        import apsw

        self.connection = apsw.Connection(str(path))
        self.connection.execute("pragma journal_mode=wal; pragma synchronous=full")
        self.connection.execute(
            "create table transformation (checksum char(64) primary key, result char(64))"
        )
        self.connection.execute(
            "create table rev (id integer primary key, result char(64), checksum char(64))"
        )

    def write_many(self, keys):
        rows = [(key, RESULT) for key in keys]
        self.connection.execute("begin immediate")
        self.connection.executemany("insert into transformation values (?, ?)", rows)
        self.connection.executemany("insert into rev (checksum, result) values (?, ?)", rows)
        self.connection.execute("commit")

    def write(self, key):
        self.write_many([key])

    def lookup(self, key):
        query = "select result from transformation where checksum = ?"
        return next((row[0] for row in self.connection.execute(query, (key,))), None)

    def lookup_many(self, keys):
        return [self.lookup(key) for key in keys]

    def crowd_lookup(self, keys):
        return median(each_us(self.lookup, keys))

    def crowd_write(self, keys):
        batches = [keys[start : start + 16] for start in range(0, len(keys), 16)]
        return median(each_us(self.write_many, batches)) / 16


ADAPTERS = {"ours": Ours, "reference": Reference, "floor": Floor}


def _measure(peer):
    def measure(case):
        database, first = ADAPTERS[peer](Path("seamless.db").absolute()), salt()
        known = [digest(first + i) for i in range(N_KNOWN)]
        database.write_many(known)
        new = iter(range(first + N_KNOWN, first + (1 << 40)))
        if case == "16":
            figures = {
                "lookup": database.crowd_lookup(known[:N_CROWD]),
                "write": database.crowd_write([digest(next(new)) for _ in range(N_CROWD)]),
            }
        else:
            found = []
            lookup_us = each_us(lambda key: found.append(database.lookup(key)), known[:N_LOOKUPS])
            lookup_1000_us = each_us(
                lambda _: found.extend(database.lookup_many(known[:1000])), range(N_BATCHES)
            )
            if found != [RESULT] * len(found):
                raise RuntimeError("a look-up gave a wrong result")
            figures = {
                "lookup": median(lookup_us),
                "lookup_1000": median(lookup_1000_us),
                "write": median(each_us(database.write, [digest(next(new)) for _ in range(N_WRITES)])),
                "write_1000": median(
                    each_us(
                        database.write_many,
                        [[digest(next(new)) for _ in range(1000)] for _ in range(N_BATCHES)],
                    )
                ),
            }
        if database.lookup(digest(next(new) - 1)) != RESULT:
            raise RuntimeError("a row that was written is not there")
        return figures

    return measure


if __name__ == "__main__":
    workload_main({peer: _measure(peer) for peer in ADAPTERS})

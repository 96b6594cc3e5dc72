"""The hashserver over loopback: small buffers on one and on 16 connections, 1 GiB both ways, its memory.

`get`, `put`: 1 kB on one kept connection, median. `get_16`, `put_16`: time a request with 16 connections at
once. `get_1gib`, `get_1gib_first`, `put_1gib`: seconds; the first one after a start has to hash the file; bytes are
received, not hashed. `memory`: growth of the server's peak during the three.

Ours is durable when it answers a PUT; the reference is not. The floor: a handler of aiohttp that answers 1 kB from
memory; a file of 1 kB, synced with its directory; `os.sendfile` to one client; the SHA-256 of 1 GiB alone; and the
slower of that and of writing and syncing 1 GiB.
"""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import json
import os
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path
from statistics import median

from bench.define import Benchmark, Budget, Case
from bench.measure import each_us, workload_main

_PER_SECOND_GIB = 2.5e9 / 2**30  # GiB/s of the raw budget
BENCHMARK = Benchmark(
    "hashserver",
    "The hashserver: small and large buffers over HTTP",
    units={
        "get": "us",
        "put": "us",
        "get_16": "us",
        "put_16": "us",
        "get_1gib": "s",
        "get_1gib_first": "s",
        "put_1gib": "s",
        "memory": "MiB",
    },
    budgets=(
        Budget("get", 150),
        Budget("put", 800),
        Budget("get_16", 125),  # 8,000 a second
        Budget("put_16", 500),
        Budget("get_1gib", 1 / _PER_SECOND_GIB),
        Budget("get_1gib_first", 1 / 0.4, against="floor"),
        Budget("put_1gib", 1 / 0.45, against="floor"),
        Budget("memory", 16),
    ),
    cases=(Case(peers=("ours", "reference", "floor"), rounds=3),),
)
N_ONE, N_MANY, N_CONNECTIONS = 500, 4000, 16
BLOCK = os.urandom(2**20)
N_BLOCKS = 1024


def _put_request(content):
    name = hashlib.sha256(content).hexdigest()
    return f"PUT /{name} HTTP/1.1\r\nHost: x\r\nContent-Length: {len(content)}\r\n\r\n".encode() + content


def _get_request(content):
    return f"GET /{hashlib.sha256(content).hexdigest()} HTTP/1.1\r\nHost: x\r\n\r\n".encode()


def _head_of(received):
    """Return (bytes of the head, length of the body), or None while the head is not whole."""
    head, found, _ = received.partition(b"\r\n\r\n")
    if not found:
        return None
    if b" 200 " not in head[:16]:
        raise RuntimeError(f"the server answered {head!r}")
    length = head.lower().partition(b"content-length: ")[2].partition(b"\r\n")[0]
    return len(head) + 4, int(length)


class _OneConnection:
    def __init__(self, port):
        self._socket = socket.create_connection(("127.0.0.1", port))
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._buffer = bytearray(2**20)

    def ask(self, request, blocks=0):
        """Send a request, and `blocks` times BLOCK after it; return how many bytes the body of the answer had."""
        self._socket.sendall(request)
        for _ in range(blocks):
            self._socket.sendall(BLOCK)
        received = b""
        while (found := _head_of(received)) is None:
            received += self._socket.recv(65536)
        left = sum(found) - len(received)
        while left:
            n_bytes = self._socket.recv_into(self._buffer)
            if not n_bytes:
                raise RuntimeError("the answer was cut")
            left -= n_bytes
        return found[1]


class _Client(asyncio.Protocol):
    def __init__(self, requests, done):
        self._requests, self._done, self._received = requests, done, b""

    def connection_made(self, transport):
        self._transport = transport
        self._next()

    def _next(self):
        request = next(self._requests, None)
        if request is None:
            self._transport.close()
            self._done.set_result(None)
        else:
            self._transport.write(request)

    def data_received(self, data):
        self._received += data
        found = _head_of(self._received)
        if found is not None and len(self._received) >= sum(found):
            self._received = b""
            self._next()


async def _many_us(port, requests):
    loop, remaining = asyncio.get_running_loop(), iter(requests)
    ends = [loop.create_future() for _ in range(N_CONNECTIONS)]
    start = time.perf_counter()
    for end in ends:
        await loop.create_connection(lambda end=end: _Client(remaining, end), "127.0.0.1", port)
    await asyncio.gather(*ends)
    return (time.perf_counter() - start) * 1e6 / len(requests)


@contextlib.contextmanager
def _server(command, folder):
    state = Path("status.json").absolute()
    state.write_text('{"status": "starting"}')
    arguments = [str(folder), "--writable", "--port-range", "20000", "60000", "--status-file", str(state)]
    process = subprocess.Popen([*command, *arguments], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        deadline = time.monotonic() + 30
        while json.loads(state.read_text() or "{}").get("status") != "running":
            if time.monotonic() > deadline or process.poll() is not None:
                raise RuntimeError(f"the server did not start: {state.read_text()}")
            time.sleep(0.02)
        port = json.loads(state.read_text())["port"]
        while True:
            try:
                socket.create_connection(("127.0.0.1", port), timeout=5).close()
                break
            except ConnectionRefusedError:  # the reference says `running` a little before it listens
                time.sleep(0.02)
        yield port, process.pid
    finally:
        process.terminate()
        process.wait(30)


def _mib(pid, field):
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith(field + ":"):
            return int(line.split()[1]) / 1024
    raise RuntimeError(f"no {field}")


def _contents(n):
    return [BLOCK[:16] + os.urandom(8) + b"x" * 1000 for _ in range(n)]


def _seconds(work):
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


def _sha_s():
    hasher = hashlib.sha256()
    seconds = _seconds(lambda: [hasher.update(BLOCK) for _ in range(N_BLOCKS)])
    return hasher.hexdigest(), seconds


def _of_server(command):
    def measure(case):
        folder = Path("buffers").absolute()
        folder.mkdir()
        large, _ = _sha_s()
        put_large = (
            f"PUT /{large} HTTP/1.1\r\nHost: x\r\nContent-Length: {N_BLOCKS * len(BLOCK)}\r\n\r\n".encode()
        )
        get_large = f"GET /{large} HTTP/1.1\r\nHost: x\r\n\r\n".encode()
        figures = {}
        with _server(command, folder) as (port, pid):
            one = _OneConnection(port)
            for content in _contents(N_ONE):  # makes the directories
                one.ask(_put_request(content))
            contents = _contents(N_ONE)
            figures["put"] = median(each_us(one.ask, map(_put_request, contents)))
            figures["get"] = median(each_us(one.ask, map(_get_request, contents * 4)))
            contents = _contents(N_MANY)
            figures["put_16"] = asyncio.run(_many_us(port, list(map(_put_request, contents))))
            figures["get_16"] = asyncio.run(_many_us(port, list(map(_get_request, contents * 2))))
            idle = _mib(pid, "VmRSS")
            Path(f"/proc/{pid}/clear_refs").write_text("5")
            one = _OneConnection(port)  # the reference closes a connection that rests for 5 s
            figures["put_1gib"] = _seconds(lambda: one.ask(put_large, N_BLOCKS))
            growth = _mib(pid, "VmHWM") - idle
        with _server(command, folder) as (port, pid):
            one = _OneConnection(port)
            one.ask(_get_request(contents[0]))
            idle = _mib(pid, "VmRSS")
            figures["get_1gib_first"] = _seconds(lambda: one.ask(get_large))
            costs = [_seconds(lambda: one.ask(get_large)) for _ in range(3)]
            figures["get_1gib"] = median(costs)
            figures["memory"] = max(growth, _mib(pid, "VmHWM") - idle)
        return figures

    return measure


def _serve_floor(content):
    """In a process of its own: answer `content` to every request; print the port."""
    import uvloop
    from aiohttp import web

    async def handle(request):
        return web.Response(body=content)

    async def main():
        loop = asyncio.get_running_loop()
        server = await loop.create_server(web.Server(handle, access_log=None), "127.0.0.1", 0)
        print(server.sockets[0].getsockname()[1], flush=True)
        await asyncio.get_running_loop().run_in_executor(None, sys.stdin.readline)
        os._exit(0)

    uvloop.install()
    asyncio.run(main())


def _synced_file(content):
    name = hashlib.sha256(content).hexdigest()
    with open(name + ".part", "wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    os.rename(name + ".part", name)
    directory = os.open(".", os.O_RDONLY)
    os.fsync(directory)
    os.close(directory)


def _write_large():
    with open("large", "wb") as file:
        for _ in range(N_BLOCKS):
            file.write(BLOCK)
        file.flush()
        os.fsync(file.fileno())


def _sendfile_s():
    def send():
        connection, _ = listener.accept()
        with connection, open("large", "rb") as file:
            sent = 0
            while n_bytes := os.sendfile(connection.fileno(), file.fileno(), sent, 2**22):
                sent += n_bytes

    with socket.create_server(("127.0.0.1", 0)) as listener:
        sender = threading.Thread(target=send)
        sender.start()
        buffer, left = bytearray(2**20), N_BLOCKS * len(BLOCK)
        with socket.create_connection(listener.getsockname()) as connection:
            start = time.perf_counter()
            while left:
                left -= connection.recv_into(buffer)
            seconds = time.perf_counter() - start
        sender.join()
    return seconds


def _floor(case):
    pipe = subprocess.PIPE
    command = [sys.executable, "-m", __spec__.name, "--floor"]
    figures = {}
    with subprocess.Popen(command, stdin=pipe, stdout=pipe, text=True) as server:
        port = int(server.stdout.readline())
        one, request = _OneConnection(port), _get_request(b"")
        figures["get"] = median(each_us(one.ask, [request] * N_ONE * 4))
        figures["get_16"] = asyncio.run(_many_us(port, [request] * N_MANY * 2))
        server.stdin.write("end\n")
    figures["put"] = median(each_us(_synced_file, _contents(N_ONE)))
    figures["put_16"] = figures["put"]
    figures["get_1gib_first"] = _sha_s()[1]
    figures["put_1gib"] = max(figures["get_1gib_first"], _seconds(_write_large))
    figures["get_1gib"] = median(_sendfile_s() for _ in range(3))
    return figures


if __name__ == "__main__":
    if sys.argv[1] == "--floor":
        _serve_floor(b"x" * 1024)
    else:
        reference = [str(Path(sys.executable).with_name("hashserver"))]
        workload_main(
            {
                "ours": _of_server([sys.executable, "-m", "hashserver"]),
                "reference": _of_server(reference),
                "floor": _floor,
            }
        )

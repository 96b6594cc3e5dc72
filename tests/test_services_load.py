"""The hashserver as many clients use it at once: sizes from nothing to 64 MiB, kills at any moment, two servers on
one directory, clients that go away, read slowly, or never come back."""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import io
import random
import sys
import time
from pathlib import Path

import aiohttp
import pytest
from seamless_service.testing.service_process import ServiceProcess

N_CLIENTS = 64
SIZES = (
    0,
    1,
    100,
    1_000,
    10_000,
    65_536,
    65_537,
    300_000,
    1_048_576,
    3_000_000,
    16 * 1_048_576,
    64 * 1_048_576,
)
WEIGHTS = (2, 2, 8, 20, 10, 4, 4, 6, 4, 3, 1, 1)


def _content(rng: random.Random) -> bytes:
    size = rng.choices(SIZES, WEIGHTS)[0]
    return rng.randbytes(min(size, 4096)) * (size // 4096 + 1) if size > 4096 else rng.randbytes(size)


def _cs(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def _server(folder: Path, run: Path, *arguments: str) -> ServiceProcess:
    folder.mkdir(exist_ok=True)
    return ServiceProcess([sys.executable, "-m", "hashserver", str(folder), "--writable", *arguments], run)


def _memory_kib(pid: int) -> int:
    status = Path(f"/proc/{pid}/status").read_text()
    return int(status.partition("VmHWM:")[2].split()[0])


async def _client(url: str, seed: int, n_rounds: int, stored: dict[str, int]) -> int:
    """Put and get buffers of mixed sizes; return how many bytes were compared."""
    rng = random.Random(seed)
    n_bytes = 0
    timeout = aiohttp.ClientTimeout(total=120)
    async with aiohttp.ClientSession(timeout=timeout, auto_decompress=False) as session:
        for _ in range(n_rounds):
            content = _content(rng)
            name = _cs(content)
            async with session.put(f"{url}/{name}", data=io.BytesIO(content)) as answer:
                assert answer.status in (200, 201, 202), (answer.status, await answer.text())
            stored[name] = len(content)
            async with session.get(f"{url}/{name}") as answer:
                found = await answer.read()
                assert (answer.status, found == content) == (200, True)
            n_bytes += len(found)
            async with session.get(f"{url}/has", json=[name, _cs(b"absent" + name.encode())]) as answer:
                assert await answer.json() == [True, False]
    return n_bytes


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_sixty_four_clients_of_mixed_sizes_get_what_they_put_in_bounded_memory(tmp_path):
    stored: dict[str, int] = {}

    async def all_clients(url: str) -> int:
        return sum(await asyncio.gather(*(_client(url, seed, 6, stored) for seed in range(N_CLIENTS))))

    with _server(tmp_path / "buffers", tmp_path / "run") as service:
        before_kib = _memory_kib(service.pid)
        n_bytes = asyncio.run(all_clients(service.url))
        growth_kib = _memory_kib(service.pid) - before_kib

    assert n_bytes > 100_000_000
    assert growth_kib < 64 * 8 * 1024  # a few MiB for each of 64 transfers, not the buffers
    for name, size in stored.items():
        assert (tmp_path / "buffers" / name[:2] / name).stat().st_size == size


@pytest.mark.slow
@pytest.mark.timeout(300)
@pytest.mark.parametrize("seed", [1, 2, 3])
def test_what_was_acknowledged_survives_kills_at_random_moments(tmp_path, seed):
    rng = random.Random(seed)
    acknowledged: set[str] = set()
    buffers = tmp_path / "buffers"

    async def put_until_dead(url: str, number: int) -> None:
        own = random.Random(f"{seed}-{number}-{len(acknowledged)}")
        with contextlib.suppress(aiohttp.ClientError, ConnectionError):
            async with aiohttp.ClientSession() as session:
                while True:
                    content = own.randbytes(own.choice((10, 1_000, 70_000, 2_000_000)))
                    async with session.put(f"{url}/{_cs(content)}", data=io.BytesIO(content)) as answer:
                        if answer.status == 200:
                            acknowledged.add(_cs(content))

    async def run_and_kill(service: ServiceProcess, delay_s: float) -> None:
        clients = [asyncio.create_task(put_until_dead(service.url, number)) for number in range(16)]
        await asyncio.sleep(delay_s)
        service.kill()
        await asyncio.gather(*clients)

    for _ in range(4):
        service = _server(buffers, tmp_path / "run").start()
        try:
            asyncio.run(run_and_kill(service, rng.uniform(0.1, 1.0)))
        finally:
            service.kill()
    with _server(buffers, tmp_path / "run"):
        leftovers = [path.name for path in buffers.glob("??/*-*")]

    assert len(acknowledged) > 50
    assert leftovers == []
    for name in acknowledged:
        assert _cs((buffers / name[:2] / name).read_bytes()) == name


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_two_servers_on_one_directory_serve_the_same_clients(tmp_path):
    stored: dict[str, int] = {}

    async def both(one: str, two: str) -> None:
        # The same seeds on both: the same buffers are put at the same time through both.
        clients = [_client(url, seed, 4, stored) for seed in range(16) for url in (one, two)]
        await asyncio.gather(*clients)

    buffers = tmp_path / "buffers"
    with _server(buffers, tmp_path / "one") as one, _server(buffers, tmp_path / "two") as two:
        asyncio.run(both(one.url, two.url))

    assert len(stored) > 20
    for name in stored:
        assert _cs((buffers / name[:2] / name).read_bytes()) == name
    assert [path.name for path in buffers.glob("??/*-*")] == []


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_slow_and_vanishing_clients_delay_nobody(tmp_path):
    large = random.Random(5).randbytes(1_000_000) * 48
    name = _cs(large)

    async def slow_reader(port: int) -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", port, limit=4096)
        writer.write(f"GET /{name} HTTP/1.1\r\nHost: x\r\n\r\n".encode())
        for _ in range(20):
            await reader.read(1000)
            await asyncio.sleep(0.05)
        writer.transport.abort()

    async def slow_writer(port: int, number: int) -> None:
        _, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(
            f"PUT /{_cs(str(number).encode())} HTTP/1.1\r\nHost: x\r\nContent-Length: 5000000\r\n\r\n".encode()
        )
        for _ in range(20):
            writer.write(b"x" * 100)
            await asyncio.sleep(0.05)
        writer.transport.abort()

    async def scenario(service: ServiceProcess) -> float:
        async with aiohttp.ClientSession() as session:
            async with session.put(f"{service.url}/{name}", data=io.BytesIO(large)) as answer:
                assert answer.status == 200
            pests = [asyncio.create_task(slow_reader(service.port)) for _ in range(40)]
            pests += [asyncio.create_task(slow_writer(service.port, number)) for number in range(40)]
            slowest_s = 0.0
            while not all(task.done() for task in pests):
                started = time.perf_counter()
                async with session.get(f"{service.url}/healthcheck") as answer:
                    assert answer.status == 200
                small = random.randbytes(1000)
                async with session.put(f"{service.url}/{_cs(small)}", data=small) as answer:
                    assert answer.status == 200
                slowest_s = max(slowest_s, time.perf_counter() - started)
                await asyncio.sleep(0.02)
            await asyncio.gather(*pests)
            return slowest_s

    with _server(tmp_path / "buffers", tmp_path / "run") as service:
        slowest_s = asyncio.run(scenario(service))
        deadline = time.monotonic() + 10
        while leftovers := list((tmp_path / "buffers").glob("??/*-*")):
            assert time.monotonic() < deadline, leftovers
            time.sleep(0.05)

    assert slowest_s < 3.0

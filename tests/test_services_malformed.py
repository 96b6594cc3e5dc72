"""Twenty thousand requests that no client sends, against the real servers: none fails them, none stalls them."""

from __future__ import annotations

import asyncio
import hashlib
import json
import sys
import time
from collections import Counter
from pathlib import Path

import pytest
from seamless_service.testing.service_process import ServiceProcess

from tools.malformed_requests import malformed_requests

N_REQUESTS = 20_000
N_CONNECTIONS = 32
PATIENCE_S = 5.0
INCOMPLETE_S = 0.5
ALLOWED_5XX = {503, 507}  # busy, and a full disk

HEALTH_CHECK = b"GET /healthcheck HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"
HELLO = b"hello interop\n"
CS = hashlib.sha256(HELLO).hexdigest()
OTHER = hashlib.sha256(b"other").hexdigest()


async def _one(port: int, request: bytes) -> int:
    """Return the status of the answer; 0 without one, -1 when it did not come in time."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        writer.write(request)
        try:
            head = await asyncio.wait_for(reader.read(4096), INCOMPLETE_S)
        except asyncio.TimeoutError:
            writer.write_eof()  # the service waits for the rest of the body, which does not come
            head = await asyncio.wait_for(reader.read(4096), PATIENCE_S)
        return int(head.split(b" ", 2)[1]) if head.startswith(b"HTTP/1.") else 0
    except asyncio.TimeoutError:
        return -1
    except ConnectionError:
        return 0
    finally:
        writer.transport.abort()


async def _shoot(port: int, requests: list[bytes]) -> tuple[Counter[int], dict[int, bytes], float]:
    """Return how often each status came, one request for each, and the slowest health check meanwhile."""
    waiting = iter(requests)
    statuses: Counter[int] = Counter()
    examples: dict[int, bytes] = {}
    slowest_s = 0.0
    is_over = False

    async def worker() -> None:
        for request in waiting:
            status = await _one(port, request)
            statuses[status] += 1
            examples.setdefault(status, request)

    async def watch() -> None:
        nonlocal slowest_s
        while not is_over:
            started = time.perf_counter()
            status = await _one(port, HEALTH_CHECK)
            statuses[-2] += status != 200
            slowest_s = max(slowest_s, time.perf_counter() - started)
            await asyncio.sleep(0.05)

    watcher = asyncio.create_task(watch())
    await asyncio.gather(*(worker() for _ in range(N_CONNECTIONS)))
    is_over = True
    await watcher
    return statuses, examples, slowest_s


HASHSERVER_PATHS = [
    f"/{CS}",
    f"/{OTHER}",
    f"/promise/{OTHER}",
    "/has",
    "/has-now",
    "/buffer-length",
    "/buffers",
    "/buffers/get",
    "/metrics",
    "/healthcheck",
    "/",
]
DATABASE_BODIES = [
    {"type": "protocol"},
    {"type": "transformation", "checksum": CS},
    {"type": "transformation", "checksum": CS, "value": OTHER},
    {"type": "rev_transformations", "checksum": OTHER},
    {"type": "metadata", "checksum": CS},
    {
        "type": "metadata",
        "checksum": CS,
        "result": OTHER,
        "value": {"schema_version": 1, "tf_checksum": CS, "result_checksum": OTHER, "checksum_fields": ["a"]},
    },
    {"type": "irreproducible", "checksum": CS, "result": OTHER},
    {"type": "bucket_probe", "bucket_kind": "node", "label": "a"},
    {
        "type": "bucket_probe",
        "bucket_kind": "node",
        "label": "a",
        "bucket_checksum": CS,
        "freshness_tokens": {"a": 1},
        "captured_at": "now",
    },
    {"type": "buffer_info", "checksum": CS, "value": {"length": 3, "is_json": True}},
    {
        "type": "semantic_to_syntactic",
        "checksum": CS,
        "celltype": "mixed",
        "subcelltype": "",
        "value": [OTHER],
    },
    {"type": "syntactic_to_semantic", "checksum": CS, "celltype": "mixed", "subcelltype": ""},
    {
        "type": "expression",
        "checksum": CS,
        "celltype": "mixed",
        "path": ["a", 0],
        "target_celltype": "plain",
        "value": OTHER,
    },
    {"type": "rev_expression", "checksum": OTHER},
    {"type": "transformation_many", "checksums": [CS, OTHER]},
    {"type": "transformation_insert", "checksum": CS, "value": OTHER, "record": {"a": 1}},
    {"type": "transformation_insert_many", "rows": [[CS, OTHER, None], [OTHER, CS, {"a": 1}]]},
    {"type": "export"},
]


def _assert_survived(service: ServiceProcess, requests: list[bytes]) -> None:
    statuses, examples, slowest_s = asyncio.run(_shoot(service.port, requests))

    failures = {
        status: examples[status] for status in statuses if status >= 500 and status not in ALLOWED_5XX
    }
    assert not failures, f"{statuses}: {failures}\n{service.log()[-3000:]}"
    assert statuses[-1] == 0, f"no answer within {PATIENCE_S} s: {examples[-1]!r}"
    assert statuses[-2] == 0, "health checks failed"
    assert slowest_s < 3.0, f"a health check took {slowest_s:.1f} s"
    assert statuses[400] > len(requests) / 10, statuses  # the requests were bad indeed
    assert sum(n for status, n in statuses.items() if 200 <= status < 300) > 50, (
        statuses
    )  # and some were good
    assert "Traceback" not in service.log(), service.log()[-3000:]
    assert service.stop() == 0


@pytest.mark.slow
@pytest.mark.timeout(300)
@pytest.mark.invariant("I-113")
def test_malformed_requests_neither_fail_nor_stall_the_hashserver(tmp_path):
    folder = tmp_path / "buffers"
    folder.mkdir()
    command = [sys.executable, "-m", "hashserver", str(folder), "--writable"]
    with ServiceProcess(command, tmp_path / "run") as service:
        requests = list(
            malformed_requests(
                1, N_REQUESTS, paths=HASHSERVER_PATHS, bodies=[[CS, OTHER], [CS], {"a": CS}, []]
            )
        )
        _assert_survived(service, requests)
    untrue = [
        path
        for path in folder.glob("??/*")
        if len(path.name) == 64 and hashlib.sha256(path.read_bytes()).hexdigest() != path.name
    ]
    assert untrue == []
    assert [path.name for path in folder.glob("??/*-*")] == []


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_malformed_requests_neither_fail_nor_stall_the_database(tmp_path):
    file = tmp_path / "seamless.db"
    command = [sys.executable, "-m", "seamless_database", str(file), "--writable"]
    with ServiceProcess(command, tmp_path / "run") as service:
        requests = list(
            malformed_requests(2, N_REQUESTS, paths=["/", "/x", "/healthcheck"], bodies=DATABASE_BODIES)
        )
        _assert_survived(service, requests)
    _assert_whole(file)


def _assert_whole(file: Path) -> None:
    import apsw

    connection = apsw.Connection(str(file), flags=apsw.SQLITE_OPEN_READONLY)
    try:
        assert connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
        for column in ("checksum", "result"):
            found = connection.execute(f"SELECT {column} FROM transformation").fetchall()
            assert all(len(text) == 64 and text == text.lower() for (text,) in found)
        for (text,) in connection.execute("SELECT metadata FROM meta_data").fetchall():
            assert isinstance(json.loads(text), dict)
    finally:
        connection.close()

"""Real servers, and a client that asks them: small, blocking, one kept connection."""

from __future__ import annotations

import contextlib
import hashlib
import http.client
import json
import os
import sqlite3
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from seamless_service.testing.service_process import ServiceProcess


class Client:
    """Asks one server. An answer is (status, text)."""

    def __init__(self, port: int) -> None:
        self.http = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
        self.headers: dict[str, str] = {}

    def ask(self, method: str, body: object, **headers: str) -> tuple[int, str]:
        """body: bytes as they are, anything else as JSON."""
        content = body if isinstance(body, bytes) else json.dumps(body).encode()
        self.http.request(method, "/", content, headers)
        answer = self.http.getresponse()
        self.headers = {name.lower(): value for name, value in answer.getheaders()}
        return answer.status, answer.read().decode()

    def get(self, type: str, checksum: bytes | None = None, **fields: Any) -> tuple[int, str]:
        return self.ask("GET", _request(type, checksum, fields))

    def put(self, type: str, checksum: bytes | None = None, **fields: Any) -> tuple[int, str]:
        return self.ask("PUT", _request(type, checksum, fields))

    def close(self) -> None:
        self.http.close()


def _request(type: str, checksum: bytes | None, fields: dict[str, Any]) -> dict[str, Any]:
    request: dict[str, Any] = {"type": type}
    if checksum is not None:
        request["checksum"] = checksum.hex()
    return request | {k: v.hex() if isinstance(v, bytes) else v for k, v in fields.items()}


def server_process(folder: Path, file: Path, *options: str, **more: Any) -> ServiceProcess:
    command = [sys.executable, "-m", "seamless_database", *options, str(file)]
    return ServiceProcess(command, folder, **more)


@contextlib.contextmanager
def connected(server: ServiceProcess) -> Iterator[Client]:
    client = Client(server.port)
    try:
        yield client
    finally:
        client.close()


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "seamless.db"


@pytest.fixture
def launch(tmp_path: Path) -> Iterator[Callable[..., ServiceProcess]]:
    """launch(file, *options) -> a running server, stopped after the test."""
    with contextlib.ExitStack() as stack:
        count = iter(range(100))

        def launch(file: Path, *options: str, **more: Any) -> ServiceProcess:
            folder = tmp_path / f"server{next(count)}"
            return stack.enter_context(server_process(folder, file, *options, **more))

        yield launch


@pytest.fixture
def connect() -> Iterator[Callable[[ServiceProcess], Client]]:
    with contextlib.ExitStack() as stack:
        yield lambda server: stack.enter_context(connected(server))


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Client]:
    """A client of one writable server for all tests of a module; each uses checksums of its own."""
    folder = tmp_path_factory.mktemp("shared")
    with (
        server_process(folder, folder / "seamless.db", "--writable") as server,
        connected(server) as client,
    ):
        yield client


@pytest.fixture
def unique() -> Callable[[object], bytes]:
    """unique(label) -> a checksum that no other test uses."""
    salt = os.urandom(8)
    return lambda label: hashlib.sha256(salt + str(label).encode()).digest()


@pytest.fixture
def locked() -> Callable[[Path], contextlib.AbstractContextManager[int]]:
    """locked(file): another process, whose pid is given, holds the file locked inside the context."""
    return _locked


_LOCK = """
import sqlite3, sys
connection = sqlite3.connect(sys.argv[1], isolation_level=None)
connection.execute("BEGIN EXCLUSIVE")
print("locked", flush=True)
sys.stdin.readline()
connection.execute("COMMIT")
connection.close()
"""


@contextlib.contextmanager
def _locked(file: Path) -> Iterator[int]:
    process = subprocess.Popen(
        [sys.executable, "-c", _LOCK, str(file)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "locked\n"
    try:
        yield process.pid
    finally:
        process.communicate("\n", timeout=20)


@pytest.fixture
def rows_of() -> Callable[[Path, str], list[tuple[Any, ...]]]:
    """rows_of(file, sql): read a file that no server has open, with another SQLite."""

    def rows_of(file: Path, sql: str) -> list[tuple[Any, ...]]:
        connection = sqlite3.connect(f"file:{file}?mode=ro", uri=True)
        try:
            return connection.execute(sql).fetchall()
        finally:
            connection.close()

    return rows_of

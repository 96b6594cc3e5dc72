"""Small hashserver and database inside the test's process, with faults and capabilities that can be switched.

They speak what the clients send, no more: a server for real use is `hashserver`, and `seamless_database`.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import socket
import threading
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Any

__all__ = ("FakeDatabase", "FakeHashserver", "FakeService")

Answer = tuple[int, bytes, dict[str, str]]


class FakeService:
    """A service on a free port; a context manager.

    name, capabilities: its identity; capabilities None: it answers the healthcheck with a plain OK, as the earlier
    implementation does. token: demanded when set. requests: (method, path) of each request but healthchecks.
    interfere: called before each request but healthchecks; what it returns is the answer, None lets the service answer.
    """

    name = ""

    def __init__(self, *, capabilities: tuple[str, ...] | None = None) -> None:
        self.capabilities = capabilities
        self.token: str | None = None
        self.requests: list[tuple[str, str]] = []
        self.healthchecks = 0
        self.interfere: Callable[[str, str, bytes], Answer | None] = lambda method, path, body: None
        self.lock = threading.Lock()
        self._server = _Server(("127.0.0.1", 0), self._handler())
        self._thread = threading.Thread(
            target=self._server.serve_forever, args=(0.02,), name="fake-service", daemon=True
        )
        self.port: int = self._server.server_address[1]
        self.url = f"http://127.0.0.1:{self.port}"

    def __enter__(self) -> Any:  # Any: the subclass, without typing_extensions.Self
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.end()

    def end(self) -> None:
        """End as a killed process does; idempotent."""
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()

    def answer(self, method: str, path: str, headers: dict[str, str], body: bytes) -> Answer:
        raise NotImplementedError

    def _respond(self, method: str, path: str, headers: dict[str, str], body: bytes) -> Answer:
        if path == "/healthcheck":
            self.healthchecks += 1
            if self.capabilities is None or "json" not in headers.get("accept", ""):
                return 200, b"OK", {}
            identity = {
                "service": self.name,
                "version": "1",
                "protocol": "1",
                "capabilities": self.capabilities,
            }
            return 200, json.dumps(identity).encode(), {"Content-Type": "application/json"}
        with self.lock:
            self.requests.append((method, path))
        interference = self.interfere(method, path, body)
        if interference is not None:
            return interference
        given = headers.get("authorization")
        if self.token is not None and given != f"Bearer {self.token}":
            text = {"error": "denied", "message": "this service wants a token", "hint": "give one"}
            return (
                401 if given is None else 403,
                json.dumps(text).encode(),
                {"Content-Type": "application/json"},
            )
        return self.answer(method, path, headers, body)

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        service = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            wbufsize = -1

            def _any(self) -> None:
                body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
                headers = {name.lower(): value for name, value in self.headers.items()}
                status, content, more = service._respond(self.command, self.path, headers, body)
                self.send_response_only(status)
                for name, value in more.items():
                    self.send_header(name, value)
                self.send_header("Content-Length", str(len(content)))
                self.end_headers()
                self.wfile.write(content)
                self.wfile.flush()

            do_GET = do_PUT = do_POST = _any  # noqa: N815 - the names that the base class calls

            def handle_expect_100(self) -> bool:
                going_on = super().handle_expect_100()
                self.wfile.flush()
                return going_on

            def log_message(self, format: str, *args: Any) -> None:
                pass

        return Handler


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False
    request_queue_size = 128

    def __init__(self, *args: Any) -> None:
        super().__init__(*args)
        self._open: set[socket.socket] = set()

    def process_request(self, request: Any, client_address: Any) -> None:
        self._open.add(request)
        super().process_request(request, client_address)

    def shutdown_request(self, request: Any) -> None:
        self._open.discard(request)
        super().shutdown_request(request)

    def server_close(self) -> None:
        """End kept connections too, as the end of a process does."""
        super().server_close()
        for request in list(self._open):
            with contextlib.suppress(OSError):
                request.shutdown(socket.SHUT_RDWR)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that went away is no news."""


class FakeHashserver(FakeService):
    """buffers: what it holds, by hex checksum. served: what it sends instead, by hex checksum: bytes, coding."""

    name = "hashserver"

    def __init__(self, *, capabilities: tuple[str, ...] | None = None) -> None:
        super().__init__(capabilities=capabilities)
        self.buffers: dict[str, bytes] = {}
        self.served: dict[str, tuple[bytes, str]] = {}
        self.promises: set[str] = set()

    def answer(self, method: str, path: str, headers: dict[str, str], body: bytes) -> Answer:
        if path in ("/has", "/has-now", "/buffer-length"):
            asked = json.loads(body)
            return 200, json.dumps([self._about(path, checksum) for checksum in asked]).encode(), {}
        if path == "/buffers":
            return self._put_batch(body)
        if path == "/buffers/get":
            return 200, self._get_batch(body), {"Content-Type": "application/octet-stream"}
        if path.startswith("/promise/"):
            self.promises.add(path.rpartition("/")[2])
            return 202, b"{}", {}
        checksum = path[1:]
        if method == "PUT":
            coding = headers.get("content-encoding")
            if coding is None and hashlib.sha256(body).hexdigest() != checksum:
                return 400, b"Incorrect checksum", {}
            self.buffers[checksum] = body
            return 200, b"OK", {}
        if checksum in self.served:
            content, coding = self.served[checksum]
            return 200, content, {"Content-Encoding": coding} if coding else {}
        if checksum not in self.buffers:
            return 404, b"Not found", {}
        return 200, self.buffers[checksum], {}

    def _about(self, path: str, checksum: str) -> bool | int:
        if path == "/buffer-length":
            return True if checksum in self.promises else len(self.buffers.get(checksum, b""))
        return checksum in self.buffers or (path == "/has" and checksum in self.promises)

    def _put_batch(self, body: bytes) -> Answer:
        stored: dict[str, bytes] = {}
        while body:
            digest, length = body[:32], int.from_bytes(body[32:40], "big")
            content, body = body[40 : 40 + length], body[40 + length :]
            if hashlib.sha256(content).digest() != digest:
                return 400, b"mismatch: " + digest.hex().encode(), {}
            stored[digest.hex()] = content
        self.buffers.update(stored)
        return 200, json.dumps({"stored": len(stored)}).encode(), {}

    def _get_batch(self, body: bytes) -> bytes:
        records = []
        for start in range(0, len(body), 32):
            digest = body[start : start + 32]
            content = self.served.get(digest.hex(), (self.buffers.get(digest.hex()), ""))[0]
            length = -1 if content is None else -2 if len(content) > 1 << 20 else len(content)
            records.append(
                digest + length.to_bytes(8, "big", signed=True) + (content or b"" if length > 0 else b"")
            )
        return b"".join(records)


class FakeDatabase(FakeService):
    """results: by hex checksum of the transformation. records: likewise. types: of each request, in order."""

    name = "database"

    def __init__(self, *, capabilities: tuple[str, ...] | None = None) -> None:
        super().__init__(capabilities=capabilities)
        self.results: dict[str, str] = {}
        self.records: dict[str, Any] = {}
        self.types: list[str] = []

    def answer(self, method: str, path: str, headers: dict[str, str], body: bytes) -> Answer:
        request = json.loads(body)
        kind = request["type"]
        with self.lock:
            self.types.append(f"{method} {kind}")
            status, answer = self._answered(method, kind, request)
        text = answer if isinstance(answer, str) else json.dumps(answer)
        return status, text.encode(), {"Content-Type": "text/plain; charset=utf-8"}

    def _answered(self, method: str, kind: str, request: dict[str, Any]) -> tuple[int, Any]:
        tf = str(request.get("checksum"))
        if kind == "transformation_many":
            return 200, [self.results.get(checksum) for checksum in request["checksums"]]
        if kind == "transformation_insert":
            return 200, self._insert(tf, request["value"], request["record"])
        if kind == "transformation_insert_many":
            return 200, [self._insert(*row) for row in request["rows"]]
        if kind == "export":
            return 200, "".join(json.dumps(row) + "\n" for row in self.results.items())
        if kind == "rev_transformations":
            found = [
                tf for tf, result in self.results.items() if result == tf or result == request["checksum"]
            ]
            return (200, found) if found else (404, "ERROR: Unknown key")
        if kind == "irreproducible" and method == "PUT":
            if self.results.get(tf, request["result"]) != request["result"]:
                return 404, "ERROR: Transformation does not have the irreproducible result"
            self.results.pop(tf, None)
            return 200, "OK"
        if kind == "irreproducible":
            return 404, "ERROR: Unknown key"
        rows = self.results if kind == "transformation" else self.records
        if method == "GET":
            return (200, rows[tf]) if tf in rows else (404, "ERROR: Unknown key")
        if kind == "metadata" and self.records.get(tf, request["value"]) != request["value"]:
            return 409, "ERROR: Execution record already exists with different metadata"
        rows[tf] = request["value"]
        return 200, "OK"

    def _insert(self, tf: Any, result: str, record: Any) -> str:
        standing = self.results.setdefault(tf, result)
        if record is not None and standing == result:
            self.records.setdefault(tf, record)
        return standing

"""The service: from an HTTP request to its answer.

The event loop never waits for the database. A look-up by an indexed key is tried on the loop, where it takes a few
microseconds; when the file is locked, on a network file system, or when the answer may be long, it goes to a thread.
Writes go to another thread; those that arrive together share a transaction (`write_queue`). So the health check
answers at once, whatever locks the file, and a request that waits too long is answered 503 with the name of who locks.
"""

from __future__ import annotations

import os
from typing import Any

from aiohttp import web
from seamless_service.requests import read_body
from seamless_service.service import ServiceContext
from seamless_store.database_errors import DatabaseError, WouldWait
from seamless_store.errors import StoreError
from seamless_store.filesystem import is_network_filesystem
from seamless_store.results_database import ResultsDatabase
from seamless_store.sqlite_failures import read_only

from . import export, request_types
from .failures import not_started, refusal_of, waited_in_vain
from .lookups import PROTOCOL_VERSION
from .parsing import BODY_BYTES_MAX, parse_request
from .refusals import ProtocolRefusal
from .tables import Tables
from .threads import DeadlinePassed, Threads
from .write_queue import WriteQueue
from .writes import PreparedWrite

__all__ = ("DatabaseService",)

_PATIENCE_OVER_BUSY_S = 1.0  # the engine knows better why it waits, so it may speak first
_PARSED_ON_LOOP_BYTES = 128 * 1024  # 1000 checksums: 0.3 ms
_TEXT = {"Content-Type": "text/plain; charset=utf-8"}


class DatabaseService:
    """Serves one database file. busy_timeout_s: how long a request waits while another program locks the file."""

    name = "database"
    protocol = PROTOCOL_VERSION
    capabilities = request_types.CAPABILITIES

    def __init__(self, path: str | os.PathLike[str], *, writable: bool, busy_timeout_s: float) -> None:
        self._writable = writable
        self._database = ResultsDatabase(path, writable=writable, busy_timeout_s=busy_timeout_s)
        self._tables = Tables.of(self._database)
        self._tables_at_once = Tables.of(self._database, at_once=True)
        self._threads = Threads(busy_timeout_s + _PATIENCE_OVER_BUSY_S)
        self._writes = WriteQueue(self._database, self._threads)
        self._may_try_on_loop = False

    @property
    def version(self) -> str:
        from importlib.metadata import version

        return version("seamless-database")

    async def start(self, context: ServiceContext) -> None:
        self._log = context.log
        context.metrics.gauge("transactions", "Transactions committed", lambda: self._database.commits)
        try:
            await context.run_blocking(self._open)
        except DatabaseError as exc:
            self._database.close()
            raise not_started(exc) from exc
        self._may_try_on_loop = not is_network_filesystem(os.path.dirname(self._database.path))

    def _open(self) -> None:
        self._database.open()
        path = self._database.path
        if self._writable and not (os.access(path, os.W_OK) and os.access(os.path.dirname(path), os.W_OK)):
            raise read_only(path, writable=True)
        self._database.transformation(bytes(32))  # a page of each kind is read, and a reader stays open

    async def stop(self) -> None:
        self._threads.close()
        self._database.close()

    async def handle(self, request: web.BaseRequest) -> web.StreamResponse:
        method = request.method
        try:
            if method in ("GET", "HEAD"):
                return await self._look_up(request)
            if method == "PUT":
                return await self._write(request)
            raise ProtocolRefusal(405, "405: Method Not Allowed")
        except ProtocolRefusal as exc:
            answer = web.Response(status=exc.status, body=exc.text.encode(), headers=_TEXT)
            if exc.status == 405:
                answer.headers["Allow"] = "GET, HEAD, PUT" if self._writable else "GET, HEAD"
            return answer
        except StoreError as exc:
            refusal = refusal_of(exc)
            if isinstance(refusal, ProtocolRefusal):
                return web.Response(status=refusal.status, body=refusal.text.encode(), headers=_TEXT)
            raise refusal from exc
        except DeadlinePassed:
            raise waited_in_vain(self._database.path, self._threads.patience_s) from None

    async def _look_up(self, request: web.BaseRequest) -> web.StreamResponse:
        fields = await self._fields_of(request)
        if fields.get("type") == request_types.EXPORT:
            return await export.stream_results(request, self._database, self._threads, self._log)
        kind, look_up, checksum = request_types.prepare_look_up(fields)
        if kind.at_once and self._may_try_on_loop:
            try:
                text = look_up(self._tables_at_once, checksum, fields)
            except WouldWait:
                text = await self._threads.read(look_up, self._tables, checksum, fields)
        else:
            text = await self._threads.read(look_up, self._tables, checksum, fields)
        if text is None:
            raise ProtocolRefusal(404, "ERROR: Unknown key")
        return web.Response(body=text.encode(), headers=_TEXT)

    async def _write(self, request: web.BaseRequest) -> web.StreamResponse:
        if not self._writable:
            raise ProtocolRefusal(405, "ERROR: Database server is read-only")
        body = await _body_of(request)
        if len(body) <= _PARSED_ON_LOOP_BYTES:
            write = self._prepared(body)
        else:
            write = await self._threads.read(self._prepared, body)
        value = await self._writes.write(write.change)
        return web.Response(body=write.text(value).encode(), headers=_TEXT)

    def _prepared(self, body: bytes) -> PreparedWrite:
        return request_types.prepare_write(self._tables, parse_request(body))

    async def _fields_of(self, request: web.BaseRequest) -> dict[str, Any]:
        body = await _body_of(request)
        if len(body) <= _PARSED_ON_LOOP_BYTES:
            return parse_request(body)
        return await self._threads.read(parse_request, body)


async def _body_of(request: web.BaseRequest) -> bytes:
    """Return the body: a small one has usually come together with the headers, and reading it costs nothing then."""
    content = request.content
    if content.is_eof() and content.exception() is None and "Content-Encoding" not in request.headers:
        return content.read_nowait()
    return await read_body(request, BODY_BYTES_MAX)

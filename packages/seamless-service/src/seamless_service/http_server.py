"""The way of a request: id, token, health check, metrics, the service, the log.

aiohttp's low-level server without its router, whose work costs as much as answering a small request.
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import json
import logging
import os
import re
import time
from typing import Any

from aiohttp import StreamReader, web
from aiohttp.abc import AbstractStreamWriter
from aiohttp.http_parser import RawRequestMessage

from .access import Access
from .activity import Activity
from .answers import RequestRefused, error_answer
from .cors import ANSWER_HEADERS, Cors
from .logs import Log
from .metrics import CONTENT_TYPE, Metrics
from .requests import path_of
from .service import Service

__all__ = ("HttpServer",)

SLOW_S = 5.0  # an answer that takes longer is logged
READ_BUFFER_BYTES = 256 * 1024
_REQUEST_ID = re.compile(r"[A-Za-z0-9._:-]{1,64}")


class HttpServer:
    """Serves one service on sockets that are given to it."""

    def __init__(
        self,
        service: Service,
        *,
        identity: dict[str, Any],
        access: Access,
        activity: Activity,
        metrics: Metrics,
        log: Log,
        cors: Cors,
        log_all: bool = False,
    ) -> None:
        self._service = service
        self._identity = json.dumps(identity).encode()
        self._access = access
        self._activity = activity
        self._metrics = metrics
        self._log = log
        self._cors = cors
        self._log_all = log_all
        self._n_requests = 0
        self._is_closing = False
        self._id_prefix = os.urandom(4).hex()
        self._id_counter = itertools.count(1)
        quiet = logging.getLogger("aiohttp.server")
        quiet.addFilter(_not_the_client)
        self.protocol_factory = web.Server(
            self._handle,
            request_factory=_Request.of,
            access_log=None,
            auto_decompress=False,
            read_bufsize=READ_BUFFER_BYTES,
            logger=quiet,
        )

    async def close(self, timeout_s: float) -> None:
        """Answer what is under way, at most for `timeout_s`; each connection ends with its answer."""
        self._is_closing = True
        with contextlib.suppress(asyncio.TimeoutError):
            await asyncio.wait_for(self._until_answered(), timeout_s)
        # Not before: aiohttp drops what a connection that is to end still receives, also the rest of an upload.
        self.protocol_factory.pre_shutdown()
        # What is left: requests that took too long, and clients that still send what nobody reads.
        await self.protocol_factory.shutdown(0.1)

    async def _until_answered(self) -> None:
        while self._n_requests:
            await asyncio.sleep(0.01)

    async def _handle(self, request: web.BaseRequest) -> web.StreamResponse:
        activity = self._activity
        activity.begin()
        self._n_requests += 1
        started = time.perf_counter()
        status = 500
        try:
            answer = await self._answer(request)
            status = answer.status
            if self._is_closing:
                answer.force_close()
            # The answer is sent here, so that its time counts, and a service may not stop in the middle of it.
            await answer.prepare(request)
            await answer.write_eof()
            return answer
        except ConnectionError:
            status = 499  # nginx's number for a client that went away
            raise
        finally:
            activity.end()
            self._n_requests -= 1
            seconds = time.perf_counter() - started
            self._metrics.answered(request.method, status, seconds)
            if self._log_all or seconds > SLOW_S or (status >= 400 and status != 404):
                self._log_request(request, status, seconds)

    async def _answer(self, request: web.BaseRequest) -> web.StreamResponse:
        path = request.raw_path
        headers = request.headers
        if self._cors.concerns(headers):
            preflight = self._cors.admit(request)
            if preflight is not None:
                return preflight
        try:
            if (
                path.startswith("/healthcheck")
                and request.method in ("GET", "HEAD")
                and path_of(path) == "/healthcheck"
            ):
                return self._health(request)
            if self._access.token is not None:
                self._check_token(request)
            if path == "/metrics" and request.method in ("GET", "HEAD"):
                return web.Response(body=self._metrics.text(), headers={"Content-Type": CONTENT_TYPE})
            return await self._service.handle(request)
        except RequestRefused as exc:
            answer = error_answer(exc, self.request_id(request))
            if exc.status in (408, 413):  # the rest of the body is not wanted
                answer.force_close()
            return answer
        except ConnectionError:  # ClientGone is one
            raise
        except Exception as exc:
            return self._unexpected(request, exc)

    def request_id(self, request: web.BaseRequest) -> str:
        """Return the id under which the log speaks of this request: the client's, if it sent a sane one."""
        known = request.get("request_id")
        if known is None:
            sent = request.headers.get("X-Request-Id", "")
            known = sent if _REQUEST_ID.fullmatch(sent) else f"{self._id_prefix}-{next(self._id_counter):x}"
            request["request_id"] = known
        return str(known)

    def _health(self, request: web.BaseRequest) -> web.Response:
        if "application/json" in request.headers.get("Accept", ""):
            return web.Response(body=self._identity, content_type="application/json")
        return web.Response(body=b"OK", headers={"Content-Type": "text/plain; charset=utf-8"})

    def _check_token(self, request: web.BaseRequest) -> None:
        refusal = self._access.refusal(request.headers.get("Authorization"))
        if refusal is None:
            return
        status, reason = refusal
        raise RequestRefused(
            status,
            "token_missing" if status == 401 else "token_refused",
            f"This {self._service.name} demands a bearer token, and {reason}.",
            hint="send 'Authorization: Bearer TOKEN' with the token from the server's token file; clients take it from "
            "the launcher, or from the token_file of their configuration",
            headers={"WWW-Authenticate": "Bearer"} if status == 401 else None,
        )

    def _unexpected(self, request: web.BaseRequest, exc: Exception) -> web.StreamResponse:
        request_id = self.request_id(request)
        self._log.error(
            "request failed", exc=exc, id=request_id, method=request.method, path=_shown(request.raw_path)
        )
        refused = RequestRefused(
            500,
            "internal_error",
            f"The {self._service.name} failed to answer: {type(exc).__name__}.",
            hint=f"its log has the traceback, under request id {request_id}",
        )
        answer = error_answer(refused, request_id)
        answer.force_close()
        return answer

    def _log_request(self, request: web.BaseRequest, status: int, seconds: float) -> None:
        self._log.event(
            "request",
            id=self.request_id(request),
            method=request.method,
            path=_shown(request.raw_path),
            status=status,
            ms=round(seconds * 1000, 1),
            client=request.remote or "",
        )


class _Request(web.BaseRequest):
    """A request whose answer, also one that a service streams, gets the headers that `Cors` asks for."""

    @classmethod
    def of(
        cls,
        message: RawRequestMessage,
        payload: StreamReader,
        protocol: web.RequestHandler,
        writer: AbstractStreamWriter,
        task: asyncio.Task[None],
    ) -> _Request:
        return cls(message, payload, protocol, writer, task, asyncio.get_running_loop())

    async def _prepare_hook(self, answer: web.StreamResponse) -> None:
        if ANSWER_HEADERS in self._state:
            answer.headers.update(self[ANSWER_HEADERS])


def _shown(path: str) -> str:
    return path if len(path) <= 200 else f"{path[:200]}... ({len(path)} characters)"


def _not_the_client(record: logging.LogRecord) -> bool:
    """Drop what aiohttp logs about malformed requests: a client must not be able to fill the log."""
    return not record.getMessage().startswith("Error handling request")

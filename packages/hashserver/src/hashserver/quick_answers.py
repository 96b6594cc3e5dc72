"""Answers that are sent as one prepared block of bytes.

aiohttp's Response builds a dictionary of headers, checks and serializes it: half the time of a small GET. These
answers are written to the transport at once, with the same care for keep-alive, for HTTP/1.0 and for clients that
read slowly.
"""

from __future__ import annotations

import functools
import http
import time
from email.utils import formatdate

from aiohttp import HttpVersion10, HttpVersion11, web

__all__ = ("QuickAnswer", "http_date", "json_answer", "status_answer")

_JSON = "Content-Type: application/json\r\n"
_TEXT = "Content-Type: text/plain; charset=utf-8\r\n"


class QuickAnswer(web.StreamResponse):
    """An answer with its headers as text, each line ended; Content-Length, Date and Connection are added.

    status: HTTP status. body: all of it. length: what Content-Length says if not the length of `body` (HEAD).
    """

    def __init__(
        self, status: int, headers: str = "", body: bytes = b"", *, length: int | None = None
    ) -> None:
        # Not super().__init__: that is what this class saves. These are what aiohttp asks of an answer.
        self._status = status
        self._keep_alive: bool | None = None
        self._eof_sent = False
        self._block = headers
        self._content = body
        self._length = len(body) if length is None else length

    def __repr__(self) -> str:
        return f"QuickAnswer({self._status}, {len(self._content)} bytes)"

    async def prepare(self, request: web.BaseRequest) -> None:
        """Send everything."""
        if self._eof_sent:
            return
        self._eof_sent = True
        transport = request.transport
        if transport is None or transport.is_closing():
            raise ConnectionResetError("the client went away")
        head = self.head(request)
        transport.write(head + self._content if request.method != "HEAD" else head)
        if transport.get_write_buffer_size():  # a client that does not read its answers must wait for them
            await request.writer.drain()

    async def write_eof(self, data: bytes = b"") -> None:
        """Nothing is left to be done."""

    def head(self, request: web.BaseRequest) -> bytes:
        """Return status line and headers, as they go to this client."""
        if self._keep_alive is None:
            self._keep_alive = request.keep_alive
        connection = ""
        if not self._keep_alive and request.version >= HttpVersion11:
            connection = "Connection: close\r\n"
        elif self._keep_alive and request.version == HttpVersion10:
            connection = "Connection: keep-alive\r\n"
        length = "" if self._status == 304 else f"Content-Length: {self._length}\r\n"
        block = (
            f"{_status_line(self._status)}{self._block}{length}{connection}{_date_line(int(time.time()))}\r\n"
        )
        if "Origin" in request.headers:  # what the service kit grants to pages of this origin
            granted: dict[str, str] = request.get("answer_headers") or {}
            block = block[:-2] + "".join(f"{name}: {value}\r\n" for name, value in granted.items()) + "\r\n"
        return block.encode("latin-1")


def status_answer(status: int, body: bytes = b"") -> QuickAnswer:
    """Return an answer of plain text, `OK` or `Not found`, or an empty one."""
    return QuickAnswer(status, _TEXT if body else "", body)


def json_answer(status: int, body: bytes, headers: str = "") -> QuickAnswer:
    """Return an answer of JSON."""
    return QuickAnswer(status, _JSON + headers, body)


@functools.lru_cache(maxsize=1024)
def http_date(seconds: int) -> str:
    """Return the time in the form that HTTP headers have.

    >>> http_date(0)
    'Thu, 01 Jan 1970 00:00:00 GMT'
    """
    return formatdate(seconds, usegmt=True)


@functools.lru_cache(maxsize=2)
def _date_line(now: int) -> str:
    return f"Date: {http_date(now)}\r\n"


@functools.lru_cache(maxsize=64)
def _status_line(status: int) -> str:
    return f"HTTP/1.1 {status} {http.HTTPStatus(status).phrase}\r\n"

"""Read a request's body: bounded in size and in patience."""

from __future__ import annotations

import asyncio
import re
import zlib
from collections.abc import AsyncIterator

import aiohttp
from aiohttp import web
from aiohttp.http_exceptions import HttpProcessingError

from .answers import ClientGone, RequestRefused

__all__ = ("BODY_PATIENCE_S", "body_chunks", "path_of", "read_body")

BODY_PATIENCE_S = 60.0  # a client that sends nothing for so long has lost its way
_GZIP = 16 + zlib.MAX_WBITS
_ADDRESS = re.compile(r"[a-zA-Z][a-zA-Z0-9+.-]*://[^/?#]*")


def path_of(target: str) -> str:
    """Return the path in a request target, without its query; a proxy sends the whole address.

    >>> path_of("http://host:80/has?x=1")
    '/has'
    """
    if not target.startswith("/") and (match := _ADDRESS.match(target)):
        target = target[match.end() :] or "/"
    return target.partition("?")[0]


async def body_chunks(
    request: web.BaseRequest, *, patience_s: float = BODY_PATIENCE_S
) -> AsyncIterator[bytes]:
    """Yield the body as it comes, still compressed if it is; tells a client that waits for it to go on.

    Raises ClientGone when the client goes away, RequestRefused 408 when it sends nothing for `patience_s`, and 400
    for broken chunks.
    """
    await _invite(request)
    content = request.content
    watch = _IdleWatch(content, patience_s)
    try:
        while True:
            chunk = await content.readany()
            if not chunk:
                return
            watch.progressed = True
            yield chunk
    except (aiohttp.ClientPayloadError, HttpProcessingError) as exc:
        if request.transport is None or request.transport.is_closing():
            raise ClientGone(f"The client went away before its request was complete: {exc}") from exc
        raise RequestRefused(400, "body_malformed", f"The request body is malformed: {exc}") from exc
    except (ConnectionError, aiohttp.ClientError, web.RequestPayloadError) as exc:
        raise ClientGone("The client went away before its request was complete.") from exc
    finally:
        watch.stop()


async def read_body(
    request: web.BaseRequest, limit_bytes: int, *, patience_s: float = BODY_PATIENCE_S
) -> bytes:
    """Return the whole body, decompressed if it is gzip. Raises RequestRefused 413 beyond `limit_bytes`."""
    if (request.content_length or 0) > limit_bytes:
        raise _too_large(limit_bytes)
    encoding = request.headers.get("Content-Encoding", "").strip().lower()
    if not request.can_read_body:
        return b""
    chunks: list[bytes] = []
    size_bytes = 0
    inflate = zlib.decompressobj(_GZIP) if encoding == "gzip" else None
    if encoding not in ("", "identity", "gzip"):
        raise RequestRefused(
            415,
            "encoding_unknown",
            f"A body with Content-Encoding {encoding!r} is not read here.",
            hint="send it plain",
        )
    async for chunk in body_chunks(request, patience_s=patience_s):
        if inflate is not None:
            chunk = _inflated(inflate, chunk, limit_bytes - size_bytes + 1)
        size_bytes += len(chunk)
        if size_bytes > limit_bytes:
            raise _too_large(limit_bytes)
        chunks.append(chunk)
    if inflate is not None and (not inflate.eof or inflate.unused_data):
        raise RequestRefused(400, "body_malformed", "The gzip body is truncated, or something follows it.")
    return chunks[0] if len(chunks) == 1 else b"".join(chunks)


def _inflated(inflate: zlib._Decompress, chunk: bytes, limit_bytes: int) -> bytes:
    try:
        return inflate.decompress(chunk, limit_bytes)
    except zlib.error as exc:
        raise RequestRefused(400, "body_malformed", f"The request body is not gzip: {exc}") from exc


def _too_large(limit_bytes: int) -> RequestRefused:
    return RequestRefused(
        413,
        "body_too_large",
        f"The request body has more than {limit_bytes} bytes.",
        hint="send less at once",
        detail={"limit_bytes": limit_bytes},
    )


async def _invite(request: web.BaseRequest) -> None:
    """Answer `Expect: 100-continue`: only a client whose body is wanted sends it."""
    expected = request.headers.get("Expect")
    if expected is None or request.version < aiohttp.HttpVersion11:
        return
    if expected.strip().lower() != "100-continue":
        raise RequestRefused(417, "expectation_unknown", f"The expectation {expected!r} is not known here.")
    writer = request.writer
    await writer.write(b"HTTP/1.1 100 Continue\r\n\r\n")
    writer.output_size = 0  # what aiohttp's own handler does: the answer has not begun


class _IdleWatch:
    """End the reading of a body that makes no progress; one timer for the whole body."""

    def __init__(self, content: aiohttp.StreamReader, patience_s: float) -> None:
        self.progressed = False
        self._content = content
        self._patience_s = patience_s
        self._handle = asyncio.get_running_loop().call_later(patience_s, self._look)

    def _look(self) -> None:
        if self.progressed:
            self.progressed = False
            self._handle = asyncio.get_running_loop().call_later(self._patience_s, self._look)
            return
        self._content.set_exception(
            RequestRefused(
                408, "body_stalled", f"Nothing of the request body came for {self._patience_s:g} s."
            )
        )

    def stop(self) -> None:
        self._handle.cancel()

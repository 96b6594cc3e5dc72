"""Answers that are files: sent by the kernel from the file to the socket, without a copy in this process.

aiohttp's own way needs `loop.sendfile`, which uvloop has not. Here a thread calls `os.sendfile` on a duplicate of
the socket until it would block; then the event loop waits until the client has read some, so that a slow client
holds no thread. A client that reads nothing for STALL_S is given up.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import select
from collections.abc import Awaitable, Callable, Sequence

from aiohttp import web
from seamless_store.opened_forms import OpenedForm

from .quick_answers import QuickAnswer

__all__ = ("FileAnswer", "Part")

STALL_S = 600.0
_LOOK_S = 5.0  # how often a waiting answer looks whether its connection still stands
_BURST_BYTES = 64 * 1024 * 1024  # then other answers get their turn in the thread
_CALL_BYTES = 4 * 1024 * 1024
_LINGER_MS = 2  # how long a thread waits for a client that reads about as fast as it sends

Part = bytes | tuple[int, int]  # literal bytes, or (first, behind the last) of the file
RunBlocking = Callable[..., Awaitable[int]]


class FileAnswer(QuickAnswer):
    """An answer whose body is parts of an open file, and bytes between them. Closes the file.

    run_blocking: runs a function in a thread.
    """

    def __init__(
        self, status: int, headers: str, opened: OpenedForm, parts: Sequence[Part], run_blocking: RunBlocking
    ) -> None:
        length = sum(len(part) if isinstance(part, bytes) else part[1] - part[0] for part in parts)
        super().__init__(status, headers, length=length)
        self._opened = opened
        self._parts = parts
        self._run_blocking = run_blocking

    async def prepare(self, request: web.BaseRequest) -> None:
        """Send everything."""
        if self._eof_sent:
            return
        self._eof_sent = True
        with self._opened:
            transport = request.transport
            if transport is None or transport.is_closing():
                raise ConnectionResetError("the client went away")
            try:
                await self._send(request, transport)
            except BaseException:
                transport.abort()  # half an answer was sent: the client must notice
                raise

    async def _send(self, request: web.BaseRequest, transport: asyncio.Transport) -> None:
        head = self.head(request)
        if request.method == "HEAD":
            transport.write(head)
            return
        transport.set_write_buffer_limits(high=0)  # `drain` then waits until all is with the kernel
        try:
            transport.write(head)
            for part in self._parts:
                if isinstance(part, bytes):
                    transport.write(part)
                else:
                    await request.writer.drain()
                    await self._send_part(transport, *part)
            await request.writer.drain()
        finally:
            transport.set_write_buffer_limits()

    async def _send_part(self, transport: asyncio.Transport, position: int, end: int) -> None:
        connection = transport.get_extra_info("socket")
        if connection is None or transport.get_write_buffer_size():
            raise ConnectionResetError("the client went away")
        target = os.dup(connection.fileno())
        try:
            while position < end:
                before = position
                job = asyncio.ensure_future(
                    self._run_blocking(_burst, target, self._opened.fd, position, end)
                )
                try:
                    position = await asyncio.shield(job)
                finally:
                    if not job.done():  # cancelled: the descriptors must outlive the thread's use of them
                        await asyncio.wait([job])
                if position < end and position - before < _BURST_BYTES:
                    await _writable(target, transport)
        finally:
            os.close(target)


def _burst(target: int, source: int, position: int, end: int) -> int:
    """Send until the client does not keep up; return how far it went."""
    stop = min(end, position + _BURST_BYTES)
    while position < stop:
        try:
            n_bytes = os.sendfile(target, source, position, min(stop - position, _CALL_BYTES))
        except BlockingIOError:
            poll = select.poll()
            poll.register(target, select.POLLOUT)
            if not poll.poll(_LINGER_MS):
                break
            continue
        if not n_bytes:
            raise ConnectionAbortedError("the file became shorter while it was sent")
        position += n_bytes
    return position


async def _writable(target: int, transport: asyncio.Transport) -> None:
    loop = asyncio.get_running_loop()
    deadline = loop.time() + STALL_S
    ready: asyncio.Future[None] = loop.create_future()

    def tell() -> None:
        if not ready.done():
            ready.set_result(None)

    loop.add_writer(target, tell)
    try:
        while not ready.done():
            await asyncio.wait([ready], timeout=_LOOK_S)
            if transport.is_closing() or loop.time() > deadline:
                raise ConnectionResetError("the client went away, or has read nothing for too long")
    finally:
        with contextlib.suppress(ValueError):
            loop.remove_writer(target)

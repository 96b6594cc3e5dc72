"""PUT of a buffer.

Nothing but a true buffer ever gets its name. A small plain body is collected, checked and stored in a batch with
others; what is larger, or compressed, is streamed through the engine's writer in threads, a few MiB ahead of the
disk at most, and a thread works only while there is something to write. Uploads of one checksum do not wait for each
other: each stores by itself, so that the failure of one can lose nothing of another; the second finds the buffer of
the first when it ends.
"""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import AsyncIterator

from aiohttp import web
from seamless_service.requests import body_chunks
from seamless_store.errors import StoreError
from seamless_store.layout import Form
from seamless_store.streaming import BufferWriter

from .negotiation import form_of_upload
from .quick_answers import QuickAnswer, status_answer
from .served import Served
from .small_uploads import SMALL_MAX_BYTES
from .store_failures import upload_failure

__all__ = ("upload",)

HAND_OVER_BYTES = 512 * 1024  # what a thread is given at once; from 256 KiB on, hashing and writing overlap
AHEAD_MAX_BYTES = 2 * 1024 * 1024  # what may wait for it: then the client waits
_HASHES = {"sha-256": hashlib.sha256, "sha3-256": hashlib.sha3_256}


async def upload(served: Served, request: web.BaseRequest, digest: bytes) -> QuickAnswer:
    """Answer PUT of a buffer: 200 stored, 201 it was there (the body is not read), 400 refused."""
    form = form_of_upload(request.headers.get("Content-Encoding", ""))
    try:
        if await served.is_stored(digest, form):
            served.expected.stored(digest)
            answer = status_answer(201)
            if "Expect" in request.headers:  # the body may come or not: what follows could be either
                answer.force_close()
            return answer
        with served.expected.upload(digest):
            chunks = body_chunks(request)
            collected: list[bytes] = []
            is_small = form is None and await _collect(chunks, collected)
            if is_small:
                content = collected[0] if len(collected) == 1 else b"".join(collected)
                if _HASHES[served.hash_algorithm](content).digest() != digest:
                    return status_answer(400, b"Incorrect checksum")
                await served.small_uploads.put(digest, content)
            else:
                await _stream(served, digest, form, collected, chunks)
            served.stored(digest)
    except StoreError as exc:
        served.log.warning("upload refused", checksum=digest.hex(), why=str(exc))
        return upload_failure(exc)
    return status_answer(200, b"OK")


async def _collect(chunks: AsyncIterator[bytes], collected: list[bytes]) -> bool:
    """Collect a small body; return False once it turns out to be none."""
    n_bytes = 0
    async for chunk in chunks:
        collected.append(chunk)
        n_bytes += len(chunk)
        if n_bytes > SMALL_MAX_BYTES:
            return False
    return True


async def _stream(
    served: Served, digest: bytes, form: Form | None, begin: list[bytes], chunks: AsyncIterator[bytes]
) -> None:
    writer = await served.run_blocking(served.main.writer, digest, form)
    hand_over = _HandOver(served, writer)
    try:
        for chunk in begin:
            await hand_over.put(chunk)
        begin.clear()
        async for chunk in chunks:
            await hand_over.put(chunk)
        await hand_over.commit()
    finally:
        await hand_over.end()


class _HandOver:
    """Between the event loop, which receives, and the one thread at a time that writes."""

    def __init__(self, served: Served, writer: BufferWriter) -> None:
        self._served = served
        self._writer = writer
        self._chunks: list[bytes] = []
        self._n_bytes = 0
        self._job: asyncio.Future[None] | None = None

    async def put(self, chunk: bytes) -> None:
        self._chunks.append(chunk)
        self._n_bytes += len(chunk)
        if self._n_bytes < HAND_OVER_BYTES:
            return
        if self._job is not None and (self._job.done() or self._n_bytes >= AHEAD_MAX_BYTES):
            await self._finish_job()
        if self._job is None:
            self._begin_job(commit=False)

    async def commit(self) -> None:
        await self._finish_job()
        self._begin_job(commit=True)
        await self._finish_job()

    async def end(self) -> None:
        """Let go of the writer: after a failure its temporary file goes, after a commit there is none."""
        job, self._job = self._job, None
        if job is not None:  # this handler was cancelled, or the client went away: the thread still writes
            await asyncio.wait([job])
            job.exception()
        await self._served.run_blocking(self._writer.abort)

    def _begin_job(self, *, commit: bool) -> None:
        chunks, self._chunks, self._n_bytes = self._chunks, [], 0
        self._job = asyncio.ensure_future(
            self._served.run_blocking(_write, self._writer, chunks, commit=commit)
        )

    async def _finish_job(self) -> None:
        if self._job is not None:
            await asyncio.shield(self._job)
            self._job = None


def _write(writer: BufferWriter, chunks: list[bytes], *, commit: bool) -> None:
    chunks.reverse()
    while chunks:
        piece, n_bytes = [], 0
        while chunks and n_bytes < HAND_OVER_BYTES:
            piece.append(chunks.pop())
            n_bytes += len(piece[-1])
        writer.write(piece[0] if len(piece) == 1 else b"".join(piece))
    if commit:
        writer.commit()

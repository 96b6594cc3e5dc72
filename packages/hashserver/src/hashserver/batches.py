"""Many buffers in one request: `POST /buffers` stores, `POST /buffers/get` fetches. Format: `records`.

Storing works piece by piece, so it takes the memory of a few MiB or of the largest record; nothing is acknowledged
unless everything is durable. Fetching streams, small buffers only.
"""

from __future__ import annotations

import hashlib
import json

from aiohttp import web
from seamless_service.answers import RequestRefused
from seamless_service.requests import body_chunks, read_body
from seamless_store.errors import DigestMismatch, StoreError

from .quick_answers import QuickAnswer, json_answer
from .records import (
    ABSENT,
    BY_ITSELF,
    MAX_BODY_BYTES,
    MAX_RECORDS,
    RecordsMalformed,
    RecordsReader,
    record,
)
from .served import Served
from .store_failures import refusal_of

__all__ = ("MAX_FETCHED_BYTES", "fetch_batch", "store_batch")

MAX_FETCHED_BYTES = 1024 * 1024  # a larger buffer is to be fetched by itself
_STORE_BYTES = 8 * 1024 * 1024
_FETCH_BYTES = 1024 * 1024
_FETCH_DIGESTS = 256


async def store_batch(served: Served, request: web.BaseRequest) -> QuickAnswer:
    """Answer `POST /buffers`."""
    if (request.content_length or 0) > MAX_BODY_BYTES:
        raise _too_large()
    reader = RecordsReader()
    waiting: list[tuple[bytes, bytes]] = []
    n_bytes = n_body_bytes = 0
    digests: list[bytes] = []
    try:
        async for chunk in body_chunks(request):
            n_body_bytes += len(chunk)
            if n_body_bytes > MAX_BODY_BYTES:
                raise _too_large()
            for digest, content in reader.feed(chunk):
                waiting.append((digest, content))
                digests.append(digest)
                n_bytes += len(content)
            if n_bytes >= _STORE_BYTES:
                await served.run_blocking(_store, served, waiting)
                waiting, n_bytes = [], 0
        reader.finish()
        if waiting:
            await served.run_blocking(_store, served, waiting)
    except RecordsMalformed as exc:
        raise RequestRefused(
            400,
            "records_malformed",
            f"The body is no sequence of records: {exc}.",
            hint="a record is 32 bytes digest, 8 bytes length (big-endian), and the bytes",
        ) from exc
    except DigestMismatch as exc:
        raise RequestRefused(
            400,
            "digest_mismatch",
            f"The bytes sent as {exc.expected.hex()} have the checksum {exc.actual.hex()}.",
            hint="hash them again where they were made; nothing of this batch is acknowledged",
            detail={"checksum": exc.expected.hex(), "actual": exc.actual.hex()},
        ) from exc
    except StoreError as exc:
        served.log.warning("batch refused", why=str(exc))
        raise refusal_of(exc) from exc
    for digest in digests:
        served.stored(digest)
    return json_answer(200, json.dumps({"stored": len(digests)}).encode())


def _store(served: Served, items: list[tuple[bytes, bytes]]) -> None:
    new_hash = hashlib.sha256 if served.hash_algorithm == "sha-256" else hashlib.sha3_256
    for digest, content in items:
        actual = new_hash(content).digest()
        if actual != digest:
            raise DigestMismatch(expected=digest, actual=actual, size_bytes=len(content))
    served.main.publish([(digest, [content]) for digest, content in items], verified=True)


async def fetch_batch(served: Served, request: web.BaseRequest) -> web.StreamResponse:
    """Answer `POST /buffers/get`."""
    body = await read_body(request, 32 * MAX_RECORDS)
    if len(body) % 32:
        raise RequestRefused(
            400,
            "digests_malformed",
            f"The body has {len(body)} bytes: not a sequence of digests.",
            hint="send the 32 raw bytes of each digest, one after another",
        )
    digests = [body[start : start + 32] for start in range(0, len(body), 32)]
    answer = web.StreamResponse(headers={"Content-Type": "application/octet-stream"})
    await answer.prepare(request)
    sent_bytes = position = 0
    try:
        while position < len(digests):
            some = digests[position : position + _FETCH_DIGESTS]
            expected = [digest in served.expected for digest in some]
            block, n_done = await served.run_blocking(_fetch, served, some, expected, sent_bytes)
            position += n_done
            sent_bytes += len(block)
            await answer.write(block)
    except StoreError as exc:  # the answer has begun: cut it off, so that nobody takes it for whole
        served.log.error("batch broken off", exc=exc)
        if request.transport is not None:
            request.transport.abort()
        raise ConnectionAbortedError("the answer was broken off") from exc
    return answer


def _fetch(served: Served, digests: list[bytes], expected: list[bool], sent_bytes: int) -> tuple[bytes, int]:
    """Return the records of the first few of the digests, and of how many."""
    records, n_bytes = [], 0
    for digest, is_expected in zip(digests, expected, strict=True):
        content = _small(served, digest) if sent_bytes + n_bytes < MAX_BODY_BYTES else BY_ITSELF
        if content == ABSENT and is_expected:
            content = BY_ITSELF  # a GET waits for it
        records.append(record(digest, content))
        n_bytes += len(records[-1])
        if n_bytes >= _FETCH_BYTES:
            break
    return b"".join(records), len(records)


def _small(served: Served, digest: bytes) -> bytes | memoryview | int:
    """Return the bytes of a small buffer, or why they are not here. Waits for no locks."""
    chain = served.chain
    opened = chain.look(digest)
    if opened is not None:
        with opened:
            if opened.form is None and opened.content is not None:
                return opened.content
    if not chain.has(digest):
        return ABSENT
    try:
        length = chain.length(digest)
        if length is None or length > MAX_FETCHED_BYTES:
            return BY_ITSELF
        content = chain.get(digest)
    except StoreError:
        return BY_ITSELF  # a GET tells what is wrong with it
    return BY_ITSELF if content is None else content


def _too_large() -> RequestRefused:
    return RequestRefused(
        413,
        "body_too_large",
        f"The batch has more than {MAX_BODY_BYTES} bytes.",
        hint="send smaller batches, and large buffers by themselves (PUT)",
        detail={"limit_bytes": MAX_BODY_BYTES},
    )

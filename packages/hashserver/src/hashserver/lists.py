"""Questions about many buffers at once: presence and length, for a JSON list of checksums.

| route | answer for each |
|---|---|
| `has` | is there, is being uploaded, or is promised |
| `has-now` | is there: who hears `true` need not upload it |
| `buffer-length` | `true` if promised; else its length, 0 if absent |
"""

from __future__ import annotations

import json

from aiohttp import web
from seamless_service.requests import read_body
from seamless_store.errors import BufferDamaged, StoreError

from .checksums import digests_of_list
from .quick_answers import QuickAnswer, json_answer
from .served import Served
from .store_failures import refusal_of

__all__ = ("MAX_LIST_BYTES", "answer_list")

MAX_LIST_BYTES = 16 * 1024 * 1024  # about 240,000 checksums
_INLINE_BYTES = 8 * 1024  # about 120 checksums: parsed and looked up within half a millisecond


async def answer_list(served: Served, request: web.BaseRequest, route: str) -> QuickAnswer:
    """Answer one of the three questions."""
    body = await read_body(request, MAX_LIST_BYTES)
    content_type = request.headers.get("Content-Type", "")
    is_small = len(body) <= _INLINE_BYTES
    if is_small:
        digests = digests_of_list(body, content_type)
    else:
        digests = await served.run_blocking(digests_of_list, body, content_type)
    try:
        if route == "buffer-length":
            return _json(await _lengths(served, digests))
        if is_small and served.is_local:
            found = served.chain.has_many(digests)
        else:
            found = await served.run_blocking(served.chain.has_many, digests)
    except StoreError as exc:
        served.log.error("cannot look for buffers", exc=exc)
        raise refusal_of(exc) from exc
    if route == "has":
        expected = served.expected
        found = [there or digest in expected for there, digest in zip(found, digests, strict=True)]
    return _json(found)


async def _lengths(served: Served, digests: list[bytes]) -> list[int]:
    expected = served.expected
    arriving = {digest for digest in digests if expected.is_arriving(digest)}
    for digest in arriving:
        while expected.is_arriving(digest) and not await served.run_blocking(served.chain.has, digest):
            await expected.wait(digest, 5.0)
    promised = {digest for digest in digests if expected.is_promised(digest)}
    lengths = await served.run_blocking(_lengths_of, served, [d for d in digests if d not in promised])
    remaining = iter(lengths)
    return [True if digest in promised else next(remaining) for digest in digests]


def _lengths_of(served: Served, digests: list[bytes]) -> list[int]:
    lengths = []
    for digest in digests:
        try:
            lengths.append(served.chain.length(digest) or 0)
        except BufferDamaged:
            lengths.append(0)
    return lengths


def _json(found: object) -> QuickAnswer:
    return json_answer(200, json.dumps(found, separators=(",", ":")).encode())

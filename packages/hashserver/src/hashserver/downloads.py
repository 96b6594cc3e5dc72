"""GET and HEAD of a buffer.

What is small, or known to be true, is answered by the event loop itself: no thread, no wait. The rest is opened in a
thread, which verifies a plain file before the first byte goes out. A buffer that is absent is waited for while
another writer's lock file, an upload or a promise says that it may come; waiting holds no thread.
"""

from __future__ import annotations

import asyncio
import functools
import os

from aiohttp import web
from seamless_service.answers import ClientGone
from seamless_store.errors import BufferDamaged, StoreError
from seamless_store.layout import Form
from seamless_store.opened_forms import Missing, OpenedForm

from .conditions import etag_of, is_current, is_known_to_client
from .file_answers import FileAnswer, Part
from .negotiation import ENCODING_OF_FORM, preference_of
from .quick_answers import QuickAnswer, http_date, status_answer
from .ranges import RangeMalformed, RangeNotSatisfiable, ranges_of
from .served import Served
from .store_failures import damage_answer, refusal_of

__all__ = ("download", "quick_download")

LOOK_AGAIN_S = 5.0  # how often a waiting reader looks itself: another server may store the buffer
LOCK_POLL_S = 1.0
_TYPE = "Content-Type: application/octet-stream\r\n"


def quick_download(served: Served, request: web.BaseRequest, digest: bytes) -> QuickAnswer | None:
    """Answer GET or HEAD of a buffer that is small or known to be true; None leaves everything open."""
    if not served.is_local:
        return None
    try:
        opened = served.chain.look(digest, preference_of(request.headers.get("Accept-Encoding", "")))
    except StoreError:
        return None
    return None if opened is None else _answer(served, request, digest.hex(), opened)


async def download(served: Served, request: web.BaseRequest, digest: bytes) -> QuickAnswer:
    """Answer GET or HEAD of any buffer."""
    preference = preference_of(request.headers.get("Accept-Encoding", ""))
    try:
        opened = await _find(served, request, digest, preference)
    except BufferDamaged as exc:
        served.n_damaged.inc()
        served.log.warning("damaged file", path=exc.path, why=exc.cause)
        return damage_answer(digest.hex(), exc, served.hash_algorithm)
    except StoreError as exc:
        served.log.error("cannot read", exc=exc, checksum=digest.hex())
        raise refusal_of(exc) from exc
    return (
        status_answer(404, b"Not found") if opened is None else _answer(served, request, digest.hex(), opened)
    )


async def _find(
    served: Served, request: web.BaseRequest, digest: bytes, preference: tuple[Form | None, ...]
) -> OpenedForm | None:
    loop = asyncio.get_running_loop()
    locks_until = loop.time() + served.lock_timeout_s
    heed_locks = True
    while True:
        found = await served.run_blocking(served.chain.open_form, digest, preference, heed_locks=heed_locks)
        if isinstance(found, OpenedForm):
            return found
        if found is Missing.LOCKED:
            left_s = locks_until - loop.time()
            heed_locks = left_s > 0
            await asyncio.sleep(max(min(LOCK_POLL_S, left_s), 0.0))
        elif digest in served.expected:
            await served.expected.wait(digest, LOOK_AGAIN_S)
        else:
            return None
        if request.transport is None:
            raise ClientGone("The client went away while it waited for a buffer.")


def _answer(served: Served, request: web.BaseRequest, checksum: str, opened: OpenedForm) -> QuickAnswer:
    try:
        answer = _answer_of(served, request, checksum, opened)
    except BaseException:
        opened.close()
        raise
    if not isinstance(answer, FileAnswer):
        opened.close()
    return answer


def _answer_of(served: Served, request: web.BaseRequest, checksum: str, opened: OpenedForm) -> QuickAnswer:
    headers = request.headers
    form, content = opened.form, opened.content
    modified = http_date(int(opened.modified_s))
    common = _common_headers(checksum, form, modified)
    known = headers.get("If-None-Match")
    if known is not None and is_known_to_client(known, etag_of(checksum, form)):
        return QuickAnswer(304, common)
    wanted = headers.get("Range")
    is_partial = wanted is not None and request.method == "GET"
    if is_partial and is_current(headers.get("If-Range"), etag_of(checksum, form), modified):
        try:
            spans = ranges_of(wanted or "", opened.size_bytes)
        except RangeMalformed as exc:
            return QuickAnswer(400, "Content-Type: text/plain; charset=utf-8\r\n", str(exc).encode())
        except RangeNotSatisfiable:
            return QuickAnswer(416, f"Content-Range: bytes */{opened.size_bytes}\r\n")
        if spans is not None:
            return _partial(served, opened, spans, common)
    if content is not None:
        return QuickAnswer(200, _TYPE + common, content)
    return FileAnswer(200, _TYPE + common, opened, [(0, opened.size_bytes)], served.run_blocking)


@functools.lru_cache(maxsize=1024)
def _common_headers(checksum: str, form: Form | None, modified: str) -> str:
    encoding = f"Content-Encoding: {ENCODING_OF_FORM[form]}\r\n" if form else ""
    return (
        f'Content-Disposition: attachment; filename="{checksum}"\r\nAccept-Ranges: bytes\r\n'
        f"ETag: {etag_of(checksum, form)}\r\nLast-Modified: {modified}\r\nVary: Accept-Encoding\r\n{encoding}"
    )


def _partial(served: Served, opened: OpenedForm, spans: list[tuple[int, int]], common: str) -> QuickAnswer:
    size = opened.size_bytes
    parts: list[Part]
    if len(spans) == 1:
        first, behind = spans[0]
        parts = [spans[0]]
        kind = f"{_TYPE}Content-Range: bytes {first}-{behind - 1}/{size}\r\n"
    else:
        boundary = os.urandom(13).hex()
        parts = []
        for first, behind in spans:
            opening = f"--{boundary}\r\n{_TYPE}Content-Range: bytes {first}-{behind - 1}/{size}\r\n\r\n"
            parts += [opening.encode(), (first, behind), b"\r\n"]
        parts.append(f"--{boundary}--".encode())
        kind = f"Content-Type: multipart/byteranges; boundary={boundary}\r\n"
    content = opened.content
    if content is None:
        return FileAnswer(206, kind + common, opened, parts, served.run_blocking)
    body = b"".join(part if isinstance(part, bytes) else content[part[0] : part[1]] for part in parts)
    return QuickAnswer(206, kind + common, body)

"""Stream all results, one `["transformation", "result"]` a line, oldest first.

Memory stays that of a page of rows, whatever the size of the table, and writers are not held up: every page is a query
of its own. A stream that cannot be completed is cut off, never ended as if it were whole.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice

from aiohttp import web
from seamless_service.answers import ClientGone
from seamless_service.logs import Log
from seamless_store.errors import StoreError
from seamless_store.results_database import ResultsDatabase

from .threads import DeadlinePassed, Threads

__all__ = ("stream_results",)

CONTENT_TYPE = "application/x-ndjson"
PAGE_ROWS = 2000


async def stream_results(
    request: web.BaseRequest, database: ResultsDatabase, threads: Threads, log: Log
) -> web.StreamResponse:
    """Answer with all results. Raises what the database raises, as long as nothing was sent."""
    answer = web.StreamResponse(headers={"Content-Type": CONTENT_TYPE})
    rows = database.iterate()
    page = await threads.read(_lines, rows)
    await answer.prepare(request)
    if request.method == "HEAD":
        return answer
    while page:
        await answer.write(page)
        try:
            page = await threads.read(_lines, rows)
        except (StoreError, DeadlinePassed) as exc:
            log.error("export cut off", exc=exc)
            if request.transport is not None:
                request.transport.abort()
            raise ClientGone("The export was cut off.") from exc
    return answer


def _lines(rows: Iterator[tuple[bytes, bytes]]) -> bytes:
    return "".join([f'["{tf.hex()}", "{result.hex()}"]\n' for tf, result in islice(rows, PAGE_ROWS)]).encode()

"""Read the streamed list of all results of a database, line by line, in bounded memory."""

from __future__ import annotations

import json

from seamless.checksum import Checksum, is_checksum_text

from .errors import AnswerDamaged
from .http_message import ExchangeFailed, PartsBody

TYPE_CHECKING = False  # importing typing costs a command 6 ms
if TYPE_CHECKING:
    from collections.abc import Iterator

    from .database_client import DatabaseClient

__all__ = ("export_lines",)

LINE_LIMIT_BYTES = 4096


def export_lines(client: DatabaseClient) -> Iterator[tuple[Checksum, Checksum]]:
    """Yield every (transformation, result). When it breaks off, AnswerDamaged says after how many rows."""
    http = client._http
    assert http is not None, "the client has been asked for its capabilities"
    n_rows = 0
    rest = b""
    body = PartsBody((b'{"type": "export"}',))
    try:
        with http.open("GET", "/", token=client.token.header(), body=body) as response:
            if response.status != 200:
                raise ExchangeFailed("damaged", f"status {response.status}")
            for piece in response.pieces():
                lines = (rest + bytes(piece)).split(b"\n")
                rest = lines.pop()
                for line in lines:
                    yield _row(line)
                    n_rows += 1
                if len(rest) > LINE_LIMIT_BYTES:
                    raise ExchangeFailed("damaged", "a line is too long")
            if rest:
                raise ExchangeFailed("truncated", "the last line is not complete")
    except ExchangeFailed as exc:
        raise AnswerDamaged(
            f"{client.service} at {client.url} did not send its whole list of results: {exc.detail}, "
            f"after {n_rows} rows.",
            service=client.service,
            url=client.url or "",
            remedy="export again; if it persists, read the log of the database.",
        ) from exc


def _row(line: bytes) -> tuple[Checksum, Checksum]:
    try:
        row = json.loads(line)
    except (ValueError, RecursionError):
        row = None
    if (
        isinstance(row, list)
        and len(row) == 2
        and all(isinstance(text, str) and is_checksum_text(text) for text in row)
    ):
        return Checksum(row[0]), Checksum(row[1])
    raise ExchangeFailed("damaged", f"{line[:80]!r} is no row")

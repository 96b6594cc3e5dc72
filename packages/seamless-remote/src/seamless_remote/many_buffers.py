"""Fetch and upload many buffers in few requests: batches where the server offers them, else many requests at once.

A record on the line is digest (32 bytes), length (8 bytes, big-endian; signed in answers), bytes. A batch to
the server has at most BATCH_RECORDS records and BATCH_BYTES bytes, as the server's limits say; what is larger
goes by itself. Everything that comes is verified; what does not hash to its name is fetched once more by itself.
"""

from __future__ import annotations

import hashlib

from seamless.buffer import Buffer

from .bulk import call_each
from .http_message import ExchangeFailed, PartsBody

TYPE_CHECKING = False  # importing typing costs a command 6 ms
if TYPE_CHECKING:
    from collections.abc import Sequence

    from seamless.checksum import Checksum

    from .buffer_client import BufferClient
    from .light_http import Response

__all__ = ("get_many", "write_many")

BATCH_RECORDS = 10_000
BATCH_BYTES = 32 * 1024 * 1024  # half of what servers take
SMALL_BYTES = 1024 * 1024
ABSENT = -1
BY_ITSELF = -2


def get_many(client: BufferClient, checksums: Sequence[Checksum]) -> list[Buffer | None]:
    """Return the buffers in order, None for what is not there."""
    found: dict[Checksum, Buffer | None] = {}
    wanted = list(dict.fromkeys(checksums))
    if client.directory is not None:
        for checksum in wanted:
            found[checksum] = client.get_file_buffer_sync(checksum)
        wanted = [checksum for checksum in wanted if found[checksum] is None]
    if client.has_server and wanted:
        if len(wanted) > 1 and client.can("batch-get"):
            alone: list[Checksum] = []
            for start in range(0, len(wanted), BATCH_RECORDS):
                _get_batch(client, wanted[start : start + BATCH_RECORDS], found, alone)
            wanted = alone
        found.update(zip(wanted, _each(client, wanted), strict=True))
    return [found.get(checksum) for checksum in checksums]


def _get_batch(
    client: BufferClient,
    asked: Sequence[Checksum],
    found: dict[Checksum, Buffer | None],
    alone: list[Checksum],
) -> None:
    body = PartsBody((b"".join(checksum.bytes() for checksum in asked),))
    headers = {"Content-Type": "application/octet-stream"}

    def receive(response: Response) -> list[Buffer | int]:
        records = [_record(response, checksum) for checksum in asked]
        if response.read_start(1):
            raise ExchangeFailed("damaged", "the batch holds more than was asked for")
        return records

    records = client._request("POST", "/buffers/get", receive, headers=headers, body=body)
    for checksum, record in zip(asked, records, strict=True):
        if isinstance(record, Buffer):
            found[checksum] = record
        elif record == BY_ITSELF:
            alone.append(checksum)


def _record(response: Response, checksum: Checksum) -> Buffer | int:
    head = _exactly(response, 40)
    if head[:32] != checksum.bytes():
        raise ExchangeFailed("damaged", f"the batch holds {head[:32].hex()} where {checksum} was asked for")
    length = int.from_bytes(head[32:], "big", signed=True)
    if length < 0:
        if length not in (ABSENT, BY_ITSELF):
            raise ExchangeFailed("damaged", f"a record of the batch has the length {length}")
        return length
    if length > 4 * SMALL_BYTES:
        raise ExchangeFailed("damaged", f"a record of the batch has {length} bytes")
    content = _exactly(response, length)
    if hashlib.sha256(content).digest() != checksum.bytes():
        return BY_ITSELF
    return Buffer._from_parts((content,), checksum)


def _exactly(response: Response, n_bytes: int) -> bytes:
    content = response.read_start(n_bytes)
    if len(content) != n_bytes:
        raise ExchangeFailed("truncated", "the batch ended early")
    return content


def _each(client: BufferClient, checksums: Sequence[Checksum]) -> list[Buffer | None]:
    return call_each(client.get_sync, checksums)


def write_many(client: BufferClient, buffers: Sequence[Buffer]) -> None:
    """Upload the buffers; returns when all are acknowledged."""
    unique = list({buffer.get_checksum(): buffer for buffer in buffers}.values())
    alone = unique
    if len(unique) > 1 and client.can("batch-put"):
        alone = [buffer for buffer in unique if len(buffer) > SMALL_BYTES]
        batch: list[Buffer] = []
        size = 0
        for buffer in unique:
            if len(buffer) > SMALL_BYTES:
                continue
            if len(batch) == BATCH_RECORDS or size + len(buffer) + 40 > BATCH_BYTES:
                _put_batch(client, batch)
                batch, size = [], 0
            batch.append(buffer)
            size += len(buffer) + 40
        if batch:
            _put_batch(client, batch)
    call_each(lambda buffer: client.write_sync(buffer.get_checksum(), buffer), alone)


def _put_batch(client: BufferClient, buffers: Sequence[Buffer]) -> None:
    parts: list[bytes | memoryview] = []
    for buffer in buffers:
        parts.append(buffer.get_checksum().bytes() + len(buffer).to_bytes(8, "big"))
        parts.extend(buffer.parts)
    # Joined: a thousand small parts would be a thousand system calls.
    body = PartsBody((b"".join(parts),))
    headers = {"Content-Type": "application/octet-stream"}

    def stored(response: Response) -> None:
        import json

        answer = response.read(64 * 1024)
        try:
            n_stored = json.loads(answer).get("stored")
        except (ValueError, AttributeError, RecursionError):
            n_stored = None
        if n_stored != len(buffers):
            raise ExchangeFailed("damaged", f"{answer[:80]!r} does not acknowledge {len(buffers)} buffers")

    client._request("POST", "/buffers", stored, headers=headers, body=body)

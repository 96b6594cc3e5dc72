"""Many buffers in one body: records one after another, nothing around them. Pure.

A record of an upload: 32 bytes digest, 8 bytes length (unsigned, big-endian), the bytes. A record of an answer: the
same with a signed length; -1 stands for a buffer that is absent, -2 for one that is to be fetched by itself, and
nothing follows then.
"""

from __future__ import annotations

from collections.abc import Iterator

__all__ = (
    "ABSENT",
    "BY_ITSELF",
    "MAX_BODY_BYTES",
    "MAX_RECORDS",
    "RecordsMalformed",
    "RecordsReader",
    "record",
)

ABSENT, BY_ITSELF = -1, -2
MAX_RECORDS = 10_000
MAX_BODY_BYTES = 64 * 1024 * 1024
_HEAD_BYTES = 40


class RecordsMalformed(Exception):
    """A body does not consist of whole records.

    Remedy: for each buffer send its 32-byte digest, its length in 8 bytes, big-endian, and its bytes.
    """


def record(digest: bytes, content: bytes | memoryview | int) -> bytes:
    """Return the record of a buffer, or of the reason (ABSENT, BY_ITSELF) why it is not there."""
    if isinstance(content, int):
        return digest + content.to_bytes(8, "big", signed=True)
    return b"".join((digest, len(content).to_bytes(8, "big"), content))


class RecordsReader:
    """Takes a body chunk by chunk and gives the records that are complete."""

    def __init__(self) -> None:
        self.n_records = 0
        self._rest = bytearray()

    def feed(self, chunk: bytes) -> Iterator[tuple[bytes, bytes]]:
        """Yield (digest, bytes). Raises RecordsMalformed."""
        rest = self._rest
        rest += chunk
        position = 0
        while len(rest) - position >= _HEAD_BYTES:
            size_bytes = int.from_bytes(rest[position + 32 : position + _HEAD_BYTES], "big")
            if size_bytes > MAX_BODY_BYTES:
                raise RecordsMalformed(f"a record announces {size_bytes} bytes; {MAX_BODY_BYTES} are allowed")
            behind = position + _HEAD_BYTES + size_bytes
            if len(rest) < behind:
                break
            self.n_records += 1
            if self.n_records > MAX_RECORDS:
                raise RecordsMalformed(f"there are more than {MAX_RECORDS} records")
            yield bytes(rest[position : position + 32]), bytes(rest[position + _HEAD_BYTES : behind])
            position = behind
        del rest[:position]

    def finish(self) -> None:
        """Declare the end. Raises RecordsMalformed inside a record."""
        if self._rest:
            raise RecordsMalformed(f"the body ends inside a record ({len(self._rest)} bytes of it)")

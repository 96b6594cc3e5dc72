"""From what goes wrong in the storage engine to what a client is told: status, cause, hint.

No path of the server stands in an answer; the log has it.
"""

from __future__ import annotations

import json

from seamless_service.answers import RequestRefused
from seamless_store.errors import (
    BufferDamaged,
    CompressedStreamInvalid,
    DecompressionLimitExceeded,
    DigestMismatch,
    StoreClosed,
    StoreError,
    StoreFull,
    StoreReadOnly,
)

from .quick_answers import QuickAnswer, json_answer, status_answer

__all__ = ("damage_answer", "refusal_of", "upload_failure")


def upload_failure(exc: StoreError) -> QuickAnswer:
    """Return the answer for an upload that was not stored, or raise RequestRefused with what the cause is."""
    if isinstance(exc, DigestMismatch):
        return status_answer(400, b"Incorrect checksum")
    if isinstance(exc, CompressedStreamInvalid):
        return status_answer(400, b"Invalid compressed payload")
    raise refusal_of(exc) from exc


def refusal_of(exc: StoreError) -> RequestRefused:
    """Return the refusal that tells the cause."""
    if isinstance(exc, StoreFull):
        return RequestRefused(
            507,
            "store_full",
            "The server's disk, or the quota of its user, is full; the buffer was not stored.",
            hint="free space on the server (df -h, df -i, quota), then upload again",
        )
    if isinstance(exc, DecompressionLimitExceeded):
        return RequestRefused(
            413,
            "decompression_limit",
            "The compressed stream yields more bytes than this server accepts.",
            hint="upload the buffer plain",
        )
    if isinstance(exc, StoreReadOnly):
        return RequestRefused(
            500,
            "store_read_only",
            "The server may not write into its directory.",
            hint="check the owner and mode of the server's directory, and whether its disk is mounted read-only",
        )
    if isinstance(exc, BufferDamaged):
        return RequestRefused(
            500,
            "damaged_in_the_way",
            "A damaged file is in the place of this buffer, and the server may not move it away.",
            hint="let its owner, or an administrator, remove the file; the server's log names it",
        )
    if isinstance(exc, StoreClosed):
        return RequestRefused(503, "ending", "The server is about to end.", headers={"Retry-After": "1"})
    return RequestRefused(
        500, "store_failed", "The server's disk failed.", hint="the server's log has the cause"
    )


def damage_answer(checksum: str, exc: BufferDamaged, hash_algorithm: str) -> QuickAnswer:
    """Return the answer for a buffer of which there is only a damaged file."""
    if "regular file" in exc.cause:
        message = f"The entry of {checksum} is not a file."
    else:
        message = (
            f"File corruption: the file of {checksum} does not have the correct {hash_algorithm} checksum."
        )
    return json_answer(400, json.dumps({"message": message}).encode())

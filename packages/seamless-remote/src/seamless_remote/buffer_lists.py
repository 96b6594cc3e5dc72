"""Ask a hashserver about many buffers at once: which are there, and how long they are."""

from __future__ import annotations

import hashlib

from .errors import AnswerDamaged
from .http_message import PartsBody

TYPE_CHECKING = False  # importing typing costs a command 6 ms
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Any

    from seamless.checksum import Checksum

    from .buffer_client import BufferClient
    from .light_http import Response

__all__ = ("lengths", "present")

MANY = 10_000
ANSWER_LIMIT_BYTES = 4 * 1024 * 1024
_EMPTY = hashlib.sha256(b"").digest()


def present(client: BufferClient, checksums: Sequence[Checksum], *, promised: bool) -> list[bool]:
    """Tell which buffers the server holds; with `promised`, those that were announced count too."""
    answers = _ask(client, "/has" if promised else "/has-now", checksums)
    return [bool(answer) for answer in answers]


def lengths(client: BufferClient, checksums: Sequence[Checksum]) -> list[int | None]:
    """Return the lengths; None for what the server does not hold.

    The protocol answers 0 for absent and for the empty buffer alike, and true for a promised one, held or not;
    those are asked about once more.
    """
    found: list[int | None] = []
    for checksum, answer in zip(checksums, _ask(client, "/buffer-length", checksums), strict=True):
        if answer is True:
            found.append(_length_of_promised(client, checksum))
        elif answer:
            found.append(int(answer))
        elif checksum.bytes() == _EMPTY and present(client, [checksum], promised=False)[0]:
            found.append(0)
        else:
            found.append(None)
    return found


def _length_of_promised(client: BufferClient, checksum: Checksum) -> int | None:
    if not present(client, [checksum], promised=False)[0]:
        return None
    buffer = client.get_sync(checksum)
    return None if buffer is None else len(buffer)


def _ask(client: BufferClient, route: str, checksums: Sequence[Checksum]) -> list[Any]:
    answers: list[Any] = []
    method = "POST" if client.can("post-lists") else "GET"
    for start in range(0, len(checksums), MANY):
        asked = checksums[start : start + MANY]
        body = ("[" + ", ".join(f'"{checksum.hex()}"' for checksum in asked) + "]").encode()
        headers = {"Content-Type": "application/json"}
        text = client._request(method, route, _body, headers=headers, body=PartsBody((body,)))
        answers += _parsed(client, route, text, len(asked))
    return answers


def _body(response: Response) -> bytes:
    return response.read(ANSWER_LIMIT_BYTES)


def _parsed(client: BufferClient, route: str, text: bytes, expected: int) -> list[Any]:
    import json

    try:
        answers = json.loads(text)
    except (ValueError, RecursionError):
        answers = None
    if (
        isinstance(answers, list)
        and len(answers) == expected
        and all(isinstance(answer, int) and answer >= 0 for answer in answers)
    ):
        return answers
    raise AnswerDamaged(
        f"{client.service} at {client.url} answered {route} with {text[:120]!r} instead of a list of {expected}.",
        service=client.service,
        url=client.url or "",
        remedy="look whether this is the address of a hashserver.",
    )

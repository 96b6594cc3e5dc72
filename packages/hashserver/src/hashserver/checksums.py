"""Checksums on the wire: 64 hex digits, upper case welcome; and how a request with other data is refused.

The refusal is a JSON body of this form, which clients of Seamless 1.4 know; only the first problem is told:

    {"message": "Invalid data", "exception": {"type": ..., "loc": [...], "msg": ..., "input": ...}}
"""

from __future__ import annotations

import json
import re
from collections.abc import Sequence

__all__ = ("InvalidData", "digest_of", "digests_of_list")

_CHECKSUM = re.compile(r"[0-9a-fA-F]{64}")
_NOT_HEX = re.compile(r"[^0-9a-fA-F]")
_MAX_SHOWN = 200  # characters of an input that are sent back


class InvalidData(Exception):
    """A request holds something else than the checksums that it should.

    kind, place, text, found: what the answer says, as type, loc, msg and input.

    Remedy: send checksums as strings of 64 hexadecimal digits; lists as JSON, with Content-Type: application/json.
    """

    def __init__(self, kind: str, place: Sequence[str | int], text: str, found: object) -> None:
        super().__init__(text)
        self.kind = kind
        self.place = list(place)
        self.text = text
        self.found = found

    def body(self) -> bytes:
        """Return the body of the answer."""
        found = self.found
        if isinstance(found, str) and len(found) > _MAX_SHOWN:
            found = found[:_MAX_SHOWN] + "..."
        problem = {"type": self.kind, "loc": self.place, "msg": self.text, "input": found}
        answer = {"message": "Invalid data", "exception": problem}
        return json.dumps(answer, separators=(",", ":"), ensure_ascii=False).encode("utf-8", "replace")


def digest_of(text: str, place: Sequence[str | int] = ("path", "checksum")) -> bytes:
    """Return the digest that the text names. Raises InvalidData."""
    if _CHECKSUM.fullmatch(text):
        return bytes.fromhex(text)
    wrong = _NOT_HEX.search(text)
    if len(text) % 2 or wrong is None:
        raise InvalidData("value_error", place, "Value error, Wrong length", text)
    reason = f"Value error, non-hexadecimal number found in fromhex() arg at position {wrong.start()}"
    raise InvalidData("value_error", place, reason, text)


def digests_of_list(body: bytes, content_type: str) -> list[bytes]:
    """Return the digests in a JSON list of checksums. Raises InvalidData."""
    if not body:
        raise InvalidData("missing", ["body"], "Field required", None)
    if not _is_json(content_type):
        text = body[: _MAX_SHOWN * 4 + 4].decode("utf-8", "replace")
        raise InvalidData("list_type", ["body"], "Input should be a valid list", text)
    try:
        found = json.loads(body)
    except RecursionError:
        raise InvalidData("json_invalid", ["body", 0], "JSON decode error", {}) from None
    except ValueError as exc:
        raise InvalidData("json_invalid", ["body", getattr(exc, "pos", 0)], "JSON decode error", {}) from exc
    if not isinstance(found, list):
        raise InvalidData("list_type", ["body"], "Input should be a valid list", _bounded(found))
    digests = []
    for index, element in enumerate(found):
        if not isinstance(element, str):
            text = "Input should be a valid string"
            raise InvalidData("string_type", ["body", index], text, _bounded(element))
        digests.append(digest_of(element, ("body", index)))
    return digests


def _is_json(content_type: str) -> bool:
    kind = content_type.partition(";")[0].strip().lower()
    return kind == "application/json" or (kind.startswith("application/") and kind.endswith("+json"))


def _bounded(found: object) -> object:
    """Return what may be sent back of an input: all of it only if it is small."""
    return found if len(json.dumps(found)) <= _MAX_SHOWN else None

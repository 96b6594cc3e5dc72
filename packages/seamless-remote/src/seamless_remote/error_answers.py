"""What a server says when it refuses: our JSON shape, or plain text, bounded and printable."""

from __future__ import annotations

TYPE_CHECKING = False  # importing typing costs a command 6 ms
if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ("StatusRefused", "said")

SHOWN_CHARACTERS = 400


class StatusRefused(Exception):
    """One answer with a status that the caller does not understand; the clients turn it into a RequestFailed.

    Remedy: call through a client (`BufferClient`, `DatabaseClient`), which explains.
    """

    def __init__(self, status: int, body: bytes, headers: Mapping[str, str]) -> None:
        super().__init__(status)
        self.status = status
        self.body = body
        self.headers = headers

    @property
    def retry_after_s(self) -> float | None:
        text = self.headers.get("retry-after", "")
        return float(text) if text.isascii() and text.isdigit() and len(text) < 6 else None


def said(text: str, headers: Mapping[str, str]) -> tuple[str, str]:
    """Return what a server said, and its hint: our JSON shape, or plain text."""
    if "json" in headers.get("content-type", "").lower():
        import json

        try:
            fields = json.loads(text)
        except (ValueError, RecursionError):
            fields = None
        if isinstance(fields, dict) and isinstance(fields.get("message"), str):
            request = fields.get("request_id")
            message = _shown(fields["message"]) + (f" [request {_shown(str(request))}]" if request else "")
            return message, _shown(str(fields.get("hint") or ""))
    return _shown(text) or "(no text)", ""


def _shown(text: str) -> str:
    printable = "".join(letter if letter.isprintable() else " " for letter in text.strip())
    return printable if len(printable) <= SHOWN_CHARACTERS else printable[: SHOWN_CHARACTERS - 3] + "..."

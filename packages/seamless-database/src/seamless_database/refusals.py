"""The answers that are no success, in the words that the protocol fixes."""

from __future__ import annotations

__all__ = ("ProtocolRefusal", "malformed", "refuse_unless")


class ProtocolRefusal(Exception):
    """A request that breaks the protocol, or asks for what is not there. It becomes the answer.

    status: HTTP status. text: the body, of which clients know some by heart.

    Remedy: send what contracts/database-protocol.md describes for this type of request.
    """

    def __init__(self, status: int, text: str) -> None:
        super().__init__(text)
        self.status = status
        self.text = text


def malformed(text: str = "Malformed request") -> ProtocolRefusal:
    """Return the refusal 400 with this text."""
    return ProtocolRefusal(400, f"ERROR: {text}")


def refuse_unless(condition: bool, text: str = "Malformed request") -> None:
    """Raise the refusal 400 with this text unless the condition holds."""
    if not condition:
        raise malformed(text)

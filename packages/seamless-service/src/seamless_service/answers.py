"""Errors as answers: one JSON shape for every service, where the protocol leaves the body free.

{"error": "token_refused", "message": "...", "hint": "...", "detail": {...}, "request_id": "..."}
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from aiohttp import web

__all__ = ("ClientGone", "RequestRefused", "error_answer")


class RequestRefused(Exception):
    """A request that a service will not or cannot carry out. It becomes the answer.

    status: HTTP status. error: name of the cause, for programs. detail: what a program may want to know.
    headers: of the answer. No path of the server may stand in any of them.

    Remedy: do what the answer's hint says.
    """

    def __init__(
        self,
        status: int,
        error: str,
        message: str,
        *,
        hint: str = "",
        detail: Mapping[str, Any] | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(message)
        self.status = status
        self.error = error
        self.message = message
        self.hint = hint
        self.detail = dict(detail or {})
        self.headers = dict(headers or {})


class ClientGone(ConnectionError):
    """A client went away before its request was complete; nobody is there to answer.

    Remedy: nothing is to be done here; the client should try again.
    """


def error_answer(refused: RequestRefused, request_id: str) -> web.Response:
    """Return the answer for a refused request."""
    body = {
        "error": refused.error,
        "message": refused.message,
        "hint": refused.hint,
        "detail": refused.detail,
        "request_id": request_id,
    }
    return web.Response(
        status=refused.status,
        headers={**refused.headers, "X-Request-Id": request_id},
        body=json.dumps(body).encode(),
        content_type="application/json",
    )

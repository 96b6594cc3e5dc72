"""Web pages in a browser: shut out, but for the origins that `--cors-origin` names.

A browser marks what it sends with `Origin` and `Sec-Fetch-Site`. Requests of a page from elsewhere are refused, and
so are those that a page reaches by a name of its own that leads to this address (DNS rebinding): a loopback
service without token must not be open to every page that its user visits. Other programs send no such headers.
"""

from __future__ import annotations

from collections.abc import Mapping

from aiohttp import web

from .answers import RequestRefused, error_answer

__all__ = ("ANSWER_HEADERS", "Cors")

ANSWER_HEADERS = "answer_headers"  # key of the request under which they stand

_METHODS = "GET, HEAD, PUT, POST, DELETE"
_MAX_AGE_S = 600


class Cors:
    """origins: those whose pages are let in, as browsers write them (`https://host:port`), or `*` for all."""

    def __init__(self, origins: tuple[str, ...] = ()) -> None:
        self._origins = frozenset(origin.rstrip("/") for origin in origins)

    def concerns(self, headers: Mapping[str, str]) -> bool:
        """Tell whether a browser's page sent the request."""
        return "Sec-Fetch-Site" in headers or "Origin" in headers

    def admit(self, request: web.BaseRequest) -> web.StreamResponse | None:
        """Return the answer of a preflight or a refusal, or None if the request goes on; then its answer is marked."""
        headers = request.headers
        origin = headers.get("Origin")
        if origin is not None and ("*" in self._origins or origin in self._origins):
            allowed = {"Access-Control-Allow-Origin": origin, "Vary": "Origin"}
            if request.method == "OPTIONS" and "Access-Control-Request-Method" in headers:
                allowed["Access-Control-Allow-Methods"] = _METHODS
                allowed["Access-Control-Allow-Headers"] = headers.get("Access-Control-Request-Headers", "*")
                allowed["Access-Control-Max-Age"] = str(_MAX_AGE_S)
                return web.Response(body=b"OK", headers=allowed)
            request[ANSWER_HEADERS] = allowed
            return None
        if headers.get("Sec-Fetch-Site", "none") != "none":
            refused = RequestRefused(
                403,
                "origin_refused",
                "Web pages may not use this service.",
                hint="start it with --cors-origin ORIGIN to let the pages of one origin in",
            )
            return error_answer(refused, str(request.get("request_id", "-")))
        return None

"""The address of the request that shows that a service answers."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from .configuration import Handshake

__all__ = ("handshake_url",)


def handshake_url(host: str, port: int, handshake: Handshake | None) -> str:
    """Return `http://HOST:PORT/PATH?QUERY`. A query inside the path is merged with the parameters, which win.

    An IPv6 address is put into brackets. None: the root.
    """
    bracketed = f"[{host}]" if ":" in host and not host.startswith("[") else host
    path, _, query = ("" if handshake is None else handshake.path).partition("?")
    parameters = {} if handshake is None else handshake.parameters
    if query or parameters:
        from urllib.parse import parse_qsl, urlencode

        query = urlencode({**dict(parse_qsl(query, keep_blank_values=True)), **parameters})
    return f"http://{bracketed}:{port}/{path.lstrip('/')}" + (f"?{query}" if query else "")

"""Ask a service whether it answers, and who it is: one GET, over a plain socket.

The HTTP modules of the standard library take longer to import than a helper may run. The request is HTTP/1.0, so the
answer is not chunked. Everything that is read has a bound, and the whole exchange has one deadline.
"""

from __future__ import annotations

import time

from .errors import UsageError
from .small_json import loads

TYPE_CHECKING = False  # importing typing costs a helper 6 ms
if TYPE_CHECKING:
    from _socket import socket
    from typing import Any

__all__ = ("Probe", "connect_error", "probe")

HEAD_MAX_BYTES = 32 * 1024
BODY_MAX_BYTES = 64 * 1024  # of an identity
_REDIRECTS = (301, 302, 303, 307, 308)


class Probe:
    """What came back. status: of HTTP, None if there was no answer. identity: the service's, None if it gives none.

    error: why there was no answer, else the reason phrase.
    """

    __slots__ = ("error", "identity", "status")

    def __init__(self, status: int | None, identity: dict[str, Any] | None, error: str = "") -> None:
        self.status = status
        self.identity = identity
        self.error = error

    @property
    def is_healthy(self) -> bool:
        """Whether the status is one of success."""
        return self.status is not None and 200 <= self.status < 300


def probe(url: str, timeout_s: float = 10.0) -> Probe:
    """Ask once; a redirect is an answer, and where it leads nobody is asked.

    Raises UsageError for what is no http or https address.
    """
    is_tls, host, port, target = _split(url)
    try:
        head, body = _get(is_tls, host, port, target, time.monotonic() + timeout_s)
    except (OSError, ValueError) as exc:
        return Probe(None, None, str(exc) or type(exc).__name__)
    lines = head.decode("latin-1").split("\r\n")
    version, _, rest = lines[0].partition(" ")
    if not version.startswith("HTTP/1.") or not rest[:3].isdigit():
        return Probe(None, None, "the answer is not HTTP")
    status = int(rest[:3])
    if status in _REDIRECTS:
        location = _header(lines, "location")[:200]
        return Probe(status, None, f"a redirect to {location!r}, which is not followed")
    return Probe(status, _identity(body), rest[4:])


def connect_error(host: str, port: int, timeout_s: float = 2.0) -> str:
    """Return why nobody can be connected to there, "" if somebody listens."""
    try:
        _connect(host, port, time.monotonic() + timeout_s).close()
    except (OSError, ValueError) as exc:
        return str(exc)
    return ""


def _connect(host: str, port: int, deadline: float) -> socket:
    """Return a connection to the first address of the host that accepts one.

    As `socket.create_connection`, by the module below `socket`, whose import and IDNA would cost a helper 15 ms.
    """
    import _socket  # private, but what socket has always been made of

    error: OSError | None = None
    found = _socket.getaddrinfo(host.encode("ascii"), port, 0, _socket.SOCK_STREAM)
    for family, kind, protocol, _, address in found:
        connection = _socket.socket(family, kind, protocol)
        try:
            connection.settimeout(_left(deadline))
            connection.connect(address)
        except OSError as exc:
            connection.close()
            error = exc
        else:
            return connection
    raise error or OSError(f"{host} has no address")


def _get(is_tls: bool, host: str, port: int, target: str, deadline: float) -> tuple[bytes, bytes]:
    connection = _connect(host, port, deadline)
    try:
        if is_tls:
            connection = _over_tls(connection, host)
        request = (
            f"GET {target} HTTP/1.0\r\nHost: {_authority(host, port)}\r\n"
            "Accept: application/json\r\nConnection: close\r\n\r\n"
        )
        connection.settimeout(_left(deadline))
        connection.sendall(request.encode("ascii"))
        return _read_answer(connection, deadline)
    finally:
        connection.close()


def _over_tls(connection: socket, host: str) -> socket:
    import socket
    import ssl

    whole = socket.socket(fileno=connection.detach())
    whole.settimeout(connection.gettimeout())
    try:
        return ssl.create_default_context().wrap_socket(whole, server_hostname=host)
    except BaseException:
        whole.close()
        raise


def _read_answer(connection: socket, deadline: float) -> tuple[bytes, bytes]:
    received = b""
    wanted: int | None = None  # bytes in all, once the head says so
    head_end = -1
    while wanted is None or len(received) < wanted:
        connection.settimeout(_left(deadline))
        piece = connection.recv(65536)
        if not piece:
            break
        received += piece
        if head_end < 0:
            head_end = received.find(b"\r\n\r\n")
            if head_end < 0 and len(received) > HEAD_MAX_BYTES:
                raise ValueError("the head of the answer is too long")
            if head_end >= 0:
                length = _header(received[:head_end].decode("latin-1").split("\r\n"), "content-length")
                n_body = int(length) if length.isdigit() and len(length) < 16 else BODY_MAX_BYTES
                wanted = head_end + 4 + min(n_body, BODY_MAX_BYTES)
    if head_end < 0:
        raise ValueError("the connection was closed without an answer")
    return received[:head_end], received[head_end + 4 :]


def _left(deadline: float) -> float:
    left_s = deadline - time.monotonic()
    if left_s <= 0:
        raise TimeoutError("timed out")
    return left_s


def _header(lines: list[str], name: str) -> str:
    for line in lines[1:]:
        found, _, value = line.partition(":")
        if found.strip().lower() == name:
            return value.strip()
    return ""


def _identity(body: bytes) -> dict[str, Any] | None:
    if not body.lstrip().startswith(b"{"):
        return None
    try:
        found = loads(body.decode("utf-8"))
    except ValueError:
        return None
    return found if isinstance(found, dict) and isinstance(found.get("service"), str) else None


def _authority(host: str, port: int) -> str:
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def _split(url: str) -> tuple[bool, str, int, str]:
    """Return whether it is https, host, port and target of the request."""
    wrong = UsageError(
        "URL must use http or https and include a host", hint="rhl-handshake http://HOST:PORT/PATH"
    )
    scheme, separator, rest = url.partition("://")
    scheme = scheme.lower()
    if (
        scheme not in ("http", "https")
        or not separator
        or not url.isascii()
        or not url.isprintable()
        or " " in url
    ):
        raise wrong
    rest = rest.partition("#")[0]
    end = min((rest.find(mark) % (len(rest) + 1) for mark in "/?"), default=len(rest))
    authority, target = rest[:end], rest[end:]
    if authority.startswith("["):
        host, _, port = authority[1:].partition("]")
        port = port.removeprefix(":")
    else:
        host, _, port = authority.partition(":")
    port = port or ("443" if scheme == "https" else "80")
    if not host or "@" in authority or not port.isdigit() or not 0 < int(port) < 65536:
        raise wrong
    return scheme == "https", host, int(port), target if target.startswith("/") else f"/{target}"

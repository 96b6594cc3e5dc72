"""HTTP/1.1 as the light client speaks it: addresses, heads of answers, bodies of requests. Pure, no sockets.

Strict: what is ambiguous (two lengths, folded headers, a length besides chunks, control characters) is refused
as damaged, because an answer that is cut in the wrong place would be a wrong answer. Bounded: a head has at most
HEAD_LIMIT_BYTES and HEADER_LIMIT headers.
"""

from __future__ import annotations

import os

from .errors import ClientMisconfigured

TYPE_CHECKING = False  # importing typing costs a command 6 ms
if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

__all__ = ("Endpoint", "ExchangeFailed", "FileBody", "Head", "PartsBody", "parse_head", "request_head")

HEAD_LIMIT_BYTES = 64 * 1024
HEADER_LIMIT = 100
PIECE_BYTES = 1024 * 1024
_TOKEN = frozenset("!#$%&'*+-.^_`|~0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz")
_DIGITS = frozenset("0123456789")


class ExchangeFailed(Exception):
    """One attempt at a request failed on the way; the clients turn it into a RemoteError after the last one.

    kind: "refused", "unknown-host", "unreachable", "connect-timeout", "timeout", "reset", "truncated", "damaged",
    "too-large" or "source" (the body could not be read). heals: whether another attempt may do better.
    stale: a kept connection was dead before the first byte of the answer.

    Remedy: call through a client (`BufferClient`, `DatabaseClient`), which tries again and explains.
    """

    def __init__(self, kind: str, detail: str, *, stale: bool = False) -> None:
        super().__init__(f"{kind}: {detail}")
        self.kind = kind
        self.detail = detail
        self.stale = stale

    @property
    def heals(self) -> bool:
        return self.kind in ("refused", "unreachable", "connect-timeout", "reset", "truncated")


class Endpoint:
    """The address of a service: scheme, host, port, and a path before every target."""

    __slots__ = ("authority", "host", "port", "prefix", "scheme", "url")

    def __init__(self, url: str) -> None:
        """Parse `http://HOST[:PORT][/PATH]` (or https). Raises ClientMisconfigured."""
        self.url = url.rstrip("/")
        scheme, separator, rest = self.url.partition("://")
        self.scheme = scheme.lower()
        if not separator or self.scheme not in ("http", "https"):
            raise _bad_url(url, "it does not start with http:// or https://")
        if any(letter <= " " or letter > "~" or letter in "?#@\\" for letter in rest):
            raise _bad_url(
                url if "@" not in url else "(with a user name)",
                "it holds blanks, a user, a query or a fragment",
            )
        self.authority, slash, path = rest.partition("/")
        self.prefix = slash + path
        host, bracket, port = self.authority.rpartition("]")
        if bracket:
            self.host = host.lstrip("[")
            port = port.removeprefix(":")
        else:
            self.host, _, port = self.authority.partition(":")
        if not self.host or (port and not _DIGITS.issuperset(port)) or len(port) > 5:
            raise _bad_url(url, "host and port cannot be read")
        self.port = int(port) if port else (443 if self.scheme == "https" else 80)
        if not 0 < self.port < 65536:
            raise _bad_url(url, f"{port} is no port")


class Head:
    """Status line and headers of an answer; header names in lower case."""

    __slots__ = ("headers", "keeps_alive", "length", "reason", "status")

    def __init__(self, status: int, reason: str, headers: dict[str, str], *, minor: int) -> None:
        self.status = status
        self.reason = reason
        self.headers = headers
        connection = headers.get("connection", "").lower()
        self.keeps_alive = "close" not in connection and (minor >= 1 or "keep-alive" in connection)
        self.length: int | None = _length_of(self)


def parse_head(data: bytes) -> Head:
    """Parse a head, without its final blank line. Raises ExchangeFailed("damaged")."""
    text = data.decode("latin-1")
    lines = text.split("\r\n")
    n_ends = len(lines) - 1
    first = lines[0]
    status = first[9:12]
    if (
        first[:9] not in ("HTTP/1.1 ", "HTTP/1.0 ")
        or len(status) != 3
        or not _DIGITS.issuperset(status)
        or first[12:13] not in ("", " ")
    ):
        raise ExchangeFailed("damaged", f"the answer does not start as HTTP/1.1 but with {first[:60]!r}")
    if n_ends > HEADER_LIMIT:
        raise ExchangeFailed("damaged", f"the answer has more than {HEADER_LIMIT} headers")
    if text.count("\r") != n_ends or text.count("\n") != n_ends or "\0" in text:
        raise ExchangeFailed("damaged", "the answer has headers with stray control characters")
    headers: dict[str, str] = {}
    for line in lines[1:]:
        name, colon, value = line.partition(":")
        if not colon or not name or not _TOKEN.issuperset(name):
            raise ExchangeFailed("damaged", f"the answer has a malformed header: {line[:60]!r}")
        key = name.lower()
        value = value.strip(" \t")
        if key in headers:
            if key in ("content-length", "transfer-encoding") and headers[key] != value:
                raise ExchangeFailed("damaged", f"the answer has two different headers {key}")
            value = headers[key] if key == "content-length" else f"{headers[key]}, {value}"
        headers[key] = value
    return Head(int(status), first[13:], headers, minor=int(first[7]))


def request_head(
    method: str, endpoint: Endpoint, target: str, headers: Mapping[str, str], token: bytes
) -> bytes:
    """Return the head of a request, with its final blank line.

    Raises ValueError for what could smuggle in another header or request.
    """
    if not target.startswith("/") or not (target.isascii() and target.isprintable()) or " " in target:
        raise ValueError(f"{target[:80]!r} is no request target")
    lines = [f"{method} {endpoint.prefix}{target} HTTP/1.1\r\nHost: {endpoint.authority}\r\n"]
    for name, value in headers.items():
        if any(letter in "\r\n\0" for letter in name + value):
            raise ValueError(f"header {name!r} has a line break")
        lines.append(f"{name}: {value}\r\n")
    return "".join(lines).encode("latin-1") + token + b"\r\n"


class PartsBody:
    """A request body out of parts that lie in memory; sent without joining them when they are large."""

    __slots__ = ("length", "parts")

    def __init__(self, parts: Sequence[bytes | memoryview]) -> None:
        self.parts = parts
        self.length = sum(map(len, parts))

    def chunks(self) -> Iterator[memoryview]:
        for part in self.parts:
            view = memoryview(part)
            for start in range(0, len(view), PIECE_BYTES):
                yield view[start : start + PIECE_BYTES]


class FileBody:
    """A request body out of a file, opened anew for each attempt. length: its size now, or as given."""

    __slots__ = ("length", "path")

    def __init__(self, path: str | os.PathLike[str], *, length: int | None = None) -> None:
        self.path = os.fspath(path)
        self.length = os.stat(self.path).st_size if length is None else length


def _length_of(head: Head) -> int | None:
    """Return the number of body bytes; None: chunked, or until the end of the connection."""
    text = head.headers.get("content-length")
    coding = head.headers.get("transfer-encoding")
    if coding is not None:
        if coding.lower() != "chunked" or text is not None:
            raise ExchangeFailed(
                "damaged", f"the answer has the transfer encoding {coding[:40]!r}, or a length besides"
            )
        return None
    if head.status < 200 or head.status in (204, 304):
        return 0
    if text is None:
        if head.status < 400:
            raise ExchangeFailed("damaged", "the answer does not say how long it is")
        head.keeps_alive = False
        return None
    if not text or not _DIGITS.issuperset(text) or len(text) > 18:
        raise ExchangeFailed("damaged", f"the answer has the length {text[:40]!r}")
    return int(text)


def _bad_url(url: str, why: str) -> ClientMisconfigured:
    return ClientMisconfigured(
        f"{url[:200]!r} cannot be the address of a service: {why}.", remedy="write http://HOST:PORT."
    )

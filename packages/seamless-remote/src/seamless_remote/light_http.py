"""A light, strict, bounded HTTP/1.1 client for small requests from any thread: no asyncio, no http.client, no email.

Kept connections lie on a stack; a request takes the one used last or makes a new one, so that each connection is
used by one thread at a time and there are never more than requests under way at once. A kept connection that the server
closed meanwhile is found before it is used, or fails before the first byte of the answer and is replaced once.
After a fork the child closes its copies without a word to the server and uses connections of its own.
No proxy of the environment is used. https works too, and imports ssl then.

>>> client = LightClient("http://127.0.0.1:1")
>>> client.endpoint.port
1
"""

from __future__ import annotations

import os
import weakref

from .http_message import Endpoint, ExchangeFailed, FileBody, Head, PartsBody, request_head
from .light_connection import Connection
from .timeouts import Timeouts

TYPE_CHECKING = False  # importing typing costs a command 6 ms
if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from types import TracebackType

__all__ = ("LightClient", "Response")

MAX_IDLE = 32
DRAIN_BYTES = 256 * 1024  # what is left of an answer is read up to here, so that the connection can be kept
CHUNK_LINE_BYTES = 4096
NO_BODY_METHODS = ("GET", "HEAD")

_clients: weakref.WeakSet[LightClient] = weakref.WeakSet()


class LightClient:
    """Requests to one server. Thread-safe."""

    def __init__(self, url: str, *, timeouts: Timeouts | None = None) -> None:
        """Raises ClientMisconfigured for an address that cannot be used."""
        self.endpoint = Endpoint(url)
        self.timeouts = timeouts or Timeouts()
        self._idle: list[Connection] = []
        self._all: weakref.WeakSet[Connection] = weakref.WeakSet()
        self._generation = 0
        _clients.add(self)

    def open(
        self,
        method: str,
        target: str,
        *,
        headers: Mapping[str, str] | None = None,
        token: bytes = b"",
        body: PartsBody | FileBody | None = None,
        timeouts: Timeouts | None = None,
        idempotent: bool = True,
    ) -> Response:
        """Send a request and return its answer, of which the head is read. Close it, or use it with `with`.

        idempotent: the request may be sent again when a kept connection turns out to be dead.
        Raises ExchangeFailed, and ValueError for a target or header that is none.
        """
        timeouts = timeouts or self.timeouts
        sent_headers = dict(headers or ())
        if body is not None or method not in NO_BODY_METHODS:
            sent_headers["Content-Length"] = str(0 if body is None else body.length)
        head = request_head(method, self.endpoint, target, sent_headers, token)
        connection = self._take()
        if connection is not None:
            try:
                return self._exchange(connection, method, head, body, timeouts)
            except ExchangeFailed as exc:
                if not (exc.stale and idempotent):
                    raise
        connection = Connection(self.endpoint, timeouts)
        self._all.add(connection)
        return self._exchange(connection, method, head, body, timeouts)

    def _exchange(
        self,
        connection: Connection,
        method: str,
        head: bytes,
        body: PartsBody | FileBody | None,
        timeouts: Timeouts,
    ) -> Response:
        generation = self._generation
        try:
            connection.start(timeouts)
            return Response(
                self, connection, connection.send(head, body), generation, is_head=method == "HEAD"
            )
        except BaseException:
            connection.close()
            raise

    def _take(self) -> Connection | None:
        while True:
            try:
                connection = self._idle.pop()
            except IndexError:
                return None
            if not connection.is_stale():
                return connection
            connection.close()

    def _give_back(self, connection: Connection, generation: int) -> None:
        connection.answered += 1
        if generation != self._generation or len(self._idle) >= MAX_IDLE:
            connection.close()
        else:
            self._idle.append(connection)

    def close(self) -> None:
        """Close what is idle now, and what is in use when its request has ended. The client stays usable."""
        self._generation += 1
        while True:
            try:
                self._idle.pop().close()
            except IndexError:
                return

    def _after_fork(self) -> None:
        self._generation += 1
        self._idle = []
        for connection in list(self._all):
            connection.close()


class Response:
    """An answer: `status`, `headers` (lower-case names), `length` (None: not announced), and the body to be read."""

    __slots__ = ("_chunk_left", "_client", "_connection", "_done", "_generation", "_head", "_left", "length")

    def __init__(
        self, client: LightClient, connection: Connection, head: Head, generation: int, *, is_head: bool
    ) -> None:
        self._client = client
        self._connection: Connection | None = connection
        self._head = head
        self._generation = generation
        self.length = 0 if is_head else head.length
        self._left = self.length
        self._chunk_left = 0
        self._done = self.length == 0

    @property
    def status(self) -> int:
        return self._head.status

    @property
    def headers(self) -> dict[str, str]:
        return self._head.headers

    def read_into(self, view: memoryview) -> int:
        """Fill the beginning of `view`; 0 at the end of the body. Raises ExchangeFailed when it breaks off."""
        connection = self._connection
        if self._done or connection is None or not view:
            return 0
        try:
            if self._left is not None:
                n = connection.read_into(view[: self._left])
                self._left -= n
                self._done = not self._left
                return n
            if "transfer-encoding" not in self._head.headers:
                chunk = connection.read_some()
                self._done = not chunk
                n = min(len(chunk), len(view))
                view[:n] = chunk[:n]
                connection.unread(chunk[n:])
                return n
            if not self._chunk_left and not self._next_chunk(connection):
                return 0
            n = connection.read_into(view[: self._chunk_left])
            self._chunk_left -= n
            if not self._chunk_left:
                _expect_blank(connection)
            return n
        except BaseException:
            self._drop()
            raise

    def _next_chunk(self, connection: Connection) -> bool:
        line = connection.read_line(CHUNK_LINE_BYTES).split(b";", 1)[0].strip(b" \t")
        if not line or len(line) > 15 or not frozenset(b"0123456789abcdefABCDEF").issuperset(line):
            raise ExchangeFailed("damaged", f"a chunk of the answer has the length {line[:20]!r}")
        self._chunk_left = int(line, 16)
        if self._chunk_left:
            return True
        for _ in range(100):  # trailers
            if not connection.read_line(CHUNK_LINE_BYTES):
                self._done = True
                return False
        raise ExchangeFailed("damaged", "the answer has too many trailers")

    def read(self, limit_bytes: int) -> bytes:
        """Return the whole body. Raises ExchangeFailed("too-large") when it is longer than the limit."""
        connection = self._connection
        if self._left is not None and connection is not None:
            if self._left > limit_bytes:
                raise self._too_large(limit_bytes)
            whole = connection.take(self._left)
            if whole is not None:
                self._left, self._done = 0, True
                return whole
        pieces: list[bytes] = []
        total = 0
        for piece in self.pieces():
            total += len(piece)
            if total > limit_bytes:
                raise self._too_large(limit_bytes)
            pieces.append(bytes(piece))
        return b"".join(pieces)

    def read_start(self, limit_bytes: int) -> bytes:
        """Return the beginning of the body."""
        content = bytearray(min(limit_bytes, limit_bytes if self._left is None else self._left))
        view, total = memoryview(content), 0
        while total < len(content) and (n := self.read_into(view[total:])):
            total += n
        return bytes(view[:total])

    def pieces(self, size_bytes: int = 256 * 1024) -> Iterator[memoryview]:
        """Yield the body piece by piece; a piece is valid until the next one."""
        view = memoryview(bytearray(size_bytes if self._left is None else min(size_bytes, self._left)))
        while n := self.read_into(view):
            yield view[:n]

    def _too_large(self, limit_bytes: int) -> ExchangeFailed:
        self._drop()
        return ExchangeFailed("too-large", f"the answer is longer than {limit_bytes} bytes")

    def close(self) -> None:
        """Let go of the connection; it is kept when little of the body is left. Idempotent."""
        little_left = self._left is not None and 0 < self._left <= DRAIN_BYTES
        if self._connection is not None and self._head.keeps_alive and little_left:
            try:
                for _ in self.pieces(DRAIN_BYTES):
                    pass
            except ExchangeFailed:
                return
        connection, self._connection = self._connection, None
        if connection is None:
            return
        if self._done and self._head.keeps_alive:
            self._client._give_back(connection, self._generation)
        else:
            connection.close()

    def _drop(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.close()

    def __enter__(self) -> Response:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if error is None:
            self.close()
        else:
            self._drop()


def _expect_blank(connection: Connection) -> None:
    if connection.read_line(CHUNK_LINE_BYTES):
        raise ExchangeFailed("damaged", "a chunk of the answer is longer than it says")


def _forget_connections() -> None:
    for client in list(_clients):
        client._after_fork()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget_connections)

"""One connection of the light client: connect, send a request, read the head and the body of its answer.

Every wait has a limit: `read_s` between two arrivals of bytes, the head of an answer and the whole request a
deadline. A failure is an ExchangeFailed and leaves the connection closed. Used by one thread at a time.
"""

from __future__ import annotations

import select
import socket
import time

from .http_message import (
    HEAD_LIMIT_BYTES,
    PIECE_BYTES,
    Endpoint,
    ExchangeFailed,
    FileBody,
    Head,
    PartsBody,
    parse_head,
)

TYPE_CHECKING = False  # importing typing costs a command 6 ms
if TYPE_CHECKING:
    from .timeouts import Timeouts

__all__ = ("Connection",)

RECEIVE_BYTES = 64 * 1024
EXPECT_MIN_BYTES = 1024 * 1024  # above it, ask before sending: the server may have the buffer, or refuse it
EXPECT_WAIT_S = 1.0  # a server that does not know the question is sent the body after this
INTERIM_LIMIT = 8
_READABLE = select.POLLIN | select.POLLHUP | select.POLLERR


class Connection:
    """A connection to `endpoint`. `close` is idempotent."""

    __slots__ = ("__weakref__", "_data", "_deadline", "_limit", "_read_s", "_socket", "answered", "is_plain")

    def __init__(self, endpoint: Endpoint, timeouts: Timeouts) -> None:
        """Connect. Raises ExchangeFailed."""
        self._data = b""
        self._deadline: float | None = None
        self._read_s = timeouts.read_s
        self.answered = 0  # how many answers came whole over this connection
        self.is_plain = endpoint.scheme == "http"
        try:
            host: bytes | str = endpoint.host
            if endpoint.host.isascii():
                host = endpoint.host.encode("ascii")  # text would cost a command 3 ms for IDNA
            self._socket = socket.create_connection(
                (host, endpoint.port),  # type: ignore[arg-type]  # typeshed knows text only
                timeouts.connect_s,
            )
        except ConnectionRefusedError as exc:
            raise ExchangeFailed("refused", "connection refused") from exc
        except TimeoutError as exc:
            raise ExchangeFailed("connect-timeout", f"no connection within {timeouts.connect_s} s") from exc
        except socket.gaierror as exc:
            raise ExchangeFailed(
                "unknown-host", f"the host {endpoint.host} is unknown ({exc.strerror})"
            ) from exc
        except OSError as exc:
            raise ExchangeFailed("unreachable", f"cannot connect ({exc.strerror or exc})") from exc
        self._limit = timeouts.connect_s
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if not self.is_plain:
            import ssl

            try:
                self._socket = ssl.create_default_context().wrap_socket(
                    self._socket, server_hostname=endpoint.host
                )
            except OSError as exc:
                self.close()
                raise ExchangeFailed("unreachable", f"no TLS connection ({exc})") from exc

    def start(self, timeouts: Timeouts) -> None:
        """Begin a request: set its limits."""
        self._read_s = timeouts.read_s
        self._deadline = None if timeouts.total_s is None else time.monotonic() + timeouts.total_s

    def is_stale(self) -> bool:
        """Tell whether an idle connection cannot be used again: the server closed it, or sent what nobody asked for."""
        return bool(self._data) or bool(_poll(self._socket, _READABLE, 0.0))

    def close(self) -> None:
        sock = getattr(self, "_socket", None)
        if sock is not None:
            sock.close()

    def __del__(self) -> None:
        self.close()

    # --- sending ---

    def send(self, head: bytes, body: PartsBody | FileBody | None) -> Head:
        """Send the request and return the head of the final answer."""
        if body is None or not body.length:
            self._send_all(head)
            return self._read_head()
        if isinstance(body, PartsBody) and body.length <= RECEIVE_BYTES:
            self._send_all(b"".join((head, *body.parts)))
            return self._read_head()
        if body.length >= EXPECT_MIN_BYTES:
            self._send_all(head[:-2] + b"Expect: 100-continue\r\n\r\n")
            if self._wait(select.POLLIN, EXPECT_WAIT_S):
                answer = self._read_one_head()
                if answer.status != 100:
                    answer.keeps_alive = False  # the body that was announced did not follow
                    return answer
        else:
            self._send_all(head)
        try:
            whole = self._send_file(body) if isinstance(body, FileBody) else self._send_parts(body)
        except ExchangeFailed as exc:
            if exc.kind != "reset":
                raise
            try:  # the server may have answered before it closed
                answer = self._read_head()
            except ExchangeFailed:
                exc.stale = self.answered > 0
                raise exc from None
            answer.keeps_alive = False
            return answer
        answer = self._read_head()
        if not whole:
            answer.keeps_alive = False
        return answer

    def _send_all(self, data: bytes) -> None:
        self._arm()
        try:
            self._socket.sendall(data)
        except TimeoutError as exc:
            raise self._timed_out("the request could not be sent") from exc
        except OSError as exc:
            detail = f"connection lost while sending ({exc.strerror or exc})"
            raise ExchangeFailed("reset", detail, stale=self.answered > 0) from exc

    def _send_parts(self, body: PartsBody) -> bool:
        for chunk in body.chunks():
            left = chunk
            while left:
                if not self._can_send():
                    return False
                try:
                    left = left[self._socket.send(left) :]
                except TimeoutError as exc:
                    raise self._timed_out("the request could not be sent") from exc
                except OSError as exc:
                    raise ExchangeFailed(
                        "reset", f"connection lost while sending ({exc.strerror or exc})"
                    ) from exc
        return True

    def _send_file(self, body: FileBody) -> bool:
        import os

        try:
            file = open(body.path, "rb", buffering=0)  # noqa: SIM115 - closed below
        except OSError as exc:
            raise ExchangeFailed("source", f"cannot read {body.path!r} ({exc.strerror})") from exc
        with file:
            if not self.is_plain or not hasattr(os, "sendfile"):
                return self._send_file_by_copy(file.fileno(), body)
            offset = 0
            while offset < body.length:
                if not self._can_send():
                    return False
                step = min(body.length - offset, 4 * PIECE_BYTES)
                try:
                    sent = os.sendfile(self._socket.fileno(), file.fileno(), offset, step)
                except BlockingIOError:
                    continue
                except OSError as exc:
                    raise ExchangeFailed(
                        "reset", f"connection lost while sending ({exc.strerror or exc})"
                    ) from exc
                if not sent:
                    raise _shrank(body)
                offset += sent
        return True

    def _send_file_by_copy(self, descriptor: int, body: FileBody) -> bool:
        import os

        left = body.length
        while left:
            chunk = os.read(descriptor, min(left, PIECE_BYTES))
            if not chunk:
                raise _shrank(body)
            if not self._send_parts(PartsBody((chunk,))):
                return False
            left -= len(chunk)
        return True

    def _can_send(self) -> bool:
        """Wait until the socket takes bytes; False: an answer came before the body was sent."""
        if not self.is_plain:
            return True  # TLS has messages of its own
        self._arm()
        events = _poll(self._socket, select.POLLIN | select.POLLOUT, self._limit)
        if not events:
            raise self._timed_out("the request could not be sent")
        return not events & select.POLLIN

    # --- receiving ---

    def _read_head(self) -> Head:
        for _ in range(INTERIM_LIMIT):
            head = self._read_one_head()
            if head.status >= 200:
                return head
        raise ExchangeFailed("damaged", f"more than {INTERIM_LIMIT} interim answers")

    def _read_one_head(self) -> Head:
        started = time.monotonic()
        data = self._data
        while (end := data.find(b"\r\n\r\n")) < 0:
            if len(data) > HEAD_LIMIT_BYTES:
                raise ExchangeFailed(
                    "damaged", f"the head of the answer is longer than {HEAD_LIMIT_BYTES} bytes"
                )
            if data and self._read_s is not None and time.monotonic() - started > self._read_s:
                raise self._timed_out("the head of the answer did not come")
            chunk = self._receive(first=not data)
            data = data + chunk if data else chunk
        self._data = data[end + 4 :]
        return parse_head(data[:end])

    def read_line(self, limit_bytes: int) -> bytes:
        """Return a line of the framing, without its end."""
        while (end := self._data.find(b"\r\n")) < 0:
            if len(self._data) > limit_bytes:
                raise ExchangeFailed("damaged", "a chunk of the answer has no readable length")
            self._data += self._receive()
        line, self._data = self._data[:end], self._data[end + 2 :]
        return line

    def read_into(self, view: memoryview) -> int:
        """Fill the beginning of `view` with what is there or comes next; return how much."""
        if self._data:
            n = min(len(view), len(self._data))
            view[:n] = self._data[:n]
            self._data = self._data[n:]
            return n
        self._arm()
        try:
            n = self._socket.recv_into(view)
        except TimeoutError as exc:
            raise self._timed_out("the answer stopped") from exc
        except OSError as exc:
            raise ExchangeFailed("truncated", f"the answer broke off ({exc.strerror or exc})") from exc
        if not n:
            raise ExchangeFailed("truncated", "the answer broke off")
        return n

    def read_some(self) -> bytes:
        """Return bytes that are there or come next; nothing at the end of the connection."""
        if self._data:
            data, self._data = self._data, b""
            return data
        self._arm()
        try:
            return self._socket.recv(RECEIVE_BYTES)
        except TimeoutError as exc:
            raise self._timed_out("the answer stopped") from exc
        except OSError as exc:
            raise ExchangeFailed("truncated", f"the answer broke off ({exc.strerror or exc})") from exc

    def unread(self, data: bytes) -> None:
        """Give back what belongs to later."""
        self._data = data + self._data

    def take(self, n_bytes: int) -> bytes | None:
        """Return exactly so many bytes if they are there already."""
        if len(self._data) < n_bytes:
            return None
        data = self._data[:n_bytes]
        self._data = self._data[n_bytes:]
        return data

    def _receive(self, *, first: bool = False) -> bytes:
        self._arm()
        try:
            chunk = self._socket.recv(RECEIVE_BYTES)
        except TimeoutError as exc:
            raise self._timed_out("no answer came") from exc
        except OSError as exc:
            stale = first and self.answered > 0
            raise ExchangeFailed("reset", f"connection lost ({exc.strerror or exc})", stale=stale) from exc
        if not chunk:
            kind = "reset" if first else "truncated"
            raise ExchangeFailed(
                kind, "the server closed the connection without an answer", stale=first and self.answered > 0
            )
        return chunk

    # --- limits ---

    def _arm(self) -> None:
        """Set the limit of the next operation of the socket."""
        limit = self._read_s
        if self._deadline is not None:
            left = self._deadline - time.monotonic()
            if left <= 0:
                raise self._timed_out("the request took too long")
            limit = left if limit is None else min(limit, left)
        if limit != self._limit:
            self._socket.settimeout(limit)
            self._limit = limit

    def _wait(self, events: int, at_most_s: float) -> bool:
        self._arm()
        limit = at_most_s if self._limit is None else min(at_most_s, self._limit)
        return bool(_poll(self._socket, events, limit))

    def _timed_out(self, what: str) -> ExchangeFailed:
        if self._deadline is not None and time.monotonic() >= self._deadline:
            return ExchangeFailed("timeout", f"{what} within the total limit (SEAMLESS_REMOTE_TOTAL_TIMEOUT)")
        return ExchangeFailed("timeout", f"{what} within {self._read_s} s (SEAMLESS_REMOTE_READ_TIMEOUT)")


def _poll(sock: socket.socket, events: int, timeout_s: float | None) -> int:
    poll = select.poll()
    try:
        poll.register(sock.fileno(), events)
    except ValueError:  # closed, by a fork or by close_all_clients
        return select.POLLHUP
    found = poll.poll(None if timeout_s is None else max(0, round(timeout_s * 1000)))
    return found[0][1] if found else 0


def _shrank(body: FileBody) -> ExchangeFailed:
    return ExchangeFailed(
        "source", f"{body.path!r} became shorter than {body.length} bytes while it was sent"
    )

"""A server that does, connection by connection, exactly what a test says, on the level of bytes."""

from __future__ import annotations

import contextlib
import socket
import struct
import threading
from collections.abc import Callable, Sequence
from types import TracebackType
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import ssl

__all__ = ("Peer", "RawServer", "answer")

WAIT_S = 20.0


def answer(body: bytes = b"", *, status: str = "200 OK", headers: Sequence[str] = ()) -> bytes:
    """Return a well-formed answer with its length."""
    lines = [f"HTTP/1.1 {status}", f"Content-Length: {len(body)}", *headers]
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + body


class Peer:
    """One connection, as the server sees it."""

    def __init__(self, sock: socket.socket, server: RawServer) -> None:
        self._socket = sock
        self._server = server
        self._data = b""
        sock.settimeout(WAIT_S)

    def head(self) -> bytes:
        """Read the head of a request; nothing when the client closed."""
        while b"\r\n\r\n" not in self._data:
            chunk = self._receive()
            if not chunk:
                return b""
            self._data += chunk
        head, _, self._data = self._data.partition(b"\r\n\r\n")
        self._server.heads.append(head)
        return head

    def request(self) -> bytes:
        """Read a request, and return its body; None-like b"" when there is none or the client closed."""
        head = self.head()
        length = 0
        for line in head.split(b"\r\n")[1:]:
            name, _, value = line.partition(b":")
            if name.lower() == b"content-length":
                length = int(value)
            if name.lower() == b"expect":
                self.send(b"HTTP/1.1 100 Continue\r\n\r\n")
        return self.body(length)

    def body(self, length: int) -> bytes:
        while len(self._data) < length:
            chunk = self._receive()
            if not chunk:
                break
            self._data += chunk
        body, self._data = self._data[:length], self._data[length:]
        self._server.bodies.append(body)
        return body

    def send(self, data: bytes) -> None:
        with contextlib.suppress(OSError):
            self._socket.sendall(data)

    def wait_for_close(self) -> None:
        """Return when the client has closed."""
        while self._receive():
            pass

    def close(self) -> None:
        self._socket.close()

    def reset(self) -> None:
        """Close so that the client sees a reset."""
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self._socket.close()

    def _receive(self) -> bytes:
        try:
            return self._socket.recv(65536)
        except OSError:
            return b""


class RawServer:
    """Serve connection number n by `sessions[n]`, the last one for all further connections. A context manager.

    tls: speak https with it. heads, bodies: what came. connections: how many. url: the address.
    """

    def __init__(self, *sessions: Callable[[Peer], None], tls: ssl.SSLContext | None = None) -> None:
        self.heads: list[bytes] = []
        self.bodies: list[bytes] = []
        self.connections = 0
        self._sessions = sessions
        self._tls = tls
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._threads: list[threading.Thread] = []
        self._sockets: list[socket.socket] = []
        self._closing = False
        self.port: int = self._listener.getsockname()[1]
        self.url = f"http://127.0.0.1:{self.port}"

    def __enter__(self) -> RawServer:
        thread = threading.Thread(target=self._accept, name="raw-server", daemon=True)
        self._threads.append(thread)
        thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._closing = True
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        for sock in self._sockets:
            with contextlib.suppress(OSError):
                sock.shutdown(socket.SHUT_RDWR)
        for thread in self._threads:
            thread.join(5)
        for sock in self._sockets:
            sock.close()

    def _accept(self) -> None:
        while not self._closing:
            try:
                sock, _ = self._listener.accept()
            except OSError:
                return
            session = self._sessions[min(self.connections, len(self._sessions) - 1)]
            self.connections += 1
            self._sockets.append(sock)
            thread = threading.Thread(
                target=self._serve, args=(session, sock), name="raw-server", daemon=True
            )
            self._threads.append(thread)
            thread.start()

    def _serve(self, session: Callable[[Peer], None], sock: socket.socket) -> None:
        with contextlib.suppress(OSError):
            if self._tls is not None:
                sock = self._tls.wrap_socket(sock, server_side=True)
                self._sockets.append(sock)
            session(Peer(sock, self))
        with contextlib.suppress(OSError):
            sock.shutdown(socket.SHUT_RDWR)
        sock.close()

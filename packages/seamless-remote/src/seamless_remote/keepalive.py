"""Keep the servers of this process's clients from ending for lack of requests; close all clients together.

A daemon thread asks every used client's server for its health each 30 s. It starts with the first use of a client and
ends with `close_all_clients`; failures are ignored, since the next real request will report them.
"""

from __future__ import annotations

import os
import threading
import weakref

TYPE_CHECKING = False  # importing typing costs a command 6 ms
if TYPE_CHECKING:
    from .client import Client

__all__ = ("all_clients", "close_all_clients", "keep_alive")

THREAD_NAME = "SeamlessRemoteClientKeepalive"
INTERVAL_S = 30.0
JOIN_S = 2.0

_lock = threading.Lock()
_clients: weakref.WeakSet[Client] = weakref.WeakSet()
_thread: threading.Thread | None = None
_stop = threading.Event()


def keep_alive(client: Client) -> None:
    """Have the client's server asked from now on, for as long as the client lives."""
    global _thread, _stop
    with _lock:
        _clients.add(client)
        if _thread is None or not _thread.is_alive():
            _stop = threading.Event()
            _thread = threading.Thread(target=_work, args=(_stop,), name=THREAD_NAME, daemon=True)
            _thread.start()


def all_clients() -> list[Client]:
    """Return the clients of this process that have been used."""
    with _lock:
        return list(_clients)


def close_all_clients() -> None:
    """End the keepalive thread and close every connection. The clients stay usable."""
    global _thread
    with _lock:
        thread, _thread = _thread, None
        clients = list(_clients)
        _stop.set()
    if thread is not None and thread is not threading.current_thread():
        thread.join(JOIN_S)
    for client in clients:
        client.restart()


def _work(stop: threading.Event) -> None:
    while not stop.wait(INTERVAL_S):
        for client in all_clients():
            if stop.is_set():
                return
            client.ping()


def _after_fork() -> None:
    """The thread is not in the child; a lock may have been held by a thread that is not there either."""
    global _lock, _thread, _stop
    _lock = threading.Lock()
    _thread = None
    _stop = threading.Event()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)

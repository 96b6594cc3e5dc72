"""Choose a port by taking it: bind and listen at once, never look first and bind later."""

from __future__ import annotations

import contextlib
import errno
import ipaddress
import random
import socket
from collections.abc import Iterator

from .failures import StartFailed

__all__ = ("is_loopback", "listen")

FREE_PORTS = (49152, 65535)  # for private use (RFC 6335)
BACKLOG = 1024
_TAKEN = frozenset({errno.EADDRINUSE, errno.EACCES})  # of a range, a port that needs root is one to pass over


def listen(host: str, ports: tuple[int, int] | None, *, rng: random.Random | None = None) -> socket.socket:
    """Return a listening socket on a free port of `ports` (inclusive), tried in random order.

    ports: None for 49152 to 65535; (0, 0) lets the system choose.
    Raises StartFailed: reversed or exhausted range, port in use, host that is not ours.
    """
    first, last = ports or FREE_PORTS
    if first > last:
        raise StartFailed(
            f"The port range {first} to {last} is empty.",
            hint=f"swap the numbers: --port-range {last} {first}",
        )
    family, address = _resolve(host)
    failure: OSError | None = None
    for port in _in_random_order(first, last, rng or random.SystemRandom()):
        try:
            return _listen_on(family, address, port)
        except OSError as exc:
            failure = exc
            if exc.errno not in _TAKEN:
                break
    assert failure is not None
    raise _refused(host, first, last, failure) from failure


def is_loopback(host: str) -> bool:
    """Tell whether only this machine reaches the address: every address of the name is a loopback one."""
    try:
        found = socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)
    except OSError:
        return False
    return bool(found) and all(
        ipaddress.ip_address(str(entry[4][0]).partition("%")[0]).is_loopback for entry in found
    )


def _resolve(host: str) -> tuple[socket.AddressFamily, str]:
    try:
        found = socket.getaddrinfo(host, None, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    except OSError as exc:
        raise StartFailed(
            f"--host {host!r} is not an address or a name that resolves: {exc.strerror or exc}.",
            hint="give an address of this machine, e.g. --host 127.0.0.1",
        ) from exc
    return found[0][0], str(found[0][4][0])


def _in_random_order(first: int, last: int, rng: random.Random) -> Iterator[int]:
    """Yield each port once. A shuffle of which only what is asked for is done: of 16384 ports it takes 20 to 50 ms."""
    moved: dict[int, int] = {}  # place -> what stands there instead of its own number
    for n_left in range(last - first + 1, 0, -1):
        chosen = rng.randrange(n_left)
        yield first + moved.get(chosen, chosen)
        moved[chosen] = moved.get(n_left - 1, n_left - 1)


def _listen_on(family: socket.AddressFamily, address: str, port: int) -> socket.socket:
    with contextlib.ExitStack() as stack:
        listener = stack.enter_context(socket.socket(family, socket.SOCK_STREAM))
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # ports in TIME_WAIT only
        if family == socket.AF_INET6:
            listener.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        listener.bind((address, port))
        listener.listen(BACKLOG)  # two may be bound, only one can listen: this is what takes the port
        listener.setblocking(False)
        stack.pop_all()
        return listener


def _refused(host: str, first: int, last: int, exc: OSError) -> StartFailed:
    if exc.errno not in _TAKEN:
        return StartFailed(
            f"Cannot listen on {host}: {exc.strerror}.", hint="give an address of this machine with --host"
        )
    if first != last:
        return StartFailed(
            f"No port from {first} to {last} is free on {host}: all {last - first + 1} are in use or reserved.",
            hint="widen --port-range, or stop what holds the ports (ss -ltnp)",
        )
    if exc.errno == errno.EACCES:
        return StartFailed(f"Port {first} on {host} needs more rights.", hint="choose a port from 1024 on")
    return StartFailed(
        f"Port {first} on {host} is in use.",
        hint=f"see what holds it (ss -ltnp 'sport = :{first}'), or choose another",
    )

"""Tell whether a host name or address means this machine.

A service binds the address that a client later asks `rhl-verify-port` and `rhl-handshake` to try, so every
address worth trying can be bound here. Others are refused: a guarded key is no way to look around in the network
behind this host.
"""

from __future__ import annotations

from .refusal import Refused

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

__all__ = ("addresses_of", "check_host", "host_of_url", "is_host")

HOST_CHARACTERS = frozenset("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789.-_")
ADDRESS_CHARACTERS = frozenset("0123456789abcdefABCDEF:.%")
HOST_LENGTH_MAX = 253


def check_host(host: str, addresses: Callable[[str], Sequence[str]] | None = None) -> None:
    """Raise Refused unless all addresses of the host are of this machine. addresses: how to look a name up."""
    import socket

    if not is_host(host):
        raise Refused("this is no host name or address", about=host)
    try:
        found = (addresses or addresses_of)(host)
    except (OSError, UnicodeError):
        found = ()
    for address in found:
        family = socket.AF_INET6 if ":" in address else socket.AF_INET
        try:
            with socket.socket(family, socket.SOCK_DGRAM) as bound:
                bound.bind((address, 0))
        except OSError:
            raise Refused("only addresses of this machine may be tried", about=host) from None
    if not found:
        raise Refused("only addresses of this machine may be tried", about=host)


def is_host(text: str) -> bool:
    """Whether the text has the form of a host name or an address."""
    if not text or len(text) > HOST_LENGTH_MAX or text[0] in "-.":
        return False
    return HOST_CHARACTERS.issuperset(text) or (":" in text and ADDRESS_CHARACTERS.issuperset(text))


def addresses_of(host: str) -> Sequence[str]:
    """Return the addresses of the host. Raises OSError."""
    import socket

    return tuple({str(entry[4][0]) for entry in socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)})


def host_of_url(url: str) -> str:
    """Return the host of an http or https URL. Raises Refused for anything that two readers might read differently."""
    scheme, separator, rest = url.partition("://")
    if (
        scheme not in ("http", "https")
        or not separator
        or not url.isascii()
        or not url.isprintable()
        or " " in url
    ):
        raise Refused("URL must use http or https and include a host")
    for end in "/?#":
        rest = rest.partition(end)[0]
    if "@" in rest or "\\" in url:
        raise Refused("URL must not hold a user or a backslash")
    if rest.startswith("["):
        host, bracket, port = rest[1:].partition("]")
        if not bracket or (port and not port.startswith(":")):
            raise Refused("URL must use http or https and include a host")
        port = port[1:]
    else:
        host, _, port = rest.partition(":")
    if port and not (port.isdigit() and len(port) <= 5):
        raise Refused("the port in the URL is no number")
    return host

"""What a client must know of a running service: where to connect, and which ports a tunnel must carry.

Pure: ports of this machine come from the caller. Format: contracts/launcher-state-files.md.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from typing import Any

    from .configuration import Configuration

__all__ = ("ClientState", "Forward", "client_state", "extra_ports", "reachable_interface")

_ANY_ADDRESS = {"0.0.0.0": "127.0.0.1", "::": "::1", "*": "127.0.0.1"}


class Forward:
    """One port to carry: local_port here leads to host:port, as the SSH host sees it."""

    __slots__ = ("host", "local_port", "port")

    def __init__(self, local_port: int, host: str, port: int) -> None:
        self.local_port = local_port
        self.host = host
        self.port = port

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Forward) and self.as_list() == other.as_list()

    def __hash__(self) -> int:
        return hash((self.local_port, self.host, self.port))

    def __repr__(self) -> str:
        return f"Forward({self.local_port}, {self.host!r}, {self.port})"

    def as_list(self) -> list[Any]:
        """Return [local port, host, port]: its form in JSON."""
        return [self.local_port, self.host, self.port]


class ClientState:
    """mapping: what the client state file holds. forwards: what a tunnel must carry for it, none without one."""

    __slots__ = ("forwards", "mapping")

    def __init__(self, mapping: dict[str, Any], forwards: list[Forward]) -> None:
        self.mapping = mapping
        self.forwards = forwards


def client_state(
    config: Configuration, server_state: Mapping[str, Any], allocate_port: Callable[[], int]
) -> ClientState:
    """Return how a client reaches the service. allocate_port: called once for each port to carry through a tunnel.

    server_state: of a running service, with a valid port. A tunnel leads to the interface that the service bound.
    """
    port = int(server_state["port"])
    interface = _interface(config, server_state)
    others = extra_ports(server_state)
    mapping: dict[str, Any]
    forwards: list[Forward] = []
    if config.tunnel:
        target = reachable_interface(interface)
        forwards = [Forward(allocate_port(), target, remote) for remote in (port, *others.values())]
        mapping = {
            "hostname": "localhost",
            "port": forwards[0].local_port,
            "tunneled-host": config.ssh_hostname,
            "tunneled-port": port,
            "tunneled-network-interface": interface,
        }
        for (name, remote), forward in zip(others.items(), forwards[1:], strict=True):
            mapping[name] = forward.local_port
            mapping[f"tunneled-{name}"] = remote
    else:
        hostname = config.hostname or reachable_interface(interface)
        mapping = {"hostname": hostname, "port": port, **others}
        if config.hostname is not None and config.ssh_hostname != config.hostname:
            mapping["ssh_hostname"] = config.ssh_hostname
    if isinstance(server_state.get("parameters"), dict):
        mapping["parameters"] = server_state["parameters"]
    if config.meta is not None:
        mapping["meta"] = config.meta
    return ClientState(mapping, forwards)


def reachable_interface(interface: str) -> str:
    """Return the address to connect to on the machine itself: one that listens everywhere answers on loopback."""
    return _ANY_ADDRESS.get(interface, interface)


def extra_ports(server_state: Mapping[str, Any]) -> dict[str, int]:
    """Return the ports besides the main one: members `..._port` and `...-port` that hold a port."""
    found = {}
    for name, value in server_state.items():
        if not name.endswith(("_port", "-port")) or isinstance(value, bool):
            continue
        if isinstance(value, str) and value.isascii() and value.isdigit() and len(value) <= 5:
            value = int(value)
        if isinstance(value, int) and 1 <= value <= 65535:
            found[name] = value
    return found


def _interface(config: Configuration, server_state: Mapping[str, Any]) -> str:
    interface = server_state.get("network_interface")
    return interface if isinstance(interface, str) and interface else config.network_interface

"""Lists of clients that one process hands over to another, as a worker or a command that it starts."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from .errors import ConfigurationError

if TYPE_CHECKING:
    from seamless.active import ActiveSet

__all__ = ("collect_remote_clients", "remote_clients_are_set", "remote_set", "set_remote_clients")

_are_set = False


def collect_remote_clients(cluster: str | None = None) -> dict[str, Any]:
    """Return the clients of the services in use, for another process; empty lists when there are none."""
    from seamless_remote.forwarding import collect_remote_clients as collect

    if cluster is not None:
        raise ConfigurationError(
            f"cluster {cluster!r} is not defined: this version knows no clusters, only services that run already"
        )
    return collect()


def set_remote_clients(clients: Mapping[str, Any], in_remote: bool = False) -> None:
    """Use the services that another process collected, from `init` on; an empty mapping changes nothing.

    in_remote: take their addresses as seen from the cluster. Raises ForwardedClientsInvalid, and ConfigurationError
    after `init`.
    """
    global _are_set
    if not clients:
        return
    from seamless_remote.forwarding import set_remote_clients as use

    from . import activation

    if activation.is_initialised():
        raise ConfigurationError(
            "set_remote_clients() was called after init(): steps may be under way already. Call it first."
        )
    use(clients, in_remote)
    _are_set = True


def remote_clients_are_set() -> bool:
    """Whether `set_remote_clients` has chosen the services."""
    return _are_set


def remote_set(stage: str | None, substage: str | None) -> ActiveSet:
    """Make the active set of the services that were chosen."""
    from seamless_remote.remote_set import make_remote_set

    return make_remote_set(stage=stage, substage=substage)

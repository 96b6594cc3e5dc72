"""Lists of clients that another process hands over. There are none without services."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from .errors import ConfigurationError

__all__ = ("collect_remote_clients", "set_remote_clients")


def collect_remote_clients(cluster: str | None = None) -> dict[str, Any]:
    """Return the clients of the active services, for another process: none, since no cluster is configured."""
    if cluster is not None:
        raise ConfigurationError(
            f"cluster {cluster!r} is not defined: this version knows the embedded cache only (SEAMLESS_CACHE=DIR)"
        )
    return {}


def set_remote_clients(clients: Mapping[str, Any], in_remote: bool = False) -> None:
    """Use the clients that another process collected; an empty mapping is fine and changes nothing."""
    if clients:
        raise ConfigurationError(
            f"cannot use remote clients {sorted(clients)}: this version knows the embedded cache only "
            "(SEAMLESS_CACHE=DIR)"
        )

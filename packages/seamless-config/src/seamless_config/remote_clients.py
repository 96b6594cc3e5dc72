"""The list of clients in use, for another process: a worker, or a command that a program starts."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

__all__ = ("collect_remote_clients",)


def collect_remote_clients(cluster: str | None = None) -> dict[str, Any]:
    """Return the clients in use, for `set_remote_clients` of another process; empty lists when there are none.

    cluster: only those of its services, and those that were handed over. What has not started is started.
    Raises ClusterUnknown, and what starting a service raises.
    """
    from . import select

    if cluster is not None:
        select.current_configuration().cluster(cluster)
    from seamless_remote.forwarding import collect_remote_clients as collect

    return collect(cluster)

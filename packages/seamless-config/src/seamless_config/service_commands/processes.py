"""The processes and connections that commands act on, found on every host of a cluster."""

from __future__ import annotations

import os

from remote_http_launcher.directories import client_directory, client_state_path
from remote_http_launcher.errors import StateMalformed, StateMissing
from remote_http_launcher.listing import client_rows
from remote_http_launcher.state_files import read_state, write_state

from .rows import Row, client_process_rows, server_process_rows

TYPE_CHECKING = False  # importing typing costs a command 6 ms
if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

    from .hosts import Host

__all__ = ("close_client_side", "find_client_rows", "find_server_rows")


def find_server_rows(
    host: Host, wanted: Mapping[str, str], clusters: Collection[str], timeout_s: float
) -> list[Row]:
    """Return the processes of a host whose scope is as wanted. Raises LauncherError when it cannot be asked."""
    found = server_process_rows(host.rows("rhl-ps", ["--json"], timeout_s), host.name, clusters)
    return [row for row in found if row.scope.fits(wanted)]


def find_client_rows(wanted: Mapping[str, str], clusters: Collection[str] = ()) -> list[Row]:
    """Return the connections and tunnels of this machine whose scope is as wanted."""
    directory = client_directory()
    tunnels = []
    if os.path.isdir(os.path.join(directory, "tunnels")):
        from remote_http_launcher.tunnels import list_tunnels  # it brings socket and signal

        tunnels = list_tunnels()
    rows = client_process_rows(client_rows(directory), tunnels, clusters)
    return [row for row in rows if row.scope.fits(wanted)]


def close_client_side(key: str, *, dry_run: bool = False) -> dict[str, bool]:
    """Mark the connection to a service that has ended as stale, and close its tunnel.

    Returns which of `client_state` and `tunnel` there was. dry_run: only look.
    """
    path = client_state_path(key)
    done = {"client_state": False, "tunnel": False}
    try:
        state = read_state(path)
        done["client_state"] = state.get("status") != "stale"
        if done["client_state"] and not dry_run:
            write_state(path, {**state, "status": "stale"})
    except (StateMissing, StateMalformed):
        pass
    record = os.path.join(client_directory(), "tunnels", f"{key}.json")
    if os.path.lexists(record):
        done["tunnel"] = True
        if not dry_run:
            from remote_http_launcher.tunnels import close_tunnel  # it brings socket and signal

            close_tunnel(key)
    return done

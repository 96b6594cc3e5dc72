"""Where a cache directory is, from the state of a server that was started on it."""

from __future__ import annotations

import os

from remote_http_launcher.directories import server_directory
from remote_http_launcher.errors import StateMalformed
from remote_http_launcher.state_files import list_states

from .scopes import CACHE_CLUSTER, CACHE_PROJECT, STAGE, scope_of_state

TYPE_CHECKING = False  # importing typing costs a command 6 ms
if TYPE_CHECKING:
    from .options import Request

__all__ = ("recorded_cache_directory",)


def recorded_cache_directory(request: Request) -> str | None:
    """Return the directory of the servers of cache mode that this machine knows, None if it knows none.

    The server of the service and stage asked for counts first, then the hashserver, then any other.
    """
    wanted = request.without("cluster", "mode")
    found: list[tuple[tuple[bool, bool, str], str]] = []
    for key, state in list_states(server_directory()):
        workdir = None if isinstance(state, StateMalformed) else state.get("workdir")
        if isinstance(state, StateMalformed) or not isinstance(workdir, str) or not workdir:
            continue
        scope = scope_of_state(key, state, (CACHE_CLUSTER,))
        if scope.cluster == CACHE_CLUSTER:
            rank = (not scope.fits(wanted), scope.service != "hashserver", key)
            found.append((rank, _without_scope(os.path.expanduser(workdir))))
    return min(found)[1] if found else None


def _without_scope(workdir: str) -> str:
    path, name = os.path.split(workdir.rstrip("/"))
    if name.startswith(STAGE):
        path, name = os.path.split(path)
    return path if name == CACHE_PROJECT else os.path.join(path, name)

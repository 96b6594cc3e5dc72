"""The active set of the clients in use: where buffers and results go when services are configured.

A hashserver alone keeps buffers, and results stay in memory; with a database, results are shared too. Read-only
clients are read, and what is new then stays in memory.
"""

from __future__ import annotations

from seamless.active import ActiveSet

from . import buffer_remote, database_remote
from .buffer_folder import BufferFolder
from .errors import ForwardedClientsInvalid
from .forwarding import set_remote_clients_from_environment
from .remote_results import RemoteResultCache
from .remote_store import RemoteBufferStore

TYPE_CHECKING = False  # importing typing costs a command 6 ms
if TYPE_CHECKING:
    from collections.abc import Iterable

    from seamless.ports import ResultCache

    from .client import Client

__all__ = ("make_remote_set", "remote_set_from_environment")


def make_remote_set(*, stage: str | None = None, substage: str | None = None) -> ActiveSet:
    """Make the set of the clients that are active now; it keeps them, whatever is activated later.

    Asks no server. Raises ForwardedClientsInvalid when no client is active.
    """
    buffers = buffer_remote.active_clients()
    databases = database_remote.active_clients()
    if not buffers.read and not databases.read:
        raise ForwardedClientsInvalid(
            "no client of a hashserver or a database is in use.",
            remedy="name the address of each service, in the field `remote_url`.",
        )
    servers = [client for client in buffers.read if client.url is not None or client.directory is None]
    store = RemoteBufferStore(
        folders=[BufferFolder(client.directory) for client in buffers.read if client.directory is not None],
        readers=servers,
        writers=buffers.write,
    )
    results: ResultCache
    if databases.read:
        cache = RemoteResultCache(store, readers=databases.read, writers=databases.write)
        results, saved = cache, cache.writable
    else:
        from seamless.memory_stores import MemoryResultCache

        results, saved = MemoryResultCache(store), False
    return ActiveSet(
        buffers=store,
        results=results,
        persistent=store.writable,
        location=_location(buffers.read, databases.read, buffers_saved=store.writable, results_saved=saved),
        stage=stage,
        substage=substage,
    )


def remote_set_from_environment(
    *,
    project: str | None = None,
    subproject: str | None = None,
    stage: str | None = None,
    substage: str | None = None,
) -> ActiveSet:
    """Make the set that SEAMLESS_REMOTE_CLIENTS describes. Raises ForwardedClientsInvalid.

    project and stage choose nothing here: whoever collected the clients has chosen.
    """
    set_remote_clients_from_environment()
    return make_remote_set(stage=stage, substage=substage)


def _location(
    buffers: Iterable[Client], databases: Iterable[Client], *, buffers_saved: bool, results_saved: bool
) -> str:
    """Say in words where buffers and results are."""
    return (
        f"buffers: {_places(buffers)}{'' if buffers_saved else ' (read-only)'}; "
        f"results: {_places(databases) or 'memory'}{'' if results_saved or not _places(databases) else ' (read-only)'}"
    )


def _places(clients: Iterable[Client]) -> str:
    return ", ".join(
        str(client.url or getattr(client, "directory", "") or "not launched") for client in clients
    )

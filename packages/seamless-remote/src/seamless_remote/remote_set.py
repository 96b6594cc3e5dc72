"""The active set of the clients in use: where buffers and results go when services are configured.

A hashserver alone keeps buffers, and results stay in memory; with a database, results are shared too. Read-only
clients are read, and what is new then stays in memory.
"""

from __future__ import annotations

from seamless.active import ActiveSet

from . import database_remote
from .active_store import place_of, store_of_active_clients
from .forwarding import set_remote_clients_from_environment
from .remote_results import RemoteResultCache

TYPE_CHECKING = False  # importing typing costs a command 6 ms
if TYPE_CHECKING:
    from collections.abc import Iterable

    from seamless.ports import ResultCache

    from .client import Client

__all__ = ("make_remote_set", "remote_set_from_environment")


def make_remote_set(
    *, stage: str | None = None, substage: str | None = None, full_records: bool = False
) -> ActiveSet:
    """Make the set of the clients that are active now; it keeps them, whatever is activated later.

    full_records: whether execution records are full. Asks no server.
    Raises ForwardedClientsInvalid when no client is active.
    """
    databases = database_remote.active_clients()
    store, where = store_of_active_clients()
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
        location=f"{where}; {_results(databases.read, saved=saved)}",
        stage=stage,
        substage=substage,
        full_records=full_records,
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


def _results(databases: Iterable[Client], *, saved: bool) -> str:
    """Say in words where results are."""
    places = ", ".join(place_of(client) for client in databases)
    return f"results: {places}{'' if saved else ' (read-only)'}" if places else "results: memory"

"""The buffer store of the clients in use; without a database, for commands that only read buffers."""

from __future__ import annotations

from . import buffer_remote, database_remote
from .buffer_folder import BufferFolder
from .errors import ForwardedClientsInvalid
from .remote_store import RemoteBufferStore

TYPE_CHECKING = False  # importing typing costs a command 6 ms
if TYPE_CHECKING:
    from .client import Client

__all__ = ("place_of", "store_of_active_clients")


def place_of(client: Client) -> str:
    """Say in words where a client keeps things: its address, its directory, or what will be launched."""
    scope = getattr(client, "scope", None)
    if scope is None:
        return str(client.url or getattr(client, "directory", None))
    cluster, project, subproject, stage = scope
    parts = [project, *([subproject] if subproject else []), *([f"stage {stage}"] if stage else [])]
    return f"{client.service} of cluster {cluster!r} ({', '.join(parts)})"


def store_of_active_clients() -> tuple[RemoteBufferStore, str]:
    """Return the store, and in words where buffers are; it keeps its clients, whatever is activated later.

    Asks no server. Raises ForwardedClientsInvalid when no client at all is active.
    """
    buffers = buffer_remote.active_clients()
    if not buffers.read and not database_remote.active_clients().read:
        raise ForwardedClientsInvalid(
            "no client of a hashserver or a database is in use.",
            remedy="name the address of each service, in the field `remote_url`.",
        )
    store = RemoteBufferStore(
        folders=[BufferFolder(client.directory) for client in buffers.read if client.directory is not None],
        readers=[client for client in buffers.read if client.has_server],
        writers=buffers.write,
    )
    places = [place_of(client) for client in buffers.read]
    if not places:
        return store, "buffers: memory"
    return store, f"buffers: {', '.join(places)}{'' if store.writable else ' (read-only)'}"

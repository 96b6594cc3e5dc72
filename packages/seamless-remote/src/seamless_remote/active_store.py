"""The buffer store of the clients in use; without a database, for commands that only read buffers."""

from __future__ import annotations

from . import buffer_remote, database_remote
from .buffer_folder import BufferFolder
from .errors import ForwardedClientsInvalid
from .remote_store import RemoteBufferStore

__all__ = ("store_of_active_clients",)


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
        readers=[client for client in buffers.read if client.url is not None or client.directory is None],
        writers=buffers.write,
    )
    places = [
        str(client.url or client.directory or "a hashserver that is not launched") for client in buffers.read
    ]
    if not places:
        return store, "buffers: memory"
    return store, f"buffers: {', '.join(places)}{'' if store.writable else ' (read-only)'}"

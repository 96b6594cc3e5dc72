"""Clients of the Seamless services: buffers from hashservers and folders, results from databases.

Nothing is imported until it is used: a command that looks up one result needs few of these modules.
"""

from __future__ import annotations

TYPE_CHECKING = False  # importing typing costs a command 6 ms
if TYPE_CHECKING:
    from .buffer_client import BufferClient
    from .client import close_all_clients
    from .database_client import DatabaseClient
    from .errors import ClientRestartRequiredError, RemoteError
    from .forwarding import collect_remote_clients, set_remote_clients

__all__ = (
    "BufferClient",
    "ClientRestartRequiredError",
    "DatabaseClient",
    "RemoteError",
    "close_all_clients",
    "collect_remote_clients",
    "set_remote_clients",
)

_HOMES = {
    "BufferClient": "buffer_client",
    "ClientRestartRequiredError": "errors",
    "DatabaseClient": "database_client",
    "RemoteError": "errors",
    "close_all_clients": "client",
    "collect_remote_clients": "forwarding",
    "set_remote_clients": "forwarding",
}


def __getattr__(name: str) -> object:
    """Load a public name when it is first used."""
    home = _HOMES.get(name)
    if home is None:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    value: object = getattr(import_module(f".{home}", __name__), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})

"""The database clients in use: where results are looked up, and where they are written.

seamless-config activates; the coroutines are what the rest of Seamless and other programs call, the functions
`..._sync` are their twins without an event loop. A look-up asks the readable ones in order and the first that
knows wins; a write goes to every writable one and returns whether at least one took it.
"""

from __future__ import annotations

from .activation import ActiveClients, Key, Registry
from .background import run_blocking
from .client import inspect_extern_clients as _inspect_extern
from .client import inspect_launched_clients as _inspect_launched
from .database_client import DatabaseClient
from .errors import RemoteError
from .launched import DatabaseLaunchedClient
from .tokens import Token

TYPE_CHECKING = False  # importing typing costs a command 6 ms
if TYPE_CHECKING:
    import os
    from collections.abc import Callable, Mapping, Sequence
    from typing import Any, TypeVar

    from seamless.checksum import Checksum

    T = TypeVar("T")

__all__ = (
    "activate",
    "active_clients",
    "deactivate",
    "define_extern_client",
    "define_launched_client",
    "ensure_initialized",
    "get_bucket_probe",
    "get_execution_record",
    "get_irreproducible_records",
    "get_rev_transformations",
    "get_transformation_result",
    "get_transformation_result_sync",
    "has_read_server",
    "has_write_server",
    "inspect_extern_clients",
    "inspect_launched_clients",
    "reactivate",
    "set_bucket_probe",
    "set_execution_record",
    "set_transformation_result",
    "set_transformation_result_sync",
    "undo_transformation_result",
)

DISABLED = False
"""True: `activate` does nothing."""

_registry: Registry[DatabaseClient, DatabaseLaunchedClient] = Registry("database", DatabaseLaunchedClient)
_launched_clients: dict[Key, DatabaseLaunchedClient] = _registry.launched
_extern_clients: dict[str, DatabaseClient] = _registry.extern


def define_launched_client(
    readonly: bool,
    cluster: str | None = None,
    project: str | None = None,
    subproject: str | None = None,
    stage: str | None = None,
) -> None:
    """Define a client whose database is launched at the first use; what is not given is as selected."""
    _registry.define_launched(_registry.filled(readonly, cluster, project, subproject, stage))


def define_extern_client(
    name: str,
    type_: str,
    *,
    params: Mapping[str, Any] | None = None,
    url: str,
    readonly: bool = True,
    token: str | None = None,
    token_file: str | os.PathLike[str] | None = None,
) -> None:
    """Define a client of a database server that runs already; type_ is "database".

    params: not used. token, token_file: what the server wants. Raises TypeError for another type.
    """
    if type_ != "database":
        raise TypeError(f"{type_!r} is no type of database client; use 'database'")
    client = DatabaseClient(readonly)
    client.url = url
    client.token = Token(token, file=token_file)
    client._validate()
    client.url = client.url and client.url.rstrip("/")
    _registry.define_extern(name, client)


def activate(
    *,
    readonly: bool = False,
    extra_launched_clients: Sequence[Mapping[str, Any]] = (),
    extern_clients: Sequence[str] = (),
    no_main: bool = False,
) -> None:
    """Choose the clients in use: that of the current selection unless `no_main`, extra launched ones, extern ones.

    Launches nothing. Raises ActivationError.
    """
    if not DISABLED:
        _registry.activate(
            readonly=readonly, extra_launched=extra_launched_clients, extern=extern_clients, no_main=no_main
        )


def deactivate() -> None:
    """Use no client any more."""
    _registry.deactivate()


def reactivate(clients: ActiveClients[DatabaseClient]) -> None:
    """Use the clients again that `active_clients` returned once."""
    _registry.active = clients


def active_clients() -> ActiveClients[DatabaseClient]:
    """Return the clients in use now; what is returned does not change."""
    return _registry.active


def ensure_initialized() -> None:
    """Launch and greet all that is defined."""
    _registry.ensure_initialized()


def has_read_server() -> bool:
    """Tell whether there is a client to read from."""
    return bool(_registry.active.read)


def has_write_server() -> bool:
    """Tell whether there is a client to write to."""
    return bool(_registry.active.write)


def inspect_launched_clients() -> list[dict[str, Any]]:
    """Describe the launched clients: where they belong, readonly, url and directory."""
    return _inspect_launched(_registry.launched)


def inspect_extern_clients() -> list[dict[str, Any]]:
    """Describe the extern clients: name, readonly, url, directory."""
    return _inspect_extern(_registry.extern)


async def get_transformation_result(tf_checksum: Checksum | str) -> Checksum | None:
    """Return the result of a transformation, or None when no database knows it."""
    return await run_blocking(get_transformation_result_sync, tf_checksum)


def get_transformation_result_sync(tf_checksum: Checksum | str) -> Checksum | None:
    return _first(lambda client: client.get_transformation_result_sync(tf_checksum))


async def get_rev_transformations(result_checksum: Checksum | str) -> list[Checksum] | None:
    """Return the transformations with this result, or None."""
    return await _first_later(lambda client: client.get_rev_transformations_sync(result_checksum))


async def get_execution_record(tf_checksum: Checksum | str) -> dict[str, Any] | None:
    """Return the execution record of a transformation, or None."""
    return await _first_later(lambda client: client.record_sync(tf_checksum))


async def get_bucket_probe(bucket_kind: str, label: str) -> dict[str, Any] | None:
    """Return the current probe of a bucket, or None."""
    return await _first_later(lambda client: client.get_bucket_probe_sync(bucket_kind, label))


async def get_irreproducible_records(
    tf_checksum: Checksum | str, result_checksum: Checksum | str | None = None
) -> list[dict[str, Any]] | None:
    """Return the contested results of a transformation, or None."""
    return await _first_later(
        lambda client: client.get_irreproducible_records_sync(tf_checksum, result_checksum)
    )


async def set_transformation_result(tf_checksum: Checksum | str, result_checksum: Checksum | str) -> bool:
    """Set or overwrite the result; True when at least one database took it."""
    return await run_blocking(set_transformation_result_sync, tf_checksum, result_checksum)


def set_transformation_result_sync(tf_checksum: Checksum | str, result_checksum: Checksum | str) -> bool:
    return _every(lambda client: client.set_transformation_result_sync(tf_checksum, result_checksum))


async def set_execution_record(
    tf_checksum: Checksum | str, result_checksum: Checksum | str, record: dict[str, Any]
) -> bool:
    """Store an execution record; True when at least one database took it or had the same."""
    return await run_blocking(
        _every, lambda client: client.set_execution_record_sync(tf_checksum, result_checksum, record)
    )


async def set_bucket_probe(
    bucket_kind: str,
    label: str,
    bucket_checksum: Checksum | str,
    freshness_tokens: dict[str, Any],
    captured_at: str,
) -> bool:
    """Store the current probe of a bucket; True when at least one database took it."""
    return await run_blocking(
        _every,
        lambda client: client.set_bucket_probe_sync(
            bucket_kind, label, bucket_checksum, freshness_tokens, captured_at
        ),
    )


async def undo_transformation_result(tf_checksum: Checksum | str, result_checksum: Checksum | str) -> bool:
    """Declare a result irreproducible; True when at least one database took it."""
    return await run_blocking(
        _every, lambda client: client.undo_transformation_result_sync(tf_checksum, result_checksum)
    )


def _first(ask: Callable[[DatabaseClient], T | None]) -> T | None:
    """Return the first answer. A failure counts only when nobody else knows."""
    failure: RemoteError | None = None
    for client in _registry.active.read:
        try:
            answer = ask(client)
        except RemoteError as exc:
            failure = failure or exc
            continue
        if answer is not None:
            return answer
    if failure is not None:
        raise failure
    return None


async def _first_later(ask: Callable[[DatabaseClient], T | None]) -> T | None:
    return await run_blocking(_first, ask)


def _every(write: Callable[[DatabaseClient], bool | None]) -> bool:
    """Write to all; True when at least one took it. A failure is raised after all were tried."""
    taken = False
    failure: RemoteError | None = None
    for client in _registry.active.write:
        try:
            taken |= write(client) is not False
        except RemoteError as exc:
            failure = failure or exc
    if failure is not None:
        raise failure
    return taken

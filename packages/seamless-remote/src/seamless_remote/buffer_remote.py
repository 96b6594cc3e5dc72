"""The buffer clients in use: folders and hashservers to read from, hashservers to write to.

seamless-config activates; the coroutines are what the rest of Seamless and other programs call, the functions
`..._sync` are their twins without an event loop. Reading asks folders in order, then servers in order; the
first that has a buffer wins. When one fails, the others are asked, and the failure is raised only if none of
them has it: "cannot tell" is never "absent".
"""

from __future__ import annotations

from seamless.checksum import Checksum

from .activation import ActiveClients, Key, Registry
from .background import run_blocking
from .buffer_client import BufferClient
from .client import inspect_extern_clients as _inspect_extern
from .client import inspect_launched_clients as _inspect_launched
from .errors import ClientMisconfigured, RemoteError
from .launched import BufferLaunchedClient
from .tokens import Token

TYPE_CHECKING = False  # importing typing costs a command 6 ms
if TYPE_CHECKING:
    import os
    from collections.abc import Mapping, Sequence
    from typing import Any

    from seamless.buffer import Buffer

__all__ = (
    "activate",
    "active_clients",
    "deactivate",
    "define_extern_client",
    "define_launched_client",
    "ensure_initialized",
    "get_buffer",
    "get_buffer_lengths",
    "get_buffer_lengths_sync",
    "get_buffer_sync",
    "get_filename",
    "has_read_server",
    "has_write_server",
    "inspect_extern_clients",
    "inspect_launched_clients",
    "promise",
    "promise_sync",
    "reactivate",
    "write_buffer",
    "write_buffer_sync",
)

DISABLED = False
"""True: `activate` does nothing."""

_registry: Registry[BufferClient, BufferLaunchedClient] = Registry("hashserver", BufferLaunchedClient)
_launched_clients: dict[Key, BufferLaunchedClient] = _registry.launched
_extern_clients: dict[str, BufferClient] = _registry.extern
_NOT_OFFERED = ("urlmap", "foldermap", "git-lfs-server")


def define_launched_client(
    readonly: bool,
    cluster: str | None = None,
    project: str | None = None,
    subproject: str | None = None,
    stage: str | None = None,
) -> None:
    """Define a client whose hashserver is launched at the first use; what is not given is as selected."""
    _registry.define_launched(_registry.filled(readonly, cluster, project, subproject, stage))


def define_extern_client(
    name: str,
    type_: str,
    *,
    params: Mapping[str, Any] | None = None,
    directory: str | os.PathLike[str] | None = None,
    url: str | None = None,
    readonly: bool = True,
    token: str | None = None,
    token_file: str | os.PathLike[str] | None = None,
) -> None:
    """Define a client of a server that runs already ("hashserver", with `url`) or of a directory ("bufferfolder").

    params: not used. token, token_file: what the server wants.
    Raises ClientMisconfigured (a ValueError), NotImplementedError or TypeError for another type.
    """
    if type_ in _NOT_OFFERED:
        raise NotImplementedError(
            f"clients of type {type_!r} are not offered; use 'hashserver' or 'bufferfolder'"
        )
    if type_ not in ("hashserver", "bufferfolder"):
        raise TypeError(f"{type_!r} is no type of buffer client; use 'hashserver' or 'bufferfolder'")
    if type_ == "hashserver" and (url is None or directory is not None):
        raise ClientMisconfigured(
            f"the hashserver client {name!r} needs a url, and no directory.", service="hashserver"
        )
    if type_ == "bufferfolder" and (directory is None or url is not None or not readonly):
        raise ClientMisconfigured(
            f"the buffer folder client {name!r} needs a directory, no url, and is read-only.",
            service="hashserver",
        )
    client = BufferClient(readonly)
    client.url = url
    client.directory = None if directory is None else str(directory)
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


def reactivate(clients: ActiveClients[BufferClient]) -> None:
    """Use the clients again that `active_clients` returned once."""
    _registry.active = clients


def active_clients() -> ActiveClients[BufferClient]:
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


async def get_buffer(checksum: Checksum | str) -> Buffer | None:
    """Return the buffer, or None when no client has it."""
    return await run_blocking(get_buffer_sync, checksum)


def get_buffer_sync(checksum: Checksum | str) -> Buffer | None:
    checksum = Checksum(checksum)
    clients = _registry.active.read
    for client in clients:
        if client.directory is not None:
            buffer = client.get_file_buffer_sync(checksum)
            if buffer is not None:
                return buffer
    failure: RemoteError | None = None
    for client in clients:
        if not client.has_server:
            continue
        try:
            buffer = client._get_from_server(checksum)
        except RemoteError as exc:
            failure = failure or exc
            continue
        if buffer is not None:
            return buffer
    if failure is not None:
        raise failure
    return None


async def get_buffer_lengths(checksums: Sequence[Checksum | str]) -> list[int | None]:
    """Return the lengths; None for what no client has."""
    return await run_blocking(get_buffer_lengths_sync, checksums)


def get_buffer_lengths_sync(checksums: Sequence[Checksum | str]) -> list[int | None]:
    clients = sorted(_registry.active.read, key=lambda client: client.directory is None)  # folders first
    wanted = [Checksum(checksum) for checksum in checksums]
    known: dict[Checksum, int | None] = {}
    for client in clients:
        unknown = [checksum for checksum in dict.fromkeys(wanted) if known.get(checksum) is None]
        if not unknown:
            break
        try:
            found = client.length_many_sync(unknown)
        except RemoteError:
            continue  # as in the interface: what one client cannot tell, the next one may
        known.update(zip(unknown, found, strict=True))
    return [known.get(checksum) for checksum in wanted]


async def promise(checksum: Checksum | str) -> None:
    """Announce to every write client that the buffer will be uploaded soon."""
    await run_blocking(promise_sync, checksum)


def promise_sync(checksum: Checksum | str) -> None:
    for client in _registry.active.write:
        client.promise_sync(checksum)


async def write_buffer(checksum: Checksum | str, buffer: Buffer) -> bool:
    """Upload the buffer to every write client; True when at least one has it.

    Raises the failure of a client when none took the buffer, and when some did not.
    """
    return await run_blocking(write_buffer_sync, checksum, buffer)


def write_buffer_sync(checksum: Checksum | str, buffer: Buffer) -> bool:
    written = False
    failure: RemoteError | None = None
    for client in _registry.active.write:
        try:
            written |= client.write_sync(checksum, buffer)
        except RemoteError as exc:
            failure = failure or exc
    if failure is not None:
        raise failure
    return written


async def get_filename(checksum: Checksum | str) -> str | None:
    """Not offered."""
    raise NotImplementedError("get_filename is not offered; read the buffer with get_buffer")

"""Hand the clients in use to another process, and use what another process handed over.

The list is JSON: `{"database": [ENTRY...], "buffer": [ENTRY...]}`; an entry has `readonly`, and `url` and
`directory` as this process sees them, `remote_url` and `remote_directory` as workers on the cluster do, and
optionally `token_file`. Tokens themselves are never in it: it stands in environments and launch parameters.
"""

from __future__ import annotations

import os

from . import buffer_remote, database_remote
from .errors import ForwardedClientsInvalid
from .timeouts import forwarded_clients_text

TYPE_CHECKING = False  # importing typing costs a command 6 ms
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

    from .client import Client

__all__ = (
    "collect_remote_clients",
    "parse_remote_clients",
    "set_remote_clients",
    "set_remote_clients_from_environment",
)

_FIELDS = {"readonly", "url", "directory", "remote_url", "remote_directory", "token_file"}
_TEXTS = ("url", "directory", "remote_url", "remote_directory", "token_file")


def collect_remote_clients(cluster: str | None = None) -> dict[str, list[dict[str, Any]]]:
    """Return the clients in use, for `set_remote_clients` of another process.

    cluster: only launched clients of this cluster, and extern ones. Launches what has not been launched.
    """
    collected: dict[str, list[dict[str, Any]]] = {"database": [], "buffer": []}
    for kind, clients in (
        ("database", database_remote.active_clients().read),
        ("buffer", buffer_remote.active_clients().read),
    ):
        for client in clients:
            scope = getattr(client, "scope", None)
            if cluster is None or scope is None or scope[0] == cluster:
                collected[kind].append(_entry(client))
    return collected


def _entry(client: Client) -> dict[str, Any]:
    launched: dict[str, Any] = {}
    if hasattr(client, "launch_result"):
        client.ensure_initialized_sync(skip_healthcheck=True)
        launched = client.launch_result
    entry: dict[str, Any] = {"readonly": client.readonly}
    directory = getattr(client, "directory", None)
    values = {
        "url": client.url,
        "directory": directory,
        "remote_url": launched.get("remote_url", client.url),
        "remote_directory": launched.get("remote_directory", None if launched else directory),
        "token_file": client.token.file,
    }
    entry.update((name, value) for name, value in values.items() if value is not None)
    return entry


def set_remote_clients(clients: Mapping[str, Any], in_remote: bool = False) -> None:
    """Use exactly the clients that another process collected.

    in_remote: take the addresses as workers on the cluster see them. Raises ForwardedClientsInvalid; nothing
    is changed then.
    """
    unknown = sorted(set(clients) - {"database", "buffer"})
    if unknown:
        raise _invalid(f"it has the unknown keys {unknown}")
    buffers = [_checked("buffer", number, entry, in_remote) for number, entry in _entries(clients, "buffer")]
    databases = [
        _checked("database", number, entry, in_remote) for number, entry in _entries(clients, "database")
    ]
    buffer_names: list[str] = []
    for number, entry in enumerate(buffers):
        url, directory = _places(entry, in_remote)
        both = url is not None and directory is not None
        if directory is not None:
            name = f"extern-buffer-{number}" + ("-folder" if both else "")
            buffer_remote.define_extern_client(name, "bufferfolder", directory=directory)
            buffer_names.append(name)
        if url is not None:
            name = f"extern-buffer-{number}" + ("-server" if both else "")
            buffer_remote.define_extern_client(
                name, "hashserver", url=url, readonly=entry["readonly"], token_file=entry.get("token_file")
            )
            buffer_names.append(name)
    database_names: list[str] = []
    for number, entry in enumerate(databases):
        url, _ = _places(entry, in_remote)
        if url is not None:
            name = f"extern-db-{number}"
            database_remote.define_extern_client(
                name, "database", url=url, readonly=entry["readonly"], token_file=entry.get("token_file")
            )
            database_names.append(name)
    buffer_remote.activate(no_main=True, extern_clients=buffer_names)
    database_remote.activate(no_main=True, extern_clients=database_names)


def set_remote_clients_from_environment(environ: Mapping[str, str] = os.environ) -> bool:
    """Use the clients of SEAMLESS_REMOTE_CLIENTS; False when it is unset, or when SEAMLESS_CACHE decides.

    Raises ForwardedClientsInvalid.
    """
    text = forwarded_clients_text(environ)
    if text is None:
        return False
    set_remote_clients(parse_remote_clients(text), in_remote=True)
    return True


def parse_remote_clients(text: str) -> dict[str, Any]:
    """Return the list that SEAMLESS_REMOTE_CLIENTS holds. Raises ForwardedClientsInvalid."""
    import json

    try:
        clients = json.loads(text)
    except ValueError as exc:
        raise _invalid(f"SEAMLESS_REMOTE_CLIENTS is no JSON ({exc})") from exc
    if not isinstance(clients, dict):
        raise _invalid("SEAMLESS_REMOTE_CLIENTS is no JSON object")
    return clients


def _entries(clients: Mapping[str, Any], kind: str) -> list[tuple[int, Any]]:
    listed = clients.get(kind, [])
    if not isinstance(listed, list):
        raise _invalid(f"{kind!r} is no list")
    return list(enumerate(listed))


def _checked(kind: str, number: int, entry: Any, in_remote: bool) -> dict[str, Any]:
    where = f"entry {number} of {kind!r}"
    if not isinstance(entry, dict) or not isinstance(entry.get("readonly", True), bool):
        raise _invalid(f"{where} is no object, or its `readonly` is neither true nor false")
    unknown = sorted(set(entry) - _FIELDS)
    if unknown:
        raise _invalid(f"{where} has the unknown fields {unknown}")
    for name in _TEXTS:
        if entry.get(name) is not None and not isinstance(entry[name], str):
            raise _invalid(f"{where} has a {name} that is no text")
    url, directory = _places(entry, in_remote)
    if url is None and (kind == "database" or directory is None):
        seen = "`remote_url` (its address as seen from the cluster)" if in_remote else "`url`"
        raise _invalid(f"{where} has no {seen}" + ("" if kind == "database" else ", and no directory"))
    if url is not None:
        from .http_message import Endpoint

        Endpoint(url)
    return {**entry, "readonly": entry.get("readonly", True)}


def _places(entry: dict[str, Any], in_remote: bool) -> tuple[str | None, str | None]:
    prefix = "remote_" if in_remote else ""
    directory = entry.get(prefix + "directory") or None
    return entry.get(prefix + "url") or None, None if directory is None else os.path.expanduser(directory)


def _invalid(why: str) -> ForwardedClientsInvalid:
    return ForwardedClientsInvalid(
        f"the list of remote clients cannot be used: {why}.",
        remedy="write what collect_remote_clients() returns, as JSON, or unset SEAMLESS_REMOTE_CLIENTS.",
    )

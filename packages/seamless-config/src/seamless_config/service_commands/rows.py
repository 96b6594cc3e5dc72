"""Rows of seamless-service-ps: processes, data, and both brought together.

Several processes may share service, cluster, project and stage; each keeps its row, with the same data.
"""

from __future__ import annotations

from .scopes import CACHE_CLUSTER, CACHE_PROJECT, DATA_SERVICES, Scope, scope_of_state

TYPE_CHECKING = False  # importing typing costs a command 6 ms
if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping
    from typing import Any

__all__ = (
    "Row",
    "add_data",
    "client_process_rows",
    "in_order",
    "server_process_rows",
    "shown_project",
    "shown_stage",
    "unreachable_row",
)

ABSENT = "absent"
CLIENT = "client"
NOT_APPLICABLE = "n/a"
STALE = "stale"
TUNNEL = "tunnel"
UNREACHABLE = "unreachable"


class Row:
    """One line of the table.

    host: None is this machine. key: None for data without process. process: its status. error: why it is so, or None.
    persistent: state of its data; None when that was not asked for. size: of the data, in bytes. path: of the data.
    tunnel: on the client's side, whether its tunnel lives; None without one.
    """

    __slots__ = (
        "error",
        "host",
        "key",
        "path",
        "persistent",
        "pid",
        "port",
        "process",
        "scope",
        "size",
        "tunnel",
        "workdir",
    )

    def __init__(self, scope: Scope, host: str | None, process: str, *, key: str | None = None) -> None:
        self.scope = scope
        self.host = host
        self.process = process
        self.key = key
        self.port: int | None = None
        self.pid: int | None = None
        self.workdir: str | None = None
        self.error: str | None = None
        self.persistent: str | None = None
        self.size: int | None = None
        self.path: str | None = None
        self.tunnel: bool | None = None

    def as_json(self) -> dict[str, Any]:
        """Return the members of the JSON object: `path` with data, `error` with a cause, `tunnel` with a tunnel."""
        found: dict[str, Any] = {
            **self.scope.as_dict(),
            "host": self.host,
            "key": self.key,
            "persistent": self.persistent,
            "pid": self.pid,
            "port": self.port,
            "process": self.process,
            "size": self.size,
        }
        for name in ("error", "path", "tunnel"):
            if getattr(self, name) is not None:
                found[name] = getattr(self, name)
        return found


def server_process_rows(
    found: Iterable[Mapping[str, Any]], host: str | None, clusters: Collection[str]
) -> list[Row]:
    """Return the rows for what `rhl-ps --json` has told of a host. clusters: the names that are known."""
    rows = []
    for state in found:
        row = _row_of(state, host, str(state.get("status") or "failed"), clusters)
        row.pid = _number(state.get("pid"))
        row.workdir = _text(state.get("workdir"))
        rows.append(row)
    return rows


def client_process_rows(
    found: Iterable[Mapping[str, Any]], tunnels: Iterable[Mapping[str, Any]], clusters: Collection[str] = ()
) -> list[Row]:
    """Return the rows for the connections of this machine, and for tunnels without one."""
    by_key = {str(tunnel["key"]): tunnel for tunnel in tunnels}
    rows = []
    for state in found:
        status = state.get("status")
        row = _row_of(
            state,
            _text(state.get("ssh_host")),
            status if status in (STALE, "malformed") else CLIENT,
            clusters,
        )
        tunnel = by_key.pop(str(row.key), None)
        if tunnel is not None:
            row.tunnel = tunnel.get("live") is True
        rows.append(row)
    for key, tunnel in by_key.items():
        row = Row(scope_of_state(key, {}, clusters), _text(tunnel.get("ssh_host")), TUNNEL, key=key)
        row.tunnel = tunnel.get("live") is True
        rows.append(row)
    return rows


def unreachable_row(host: str | None, cluster: str | None, error: str) -> Row:
    """Return the row for a host that could not be asked. error: the cause."""
    row = Row(Scope(cluster=cluster), host, UNREACHABLE)
    row.error = error
    return row


def add_data(rows: list[Row], data: Iterable[Row], *, of_servers: bool = True) -> list[Row]:
    """Return the rows with what is known of their data, and those data that no process uses.

    data: rows with `persistent`, `size` and `path`, of which `process` is `absent`. of_servers: whether processes and
    data that belong together are on one host; a client may know the host by another name.
    """
    by_scope: dict[tuple[str | None, ...], list[Row]] = {}
    for each in data:
        by_scope.setdefault(each.scope.data_key(), []).append(each)
    used: set[int] = set()
    for row in rows:
        if row.process == UNREACHABLE:
            continue
        if row.scope.service not in DATA_SERVICES:
            row.persistent = NOT_APPLICABLE if row.scope.service else None
            continue
        known = by_scope.get(row.scope.data_key(), [])
        if of_servers:
            known = [each for each in known if each.host == row.host]
        known = sorted(known, key=lambda each: (each.path != row.workdir, each.host != row.host))
        if known:
            used.add(id(known[0]))
            row.persistent, row.size, row.path = known[0].persistent, known[0].size, known[0].path
    return [*rows, *(each for group in by_scope.values() for each in group if id(each) not in used)]


def in_order(rows: Iterable[Row]) -> list[Row]:
    """Return processes by key, then data by scope, then hosts that could not be asked."""

    def place(row: Row) -> tuple[object, ...]:
        scope = tuple(part or "" for part in row.scope.data_key())
        return row.process == UNREACHABLE, row.key is None, row.key or "", scope, row.host or ""

    return sorted(rows, key=place)


def shown_project(scope: Scope) -> str | None:
    """Return project and subproject as `--project` takes them."""
    is_cache = scope.cluster == CACHE_CLUSTER and scope.project == CACHE_PROJECT
    project = "SEAMLESS_CACHE" if is_cache else scope.project
    return f"{project or ''}:{scope.subproject}" if scope.subproject else project


def shown_stage(scope: Scope) -> str | None:
    """Return stage and substage as `--stage` takes them."""
    return f"{scope.stage or ''}:{scope.substage}" if scope.substage else scope.stage


def _row_of(state: Mapping[str, Any], host: str | None, process: str, clusters: Collection[str]) -> Row:
    key = _text(state.get("key")) or "?"
    row = Row(scope_of_state(key, state, clusters), host, process, key=key)
    row.port = _number(state.get("port"))
    error = state.get("error")
    if isinstance(error, dict):
        error = error.get("message")
    row.error = error if isinstance(error, str) and error else None
    return row


def _number(value: object) -> int | None:
    if isinstance(value, str) and value.isascii() and value.isdigit() and len(value) < 10:
        return int(value)  # as other implementations write it
    return value if isinstance(value, int) and not isinstance(value, bool) else None


def _text(value: object) -> str | None:
    return value if isinstance(value, str) and value else None

"""What rhl-ps shows: the states of a directory as rows, with the status derived from the process.

Status and `live` follow from what the file says and whether the process lives; see contracts/launcher-state-files.md.
A state that cannot be read is a row of its own, with the status `malformed`.
"""

from __future__ import annotations

import os

from .errors import StateMalformed
from .processes import liveness, pid_of
from .state_files import list_states

TYPE_CHECKING = False  # importing typing costs a helper 6 ms
if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from typing import Any

    from .processes import Liveness

__all__ = ("client_rows", "derived_status", "server_rows", "table")

MALFORMED = "malformed"
_LIVE: dict[str, bool | None] = {"alive": True, "dead": False, "unknown": None}


def server_rows(directory: str, *, probing: bool = True) -> list[dict[str, Any]]:
    """Return a row for each service of this machine. probing: False looks at no process."""
    rows = []
    for key, state in list_states(directory):
        if isinstance(state, StateMalformed):
            rows.append(_malformed_row(key, state))
            continue
        status, live = derived_status(state, os.path.join(directory, f"{key}.json"), probing=probing)
        row = {**state, "key": key, "live": live, "meta": _meta(state), "status": status}
        if "status" in state:
            row["json_status"] = state["status"]
        rows.append(row)
    return rows


def client_rows(directory: str) -> list[dict[str, Any]]:
    """Return a row for each service that this machine uses."""
    rows = []
    for key, state in list_states(directory):
        if isinstance(state, StateMalformed):
            rows.append(_malformed_row(key, state) | {"host": None, "port": None, "ssh_host": None})
            continue
        ssh_host = state.get("tunneled-host") or state.get("ssh_hostname") or state.get("hostname")
        members = {"host": state.get("hostname"), "ssh_host": ssh_host, "port": state.get("port")}
        rows.append({**state, "key": key, "meta": _meta(state), **members})
    return rows


def derived_status(state: Mapping[str, Any], path: str, *, probing: bool = True) -> tuple[str, bool | None]:
    """Return the status as it is shown, and whether the process lives (None: not asked, or it cannot be told)."""
    raw = state.get("status")
    if not isinstance(raw, str) or raw == "failed":
        return "failed", None
    if state.get("dry_run") is True or not probing:
        return raw, None
    if pid_of(state) is None:
        return "stale" if raw == "running" else raw, None
    alive: Liveness = liveness(state, path)
    return "stale" if raw == "running" and alive == "dead" else raw, _LIVE[alive]


def table(header: Sequence[str], rows: Sequence[Sequence[object]]) -> str:
    """Return the lines of a table: cells padded to the widest of their column, null and "" as `-`."""
    cells = [list(header), *([_cell(value) for value in row] for row in rows)]
    widths = [max(len(row[column]) for row in cells) for column in range(len(header))]
    lines = (" ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)) for row in cells)
    return "".join(f"{line}\n" for line in lines)


def _cell(value: object) -> str:
    if value is None or value == "":
        return "-"
    text = str(value)
    return text if text.isprintable() else ascii(text)  # a terminal obeys control characters


def _meta(state: Mapping[str, Any]) -> Any:
    meta = state.get("meta")
    return {} if meta is None else meta


def _malformed_row(key: str, error: StateMalformed) -> dict[str, Any]:
    return {"error": error.message, "key": key, "live": None, "meta": {}, "status": MALFORMED}

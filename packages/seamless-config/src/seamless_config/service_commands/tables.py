"""The table of seamless-service-ps, and sizes as people read them."""

from __future__ import annotations

from remote_http_launcher.listing import table

from .rows import UNREACHABLE, shown_project, shown_stage

TYPE_CHECKING = False  # importing typing costs a command 6 ms
if TYPE_CHECKING:
    from collections.abc import Iterable

    from .rows import Row

__all__ = ("human_size", "service_table")

COLUMNS = ("SERVICE", "PROJECT", "STAGE", "PROCESS", "PORT", "PERSISTENT", "SIZE")
WIDE_COLUMNS = ("HOST", "KEY", "CLUSTER", "MODE", "SUBPROJECT", "SUBSTAGE", "QUEUE", "PID", "TUNNEL", "NOTE")
_UNITS = ("B", "kB", "MB", "GB", "TB", "PB")
_TUNNELS = {True: "running", False: "stale", None: None}
HERE = "local"


def service_table(rows: Iterable[Row], *, is_wide: bool = False) -> str:
    """Return the table. A service that is none of Seamless is shown by its key, a host that is silent by its name."""
    cells = []
    for row in rows:
        scope = row.scope
        name = scope.service or row.key or (row.host or HERE)
        size = None if row.size is None else human_size(row.size)
        line: list[object] = [name, shown_project(scope), shown_stage(scope), row.process, row.port]
        line += [row.persistent, size]
        if is_wide:
            line[1:3] = [scope.project, scope.stage]
            note = row.error.splitlines()[0] if row.error and row.process != UNREACHABLE else None
            line += [row.host or HERE, row.key, scope.cluster, scope.mode, scope.subproject]
            line += [scope.substage, scope.queue, row.pid, _TUNNELS[row.tunnel], note]
        cells.append(line)
    return table([*COLUMNS, *(WIDE_COLUMNS if is_wide else ())], cells)


def human_size(n_bytes: int) -> str:
    """Return the size with a decimal unit and two digits or more.

    >>> human_size(999), human_size(3_140_000), human_size(42_000_000)
    ('999 B', '3.1 MB', '42 MB')
    """
    value = float(n_bytes)
    unit = 0
    while value >= 999.5 and unit + 1 < len(_UNITS):
        value /= 1000
        unit += 1
    text = f"{value:.1f}".removesuffix(".0") if unit and value < 9.95 else f"{value:.0f}"
    return f"{text} {_UNITS[unit]}"

"""What services keep in directories, found on the hosts where it is."""

from __future__ import annotations

import os

from .rows import ABSENT, Row
from .scopes import DATA_SERVICES, Scope, scope_of_path

TYPE_CHECKING = False  # importing typing costs a command 6 ms
if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from typing import Any

    from .hosts import Host
    from .targets import Place

__all__ = ("data_rows", "is_data_wanted", "rows_of_workdirs")

NOWHERE = "no--project"  # no project has such a name
LEVEL = 32  # as deep as projects, subprojects and stages are looked for
_MARKERS = {"hashserver": ".HASHSERVER_PREFIX", "database": "seamless.db"}


def data_rows(place: Place, wanted: Mapping[str, str], timeout_s: float) -> list[Row]:
    """Return a row for each directory of data below the place. wanted: parts of the scope.

    Raises LauncherError when the host cannot be asked.
    """
    root = place.root if place.host.name is not None else os.path.expanduser(place.root)
    project = wanted.get("project")
    start = f"{root}/{project}" if project else root
    marker = _MARKERS[place.service]
    words = ["--json", "--level", str(LEVEL), "--marker", marker, *_content_options(place.service), start]
    if root.startswith("~"):
        words.append(f"{root}/{NOWHERE}")  # answered as absent, under its full name
    found = _ask(place.host, words, timeout_s)
    full_root = root
    if root.startswith("~") and found and str(found[-1].get("path")).endswith(f"/{NOWHERE}"):
        full_root = str(found.pop()["path"])[: -len(NOWHERE) - 1]
    rows = []
    for each in found:
        scope = scope_of_path(place.service, place.cluster, str(each.get("path") or ""), full_root)
        if scope is not None and each.get("state") != ABSENT and scope.fits(_of_data(wanted)):
            rows.append(_row(scope, place.host.name, each))
    return rows


def rows_of_workdirs(host: Host, rows: Sequence[Row], timeout_s: float) -> list[Row]:
    """Return what is in the directories of these processes: data that no marker shows, or none.

    Raises LauncherError when the host cannot be asked.
    """
    found = []
    for service in DATA_SERVICES:
        wanted = {
            row.workdir: row for row in rows if row.scope.service == service and row.workdir is not None
        }
        if not wanted:
            continue
        words = ["--json", *_content_options(service), *wanted]
        for row, state in zip(wanted.values(), _ask(host, words, timeout_s), strict=False):
            found.append(_row(row.scope, host.name, state))
    return found


def _content_options(service: str) -> list[str]:
    return ["--file", _MARKERS["database"]] if service == "database" else ["--sizes"]


def _ask(host: Host, words: list[str], timeout_s: float) -> list[dict[str, Any]]:
    from remote_http_launcher.ssh_errors import HelperTooOld

    try:
        return host.rows("rhl-ps-persistent", words, timeout_s)
    except HelperTooOld:
        if "--sizes" not in words:
            raise
        return host.rows("rhl-ps-persistent", [word for word in words if word != "--sizes"], timeout_s)


def _row(scope: Scope, host: str | None, found: Mapping[str, Any]) -> Row:
    row = Row(scope, host, ABSENT)
    size = found.get("size")
    row.persistent = str(found.get("state"))
    row.size = size if isinstance(size, int) and not isinstance(size, bool) else None
    row.path = str(found.get("path") or "")
    return row


def _of_data(wanted: Mapping[str, str]) -> dict[str, str]:
    """Return the wanted parts that a directory has."""
    return {name: wanted[name] for name in ("service", "project", "subproject", "stage") if name in wanted}


def is_data_wanted(wanted: Mapping[str, str]) -> bool:
    """Whether data can be what is wanted: a mode, queue or substage is of processes only."""
    return wanted.get("service") in (None, *DATA_SERVICES) and not any(
        wanted.get(name) for name in ("queue", "substage")
    )

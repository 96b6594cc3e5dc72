"""The launch dictionaries of the services, for what this process has selected or for what is given."""

from __future__ import annotations

from . import select
from .launch_dictionaries import launch_dictionary
from .selection import MANUAL

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from .configuration import Configuration

__all__ = (
    "configure_daskserver",
    "configure_database",
    "configure_hashserver",
    "configure_jobserver",
    "configure_pure_daskserver",
)


def configure_hashserver(
    mode: str,
    *,
    cluster: str | None = None,
    project: str | None = None,
    subproject: str | None = None,
    stage: str | None = None,
    frontend_name: str | None = None,
) -> dict[str, Any]:
    """Return the launch dictionary of a hashserver. mode: "rw" or "ro".

    None takes what is selected; "" for subproject and stage means none. Raises ConfigurationError.
    """
    chosen = _scoped(cluster, project, subproject, stage)
    return launch_dictionary(chosen, "hashserver", mode=mode, frontend_name=frontend_name)


def configure_database(
    mode: str,
    *,
    cluster: str | None = None,
    project: str | None = None,
    subproject: str | None = None,
    stage: str | None = None,
    frontend_name: str | None = None,
) -> dict[str, Any]:
    """Return the launch dictionary of a database server; see `configure_hashserver`. Raises ConfigurationError."""
    chosen = _scoped(cluster, project, subproject, stage)
    return launch_dictionary(chosen, "database", mode=mode, frontend_name=frontend_name)


def configure_jobserver(
    *,
    cluster: str | None = None,
    project: str | None = None,
    subproject: str | None = None,
    stage: str | None = None,
    substage: str | None = None,
    frontend_name: str | None = None,
) -> dict[str, Any]:
    """Return the launch dictionary of a jobserver; see `configure_hashserver`.

    Its workers use the buffer and database servers of the cluster that are in use here. Raises ConfigurationError.
    """
    from .remote_clients import collect_remote_clients

    chosen = _scoped(cluster, project, subproject, stage, substage)
    return launch_dictionary(
        chosen,
        "jobserver",
        frontend_name=frontend_name,
        remote_clients=collect_remote_clients(chosen.cluster().name),
    )


def configure_daskserver(
    *,
    cluster: str | None = None,
    project: str | None = None,
    subproject: str | None = None,
    stage: str | None = None,
    substage: str | None = None,
    frontend_name: str | None = None,
) -> dict[str, Any]:
    """Return the launch dictionary of a Dask server; see `configure_hashserver`. Raises ConfigurationError."""
    chosen = _scoped(cluster, project, subproject, stage, substage)
    return launch_dictionary(chosen, "daskserver", frontend_name=frontend_name)


def configure_pure_daskserver(
    *, cluster: str | None = None, queue: str | None = None, frontend_name: str | None = None
) -> dict[str, Any]:
    """Return the launch dictionary of a Dask server without storage. Raises ConfigurationError."""
    chosen = _scoped(cluster)
    return launch_dictionary(chosen, "pure-daskserver", queue=queue, frontend_name=frontend_name)


def _scoped(
    cluster: str | None = None,
    project: str | None = None,
    subproject: str | None = None,
    stage: str | None = None,
    substage: str | None = None,
) -> Configuration:
    """Return the current configuration with what is given selected. Raises SelectionInvalid for impossible names."""
    now = select.current_configuration()
    selection = now.selection
    for name, value in (
        ("cluster", cluster),
        ("project", project),
        ("subproject", subproject),
        ("stage", stage),
        ("substage", substage),
    ):
        if value is not None and not (name in ("cluster", "project") and not value):
            selection = selection.with_(name, select.checked_name(name, value), MANUAL)
    return now.with_selection(selection)

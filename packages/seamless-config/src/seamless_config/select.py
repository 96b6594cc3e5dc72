"""What this process has selected: cluster, project, stage, execution and the rest.

Values that a program selects here survive reading the files again, until a command there says otherwise.
"""

from __future__ import annotations

import threading

from .commands import COMMANDS, check_argument
from .configuration import Configuration, queue_problem
from .errors import ConfigurationError, SelectionInvalid
from .names import name_problem
from .selection import MANUAL
from .spelling import meant

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

    from .cluster import Cluster

__all__ = (
    "check_remote_redundancy",
    "checked_name",
    "current_configuration",
    "execution_command_seen",
    "execution_was_set_explicitly",
    "get_current",
    "get_execution",
    "get_node",
    "get_nparallel",
    "get_persistent",
    "get_queue",
    "get_record",
    "get_remote",
    "get_selected_cluster",
    "get_selected_project",
    "get_stage",
    "get_subproject",
    "get_substage",
    "persistent_was_set_explicitly",
    "replace_clusters",
    "replace_configuration",
    "select_cluster",
    "select_execution",
    "select_node",
    "select_nparallel",
    "select_persistent",
    "select_project",
    "select_queue",
    "select_record",
    "select_remote",
    "select_stage",
    "select_subproject",
    "select_substage",
)

_lock = threading.RLock()
_configuration = Configuration()


def current_configuration() -> Configuration:
    """Return the configuration that was read last, with what was selected since."""
    return _configuration


def replace_configuration(configuration: Configuration) -> None:
    """Make a configuration the current one."""
    global _configuration
    with _lock:
        _configuration = configuration


def replace_clusters(clusters: Mapping[str, Cluster], local_cluster: str | None) -> None:
    """Replace the table of clusters, and nothing else."""
    with _lock:
        now = _configuration
        replace_configuration(
            Configuration(
                workdir=now.workdir,
                files=now.files,
                clusters=clusters,
                local_cluster=local_cluster,
                selection=now.selection,
                hints=now.hints,
                cache_directory=now.cache_directory,
            )
        )


def _set(field: str, value: Any) -> None:
    with _lock:
        now = _configuration
        replace_configuration(now.with_selection(now.selection.with_(field, value, MANUAL)))


def _select(name: str, value: object, *, null: bool = False) -> None:
    """Check the value as the command of that name does, and select it."""
    if not (value is None and null) and (problem := check_argument(COMMANDS[name], value, repr(value)[:80])):
        choices = COMMANDS[name].choices
        raise SelectionInvalid(f"{problem}.", remedy=meant(value, choices) if choices else "")
    _set(name, value)


def select_cluster(cluster: str | None) -> None:
    """Select a cluster, or none. Raises SelectionInvalid; whether it is defined is asked when it is used."""
    _select("cluster", cluster)


def select_project(project: str) -> None:
    """Select a project. Raises SelectionInvalid."""
    _select("project", project)


def select_subproject(subproject: str | None) -> None:
    """Select a subproject, or none. Raises SelectionInvalid."""
    _select("subproject", subproject, null=True)


def select_stage(stage: str | None) -> None:
    """Select a stage, or none. Raises SelectionInvalid."""
    _set("stage", checked_name("stage", stage))


def select_substage(substage: str | None) -> None:
    """Select a substage, or none. Raises SelectionInvalid."""
    _set("substage", checked_name("substage", substage))


def select_execution(execution: str, *, source: str = MANUAL) -> None:
    """Select where steps run: process, spawn or remote. source: kept for older programs. Raises SelectionInvalid."""
    _select("execution", execution)


def select_persistent(persistent: bool) -> None:
    """Select whether services keep results. Raises SelectionInvalid."""
    _select("persistent", persistent)


def select_record(record: bool) -> None:
    """Select whether execution records are full. Raises SelectionInvalid."""
    _select("record", record)


def select_remote(remote: str | None) -> None:
    """Select the job back end: daskserver, jobserver, or none in particular. Raises SelectionInvalid."""
    _select("remote", remote)


def select_queue(queue: str) -> None:
    """Select a queue of the selected cluster. Raises SelectionInvalid."""
    cluster = _configuration.selection.cluster
    if problem := check_argument(COMMANDS["queue"], queue, repr(queue)[:80]):
        raise SelectionInvalid(f"{problem}.")
    if cluster is None:
        raise SelectionInvalid(
            f"queue {queue!r} is selected before a cluster is.", remedy="Select a cluster first."
        )
    if found := queue_problem(_configuration.clusters, cluster, queue):
        raise SelectionInvalid(found[0], remedy=found[1])
    _set("queue", queue)


def select_node(node: str | None) -> None:
    """Select a node of the cluster, or none. Raises SelectionInvalid."""
    _select("node", node)


def select_nparallel(nparallel: int) -> None:
    """Set how many steps `parallel` runs at once. Raises SelectionInvalid."""
    _select("nparallel", nparallel)


def checked_name(what: str, name: str | None) -> str | None:
    """Return the name, None for an empty one. Raises SelectionInvalid."""
    if name is None or name == "":
        return None
    problem = name_problem(what, name) if isinstance(name, str) else f"a {what} is text, not {name!r:.80}"
    if problem:
        raise SelectionInvalid(f"{problem}.")
    return name


def get_selected_cluster() -> str | None:
    return _configuration.selection.cluster


def get_selected_project() -> str | None:
    return _configuration.selection.project


def get_subproject() -> str | None:
    return _configuration.selection.subproject


def get_stage() -> str | None:
    return _configuration.selection.stage


def get_substage() -> str | None:
    return _configuration.selection.substage


def get_execution() -> str:
    """Return where steps run: as selected, else `remote` with a cluster, `process` without."""
    return _configuration.execution


def get_persistent(cluster: str | None = None) -> bool:
    """Return whether services keep results: as selected, else whether there is a cluster."""
    selected = _configuration.selection.persistent
    return bool(cluster or _configuration.selection.cluster) if selected is None else selected


def get_record() -> bool:
    """Return whether execution records are full."""
    return bool(_configuration.selection.record)


def get_remote() -> str | None:
    return _configuration.selection.remote


def get_node() -> str | None:
    return _configuration.selection.node


def get_queue(cluster: str | None = None) -> str | None:
    """Return the queue that was selected for that cluster (None: the selected one), or None."""
    now = _configuration
    found = now.clusters.get(cluster or now.selection.cluster or "")
    return None if found is None else now.queue(found)


def get_nparallel() -> int:
    """Return how many steps `parallel` runs at once. Raises ConfigurationError when unset."""
    nparallel = _configuration.selection.nparallel
    if nparallel is None:
        raise ConfigurationError(
            "nparallel is not set.",
            remedy="Add 'nparallel: <N>' to seamless.profile.yaml or call seamless_config.set_nparallel(N).",
        )
    return nparallel


def execution_was_set_explicitly() -> bool:
    """Whether a command or a program has said where steps run."""
    return "execution" in _configuration.selection


def execution_command_seen() -> bool:
    """Whether a command of a file has said where steps run."""
    return execution_was_set_explicitly() and _configuration.selection.origin("execution") != MANUAL


def persistent_was_set_explicitly() -> bool:
    """Whether a command or a program has said if services keep results."""
    return "persistent" in _configuration.selection


def get_current(
    cluster: str | None = None,
    project: str | None = None,
    subproject: str | None = None,
    stage: str | None = None,
    substage: str | None = None,
) -> tuple[str, str, str | None, str | None, str | None]:
    """Return the five, each None replaced by what is selected. Raises ConfigurationError without cluster or project."""
    now = _configuration
    cluster = cluster or now.selection.cluster or now.cluster().name
    return (
        cluster,
        project or now.project(),
        now.selection.subproject if subproject is None else subproject,
        now.selection.stage if stage is None else stage,
        now.selection.substage if substage is None else substage,
    )


def check_remote_redundancy(cluster: str) -> str | None:
    """Return the job back end of a cluster, or None. Raises ConfigurationError when there are two to choose from."""
    return _configuration.back_end(_configuration.cluster(cluster))

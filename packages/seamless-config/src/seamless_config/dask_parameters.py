"""What a Dask server is told of its jobs: the fields of a queue as `parameters` of the launch."""

from __future__ import annotations

from .cluster import Cluster, Queue
from .cluster_fields import PURE_QUEUE_NEEDS, QUEUE_NEEDS
from .configuration import Configuration
from .errors import ConfigurationError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

__all__ = ("cluster_string", "dask_parameters", "missing_fields")

CLUSTER_CLASSES = {
    "local": "distributed::LocalCluster",
    "slurm": "dask_jobqueue::SLURMCluster",
    "oar": "dask_jobqueue::OARCluster",
}
SPELLED = {  # what the Dask wrapper calls a field of the queue
    "unknown_task_duration": "unknown-task-duration",
    "target_duration": "target-duration",
    "lifetime_stagger": "lifetime-stagger",
    "dask_resources": "dask-resources",
}
PURE_WORKER_THREADS = 2
EXAMPLES = {
    "conda": "seamless-dask",
    "walltime": '"01:00:00"',
    "memory": "8GB",
    "maximum_jobs": "10",
    "unknown_task_duration": "1m",
    "target_duration": "10m",
}


def cluster_string(cluster: Cluster) -> str:
    """Return the Dask class of a cluster. Raises ConfigurationError without a type."""
    if cluster.type is None:
        raise ConfigurationError(
            f"cluster {cluster.name!r} offers a daskserver, but does not say its type.",
            place=cluster.place,
            remedy="Add 'type: slurm', 'type: oar' or 'type: local' to the cluster.",
        )
    return CLUSTER_CLASSES[cluster.type]


def dask_parameters(
    configuration: Configuration, cluster: Cluster, queue: Queue, *, is_pure: bool
) -> dict[str, Any]:
    """Return the parameters, without those that are not set. Raises ConfigurationError."""
    _check_needs(cluster, queue, is_pure=is_pure)
    fields = dict(queue.fields)
    directives = list(fields.get("job_extra_directives") or ())
    if cluster.type == "local" and fields.get("cores") is None and cluster.workers is not None:
        fields["cores"] = cluster.workers
    exclusive = bool(fields.get("exclusive"))
    resource_spec = None
    if exclusive and fields.get("cores") is not None and not is_pure:
        fields["job_cores"] = fields["cores"]
    elif exclusive and cluster.type == "slurm":
        directives.append("--exclusive")
    if exclusive and cluster.type == "oar" and (is_pure or fields.get("cores") is None):
        resource_spec = "/nodes=1"
    node = configuration.selection.node
    if node is not None:
        directives += _node_directives(cluster, node)
    found = {SPELLED.get(name, name): value for name, value in fields.items() if name != "conda"}
    found.pop("job_extra_directives", None)
    if directives:
        found["job_extra_directives"] = directives
    if resource_spec is not None:
        found["resource_spec"] = resource_spec
    if cluster.memory_per_core_property_name is not None:
        found["memory_per_core_property_name"] = cluster.memory_per_core_property_name
    if is_pure:
        found.pop("exclusive", None)
        found["pure_dask"] = True
        found.setdefault("worker_threads", PURE_WORKER_THREADS)
        if cluster.type == "local" and cluster.workers is not None:
            found.setdefault("maximum_jobs", cluster.workers)
    else:
        found["record"] = bool(configuration.selection.record)
    return found


def missing_fields(cluster: Cluster, queue: Queue, *, is_pure: bool = False) -> list[str]:
    """Return the fields that a queue lacks for a Dask server to be configured from it."""
    needs = PURE_QUEUE_NEEDS if is_pure else QUEUE_NEEDS
    has_default = is_pure and cluster.type == "local" and cluster.workers is not None
    return [
        name for name in needs if queue.get(name) is None and not (name == "maximum_jobs" and has_default)
    ]


def _check_needs(cluster: Cluster, queue: Queue, *, is_pure: bool) -> None:
    missing = missing_fields(cluster, queue, is_pure=is_pure)
    if missing:
        raise ConfigurationError(
            f"queue {queue.name!r} of cluster {cluster.name!r} lacks {', '.join(missing)}; a Dask server cannot be "
            "configured from it.",
            place=queue.place,
            remedy="Add to the queue, for example: "
            + ", ".join(f"'{name}: {EXAMPLES[name]}'" for name in missing)
            + "; or take them over with 'TEMPLATE: OTHER_QUEUE'.",
        )


def _node_directives(cluster: Cluster, node: str) -> list[str]:
    if cluster.type == "slurm":
        return [f"--nodelist={node}"]
    if cluster.type == "oar":
        if "'" in node:
            raise ConfigurationError(f"the node {node!r} cannot be asked for: it contains a quote.")
        return ["-p", f"host='{node}'"]
    raise ConfigurationError(
        f"node {node!r} is selected, but cluster {cluster.name!r} is of type {cluster.type!r}, whose nodes cannot be "
        "chosen.",
        remedy="Remove 'node', or select a cluster of type slurm or oar.",
    )

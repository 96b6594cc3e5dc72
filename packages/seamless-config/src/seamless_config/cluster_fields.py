"""The fields of cluster definitions as one table: the parser, the JSON schema and the documentation read it."""

from __future__ import annotations

__all__ = (
    "AUTH_MODES",
    "CLUSTER_FIELDS",
    "CLUSTER_TYPES",
    "FRONTEND_FIELDS",
    "PURE_QUEUE_NEEDS",
    "QUEUE_FIELDS",
    "QUEUE_NEEDS",
    "SERVICES",
    "SERVICE_FIELDS",
    "Field",
)

CLUSTER_TYPES = ("local", "slurm", "oar")
AUTH_MODES = ("token", "group", "none")
SERVICES = ("hashserver", "database", "jobserver", "daskserver")
MAX_PORT = 65535


class Field:
    """A field. type: "text", "count" (1 or more), "bool", "port", "host", "directory", "list of text", "mapping",
    "choice" or "nested" (a structure of its own)."""

    __slots__ = ("choices", "name", "null", "required", "summary", "type")

    def __init__(
        self,
        name: str,
        type_: str,
        summary: str,
        *,
        required: bool = False,
        null: bool = False,
        choices: tuple[str, ...] = (),
    ) -> None:
        self.name = name
        self.type = type_
        self.summary = summary
        self.required = required
        self.null = null
        self.choices = choices


def _table(*fields: Field) -> dict[str, Field]:
    return {field.name: field for field in fields}


CLUSTER_FIELDS = _table(
    Field("type", "choice", "how jobs get to the cluster", null=True, choices=CLUSTER_TYPES),
    Field("frontends", "nested", "the machines that offer services, in order of preference", required=True),
    Field("tunnel", "bool", "reach the services through an SSH tunnel"),
    Field("workers", "count", "worker processes of a jobserver or of `execution: spawn`", null=True),
    Field("memory_per_core_property_name", "text", "OAR property that holds the memory of a core", null=True),
    Field("queues", "nested", "the queues of jobs", null=True),
    Field("default_queue", "text", "the queue that counts when none is selected", null=True),
)

FRONTEND_FIELDS = _table(
    Field(
        "hostname",
        "host",
        "the machine, as clients and workers name it; null or absent: this machine",
        null=True,
    ),
    Field("ssh_hostname", "host", "the name for SSH, when it is another one", null=True),
    Field(
        "auth",
        "choice",
        "who may use the services: bearers of a token, a group, or anybody",
        choices=AUTH_MODES,
    ),
    *(Field(service, "nested", f"offers a {service}") for service in SERVICES),
)

_NETWORK = (
    Field("network_interface", "host", "the address that the service listens at"),
    Field("port_start", "port", "first port of the range"),
    Field("port_end", "port", "last port of the range"),
)
_NEEDED_NETWORK = tuple(Field(field.name, field.type, field.summary, required=True) for field in _NETWORK)
_CONDA = Field("conda", "text", "conda environment that has the service")

SERVICE_FIELDS = {
    "hashserver": _table(
        Field("bufferdir", "directory", "directory of the buffers", required=True), _CONDA, *_NETWORK
    ),
    "database": _table(
        Field("database_dir", "directory", "directory of the databases", required=True), _CONDA, *_NETWORK
    ),
    "jobserver": _table(
        Field("conda", "text", "conda environment that has the service", required=True), *_NEEDED_NETWORK
    ),
    "daskserver": _table(*_NEEDED_NETWORK),
}

QUEUE_FIELDS = _table(
    Field("TEMPLATE", "text", "an earlier queue whose fields this one takes over", null=True),
    Field("conda", "text", "conda environment of scheduler and workers", null=True),
    Field("walltime", "text", "limit of a job, HH:MM:SS", null=True),
    Field("cores", "count", "cores of a worker", null=True),
    Field("job_cores", "count", "cores that a job asks for", null=True),
    Field("memory", "text", "memory of a job, such as 32000MB", null=True),
    Field("tmpdir", "text", "directory for temporary files on the node", null=True),
    Field("partition", "text", "partition or queue of the batch system", null=True),
    Field("project", "text", "account that is charged", null=True),
    Field("interactive", "bool", "keep one job at all times", null=True),
    Field("exclusive", "bool", "take whole nodes", null=True),
    Field("unknown_task_duration", "text", "duration to expect of an unknown step, such as 1m", null=True),
    Field("target_duration", "text", "duration after which more jobs are worth it, such as 10m", null=True),
    Field("lifetime", "text", "when a worker ends itself, such as 50m", null=True),
    Field("lifetime_stagger", "text", "random part of the lifetime, such as 4m", null=True),
    Field("maximum_jobs", "count", "most jobs at once", null=True),
    Field("worker_threads", "count", "threads of a worker process", null=True),
    Field("processes", "count", "worker processes of a job", null=True),
    Field("job_extra_directives", "list of text", "more directives of the job script", null=True),
    Field("job_script_prologue", "list of text", "shell lines before the worker starts", null=True),
    Field("dask_resources", "mapping", "abstract resources of Dask workers", null=True),
    Field("extra_dask_config", "mapping", "more configuration of Dask", null=True),
)

QUEUE_NEEDS = ("conda", "walltime", "memory", "maximum_jobs", "unknown_task_duration", "target_duration")
"""What a queue must say before a Dask server can be configured from it."""
PURE_QUEUE_NEEDS = ("conda", "walltime", "memory", "maximum_jobs")
"""The same for a Dask server without storage."""

"""From the configuration to what is to be activated. Pure: nothing is started, asked or changed.

| cluster | persistent | execution | activated |
|---|---|---|---|
| none | - | process | memory |
| set | true | process | the buffer and database servers that the cluster offers |
| set | false | process | memory |
| set | true | remote, by default, and no job back end | as for process, with a warning |

Jobs elsewhere than in this process (`spawn`, `remote`) are checked as far as the configuration goes; then they are
refused, since this version cannot start them.
"""

from __future__ import annotations

from .errors import ConfigurationError, NotSupportedYet
from .launch_dictionaries import STORAGE_SERVICES, launch_dictionary

TYPE_CHECKING = False
if TYPE_CHECKING:
    from .cluster import Cluster
    from .configuration import Configuration
    from .places import Place

__all__ = ("ActivationPlan", "check_execution", "plan_of", "plan_storage")

USE_PROCESS = "Write '- execution: process' into seamless.profile.yaml: steps then run in this process."
NO_PERSISTENCE = (
    "No cluster defined; running without persistence. Results are kept in memory, for this process only. "
    "Set SEAMLESS_CACHE=/path/to/cache to keep them, or select a cluster in seamless.profile.yaml."
)


class ActivationPlan:
    """What a configuration asks for.

    services: of "hashserver" and "database", those that are used. embedded: the cache directory that this process opens
    itself, or None. Neither: results in memory. warnings: what the user should know.
    """

    __slots__ = ("configuration", "embedded", "services", "warnings")

    def __init__(
        self,
        configuration: Configuration,
        *,
        services: tuple[str, ...] = (),
        embedded: str | None = None,
        warnings: tuple[str, ...] = (),
    ) -> None:
        self.configuration = configuration
        self.services = services
        self.embedded = embedded
        self.warnings = warnings

    @property
    def is_memory(self) -> bool:
        """Whether nothing outlives the process."""
        return not self.services and self.embedded is None


def plan_of(configuration: Configuration) -> ActivationPlan:
    """Return what the configuration asks for. Raises ConfigurationError for what cannot be, or not yet."""
    plan = plan_storage(configuration)
    said = check_execution(configuration)
    return ActivationPlan(
        configuration,
        services=plan.services,
        embedded=plan.embedded,
        warnings=(*said, *plan.warnings, *configuration.hints),
    )


def plan_storage(configuration: Configuration) -> ActivationPlan:
    """Return where buffers and results are kept. Raises ConfigurationError."""
    if configuration.cache_directory is not None:
        return ActivationPlan(configuration, embedded=configuration.cache_directory)
    selection = configuration.selection
    if not selection.cluster:
        if selection.execution == "remote":
            raise ConfigurationError(
                "execution is remote, but no cluster is selected.",
                place=_place(configuration, "execution"),
                remedy="Add '- cluster: NAME' to seamless.profile.yaml, or write '- execution: process'.",
            )
        if selection.persistent:
            raise ConfigurationError(
                "persistent is true, but no cluster is selected: there is nothing that could keep results.",
                place=_place(configuration, "persistent"),
                remedy="Add '- cluster: NAME' to seamless.profile.yaml, or set SEAMLESS_CACHE=/path/to/cache.",
            )
        return ActivationPlan(
            configuration, warnings=(NO_PERSISTENCE,) if selection.persistent is None else ()
        )
    cluster = configuration.cluster()
    if not configuration.persistent:
        return ActivationPlan(configuration)
    services = tuple(service for service in STORAGE_SERVICES if cluster.offers(service))
    if not services:
        raise ConfigurationError(
            f"cluster {cluster.name!r} offers neither a hashserver nor a database: it can keep nothing.",
            place=cluster.place,
            remedy="Add 'hashserver:' and 'database:' to a frontend of the cluster, or write '- persistent: false'.",
        )
    configuration.project()
    return ActivationPlan(configuration, services=services)


def check_execution(configuration: Configuration) -> tuple[str, ...]:
    """Return what the user should know about where steps run. Raises ConfigurationError unless it is here."""
    execution = configuration.execution
    if configuration.cache_directory is not None:
        return ()
    said = () if "execution" in configuration.selection else (_default_execution(configuration),)
    if execution == "spawn":
        _check_spawn(configuration)
    elif execution == "remote":
        return _check_remote(configuration, said)
    return said


def _default_execution(configuration: Configuration) -> str:
    if not configuration.selection.cluster:
        return "No execution mode is selected; it is 'process' by default: steps run in this process."
    return "No execution mode is selected; it is 'remote' by default, since a cluster is selected."


def _check_spawn(configuration: Configuration) -> None:
    cluster = _worker_cluster(configuration)
    if cluster is None:
        raise ConfigurationError(
            "execution is spawn, but there is no local cluster that says how many workers to start.",
            place=_place(configuration, "execution"),
            remedy="Name one with 'local_cluster: NAME' in ~/.seamless/clusters.yaml, with 'workers: N'.",
        )
    if cluster.workers is None:
        raise ConfigurationError(
            f"execution is spawn, but local cluster {cluster.name!r} does not say how many workers to start.",
            place=cluster.place,
            remedy="Add 'workers: N' to the cluster.",
        )
    raise _not_yet(f"local worker processes ({cluster.workers} of cluster {cluster.name!r})")


def _worker_cluster(configuration: Configuration) -> Cluster | None:
    """Return the cluster whose workers count: the designated local one, else the selected one if it is here."""
    if configuration.local_cluster is not None:
        return configuration.cluster(configuration.local_cluster)
    if not configuration.selection.cluster:
        return None
    cluster = configuration.cluster()
    return cluster if configuration.is_here(cluster) else None


def _check_remote(configuration: Configuration, said: tuple[str, ...]) -> tuple[str, ...]:
    cluster = configuration.cluster()
    back_end = configuration.back_end(cluster)
    if not configuration.persistent:
        if back_end != "daskserver":
            raise ConfigurationError(
                f"persistent is false, and cluster {cluster.name!r} has no daskserver selected: without persistence, "
                f"remote execution needs a daskserver ({back_end or 'no job back end'} is what there is).",
                place=_place(configuration, "persistent") or cluster.place,
                remedy="Select a cluster with a daskserver, or write '- persistent: true'.",
            )
        launch_dictionary(configuration, "pure-daskserver")
        raise _not_yet(f"the daskserver of cluster {cluster.name!r}")
    if back_end is not None:
        launch_dictionary(configuration, back_end)
        raise _not_yet(f"the {back_end} of cluster {cluster.name!r}")
    if "execution" in configuration.selection:
        raise ConfigurationError(
            f"execution is remote, but cluster {cluster.name!r} offers neither a jobserver nor a daskserver.",
            place=_place(configuration, "execution") or cluster.place,
            remedy=USE_PROCESS,
        )
    return (
        f"{said[0]} Cluster {cluster.name!r} offers neither a jobserver nor a daskserver: steps run in this process. "
        "Write '- execution: process' to say so.",
    )


def _not_yet(what: str) -> NotSupportedYet:
    return NotSupportedYet(
        f"steps would run in {what}, which this version cannot start yet.", remedy=USE_PROCESS
    )


def _place(configuration: Configuration, field: str) -> Place | None:
    """Return where a field was set, None when that was in no file."""
    origin = configuration.selection.origin(field)
    return None if origin is None or isinstance(origin, str) else origin

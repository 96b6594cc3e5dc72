"""From configuration and command line to services: key, host, directory.

Nothing is invented here: key and directory are those of the launch dictionary, which is what a launch uses.
"""

from __future__ import annotations

import os

from seamless_config.cluster import parse_clusters
from seamless_config.cluster_files import read_cluster_files
from seamless_config.configuration import CACHE_CLUSTER, Configuration, queue_problem, read_configuration
from seamless_config.errors import ConfigurationError
from seamless_config.names import name_problem

from .command import warn
from .hosts import Host
from .scopes import DATA_SERVICES, Scope

TYPE_CHECKING = False  # importing typing costs a command 6 ms
if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from typing import Any

    from seamless_config.cluster import Cluster, Frontend

    from .options import Request

__all__ = (
    "Place",
    "Target",
    "configuration_of",
    "data_places",
    "hosts_of",
    "selected_cluster",
    "target_of",
)

ORIGIN = "the command line"
_DIRECTORY_FIELDS = {"hashserver": "bufferdir", "database": "database_dir"}
_NAMES = ("cluster", "project", "subproject", "stage", "substage")


class Target:
    """One service. launch: its launch dictionary. scope: what it belongs to. host: where it runs."""

    def __init__(
        self, scope: Scope, host: Host, launch: Mapping[str, Any], configuration: Configuration
    ) -> None:
        self.scope = scope
        self.host = host
        self.launch = launch
        self.configuration = configuration

    @property
    def key(self) -> str:
        """The launcher's name of it."""
        return str(self.launch["key"])

    @property
    def workdir(self) -> str:
        """Its directory, as the configuration writes it."""
        return str(self.launch["workdir"])


class Place:
    """A directory of data of all projects of a cluster. service: whose. host: where. root: the directory."""

    def __init__(self, service: str, cluster: str, host: Host, root: str) -> None:
        self.service = service
        self.cluster = cluster
        self.host = host
        self.root = root


def configuration_of(request: Request, *, reads_project: bool = True) -> Configuration:
    """Return the configuration with the command line's choices. Raises ConfigurationError.

    reads_project: whether the project files of the current directory count, when no `--workdir` says which.
    """
    stage, substage = (request.wanted.get(name) or None for name in ("stage", "substage"))
    for name in _NAMES:
        problem = name_problem(name, value) if (value := request.wanted.get(name)) else ""
        if problem:
            raise ConfigurationError(f"{problem}.", remedy=f"Correct --{name}.")
    environ = _environment(request)
    if request.workdir is not None and not os.path.isdir(request.workdir):
        raise ConfigurationError(
            f"--workdir {request.workdir!r} is no directory.", remedy="Name the folder of seamless.yaml."
        )
    if reads_project or request.workdir is not None or environ.get("SEAMLESS_CACHE", "").strip():
        workdir = os.path.abspath(request.workdir or ".")
        found = read_configuration(workdir, stage=stage, substage=substage, environ=environ)
    else:
        clusters, local_cluster = parse_clusters(read_cluster_files())
        found = Configuration(clusters=clusters, local_cluster=local_cluster)
    found = _with_choices(found, request.wanted)
    if not (found.selection.cluster and found.selection.project):
        for hint in found.hints:
            warn(f"hint:  {hint}")
    return found


def selected_cluster(configuration: Configuration, request: Request) -> Cluster:
    """Return the cluster that is asked for, or selected. Raises ConfigurationError."""
    return configuration.cluster(request.cluster)


def target_of(configuration: Configuration, request: Request, service: str) -> Target:
    """Return the service that the command line means. Raises ConfigurationError."""
    from seamless_config.launch_dictionaries import key_of, launch_dictionary

    launch = launch_dictionary(configuration, service, mode=request.mode, frontend_name=request.frontend_name)
    key = key_of(launch)
    meta = launch.get("meta") or {}
    scope = Scope(**{name: meta.get(name) for name in Scope.__slots__})
    host = launch.get("hostname") and (launch.get("ssh_hostname") or launch["hostname"])
    return Target(scope, Host(host), {**launch, "key": key}, configuration)


def hosts_of(configuration: Configuration, cluster: Cluster, frontend_name: str | None = None) -> list[Host]:
    """Return every host of the cluster once, in the order of its frontends. Raises ConfigurationError."""
    names = dict.fromkeys(
        _host_name(configuration, cluster, frontend) for frontend in _frontends(cluster, frontend_name)
    )
    return [Host(name) for name in names]


def data_places(
    configuration: Configuration,
    cluster: Cluster,
    services: Sequence[str] = DATA_SERVICES,
    frontend_name: str | None = None,
) -> list[Place]:
    """Return where the cluster keeps data, each directory once."""
    found: dict[tuple[str, str | None, str], Place] = {}
    for frontend in _frontends(cluster, frontend_name):
        for service in services:
            fields = frontend.service(service) if service in DATA_SERVICES else None
            if fields is None:
                continue
            name = _host_name(configuration, cluster, frontend)
            root = str(fields[_DIRECTORY_FIELDS[service]])
            root = root.rstrip("/") or "/"
            found.setdefault((service, name, root), Place(service, cluster.name, Host(name), root))
    return list(found.values())


def _frontends(cluster: Cluster, frontend_name: str | None) -> list[Frontend]:
    found = [each for each in cluster.frontends if frontend_name in (None, each.hostname)]
    if not found:
        known = ", ".join(sorted(str(each.hostname) for each in cluster.frontends)) or "none"
        wanted = "" if frontend_name is None else f" with hostname {frontend_name!r}"
        raise ConfigurationError(
            f"cluster {cluster.name!r} has no frontend{wanted}; it has: {known}.",
            place=cluster.place,
            remedy="--frontend-name takes the hostname of a frontend.",
        )
    return found


def _host_name(configuration: Configuration, cluster: Cluster, frontend: Frontend) -> str | None:
    """Return how ssh calls the frontend, None when it is this machine, as in a launch dictionary."""
    if configuration.is_here(cluster) or frontend.hostname is None:
        return None
    return frontend.ssh_hostname or frontend.hostname


def _with_choices(configuration: Configuration, wanted: Mapping[str, str]) -> Configuration:
    """Return the configuration with what the command line gives; "" takes a choice of the files away."""
    selection = configuration.selection
    project = wanted.get("project")
    if project is not None and project != selection.project:
        selection = selection.without("subproject")  # it was one of another project
    for name in _NAMES:
        if name in wanted:
            selection = selection.with_(name, wanted[name] or None, ORIGIN)
    queue = wanted.get("queue")
    if queue is not None:
        problem = queue_problem(configuration.clusters, selection.cluster or "", queue)
        if problem:
            raise ConfigurationError(problem[0], remedy=problem[1] or "Correct --queue.")
        selection = selection.with_("queue", queue, ORIGIN)
    return configuration.with_selection(selection)


def _environment(request: Request) -> Mapping[str, str]:
    """Return the environment; `--project SEAMLESS_CACHE` finds the directory of a server that has been started."""
    if not request.is_cache_alias or os.environ.get("SEAMLESS_CACHE", "").strip():
        return os.environ
    from .cache_directories import recorded_cache_directory

    directory = recorded_cache_directory(request)
    if directory is None:
        raise ConfigurationError(
            "there is no cache directory: SEAMLESS_CACHE is not set, and this machine knows no server of cluster "
            f"{CACHE_CLUSTER}.",
            remedy="Set SEAMLESS_CACHE=/path/to/cache.",
        )
    return {**os.environ, "SEAMLESS_CACHE": directory}

"""The effective configuration: what files, environment and program say together. Reads files, touches nothing else.

Order: clusters of the home folder, then the `clusters` commands of all project files, then all other commands,
outermost parent first. With `SEAMLESS_CACHE`, no file is read: there is one cluster, that directory.
"""

from __future__ import annotations

import os

from .cluster import Cluster, Frontend, cluster_of, parse_clusters
from .errors import ConfigurationError, ConfigurationFileInvalid
from .selection import Selection
from .spelling import meant

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping

    from .commands import Command
    from .places import Place

__all__ = ("CACHE_CLUSTER", "CACHE_PROJECT", "Configuration", "queue_problem", "read_configuration")

CACHE_CLUSTER = "__SEAMLESS_CACHE__"
CACHE_PROJECT = "__TOPLEVEL__"
CACHE_ORIGIN = "SEAMLESS_CACHE"


class Configuration:
    """The effective configuration. Treat it as frozen; `with_selection` gives a changed one.

    files: those that were read. hints: sentences for the user. cache_directory: of `SEAMLESS_CACHE`, or None.
    """

    __slots__ = ("cache_directory", "clusters", "files", "hints", "local_cluster", "selection", "workdir")

    def __init__(
        self,
        *,
        workdir: str = "",
        files: tuple[str, ...] = (),
        clusters: Mapping[str, Cluster] | None = None,
        local_cluster: str | None = None,
        selection: Selection | None = None,
        hints: tuple[str, ...] = (),
        cache_directory: str | None = None,
    ) -> None:
        self.workdir = workdir
        self.files = files
        self.clusters = dict(clusters or {})
        self.local_cluster = local_cluster
        self.selection = selection or Selection()
        self.hints = hints
        self.cache_directory = cache_directory

    def with_selection(self, selection: Selection) -> Configuration:
        """Return the configuration with another selection."""
        return Configuration(
            workdir=self.workdir,
            files=self.files,
            clusters=self.clusters,
            local_cluster=self.local_cluster,
            selection=selection,
            hints=self.hints,
            cache_directory=self.cache_directory,
        )

    def with_project(self, project: str, subproject: str | None, origin: str) -> Configuration:
        """Return the configuration with another project; the subproject goes with it. origin: who says so."""
        selection = self.selection.with_("project", project, origin).with_("subproject", subproject, origin)
        return self.with_selection(selection)

    def cluster(self, name: str | None = None) -> Cluster:
        """Return a cluster; None: the selected one. Raises ClusterUnknown, and ConfigurationError without any."""
        is_selected = not name
        name = name or self.selection.cluster
        if not name:
            raise ConfigurationError(
                "no cluster is selected.",
                remedy="Add '- cluster: NAME' to seamless.profile.yaml, or give --cluster NAME to a command.",
            )
        return cluster_of(self.clusters, name, self.place_of("cluster") if is_selected else None)

    def place_of(self, field: str) -> Place | None:
        """Return where a field was selected, when that was in a file."""
        from .places import Place

        origin = self.selection.origin(field)
        return origin if isinstance(origin, Place) else None

    def project(self) -> str:
        """Return the selected project. Raises ConfigurationError."""
        project = self.selection.project
        if not project:
            raise ConfigurationError(
                "no project is selected.",
                remedy="Add '- project: NAME' to seamless.yaml, or give --project NAME to a command.",
            )
        return project

    def is_here(self, cluster: Cluster) -> bool:
        """Whether the services of a cluster run on this machine: it is the designated local one, or names no other."""
        return cluster.name == self.local_cluster or cluster.is_here

    @property
    def execution(self) -> str:
        """Where steps run: as selected, else `remote` with a cluster, `process` without."""
        return self.selection.execution or ("remote" if self.selection.cluster else "process")

    @property
    def persistent(self) -> bool:
        """Whether services keep results: as selected, else with a cluster."""
        selected = self.selection.persistent
        return bool(self.selection.cluster) if selected is None else selected

    def queue(self, cluster: Cluster) -> str | None:
        """Return the selected queue, if it was selected for that cluster and exists there; else None."""
        selection = self.selection
        if (
            selection.queue is not None
            and selection.queue_cluster == cluster.name
            and selection.queue in cluster.queues
        ):
            return selection.queue
        return None

    def back_end(self, cluster: Cluster) -> str | None:
        """Return the job back end: "jobserver", "daskserver" or None. Raises ConfigurationError when there are two."""
        if self.selection.remote is not None:
            return self.selection.remote
        offered = [name for name in ("jobserver", "daskserver") if cluster.offers(name)]
        if len(offered) > 1:
            raise ConfigurationError(
                f"cluster {cluster.name!r} offers both a jobserver and a daskserver, and none is selected.",
                place=cluster.place,
                remedy="Add '- remote: jobserver' or '- remote: daskserver' to seamless.profile.yaml.",
            )
        return offered[0] if offered else None


def read_configuration(
    workdir: str | os.PathLike[str],
    *,
    stage: str | None = None,
    substage: str | None = None,
    before: Selection | None = None,
    environ: Mapping[str, str] = os.environ,
) -> Configuration:
    """Return the effective configuration of a directory.

    before: what was selected before; what a program selected stays, until a command says otherwise.
    Raises ConfigurationFileInvalid, with the place in the file.
    """
    from .selection import MANUAL

    kept = (before or Selection()).manual()
    selection = kept.with_("stage", stage, MANUAL).with_("substage", substage, MANUAL)
    workdir = os.fspath(workdir)
    cache = environ.get(CACHE_ORIGIN, "").strip()
    if cache:
        return _cache_configuration(workdir, cache, selection)
    from .cluster_files import read_cluster_files
    from .project_files import read_project_files

    files = read_project_files(workdir)
    hints = [files.hint] if files.hint else []
    commands = files.commands(stage, hints)
    tables = read_cluster_files()
    names = [table.place.file for table in tables if table.place is not None]
    tables += [command.argument for command in commands if command.name == "clusters"]
    clusters, local_cluster = parse_clusters(tables)
    found = Configuration(
        workdir=workdir,
        files=(*names, *files.names),
        clusters=clusters,
        local_cluster=local_cluster,
        hints=tuple(hints),
    )
    for command in commands:
        if command.name != "clusters":
            selection = _carried_out(command, selection, found)
    return found.with_selection(selection)


def _carried_out(command: Command, selection: Selection, found: Configuration) -> Selection:
    assert command.place is not None
    argument, place = command.argument, command.argument_place or command.place
    if command.name == "queue":
        _check_queue(command, selection, found)
    if command.name == "auth":
        argument = {**(selection.auth or {}), **_auth_by_cluster(argument, selection, place)}
    return selection.with_(command.name, argument, place)


def _auth_by_cluster(
    argument: str | Mapping[str, str], selection: Selection, place: Place
) -> Mapping[str, str]:
    if not isinstance(argument, str):
        return argument
    if selection.cluster is None:
        raise ConfigurationFileInvalid(
            f"auth {argument!r} is selected before a cluster is.",
            place=place,
            remedy=f"Write 'cluster' above 'auth', or name the cluster: 'auth: {{mycluster: {argument}}}'.",
        )
    return {selection.cluster: argument}


def _check_queue(command: Command, selection: Selection, found: Configuration) -> None:
    place, queue, name = command.argument_place or command.place, command.argument, selection.cluster
    if name is None:
        raise ConfigurationFileInvalid(
            f"queue {queue!r} is selected before a cluster is.",
            place=place,
            remedy="Write 'cluster' above 'queue'.",
        )
    problem = queue_problem(found.clusters, name, queue)
    if problem:
        raise ConfigurationFileInvalid(problem[0], place=place, remedy=problem[1])


def queue_problem(clusters: Mapping[str, Cluster], cluster: str, queue: str) -> tuple[str, str] | None:
    """Return what is wrong with a queue of a cluster, and what to do; None if nothing is."""
    if cluster not in clusters:
        return f"queue {queue!r} is selected, but its cluster {cluster!r} is not defined.", meant(
            cluster, clusters
        )
    queues = clusters[cluster].queues
    if queue not in queues:
        known = ", ".join(queues) or "it has none"
        return f"cluster {cluster!r} has no queue {queue!r}; its queues: {known}.", meant(queue, queues)
    return None


def _cache_configuration(workdir: str, cache: str, selection: Selection) -> Configuration:
    directory = os.path.join(os.getcwd(), os.path.expanduser(cache))
    frontend = Frontend(
        {
            "hostname": "localhost",
            "hashserver": {"bufferdir": directory},
            "database": {"database_dir": directory},
        }
    )
    cluster = Cluster(CACHE_CLUSTER, {"type": "local", "frontends": [frontend]})
    selection = selection.with_("cluster", CACHE_CLUSTER, CACHE_ORIGIN)
    if selection.project is None:
        selection = selection.with_("project", CACHE_PROJECT, CACHE_ORIGIN)
    selection = selection.with_("execution", "process", CACHE_ORIGIN).with_("persistent", True, CACHE_ORIGIN)
    return Configuration(
        workdir=workdir,
        clusters={CACHE_CLUSTER: cluster},
        local_cluster=CACHE_CLUSTER,
        selection=selection,
        cache_directory=directory,
    )

"""From the configuration to what remote-http-launcher is told: the launch dictionary of a service. Pure.

The templates are data (`tools.yaml`); the fields of frontend and queue fill them. Every dictionary carries `meta`, so
that the state of a service says what it belongs to.
"""

from __future__ import annotations

import os

from .cluster import Cluster, Frontend
from .cluster_fields import SERVICES
from .configuration import Configuration
from .errors import ConfigurationError
from .spelling import meant, one_of

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

__all__ = ("ALL_SERVICES", "STORAGE_SERVICES", "key_of", "launch_dictionary", "launch_templates")

STORAGE_SERVICES = ("hashserver", "database")
ALL_SERVICES = (*SERVICES, "pure-daskserver")
MODES = ("rw", "ro")
PLAIN_NAMES = "Use letters, digits, '_', '-' and '.' in names, and '/' and '~' besides in directories."

_templates: dict[str, dict[str, Any]] | None = None


def launch_templates() -> dict[str, dict[str, Any]]:
    """Return the launch templates by tool, read once."""
    global _templates
    if _templates is None:
        from .yaml_reader import read_yaml

        node = read_yaml(os.path.join(os.path.dirname(os.path.abspath(__file__)), "tools.yaml"))
        assert node is not None
        _templates = node.plain()
    return _templates


def launch_dictionary(
    configuration: Configuration,
    service: str,
    *,
    mode: str = "rw",
    queue: str | None = None,
    frontend_name: str | None = None,
    remote_clients: Mapping[str, Any] | None = None,
) -> dict[str, Any]:
    """Return the launch dictionary of a service for what the configuration has selected.

    queue: of pure-daskserver, instead of the selected one. frontend_name: only frontends of that hostname.
    remote_clients: what a jobserver's workers use. Raises ConfigurationError.
    """
    if service not in ALL_SERVICES:
        raise ConfigurationError(
            f"{service!r} is no service.",
            remedy=meant(service, ALL_SERVICES) or f"Services are {one_of(ALL_SERVICES)}.",
        )
    if mode not in MODES:
        raise ConfigurationError(f"the mode {mode!r} is none.", remedy="Modes are 'rw' and 'ro'.")
    cluster = configuration.cluster()
    is_pure = service == "pure-daskserver"
    frontend = cluster.frontend(service, frontend_name)
    has_queue = service.endswith("daskserver")
    if has_queue:
        from .dask_parameters import cluster_string

        cluster_string(cluster)  # without a type, there is no use in a queue
    queue = _queue_name(configuration, cluster, queue if is_pure else None) if has_queue else None
    found = _fields(configuration, service, cluster, frontend, queue, remote_clients)
    texts = _texts(configuration, service, cluster, frontend, mode, queue)
    from remote_http_launcher.errors import LauncherError
    from remote_http_launcher.templates import substitute

    try:
        for name, value in launch_templates()[service.replace("-", "_")].items():
            if name.endswith("_template"):
                name = name.removesuffix("_template")
                value = substitute(value, texts, name=name)
            found[name] = value
    except LauncherError as exc:
        raise ConfigurationError(
            f"the {service} of cluster {cluster.name!r}: {exc.message}",
            place=frontend.place,
            remedy=PLAIN_NAMES,
        ) from exc
    found["meta"] = _meta(configuration, service, mode, queue)
    return found


def key_of(launch: Mapping[str, Any]) -> str:
    """Return the key of a launch dictionary. Raises ConfigurationError for names that make no key."""
    from remote_http_launcher.configuration import Configuration as Launch
    from remote_http_launcher.errors import LauncherError

    try:
        return Launch.from_mapping(launch).key
    except LauncherError as exc:
        meta = launch.get("meta") or {}
        raise ConfigurationError(
            f"the {meta.get('service')} of cluster {meta.get('cluster')!r}, project {meta.get('project')!r}, stage "
            f"{meta.get('stage')!r} cannot be launched: {exc.message}",
            remedy=PLAIN_NAMES,
        ) from exc


def _fields(
    configuration: Configuration,
    service: str,
    cluster: Cluster,
    frontend: Frontend,
    queue: str | None,
    remote_clients: Mapping[str, Any] | None,
) -> dict[str, Any]:
    offered = frontend.service(service) or {}
    found: dict[str, Any] = {}
    if not configuration.is_here(cluster) and frontend.hostname is not None:
        found["hostname"] = frontend.hostname
        if frontend.ssh_hostname is not None:
            found["ssh_hostname"] = frontend.ssh_hostname
        if cluster.tunnel:
            found["tunnel"] = True
    for name in ("network_interface", "conda", "port_start", "port_end"):
        if offered.get(name) is not None:
            found[name] = offered[name]
    auth = (configuration.selection.auth or {}).get(cluster.name, frontend.auth)
    if auth is not None:
        found["auth"] = auth
    if service == "jobserver":
        if cluster.workers is None:
            raise ConfigurationError(
                f"cluster {cluster.name!r} offers a jobserver, but does not say how many workers it has.",
                place=cluster.place,
                remedy="Add 'workers: N' to the cluster.",
            )
        found["workers"] = cluster.workers
        found["file_parameters"] = {
            "database": [],
            "buffer": [],
            **(remote_clients or {}),
            "record": bool(configuration.selection.record),
        }
    elif service.endswith("daskserver"):
        from .dask_parameters import cluster_string, dask_parameters

        assert queue is not None
        found["cluster_string"] = cluster_string(cluster)
        found["file_parameters"] = dask_parameters(
            configuration, cluster, cluster.queues[queue], is_pure=service == "pure-daskserver"
        )
        conda = cluster.queues[queue].get("conda")
        if conda is not None:
            found["conda"] = conda
    return found


def _texts(
    configuration: Configuration,
    service: str,
    cluster: Cluster,
    frontend: Frontend,
    mode: str,
    queue: str | None,
) -> dict[str, str]:
    from remote_http_launcher.directories import BASE_VARIABLE, DEFAULT_BASE

    selection = configuration.selection
    is_pure = service == "pure-daskserver"
    parts = (
        []
        if is_pure
        else [configuration.project(), *([selection.subproject] if selection.subproject else [])]
    )
    stage = "" if is_pure or not selection.stage else f"/STAGE-{selection.stage}"
    substage = f"SUBSTAGE-{selection.substage}" if stage and selection.substage else ""
    texts = {
        "CLUSTER": cluster.name,
        "MODE": mode,
        "PROJECTSUBDIR": "".join(f"/{part}" for part in parts),
        "STAGEDIR": stage,
        "STAGESUBDIR": stage + substage,
        "LOGS": os.environ.get(BASE_VARIABLE, DEFAULT_BASE).rstrip("/") + "/logs",
    }
    if service == "hashserver":
        texts["BUFFERDIR"] = str((frontend.hashserver or {})["bufferdir"]).rstrip("/")
    if service == "database":
        texts["DATABASE_DIR"] = str((frontend.database or {})["database_dir"]).rstrip("/")
    if queue is not None:
        texts["QUEUE"] = queue
    return texts


def _queue_name(configuration: Configuration, cluster: Cluster, queue: str | None) -> str:
    """Return the queue of Dask jobs: given, else selected, else the default. Raises ConfigurationError."""
    name = queue or configuration.queue(cluster) or cluster.default_queue
    if name is None:
        raise ConfigurationError(
            f"cluster {cluster.name!r} has no default queue, and none is selected.",
            place=cluster.place,
            remedy="Add '- queue: NAME' to seamless.profile.yaml, or 'default_queue: NAME' to the cluster.",
        )
    if name not in cluster.queues:
        raise ConfigurationError(
            f"cluster {cluster.name!r} has no queue {name!r}; its queues: {', '.join(cluster.queues) or 'none'}.",
            place=cluster.place,
            remedy=meant(name, cluster.queues),
        )
    return name


def _meta(configuration: Configuration, service: str, mode: str, queue: str | None) -> dict[str, Any]:
    selection = configuration.selection
    is_pure, is_storage = service == "pure-daskserver", service in STORAGE_SERVICES
    return {
        "service": service,
        "cluster": selection.cluster,
        "mode": mode if is_storage else "rw",
        "project": None if is_pure else selection.project,
        "subproject": None if is_pure else selection.subproject or None,
        "stage": None if is_pure else selection.stage or None,
        "substage": selection.substage or None
        if selection.stage and not is_storage and not is_pure
        else None,
        "queue": queue,
    }

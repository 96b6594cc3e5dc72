"""Check that what is selected can be used: cluster, queue, job back end, and the launch of every service."""

from __future__ import annotations

from seamless_config.cluster import THIS_MACHINE, Cluster
from seamless_config.cluster_fields import SERVICES
from seamless_config.configuration import Configuration
from seamless_config.dask_parameters import missing_fields
from seamless_config.errors import ConfigurationError
from seamless_config.launch_dictionaries import STORAGE_SERVICES, key_of, launch_dictionary
from seamless_config.selection import MANUAL
from seamless_config.spelling import meant

from .reports import Report

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

__all__ = ("check_use",)

STAND_IN_PROJECT = "project"


def check_use(found: Configuration, report: Report) -> None:
    """Add errors for what is selected and cannot be used, warnings for what is not selected."""
    selection = found.selection
    _check_auth(found, report)
    if selection.cluster is None:
        _check_without_cluster(found, report)
    elif selection.cluster not in found.clusters:
        _collect(report, found.cluster)
    else:
        _check_selected(found, found.clusters[selection.cluster], report)
    for name in sorted(found.clusters):
        _check_queues(found, found.clusters[name], report)
        _check_reach(found, found.clusters[name], report)
        if name != selection.cluster:
            _check_other(found, found.clusters[name], report)


def _collect(report: Report, function: Any, *arguments: Any, **options: Any) -> Any:
    """Return what the function returns, None when it fails; its error goes into the report."""
    try:
        return function(*arguments, **options)
    except ConfigurationError as exc:
        report.error(exc)
        return None


def _check_without_cluster(found: Configuration, report: Report) -> None:
    place = found.place_of("execution")
    remedy = "Select one with '- cluster: NAME' in seamless.profile.yaml."
    if found.execution == "remote":
        report.error(
            ConfigurationError("execution is remote, but no cluster is selected.", place=place, remedy=remedy)
        )
    elif found.execution == "spawn":
        _check_spawn(found, report)
    if found.persistent:
        report.error(
            ConfigurationError(
                "persistent is true, but no cluster is selected.",
                place=found.place_of("persistent"),
                remedy=remedy,
            )
        )


def _check_spawn(found: Configuration, report: Report) -> None:
    selected = found.clusters.get(found.selection.cluster or "")
    local = found.clusters.get(found.local_cluster or "")
    chosen = local or (selected if selected is not None and found.is_here(selected) else None)
    place = found.place_of("execution")
    if chosen is None:
        report.error(
            ConfigurationError(
                "execution is spawn, but no local cluster says how many workers to start.",
                place=place,
                remedy="Write 'local_cluster: NAME' into ~/.seamless/clusters.yaml, the name of a cluster with "
                "'workers: N'.",
            )
        )
    elif chosen.workers is None:
        report.error(
            ConfigurationError(
                f"execution is spawn, but cluster {chosen.name!r} does not say how many workers to start.",
                place=chosen.place,
                remedy="Add 'workers: N' to the cluster.",
            )
        )


def _check_selected(found: Configuration, cluster: Cluster, report: Report) -> None:
    services: list[str] = []
    if found.persistent:
        _collect(report, found.project)
        for service in STORAGE_SERVICES:
            if cluster.offers(service):
                services.append(service)
            else:
                report.warn(f"cluster {cluster.name!r} offers no {service}.", place=cluster.place)
        if not services:
            report.error(
                ConfigurationError(
                    f"cluster {cluster.name!r} offers neither a hashserver nor a database: it can keep nothing.",
                    place=cluster.place,
                    remedy="Add 'hashserver:' and 'database:' to a frontend of the cluster, or write "
                    "'- persistent: false'.",
                )
            )
    if found.execution == "spawn":
        _check_spawn(found, report)
    if found.execution == "remote":
        services += _job_services(found, cluster, report)
    for service in services:
        launch = _collect(report, _launch, found, service)
        if launch is not None:
            report.services.append(launch)


def _job_services(found: Configuration, cluster: Cluster, report: Report) -> list[str]:
    n_errors = len(report.errors)
    back_end: str | None = _collect(report, found.back_end, cluster)
    if len(report.errors) > n_errors:
        return []
    if not found.persistent:
        if back_end != "daskserver":
            report.error(
                ConfigurationError(
                    f"execution is remote and persistent is false; this needs a daskserver, and cluster "
                    f"{cluster.name!r} gives {back_end or 'no job back end'}.",
                    place=found.place_of("persistent") or cluster.place,
                    remedy="Remove 'persistent: false', or select a cluster with a daskserver.",
                )
            )
            return []
        return ["pure-daskserver"]
    if back_end is None:
        remedy = "Write '- execution: process': steps then run in the program itself."
        if "execution" in found.selection:
            report.error(
                ConfigurationError(
                    f"execution is remote, but cluster {cluster.name!r} offers neither a jobserver nor a daskserver.",
                    place=found.place_of("execution"),
                    remedy=remedy,
                )
            )
        else:
            report.warn(
                f"cluster {cluster.name!r} offers no job back end: steps run in the program itself.",
                place=cluster.place,
                remedy=remedy,
            )
        return []
    return [back_end]


def _launch(found: Configuration, service: str) -> dict[str, Any]:
    launch = launch_dictionary(found, service)
    return {
        "service": service,
        "key": key_of(launch),
        "host": launch.get("ssh_hostname") or launch.get("hostname"),
        "workdir": launch["workdir"],
    }


def _check_other(found: Configuration, cluster: Cluster, report: Report) -> None:
    """Warn of services of a cluster that is not selected and that could not be launched."""
    selection = found.selection.with_("cluster", cluster.name, MANUAL)
    if selection.project is None:
        selection = selection.with_("project", STAND_IN_PROJECT, MANUAL)
    scope = found.with_selection(selection.without("node"))
    for service in SERVICES:
        if not cluster.offers(service) or (service == "daskserver" and cluster.default_queue is None):
            continue
        try:
            key_of(launch_dictionary(scope, service))
        except ConfigurationError as exc:
            report.warn(exc)


def _check_queues(found: Configuration, cluster: Cluster, report: Report) -> None:
    default = cluster.default_queue
    if default is not None and default not in cluster.queues:
        report.warn(
            f"the default queue {default!r} of cluster {cluster.name!r} is not defined.",
            place=cluster.place,
            remedy=meant(default, cluster.queues),
        )
    if not cluster.offers("daskserver"):
        return
    if not cluster.queues:
        report.warn(
            f"cluster {cluster.name!r} offers a daskserver and has no queues: it cannot be started.",
            place=cluster.place,
            remedy="Add 'queues:' and 'default_queue:' to the cluster.",
        )
    for queue in cluster.queues.values():
        if missing := missing_fields(cluster, queue):
            report.warn(
                f"queue {queue.name!r} of cluster {cluster.name!r} lacks {', '.join(missing)}: no daskserver can be "
                "started with it.",
                place=queue.place,
                remedy="Add them, or take them over with 'TEMPLATE: OTHER_QUEUE'.",
            )


def _check_reach(found: Configuration, cluster: Cluster, report: Report) -> None:
    """Warn of services that run elsewhere than it seems, and of those that no client can reach."""
    if cluster.name == found.local_cluster:
        others = [str(front.hostname) for front in cluster.frontends if front.hostname not in THIS_MACHINE]
        if others:
            report.warn(
                f"cluster {cluster.name!r} is designated as local: its services run on this machine, not on "
                f"{', '.join(others)}.",
                place=cluster.place,
                remedy="Remove 'local_cluster', or the host names.",
            )
    if found.is_here(cluster) or cluster.tunnel:
        return
    for frontend in cluster.frontends:
        for service in SERVICES if frontend.hostname not in THIS_MACHINE else ():
            offered = frontend.service(service)
            if offered is not None and offered.get("network_interface") in THIS_MACHINE:
                report.warn(
                    f"the {service} of cluster {cluster.name!r} listens on its own machine only; clients ask for it at "
                    f"{frontend.hostname}.",
                    place=frontend.place,
                    remedy="Add 'tunnel: true' to the cluster, or 'network_interface: 0.0.0.0' to the service.",
                )


def _check_auth(found: Configuration, report: Report) -> None:
    for name in found.selection.auth or {}:
        if name not in found.clusters:
            report.warn(
                f"auth names the cluster {name!r}, which is not defined.",
                place=found.place_of("auth"),
                remedy=meant(name, found.clusters),
            )

"""Check that what is selected can be used: cluster, queue, job back end, and the launch of every service."""

from __future__ import annotations

from seamless_config.activation_plan import check_execution, plan_storage
from seamless_config.cluster import THIS_MACHINE, Cluster
from seamless_config.cluster_fields import SERVICES
from seamless_config.configuration import Configuration
from seamless_config.dask_parameters import missing_fields
from seamless_config.errors import ConfigurationError, NotSupportedYet
from seamless_config.implied_services import implied_services
from seamless_config.launch_dictionaries import STORAGE_SERVICES, key_of, launch_dictionary
from seamless_config.selection import MANUAL
from seamless_config.spelling import meant

from .reports import Report

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

__all__ = ("check_use",)

KEPT = {"hashserver": "buffers", "database": "results"}
STAND_IN_PROJECT = "project"


def check_use(found: Configuration, report: Report) -> None:
    """Add errors for what is selected and cannot be used, warnings for what is not selected."""
    _check_auth(found, report)
    _collect(report, plan_storage, found)
    _check_execution(found, report)
    cluster = found.clusters.get(found.selection.cluster or "")
    if cluster is not None:
        _check_services(found, cluster, report)
    for name in sorted(found.clusters):
        _check_queues(found, found.clusters[name], report)
        _check_reach(found, found.clusters[name], report)
        if name != found.selection.cluster:
            _check_other(found, found.clusters[name], report)


def _collect(report: Report, function: Any, *arguments: Any) -> Any:
    """Return what the function returns, None when it fails; its error goes into the report."""
    try:
        return function(*arguments)
    except ConfigurationError as exc:
        report.error(exc)
        return None


def _check_execution(found: Configuration, report: Report) -> None:
    try:
        said = check_execution(found)
    except NotSupportedYet as exc:
        report.warn(exc)
    except ConfigurationError as exc:
        report.error(exc)
    else:
        for sentence in said if found.selection.cluster else ():
            report.warn(sentence)


def _check_services(found: Configuration, cluster: Cluster, report: Report) -> None:
    for service in STORAGE_SERVICES if found.persistent else ():
        if not cluster.offers(service):
            report.warn(
                f"cluster {cluster.name!r} offers no {service}: it keeps no {KEPT[service]}.",
                place=cluster.place,
                remedy=f"Add '{service}:' to a frontend, unless it is meant so.",
            )
    services, wrong = implied_services(found)
    for problem in wrong:
        report.error(problem)
    for service in services if not wrong else ():
        launch = _collect(report, _launch, found, service)
        if launch is not None:
            report.services.append(launch)


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
        missing = missing_fields(cluster, queue)
        if missing and queue.place not in [problem.place for problem in report.errors]:
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

"""What a person or a program wants to know of a service: where it runs, with which data, and whether it is up."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from remote_http_launcher.configuration import Configuration as LaunchConfiguration
    from remote_http_launcher.target import Facts
    from seamless_remote.client import Client
    from seamless_remote.launched import PreparedLaunch

__all__ = ("check_service", "start_report")


def start_report(client: Client, failure: BaseException | None) -> dict[str, Any]:
    """Return the report of a service that was to be started. failure: why it could not be.

    Raises the failure if it is none of a service.
    """
    report, _ = _report(client)
    if failure is None:
        report.update(status="running", url=client.url)
        return report
    from seamless_remote.errors import RemoteError, ServiceLaunchFailed

    if not isinstance(failure, RemoteError):
        raise failure
    tail = failure.log_tail.rstrip() if isinstance(failure, ServiceLaunchFailed) else ""
    report.update(
        status="failed",
        problem=f"{failure.cause}\nLast lines of its log:\n{tail}" if tail else failure.cause,
        hint=failure.remedy,
    )
    return report


def check_service(client: Client) -> dict[str, Any]:
    """Return the report of a service as it is; nothing is started. It runs only if it serves what is asked for."""
    from remote_http_launcher.errors import LauncherError
    from remote_http_launcher.reuse import check_reuse

    from .launching import target_of

    report, config = _report(client)
    try:
        facts = target_of(config).look()
        report["status"] = facts.status
        if facts.status == "running":
            check_reuse(config, facts.state)
        problem = _problem(facts)
    except LauncherError as exc:
        if report["status"] == "running":
            report["status"] = "other"
        report.update(problem=f"{exc.message}.", hint=exc.hint or "")
        return report
    if problem:
        if report["status"] == "running":
            report["status"] = "unreachable"
        report.update(problem=f"{config.key} is not up: {problem}.", hint="seamless-init")
    return report


def _problem(facts: Facts) -> str:
    if facts.status == "absent":
        return "it was never started, or its state was removed"
    if facts.status != "running":
        return f"its state says {facts.status}" + (f" ({facts.error})" if facts.error else "")
    if facts.port_open is False:
        return "its state says running, and nobody listens on its port"
    status = (facts.handshake or {}).get("status")
    if not isinstance(status, int) or not 200 <= status < 300:
        return "its state says running, and it does not answer"
    return ""


def _report(client: Client) -> tuple[dict[str, Any], LaunchConfiguration]:
    from remote_http_launcher.configuration import Configuration as LaunchConfiguration

    prepared: PreparedLaunch = client.prepared  # type: ignore[attr-defined] # both launched clients have it
    config = LaunchConfiguration.from_mapping(prepared.parameters)
    report = {
        "service": prepared.kind,
        "key": config.key,
        "host": None if config.is_local else config.ssh_hostname or config.hostname,
        "workdir": config.workdir,
        "status": "unknown",
        "url": None,
        "problem": "",
        "hint": "",
    }
    return report, config

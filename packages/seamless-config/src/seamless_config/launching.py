"""How the buffer and database servers of a cluster are prepared, launched and diagnosed.

Fills the seam of seamless_remote.launched. A launch dictionary is made when a client is configured, from what is
selected then; remote-http-launcher does the rest. Every failure becomes ServiceLaunchFailed, which says which service
where, why, and what to type.
"""

from __future__ import annotations

import os

from seamless_remote.errors import ServiceLaunchFailed
from seamless_remote.launched import PreparedLaunch, set_launcher, set_selection

from . import select
from .launch_dictionaries import launch_dictionary
from .selection import MANUAL
from .starting import OtherStarts

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

    from remote_http_launcher.configuration import Configuration as LaunchConfiguration
    from remote_http_launcher.errors import LauncherError
    from remote_http_launcher.target import Facts, Target

__all__ = (
    "diagnose",
    "launch_service",
    "logs_command",
    "prepare_service",
    "register_launcher",
    "selected_scope",
    "target_of",
)

LOG_LINES_SHOWN = 50
SERVER_STATES = "~/.remote-http-launcher/server"  # on the service's machine, of the account that started it


def register_launcher() -> None:
    """Have launched clients use the configuration of this process. Again and again does no harm."""
    set_launcher(launch_service, prepare=prepare_service, diagnose=diagnose)
    set_selection(selected_scope)


def selected_scope() -> tuple[str, str, str, str] | None:
    """Return the selected cluster, project, subproject and stage; None without cluster or project."""
    selection = select.current_configuration().selection
    if not selection.cluster or not selection.project:
        return None
    return (selection.cluster, selection.project, selection.subproject or "", selection.stage or "")


def prepare_service(
    kind: str, readonly: bool, cluster: str, project: str, subproject: str, stage: str
) -> PreparedLaunch:
    """Return what would be launched, as the configuration is now. Raises ConfigurationError."""
    now = select.current_configuration()
    selection = now.selection
    for name, value in (
        ("cluster", cluster),
        ("project", project),
        ("subproject", subproject or None),
        ("stage", stage or None),
    ):
        if getattr(selection, name) != value:
            selection = selection.with_(name, value, MANUAL)
    launch = launch_dictionary(now.with_selection(selection), kind, mode="ro" if readonly else "rw")
    here = "hostname" not in launch
    return PreparedLaunch(
        kind,
        readonly,
        (cluster, project, subproject, stage),
        launch,
        directory=os.path.expanduser(launch["workdir"]) if here and kind == "hashserver" else None,
        remedy=logs_command(launch["meta"]),
    )


def launch_service(prepared: PreparedLaunch) -> dict[str, Any]:
    """Have the service run; return how to reach it, for seamless_remote.launched. Raises ServiceLaunchFailed.

    When it must be started, the other services in use are started beside it: a new step needs all of them.
    """
    from remote_http_launcher.configuration import Configuration as LaunchConfiguration
    from remote_http_launcher.errors import LauncherError
    from remote_http_launcher.launcher import run_configuration

    others = OtherStarts()
    try:
        config = LaunchConfiguration.from_mapping(prepared.parameters)
        state = run_configuration(config, quiet=True, on_start=others.start)
    except LauncherError as exc:
        others.interrupt()
        raise _failed(prepared, exc) from exc
    except KeyboardInterrupt:
        others.interrupt()
        raise
    found: dict[str, Any] = {"hostname": state["hostname"], "port": state["port"]}
    if state.get("token_file"):
        found["token_file"] = state["token_file"]
        if not config.is_local:
            found["remote_token_file"] = f"{SERVER_STATES}/{config.key}.token"
    host = config.hostname or state["hostname"]
    found["remote_url"] = f"http://{_bracketed(str(host))}:{state.get('tunneled-port', state['port'])}"
    if prepared.kind == "hashserver":
        if prepared.directory is not None:
            found["directory"] = prepared.directory
        if not prepared.readonly:
            found["remote_directory"] = config.workdir
    return found


def diagnose(prepared: PreparedLaunch) -> str:
    """Return what the state of a service says about why it does not answer, with the last lines of its log."""
    from remote_http_launcher.configuration import Configuration as LaunchConfiguration

    config = LaunchConfiguration.from_mapping(prepared.parameters)
    facts = target_of(config).look()
    said = f"Its state {_where(config)} says {_described(facts)}."
    return f"{said} Last lines of its log:\n{facts.log.rstrip()}\n" if facts.log.strip() else said


def target_of(config: LaunchConfiguration) -> Target:
    """Return the machine of a service, to ask it."""
    from remote_http_launcher.executors import LocalExecutor
    from remote_http_launcher.target import Target

    if config.ssh_hostname is None or config.is_local:
        return Target(config, LocalExecutor())
    from remote_http_launcher.ssh import SshExecutor

    return Target(config, SshExecutor(config.ssh_hostname))


def logs_command(meta: Mapping[str, Any]) -> str:
    """Return the command that shows the log of a service."""
    words = ["seamless-service-logs"]
    for name in ("service", "cluster", "project", "subproject", "stage"):
        if meta.get(name):
            words += [f"--{name}", str(meta[name])]
    return " ".join([*words, "--tail", str(LOG_LINES_SHOWN)])


def _failed(prepared: PreparedLaunch, exc: LauncherError) -> ServiceLaunchFailed:
    cluster, project = prepared.scope[:2]
    host = exc.host or prepared.parameters.get("ssh_hostname") or prepared.parameters.get("hostname")
    where = "this machine" if host is None else f"{host}"
    log_tail = str(getattr(exc, "log_tail", ""))
    message = exc.message.partition("\nLast lines of its log:\n")[0] if log_tail else exc.message
    hint = f"; {exc.hint}" if exc.hint else ""
    return ServiceLaunchFailed(
        f"the {prepared.kind} of cluster {cluster!r}, project {project!r}, does not run on {where} "
        f"({exc.layer}): {message.rstrip('.')}.",
        service=prepared.kind,
        cluster=cluster,
        host=host,
        layer=exc.layer,
        log_tail=log_tail,
        remedy=f"{prepared.remedy}{hint}",
    )


def _where(config: LaunchConfiguration) -> str:
    return "on this machine" if config.is_local else f"on {config.ssh_hostname or config.hostname}"


def _described(facts: Facts) -> str:
    if facts.status == "absent":
        return "nothing: there is none"
    pid = facts.state.get("pid")
    if facts.liveness == "dead":
        return f"{facts.state.get('status')} with pid {pid}, but no such process exists: it has ended"
    if facts.liveness == "unknown":
        return f"{facts.status} with pid {pid} on {facts.state.get('host') or 'another machine'}"
    return f"{facts.status} with pid {pid}, and the process exists"


def _bracketed(host: str) -> str:
    return f"[{host}]" if ":" in host and not host.startswith("[") else host

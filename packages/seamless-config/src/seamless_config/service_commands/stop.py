"""seamless-service-stop: end services, and the connections of this machine to them."""

from __future__ import annotations

from remote_http_launcher.errors import LauncherError, UsageError
from remote_http_launcher.helpers.frame import write
from remote_http_launcher.stopping import CANNOT_TELL, DENIED, ENDED_OUTCOMES, SURVIVED

from .command import print_error, print_json, printable, run
from .options import read_options, scope_help
from .processes import close_client_side, find_server_rows

TYPE_CHECKING = False  # importing typing costs a command 6 ms
if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from typing import Any

    from .hosts import Host
    from .options import Request
    from .scopes import Scope
    from .targets import Target

__all__ = ("Stopped", "main", "stop_target")

NAME = "seamless-service-stop"
TIMEOUT_S = 60.0  # three graces of 5 s, and SSH
MISSING = "missing state"
NO_PROCESS = "no process number"
WOULD = "would stop"
BAD_OUTCOMES = (DENIED, CANNOT_TELL, SURVIVED, NO_PROCESS)
HELP = f"""\
usage: seamless-service-stop --service S [--dry-run] [--cluster C] [--project P[:SUB]] ...
       seamless-service-stop --cluster C [--dry-run] [--project P[:SUB]] ...

End a service, or all services of a cluster on all its hosts: SIGINT, then SIGTERM, then SIGKILL. State and log
stay, for seamless-service-logs and -inspect. The tunnels of this machine to them are closed.

  --dry-run            end nothing, say what would be ended
{scope_help(timeout_s=TIMEOUT_S)}
With --cluster and without --service, the other options choose among the services of the cluster.

examples:
  seamless-service-stop --service hashserver
      end the hashserver that the project files select
  seamless-service-stop --cluster far --dry-run
      say what would be ended

exit codes:
  0    all are gone, or there was none
  1    one could not be ended, one host of several could not be asked, or the configuration is wrong
  2    wrong usage
  127  the host has no helpers
  255  the host cannot be reached
"""


class Stopped:
    """What became of one service. outcome: as rhl-stop says it. client: what was closed on this machine."""

    def __init__(self, key: str, host: str | None, scope: Scope, outcome: str) -> None:
        self.key = key
        self.host = host
        self.scope = scope
        self.outcome = outcome
        self.client: dict[str, bool] = {"client_state": False, "tunnel": False}

    @property
    def is_bad(self) -> bool:
        """Whether it may still run."""
        return self.outcome in BAD_OUTCOMES

    def as_json(self) -> dict[str, Any]:
        """Return the members of the JSON object."""
        found = {**self.scope.as_dict(), "host": self.host, "key": self.key, "outcome": self.outcome}
        return {**found, **self.client}


def main(arguments: Sequence[str] | None = None) -> int:
    """Entry point of seamless-service-stop."""
    return run(NAME, HELP, _body, arguments)


def _body(arguments: Sequence[str]) -> int:
    request = read_options(arguments, flags=("--dry-run",), timeout_s=TIMEOUT_S)
    if request.service is None and request.cluster is None:
        raise UsageError("--service or --cluster is required")
    from .targets import configuration_of, target_of

    configuration = configuration_of(request)
    is_dry = "--dry-run" in request.flags
    if request.service is not None:
        target = target_of(configuration, request, request.service)
        found = stop_target(target, request.timeout_s, dry_run=is_dry)
        _show([found], request, is_dry=is_dry)
        return 1 if found.is_bad else 0
    from .hosts import explain, on_all
    from .targets import hosts_of, selected_cluster

    cluster = selected_cluster(configuration, request)
    hosts = hosts_of(configuration, cluster, request.frontend_name)
    known = list(configuration.clusters)

    def stop_all(host: Host) -> list[Stopped]:
        rows = find_server_rows(host, request.wanted, known, request.timeout_s)
        services = [
            (str(row.key), row.scope) for row in rows if row.pid is not None and row.process != "malformed"
        ]
        lost = [
            Stopped(str(row.key), host.name, row.scope, NO_PROCESS)
            for row in rows
            if row.pid is None and row.process != "failed"
        ]
        return [*_stop(host, services, request.timeout_s, dry_run=is_dry), *lost]

    failed = False
    for host, answer in zip(hosts, on_all(hosts, stop_all), strict=True):
        if isinstance(answer, LauncherError):
            failed = True
            message, hint = explain(answer)
            print_error(message, hint)
            if request.json:
                print_json(
                    {"cluster": cluster.name, "error": message, "host": host.name, "outcome": "unreachable"}
                )
            else:
                write(f"{host.label}: unreachable\n")
            continue
        for each in answer:
            _close_client(each, dry_run=is_dry)
        _show(answer, request, is_dry=is_dry)
        failed |= any(each.is_bad for each in answer)
    return 1 if failed else 0


def stop_target(target: Target, timeout_s: float, *, dry_run: bool = False) -> Stopped:
    """End one service and the connection of this machine to it. Raises LauncherError when its host cannot be asked."""
    found = _stop(target.host, [(target.key, target.scope)], timeout_s, dry_run=dry_run)[0]
    _close_client(found, dry_run=dry_run)
    return found


def _stop(
    host: Host, services: Sequence[tuple[str, Scope]], timeout_s: float, *, dry_run: bool
) -> list[Stopped]:
    from remote_http_launcher.launch_errors import HelperFailed

    from .hosts import said_by

    if not services:
        return []
    words = [key for key, _ in services]
    answer = host.call("rhl-stop", [*words, *(["--dry-run"] if dry_run else [])], timeout_s)
    lines = answer.stdout.decode("utf-8", "replace").splitlines()
    outcomes = dict(line.rpartition(": ")[::2] for line in lines)
    message, hint = said_by("rhl-stop", answer.stderr)
    if not set(words) <= set(outcomes):
        raise HelperFailed(
            f"rhl-stop failed on {host.label}: {message or f'exit code {answer.exit_code}'}",
            hint=hint,
            host=host.name,
            exit_code=answer.exit_code,
            stderr=answer.stderr,
        )
    if message:
        print_error(message, hint)
    return [Stopped(key, host.name, scope, outcomes[key]) for key, scope in services]


def _close_client(stopped: Stopped, *, dry_run: bool) -> None:
    is_gone = stopped.outcome in ENDED_OUTCOMES or stopped.outcome.startswith(WOULD)
    if is_gone:
        stopped.client = close_client_side(stopped.key, dry_run=dry_run)


def _show(found: Iterable[Stopped], request: Request, *, is_dry: bool) -> None:
    for each in found:
        if request.json:
            print_json(each.as_json())
            continue
        write(printable(f"{each.key}: {each.outcome}\n"))
        if each.client["tunnel"]:
            write(f"{each.key}: {'would close the tunnel' if is_dry else 'tunnel closed'}\n")

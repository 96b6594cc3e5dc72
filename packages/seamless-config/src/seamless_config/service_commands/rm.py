"""seamless-service-rm: forget services: remove their states, on their hosts and on this machine."""

from __future__ import annotations

from remote_http_launcher.errors import LauncherError, UsageError
from remote_http_launcher.helpers.frame import write

from .command import print_error, print_json, printable, run, warn
from .hosts import Host
from .options import read_options, scope_help
from .processes import find_client_rows, find_server_rows

TYPE_CHECKING = False  # importing typing costs a command 6 ms
if TYPE_CHECKING:
    from collections.abc import Sequence

    from .options import Request

__all__ = ("main",)

NAME = "seamless-service-rm"
HELP = f"""\
usage: seamless-service-rm --service S [--client] [--server] [--dry-run] [--cluster C] [--project P[:SUB]] ...
       seamless-service-rm --cluster C [--client] [--server] [--dry-run] [--project P[:SUB]] ...

Remove the state of a service, or of all services of a cluster; on both sides unless one is given. No service is
ended: stop it first. Data and logs stay. A tunnel of this machine is closed.

  --client             only the connections of this machine
  --server             only the states on the hosts
  --dry-run            remove nothing, say what would be removed
{scope_help()}
With --cluster and without --service, the other options choose among the services of the cluster.

examples:
  seamless-service-rm --service hashserver
      forget the hashserver that the project files select
  seamless-service-rm --cluster far --client
      look for all services of the cluster anew at the next launch

exit codes:
  0    done, also when there was nothing
  1    something could not be removed, one host of several could not be asked, or the configuration is wrong
  2    wrong usage
  127  the host has no helpers
  255  the host cannot be reached
"""


class _Side:
    """States of one machine. name: `server` or `client`. keys: which."""

    def __init__(self, name: str, host: Host, keys: Sequence[str]) -> None:
        self.name = name
        self.host = host
        self.keys = keys


def main(arguments: Sequence[str] | None = None) -> int:
    """Entry point of seamless-service-rm."""
    return run(NAME, HELP, _body, arguments)


def _body(arguments: Sequence[str]) -> int:
    request = read_options(arguments, flags=("--client", "--server", "--dry-run"))
    if request.service is None and request.cluster is None:
        raise UsageError("--service or --cluster is required")
    names = [name for name in ("server", "client") if f"--{name}" in request.flags] or ["server", "client"]
    return _of_service(request, names) if request.service else _of_cluster(request, names)


def _of_service(request: Request, names: Sequence[str]) -> int:
    from .hosts import exit_code_of
    from .targets import configuration_of, target_of

    target = target_of(configuration_of(request), request, str(request.service))
    code = 0
    for name in names:
        host = target.host if name == "server" else Host(None)
        try:
            code = max(code, _remove(_Side(name, host, [target.key]), request))
        except LauncherError as exc:
            _tell(exc, host, request)
            code = max(code, exit_code_of(exc))
    return code


def _of_cluster(request: Request, names: Sequence[str]) -> int:
    from .hosts import on_all
    from .targets import configuration_of, hosts_of, selected_cluster

    configuration = configuration_of(request)
    cluster = selected_cluster(configuration, request)
    known = list(configuration.clusters)
    code = 0
    if "server" in names:
        hosts = hosts_of(configuration, cluster, request.frontend_name)
        answers = on_all(hosts, lambda host: find_server_rows(host, request.wanted, known, request.timeout_s))
        for host, answer in zip(hosts, answers, strict=True):
            try:
                if isinstance(answer, LauncherError):
                    raise answer
                code = max(code, _remove(_Side("server", host, [str(row.key) for row in answer]), request))
            except LauncherError as exc:
                _tell(exc, host, request)
                code = max(code, 1)
    if "client" in names:
        keys = [str(row.key) for row in find_client_rows(request.wanted, known)]
        code = max(code, _remove(_Side("client", Host(None), keys), request))
    return code


def _remove(side: _Side, request: Request) -> int:
    """Remove states of one side, show what was removed, and return the exit code of the helper."""
    if not side.keys:
        return 0
    if "--dry-run" in request.flags:
        return _rehearse(side, request)
    from .hosts import said_by

    answer = side.host.call("rhl-rm", [f"--{side.name}", *side.keys], request.timeout_s)
    lines = answer.stdout.decode("utf-8", "replace").splitlines()
    message, hint = said_by("rhl-rm", answer.stderr)
    if message:
        (warn if answer.exit_code == 0 else print_error)(message, *([hint] if answer.exit_code else []))
    if not request.json:
        write(printable("".join(f"{line}\n" for line in lines)))
        return answer.exit_code
    for key in side.keys:
        end = f"/{side.name}/{key}.json"
        path = next((line.removeprefix("removed ") for line in lines if line.endswith(end)), None)
        print_json(
            {"host": side.host.name, "key": key, "path": path, "removed": path is not None, "side": side.name}
        )
    return answer.exit_code


def _rehearse(side: _Side, request: Request) -> int:
    if side.name == "server":
        there = {
            str(row["key"]) for row in side.host.rows("rhl-ps", ["--json", "--no-status"], request.timeout_s)
        }
    else:
        there = {str(row.key) for row in find_client_rows({})}
    for key in side.keys:
        if request.json:
            found = {"host": side.host.name, "key": key, "removed": False, "side": side.name}
            print_json({**found, "would_remove": key in there})
        else:
            where = f"the {side.name} state of {key} on {side.host.label}"
            write(f"would remove {where}\n" if key in there else f"{key}: not found\n")
    return 0


def _tell(error: LauncherError, host: Host, request: Request) -> None:
    from .hosts import explain

    message, hint = explain(error)
    print_error(message, hint)
    if request.json:
        print_json({"error": message, "host": host.name, "removed": False, "side": "server"})

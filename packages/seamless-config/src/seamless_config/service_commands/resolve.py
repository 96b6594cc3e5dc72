"""seamless-service-resolve: print key, host, directory and log of a service, without asking any host."""

from __future__ import annotations

from remote_http_launcher.errors import UsageError

from .command import print_json, run
from .options import read_options, scope_help

TYPE_CHECKING = False  # importing typing costs a command 6 ms
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Any

    from .options import Request
    from .targets import Target

__all__ = ("main",)

NAME = "seamless-service-resolve"
HELP = f"""\
usage: seamless-service-resolve --service S --cluster C --project P[:SUB] [--stage S[:SUB]] [--workdir DIR] ...

Print one line of JSON with what a launch would use: cluster, key, log_path, mode, project, queue, service,
ssh_hostname (null: this machine), stage, subproject, substage, workdir. No host is asked, no project file is read
unless --workdir is given.

{scope_help("(default: none is read)")}
examples:
  seamless-service-resolve --service database --cluster far --project p --stage s
      print it for an explicit scope
  seamless-service-resolve --service hashserver --workdir .
      print it for what the project files of this directory select

exit codes:
  0  done
  1  the configuration is wrong
  2  wrong usage
"""


def main(arguments: Sequence[str] | None = None) -> int:
    """Entry point of seamless-service-resolve."""
    return run(NAME, HELP, _body, arguments)


def _body(arguments: Sequence[str]) -> int:
    request = read_options(arguments)
    if request.service is None:
        raise UsageError("--service is required")
    from .targets import configuration_of, target_of

    target = target_of(configuration_of(request, reads_project=False), request, request.service)
    print_json(_answer(target, request))
    return 0


def _answer(target: Target, request: Request) -> dict[str, Any]:
    selection = target.configuration.selection
    return {
        "cluster": selection.cluster,
        "key": target.key,
        "log_path": _log_path(target),
        "mode": target.scope.mode,
        "project": selection.project,
        "queue": request.wanted.get("queue") or selection.queue,
        "service": request.service,
        "ssh_hostname": target.host.name,
        "stage": selection.stage or None,
        "subproject": selection.subproject or None,
        "substage": selection.substage or None,
        "workdir": target.workdir,
    }


def _log_path(target: Target) -> str:
    """Return where the log is on the host, which has a directory of its own unless it is this machine."""
    import os

    from remote_http_launcher.directories import BASE_VARIABLE, DEFAULT_BASE, base_directory

    is_moved = target.host.name is None and bool(os.environ.get(BASE_VARIABLE))
    return f"{base_directory() if is_moved else DEFAULT_BASE}/server/{target.key}.log"

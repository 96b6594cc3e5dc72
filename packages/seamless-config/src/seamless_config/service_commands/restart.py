"""seamless-service-restart: end a service and start it anew."""

from __future__ import annotations

from remote_http_launcher.errors import UsageError

from .command import print_error, run, warn
from .options import read_options, scope_help
from .start import EXIT_CODES, start_target
from .stop import TIMEOUT_S, stop_target

TYPE_CHECKING = False  # importing typing costs a command 6 ms
if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ("main",)

NAME = "seamless-service-restart"
HELP = f"""\
usage: seamless-service-restart --service S [--cluster C] [--project P[:SUB]] ...

End a service, start it anew with the present configuration, and print HOST:PORT. Its data stay, and its log is kept
as the one before (seamless-service-logs --previous).

{scope_help(timeout_s=TIMEOUT_S)}
examples:
  seamless-service-restart --service hashserver
      restart the hashserver that the project files select
  seamless-service-restart --service database --cluster far --project p --json
      restart one of an explicit scope, and print how to reach it as JSON

{EXIT_CODES}"""


def main(arguments: Sequence[str] | None = None) -> int:
    """Entry point of seamless-service-restart."""
    return run(NAME, HELP, _body, arguments)


def _body(arguments: Sequence[str]) -> int:
    request = read_options(arguments, timeout_s=TIMEOUT_S)
    if request.service is None:
        raise UsageError("--service is required")
    from remote_http_launcher.ssh_errors import SshFailed

    from .hosts import explain
    from .start import UNREACHABLE
    from .targets import configuration_of, target_of

    target = target_of(configuration_of(request), request, request.service)
    try:
        stopped = stop_target(target, request.timeout_s)
    except SshFailed as exc:
        print_error(*explain(exc))
        return UNREACHABLE
    if stopped.is_bad:
        print_error(f"{target.key} was not restarted: {stopped.outcome}")
        return 1
    warn(f"{target.key}: {stopped.outcome}")
    return start_target(target, request)

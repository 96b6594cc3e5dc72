"""seamless-service-inspect: print the state of a service, or of the connection to it."""

from __future__ import annotations

from remote_http_launcher.errors import UsageError

from .command import print_error, print_json, run
from .options import read_options, scope_help

TYPE_CHECKING = False  # importing typing costs a command 6 ms
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Any

__all__ = ("main", "redacted")

NAME = "seamless-service-inspect"
REDACTED = "[token]"
HELP = f"""\
usage: seamless-service-inspect --service S [--client] [--cluster C] [--project P[:SUB]] ...

Print the state of a service as JSON, with sorted members: process, port, status, directory, command, meta.
Tokens in it are shown as {REDACTED}.

  --client             the state of the connection from this machine, instead
{scope_help()}
examples:
  seamless-service-inspect --service hashserver
      print the state of the hashserver that the project files select
  seamless-service-inspect --service database --client --json
      print, on one line, how this machine connects

exit codes:
  0    done
  1    there is no such state, or the configuration is wrong
  2    wrong usage
  127  the host has no helpers
  255  the host cannot be reached
"""


def main(arguments: Sequence[str] | None = None) -> int:
    """Entry point of seamless-service-inspect."""
    return run(NAME, HELP, _body, arguments)


def _body(arguments: Sequence[str]) -> int:
    request = read_options(arguments, flags=("--client",))
    if request.service is None:
        raise UsageError("--service is required")
    from remote_http_launcher.helpers.frame import write
    from remote_http_launcher.small_json import dumps, loads

    from .hosts import said_by
    from .targets import configuration_of, target_of

    target = target_of(configuration_of(request), request, request.service)
    if "--client" in request.flags:
        from remote_http_launcher.directories import client_state_path
        from remote_http_launcher.errors import StateMissing
        from remote_http_launcher.state_files import read_state

        try:
            state = read_state(client_state_path(target.key))
        except StateMissing:
            print_error(f"this machine has no connection to {target.key!r}", "seamless-service-ps")
            return 1
    else:
        answer = target.host.call("rhl-inspect", [target.key], request.timeout_s)
        if answer.exit_code != 0:
            message, hint = said_by("rhl-inspect", answer.stderr)
            if hint == "rhl-ps --key":
                hint = f"seamless-service-ps --cluster {target.scope.cluster} --wide"
            print_error(f"{message}{target.host.at}", hint)
            return answer.exit_code
        try:
            state = loads(answer.stdout.decode("utf-8"))
        except ValueError:
            state = None
        if not isinstance(state, dict):
            print_error(
                f"the answer of rhl-inspect on {target.host.label} cannot be understood",
                "have the same version of remote-http-launcher on both machines",
            )
            return 1
    shown = redacted(state)
    if request.json:
        print_json(shown)
    else:
        write(dumps(shown, sort_keys=True, indent=2) + "\n")
    return 0


def redacted(value: Any) -> Any:
    """Return the JSON value without the text of tokens, at any depth."""
    if isinstance(value, dict):
        return {
            name: REDACTED if name == "token" and part is not None else redacted(part)
            for name, part in value.items()
        }
    return [redacted(part) for part in value] if isinstance(value, list) else value

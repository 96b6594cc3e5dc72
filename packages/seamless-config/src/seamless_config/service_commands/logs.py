"""seamless-service-logs: print the log of a service, or follow it."""

from __future__ import annotations

from remote_http_launcher.errors import UsageError

from .command import print_error, print_json, run
from .options import read_options, scope_help

TYPE_CHECKING = False  # importing typing costs a command 6 ms
if TYPE_CHECKING:
    from collections.abc import Sequence

    from .targets import Target

__all__ = ("main",)

NAME = "seamless-service-logs"
HELP = f"""\
usage: seamless-service-logs --service S [--tail N] [--follow | --previous] [--cluster C] [--project P[:SUB]] ...

Print the log of a service; also after seamless-service-rm. Tokens in it are shown as [token].

  --tail N             only the last N lines
  --follow             print what comes, until interrupted
  --previous           the log of the start before this one
{scope_help()}
examples:
  seamless-service-logs --service hashserver --tail 50
      print the last 50 lines
  seamless-service-logs --service database --stage test --tail 0 --follow
      print only what comes from now on

exit codes:
  0    done
  1    there is no such log, or the configuration is wrong
  2    wrong usage
  127  the host has no helpers
  130  interrupted
  255  the host cannot be reached
"""


def main(arguments: Sequence[str] | None = None) -> int:
    """Entry point of seamless-service-logs."""
    return run(NAME, HELP, _body, arguments)


def _body(arguments: Sequence[str]) -> int:
    request = read_options(arguments, flags=("--follow", "--previous"), values=("--tail",))
    if request.service is None:
        raise UsageError("--service is required")
    if {"--follow", "--previous"} <= request.flags:
        raise UsageError("--follow and --previous exclude each other")
    if "--follow" in request.flags and request.json:
        raise UsageError("--follow and --json exclude each other")
    from .targets import configuration_of, target_of

    target = target_of(configuration_of(request), request, request.service)
    words = [target.key, *(each for each in ("--follow", "--previous") if each in request.flags)]
    if "--tail" in request.values:
        words += ["--tail", request.values["--tail"]]
    if not request.json:
        code, said = target.host.stream("rhl-logs", words)
        return _end(target, code, said)
    answer = target.host.call("rhl-logs", words, request.timeout_s)
    if answer.exit_code == 0:
        text = answer.stdout.decode("utf-8", "replace")
        print_json({**target.scope.as_dict(), "host": target.host.name, "key": target.key, "log": text})
    return _end(target, answer.exit_code, answer.stderr)


def _end(target: Target, code: int, said: str) -> int:
    """Tell why there is no log, and return the exit code."""
    from .hosts import said_by

    message, hint = said_by("rhl-logs", said)
    if code != 0 and message:
        if message.startswith("no ") and target.configuration.cache_directory is not None:
            message += "; programs open the directory of SEAMLESS_CACHE themselves, without a server"
        if hint == "rhl-ps --key":
            hint = f"seamless-service-ps --cluster {target.scope.cluster} --wide"
        print_error(f"{message}{target.host.at}", hint)
    return code

"""seamless-service-start: have a service run, and print where."""

from __future__ import annotations

from remote_http_launcher.errors import LauncherError, UsageError

from .command import print_error, print_json, run
from .options import read_options, scope_help

TYPE_CHECKING = False  # importing typing costs a command 6 ms
if TYPE_CHECKING:
    from collections.abc import Sequence

    from .options import Request
    from .targets import Target

__all__ = ("main", "start_target")

NAME = "seamless-service-start"
UNREACHABLE = 4
EXIT_CODES = """\
exit codes:
  0  it runs
  1  it does not, and the cause is on standard error; or the configuration is wrong
  2  wrong usage
  4  the host cannot be reached, or the start took too long
"""
PROGRAMS = {
    "hashserver": ("hashserver", "hashserver"),
    "database": ("seamless-database", "seamless-database"),
}
HELP = f"""\
usage: seamless-service-start --service S [--cluster C] [--project P[:SUB]] ...

Start a service, or find that it runs, and print HOST:PORT, as this machine connects to it. Programs start what they
need by themselves; this is for having it run before.

{scope_help()}
examples:
  seamless-service-start --service hashserver
      start the hashserver that the project files select
  seamless-service-start --service database --cluster far --project p --json
      start one for an explicit scope, and print how to reach it as JSON

{EXIT_CODES}"""


def main(arguments: Sequence[str] | None = None) -> int:
    """Entry point of seamless-service-start."""
    return run(NAME, HELP, _body, arguments)


def _body(arguments: Sequence[str]) -> int:
    request = read_options(arguments)
    if request.service is None:
        raise UsageError("--service is required")
    from .targets import configuration_of, target_of

    return start_target(target_of(configuration_of(request), request, request.service), request)


def start_target(target: Target, request: Request) -> int:
    """Launch or find the service, print where it is, and return the exit code."""
    from remote_http_launcher.configuration import Configuration
    from remote_http_launcher.helpers.frame import write
    from remote_http_launcher.launch_errors import StartTimedOut
    from remote_http_launcher.launcher import run_configuration
    from remote_http_launcher.ssh_errors import SshFailed

    from .scopes import command_words

    if request.service not in PROGRAMS:
        print_error(
            f"a {request.service} is asked for, which this version cannot start yet",
            "write '- execution: process' into seamless.profile.yaml: steps then run in the program itself",
        )
        return 1
    program, distribution = PROGRAMS[request.service]
    if _is_missing_here(target, program):
        print_error(
            f"a {request.service} cannot be started: its program {program} is not installed here",
            f"pip install {distribution}",
        )
        return 1
    launch = Configuration.from_mapping(dict(target.launch))
    try:
        found = run_configuration(launch)
    except LauncherError as exc:  # the launch itself has told what failed
        hint = exc.hint
        if hint == f"rhl-logs {target.key}":
            hint = command_words("logs", target.scope)
        if hint and "\nhint:" not in exc.message:  # a helper has told it already
            _print_hint(hint)
        return UNREACHABLE if isinstance(exc, (SshFailed, StartTimedOut)) else 1
    if request.json:
        members = {
            "host": target.host.name,
            "hostname": found["hostname"],
            "key": target.key,
            "port": found["port"],
        }
        print_json({**target.scope.as_dict(), **members})
    else:
        write(f"{found['hostname']}:{found['port']}\n")
    return 0


def _print_hint(hint: str) -> None:
    """Tell what to do."""
    from remote_http_launcher.helpers.frame import write_error

    write_error(f"hint:  {hint}")


def _is_missing_here(target: Target, program: str) -> bool:
    """Whether the program is to run on this machine, in no conda environment, and is not there."""
    if target.host.name is not None or target.launch.get("conda"):
        return False
    import os
    import shutil
    import sys

    path = os.pathsep.join([os.environ.get("PATH", os.defpath), os.path.dirname(sys.executable)])
    return shutil.which(program, path=path) is None

"""seamless-service-clear: remove what a hashserver or database keeps for a project and stage."""

from __future__ import annotations

import sys

from remote_http_launcher.errors import UsageError
from remote_http_launcher.helpers.frame import write, write_error

from .command import print_error, print_json, printable, run
from .options import read_options, scope_help
from .scopes import DATA_SERVICES, command_words, scope_of_key

TYPE_CHECKING = False  # importing typing costs a command 6 ms
if TYPE_CHECKING:
    from collections.abc import Sequence

    from remote_http_launcher.executors import Answer

    from .options import Request
    from .targets import Target

__all__ = ("main",)

NAME = "seamless-service-clear"
TIMEOUT_S = 3600.0  # a directory may hold millions of files
HELP = f"""\
usage: seamless-service-clear --service hashserver|database [--dry-run] [--recursive] [--force] [--yes]
                              [--cluster C] [--project P[:SUB]] [--stage S] ...

Remove the buffers of a hashserver, or the seamless.db of a database, for one project and stage. Other files, the
marker of the directory, and nested stages and subprojects stay. It is refused while a server uses the directory.
On a terminal it asks before; elsewhere it does not.

  --dry-run            remove nothing, say how much it would be
  --recursive          also in nested subprojects and stages
  --force              also while a server uses the directory
  --yes                do not ask
{scope_help(timeout_s=TIMEOUT_S)}
For a new start both are cleared: buffers, and which result belongs to which step.

examples:
  seamless-service-clear --service database --stage test --dry-run
      say how much it would be
  seamless-service-clear --service hashserver --cluster far --project p --recursive
      remove the buffers of a project with all its stages and subprojects

exit codes:
  0    done
  1    refused or declined, there is no such directory, something stayed, or the configuration is wrong
  2    wrong usage, also for a service without durable data
  127  the host has no helpers
  255  the host cannot be reached
"""


def main(arguments: Sequence[str] | None = None) -> int:
    """Entry point of seamless-service-clear."""
    return run(NAME, HELP, _body, arguments)


def _body(arguments: Sequence[str]) -> int:
    request = read_options(
        arguments, flags=("--dry-run", "--recursive", "--force", "--yes"), timeout_s=TIMEOUT_S
    )
    if request.service is None:
        raise UsageError("--service is required")
    if request.service not in DATA_SERVICES:
        raise UsageError(
            f"a {request.service} keeps no data; only {' and '.join(DATA_SERVICES)} can be cleared"
        )
    from .targets import configuration_of, target_of

    target = target_of(configuration_of(request), request, request.service)
    is_dry = "--dry-run" in request.flags
    if not is_dry and "--yes" not in request.flags and sys.stdin.isatty() and sys.stderr.isatty():
        rehearsal = _clear(target, request, dry_run=True)
        if rehearsal.exit_code != 0:
            return _end(target, request, rehearsal, is_dry=True)
        if not _agreed(target, rehearsal):
            print_error("nothing was removed")
            return 1
    return _end(target, request, _clear(target, request, dry_run=is_dry), is_dry=is_dry)


def _clear(target: Target, request: Request, *, dry_run: bool) -> Answer:
    words = [target.workdir, "--only", str(request.service)]
    words += [flag for flag in ("--recursive", "--force") if flag in request.flags]
    return target.host.call("rhl-clear", [*words, *(["--dry-run"] if dry_run else [])], request.timeout_s)


def _agreed(target: Target, rehearsal: Answer) -> bool:
    """Ask, on standard error; no answer is a no."""
    said = rehearsal.stdout.decode("utf-8", "replace").strip()
    write_error(printable(f"{target.host.label}: {said}"))
    sys.stderr.write("remove it? [y/N] ")
    sys.stderr.flush()
    return sys.stdin.readline().strip().lower() in ("y", "yes")


def _end(target: Target, request: Request, answer: Answer, *, is_dry: bool) -> int:
    """Show what was removed, tell why something stayed, and return the exit code."""
    from .hosts import said_by

    said = answer.stdout.decode("utf-8", "replace")
    message, hint = said_by("rhl-clear", answer.stderr)
    if message:
        if hint is not None and hint.startswith("rhl-stop "):
            user = scope_of_key(hint.split()[1].rstrip(","), target.configuration.clusters)
            hint = f"{command_words('stop', user)}; or --force" if user else hint
        print_error(f"{message}{target.host.at}", hint)
    if request.json:
        found: dict[str, object] = {
            "host": target.host.name,
            "key": target.key,
            "path": target.workdir,
            "dry_run": is_dry,
        }
        found |= {"n_bytes": _number_before("bytes)", said), "n_items": _number_before("item(s)", said) or 0}
        print_json({**target.scope.as_dict(), **found, "done": answer.exit_code == 0})
    elif said:
        write(printable(said))
    return answer.exit_code


def _number_before(word: str, said: str) -> int | None:
    """Return the number before a word of `would remove N item(s) from PATH (F files, B bytes)`, None without one."""
    words = said.split()
    before, after = words, words[1:]
    return next(
        (int(n) for n, what in zip(before, after, strict=False) if what == word and n.isdigit()), None
    )

"""rhl-clear: empty a directory of a service."""

from __future__ import annotations

from remote_http_launcher.clearing import KINDS, clear_directory
from remote_http_launcher.errors import UsageError

from .frame import parse, run, write, write_error

TYPE_CHECKING = False  # importing typing costs a helper 6 ms
if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ("main",)

NAME = "rhl-clear"
HELP = f"""\
usage: rhl-clear PATH [--dry-run] [--force] [--only KIND] [--recursive]

Remove what is in a directory; directories whose name begins with a dot stay, links are not followed.
It is refused while a server of this machine uses the directory.

  --dry-run    remove nothing, say how much it would be
  --force      also while a server uses it
  --only KIND  only what has the name of a buffer (hashserver), of the database (database), or of
               both (seamless); one of: {", ".join(KINDS)}
  --recursive  with --only: also in nested directories, as stages and subprojects have them

examples:
  rhl-clear /data/buffers/project --dry-run
      say how much is in it
  rhl-clear /data/buffers/project --only hashserver
      remove its buffers, but no stage, no subproject and no marker

exit codes:
  0  done
  1  refused, something could not be removed, or wrong usage
"""


def main(arguments: Sequence[str] | None = None) -> int:
    """Entry point of rhl-clear."""
    return run(NAME, HELP, _body, arguments)


def _body(arguments: Sequence[str]) -> int:
    options = parse(arguments, flags=("--dry-run", "--force", "--recursive"), values=("--only",))
    if len(options.words) != 1:
        raise UsageError("exactly one path is required")
    only = options.values.get("--only")
    if "--recursive" in options.flags and only is None:
        raise UsageError("--recursive requires --only; without it all nested directories are cleared")
    path = options.words[0]
    is_dry = "--dry-run" in options.flags
    cleared = clear_directory(
        path,
        force="--force" in options.flags,
        dry_run=is_dry,
        only=only,
        recursive="--recursive" in options.flags,
    )
    for failure in cleared.failures:
        write_error(f"{NAME}: {failure}")
    shown = path.rstrip("/") or "/"
    if is_dry:
        amount = f"{cleared.n_files} files, {cleared.n_bytes} bytes"
        write(f"would remove {cleared.n_items} item(s) from {shown} ({amount})\n")
    else:
        write(f"removed {cleared.n_items} item(s) from {shown}\n")
    return 1 if cleared.failures else 0

"""rhl-ps-persistent: show the data that services keep in directories."""

from __future__ import annotations

from remote_http_launcher.errors import UsageError
from remote_http_launcher.listing import table
from remote_http_launcher.persistent import persistent_rows

from .frame import parse, run, to_integer, write, write_json

TYPE_CHECKING = False  # importing typing costs a helper 6 ms
if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ("main",)

NAME = "rhl-ps-persistent"
HELP = """\
usage: rhl-ps-persistent PATH... [--level N] [--file NAME] [--marker NAME] [--sizes] [--json]

Show whether directories hold data: absent, empty or populated, with size and time.

  --level N      also subdirectories, N levels deep
  --file NAME    NAME makes a directory populated; its size and time are shown
  --marker NAME  only directories that hold NAME, which does not count as data
  --sizes        without --file: the size of all buffers, and how many files there are
  --json         one JSON object for each row

examples:
  rhl-ps-persistent /data/db --level 1 --file seamless.db
      show the databases of all projects
  rhl-ps-persistent /data/buffers --level 1 --marker .HASHSERVER_PREFIX --sizes
      show the buffer directories of all projects

exit codes:
  0  done
  1  a path is no directory or is refused, or wrong usage
"""


def main(arguments: Sequence[str] | None = None) -> int:
    """Entry point of rhl-ps-persistent."""
    return run(NAME, HELP, _body, arguments)


def _body(arguments: Sequence[str]) -> int:
    options = parse(arguments, flags=("--json", "--sizes"), values=("--level", "--file", "--marker"))
    if not options.words:
        raise UsageError("at least one path is required")
    has_sizes = "--sizes" in options.flags
    rows = list(
        persistent_rows(
            options.words,
            level=to_integer(options, "--level", 0),
            file=options.values.get("--file"),
            marker=options.values.get("--marker"),
            sizes=has_sizes,
        )
    )
    if "--json" in options.flags:
        for row in rows:
            write_json(row, sort_keys=True)
        return 0
    members = ["path", "state", "size", "modified", *(["entries"] if has_sizes else [])]
    write(
        table([member.upper() for member in members], [[row[member] for member in members] for row in rows])
    )
    return 0

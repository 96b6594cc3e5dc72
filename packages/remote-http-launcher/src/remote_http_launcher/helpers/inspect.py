"""rhl-inspect: print a state file."""

from __future__ import annotations

import os

from remote_http_launcher.directories import server_state_path
from remote_http_launcher.errors import StateMissing, UsageError
from remote_http_launcher.state_files import read_state

from .frame import parse, run, write_json

TYPE_CHECKING = False  # importing typing costs a helper 6 ms
if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ("main",)

NAME = "rhl-inspect"
HELP = """\
usage: rhl-inspect KEY [--with-mtime]

Print the state of a service of this machine as JSON.

  --with-mtime  one line with two members: mtime, in seconds since 1970, and data, the state

examples:
  rhl-inspect hashserver-local-rw-p
      print the state, with sorted members
  rhl-inspect hashserver-local-rw-p --with-mtime
      print it on one line, as it is in the file

exit codes:
  0  done
  1  there is no such state, it is malformed, or wrong usage
"""


def main(arguments: Sequence[str] | None = None) -> int:
    """Entry point of rhl-inspect."""
    return run(NAME, HELP, _body, arguments)


def _body(arguments: Sequence[str]) -> int:
    options = parse(arguments, flags=("--with-mtime",))
    if len(options.words) != 1:
        raise UsageError("exactly one key is required")
    path = server_state_path(options.words[0])
    if "--with-mtime" not in options.flags:
        write_json(read_state(path), sort_keys=True, indent=2)
        return 0
    try:
        mtime = os.stat(path).st_mtime  # before the content, so that it is never newer than that
    except FileNotFoundError:
        raise StateMissing(f"no state file for {options.words[0]!r}", hint="rhl-ps --key") from None
    write_json({"mtime": mtime, "data": read_state(path)}, compact=True)
    return 0

"""rhl-pid-alive: tell whether a process lives."""

from __future__ import annotations

from remote_http_launcher.errors import UsageError
from remote_http_launcher.processes import is_running

from .frame import parse, run

TYPE_CHECKING = False  # importing typing costs a helper 6 ms
if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ("main",)

NAME = "rhl-pid-alive"
HELP = """\
usage: rhl-pid-alive PID

Tell by the exit code whether there is a process of this number; one that has ended does not count.
Whether it is the one that a state names is shown by rhl-ps and rhl-look.

examples:
  rhl-pid-alive 4242 && echo alive
      ask for one process
  rhl-look KEY
      ask whether a service lives

exit codes:
  0  there is one
  1  there is none, or wrong usage
"""


def main(arguments: Sequence[str] | None = None) -> int:
    """Entry point of rhl-pid-alive."""
    return run(NAME, HELP, _body, arguments)


def _body(arguments: Sequence[str]) -> int:
    words = parse(arguments).words
    if len(words) != 1:
        raise UsageError("exactly one PID is required")
    text = words[0]
    if not (text.isascii() and text.isdigit() and 0 < len(text) <= 10 and 0 < int(text) < 2**31):
        raise UsageError("PID must be a positive integer")
    return 0 if is_running(int(text)) else 1

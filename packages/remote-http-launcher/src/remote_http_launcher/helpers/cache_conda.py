"""rhl-cache-conda: find out how conda is activated on this machine and which environments there are, and keep that."""

from __future__ import annotations

from .frame import parse, run, write

TYPE_CHECKING = False  # importing typing costs a helper 6 ms
if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ("main",)

NAME = "rhl-cache-conda"
HELP = """\
usage: rhl-cache-conda

Find out how conda is activated on this machine and which environments there are;
keep that for rhl-launch-service.

examples:
  rhl-cache-conda
      look again, after an environment was made
  ssh HOST rhl-cache-conda
      prepare a host whose key is guarded

exit codes:
  0  done
  1  there is no usable conda
"""


def main(arguments: Sequence[str] | None = None) -> int:
    """Entry point of rhl-cache-conda."""
    return run(NAME, HELP, _body, arguments)


def _body(arguments: Sequence[str]) -> int:
    parse(arguments, words=False)
    from remote_http_launcher.conda import refresh_conda_cache

    write(f"{NAME}: wrote {refresh_conda_cache()}\n")
    return 0

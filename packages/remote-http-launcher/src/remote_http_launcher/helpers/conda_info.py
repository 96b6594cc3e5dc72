"""rhl-conda-info: print what rhl-cache-conda found."""

from __future__ import annotations

from .frame import parse, run, write_json

TYPE_CHECKING = False  # importing typing costs a helper 6 ms
if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ("main",)

NAME = "rhl-conda-info"
HELP = """\
usage: rhl-conda-info

Print what rhl-cache-conda found, as one line of JSON: conda_base, conda_source, envs.

examples:
  rhl-conda-info
      show it
  ssh HOST rhl-conda-info
      show that of another machine

exit codes:
  0  done
  1  nothing was found yet, or the file is malformed
"""


def main(arguments: Sequence[str] | None = None) -> int:
    """Entry point of rhl-conda-info."""
    return run(NAME, HELP, _body, arguments)


def _body(arguments: Sequence[str]) -> int:
    parse(arguments, words=False)
    from remote_http_launcher.conda import read_conda_cache

    write_json(read_conda_cache(), sort_keys=True, compact=True)
    return 0

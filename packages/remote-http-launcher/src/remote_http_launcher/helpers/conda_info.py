"""rhl-conda-info: print what rhl-cache-conda found."""

from __future__ import annotations

import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ("main",)

NAME = "rhl-conda-info"
HELP = f"""usage: {NAME}

Print what rhl-cache-conda found, as one line of JSON: conda_base, conda_source, envs.

options:
  --version   print the version and end

examples:
  {NAME}
  ssh HOST {NAME}

exit codes: 0 done; 1 there is no usable cache; 2 wrong usage
"""


def main(arguments: Sequence[str] | None = None) -> int:
    """Do what the command line says; return the exit code."""
    words = list(sys.argv[1:] if arguments is None else arguments)
    if "-h" in words or "--help" in words:
        sys.stdout.write(HELP)
        return 0
    if words == ["--version"]:
        from importlib.metadata import version

        print(f"{NAME} {version('remote-http-launcher')}")
        return 0
    if words:
        print(f"{NAME}: takes no arguments: {words[0]!r}", file=sys.stderr)
        return 2
    from ..conda import read_conda_cache
    from ..errors import LauncherError
    from ..small_json import dumps

    try:
        print(dumps(read_conda_cache(), sort_keys=True, compact=True))
    except LauncherError as exc:
        print(f"{NAME}: {exc.message}", file=sys.stderr)
        return 1
    return 0

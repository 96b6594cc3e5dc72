"""The command `remote-http-launcher`: start or reuse the service that a file describes."""

from __future__ import annotations

import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    import argparse
    from collections.abc import Sequence

__all__ = ("main",)

_EPILOG = """\
examples:
  remote-http-launcher hashserver.yaml                 start it, or find that it runs
  remote-http-launcher hashserver.yaml --dry-run       print the command that would run here

exit codes: 0 it runs; 1 it does not, the cause is on stderr; 2 wrong usage; 130 interrupted
"""


def main(arguments: Sequence[str] | None = None) -> int:
    """Do what the command line says; return the exit code."""
    options = _parser().parse_args(arguments)
    from .errors import LauncherError

    try:
        return _run(options)
    except LauncherError as exc:
        lines = [f"error: {exc.message}"]
        if exc.hint:
            lines.append(f"hint:  {exc.hint}")
        print("\n".join(lines), file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
        return 130


def _run(options: argparse.Namespace) -> int:
    from .configuration_file import read_configuration
    from .dry_run import dry_run_configuration
    from .errors import LauncherError
    from .launcher import run_configuration

    overrides = {
        name: value
        for name in ("log_level", "log_file", "debug_log_file")
        if (value := getattr(options, name)) is not None
    }
    config = read_configuration(options.config, overrides)
    if options.dry_run:
        print(dry_run_configuration(config))
    else:
        try:
            run_configuration(config, connection_dir=options.connection_dir)
        except LauncherError as exc:  # the launch itself has told what failed
            if exc.hint:
                print(f"hint:  {exc.hint}", file=sys.stderr)
            return 1
    return 0


def _parser() -> argparse.ArgumentParser:
    import argparse

    class Version(argparse.Action):
        def __call__(self, parser: argparse.ArgumentParser, *rest: object) -> None:
            from .helpers.frame import version

            print(f"remote-http-launcher {version()}")
            parser.exit()

    parser = argparse.ArgumentParser(
        prog="remote-http-launcher",
        description="Start or reuse the service that a file describes, here or on a host that SSH reaches.",
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    parser.add_argument("config", metavar="CONFIG.yaml", help="the launch configuration, YAML or JSON")
    parser.add_argument("--connection-dir", metavar="DIR", help="where the client state goes")
    parser.add_argument(
        "--dry-run", action="store_true", help="print the command, start nothing; this machine only"
    )
    parser.add_argument(
        "--log-level", choices=("minimal", "basic", "debug"), help="how much is told on stderr"
    )
    parser.add_argument("--log-file", metavar="F", help="where the lines of basic go, at level minimal")
    parser.add_argument("--debug-log-file", metavar="F", help="where the lines of debug go")
    parser.add_argument("--version", action=Version, nargs=0, help="print the version and end")
    return parser

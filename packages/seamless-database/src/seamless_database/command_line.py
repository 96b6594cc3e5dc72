"""The command `seamless-database`."""

from __future__ import annotations

import argparse
import contextlib
import os
import sys

TYPE_CHECKING = False  # importing typing costs a command 6 ms
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import NoReturn

    from seamless_service.options import ServiceOptions

__all__ = ("main",)

BUSY_TIMEOUT_S = 5.0  # as long as the reference

_EPILOG = """\
examples:
  seamless-database --writable seamless.db
  seamless-database --port 5522 --host 0.0.0.0 --token-file db.token seamless.db

exit codes: 0 ended by a signal or --timeout, 1 not started, 2 wrong usage
"""


class _Parser(argparse.ArgumentParser):
    """Tells the launcher of wrong usage as well, through the status file."""

    arguments: Sequence[str] = ()

    def error(self, message: str) -> NoReturn:
        from seamless_service.failures import StartFailed
        from seamless_service.options import given_option
        from seamless_service.status_file import StatusFile

        status = StatusFile(given_option(self.arguments, "--status-file"))
        failure = StartFailed(f"Wrong usage: {message}.", hint="seamless-database --help")
        with contextlib.suppress(StartFailed):
            status.wait()
            status.failed(failure)
        super().error(message)


def main(arguments: Sequence[str] | None = None) -> int:
    """Serve a database file until a signal or inactivity ends it. Returns the exit code."""
    from seamless_service.options import ServiceOptions, VersionAction, add_service_options, positive_seconds

    parser = _Parser(
        prog="seamless-database",
        description="Serve a results database: which result has which transformation.",
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.arguments = sys.argv[1:] if arguments is None else arguments
    parser.add_argument("database_file", metavar="DATABASE_FILE", help="the file, conventionally seamless.db")
    parser.add_argument(
        "--writable", action="store_true", help="accept results too, and make the file if it is missing"
    )
    parser.add_argument(
        "--busy-timeout",
        type=positive_seconds,
        default=BUSY_TIMEOUT_S,
        metavar="S",
        help="how long a request waits while another program locks the file (default: %(default)g)",
    )
    parser.add_argument("--version", action=VersionAction, const="seamless-database")
    add_service_options(parser)
    namespace = parser.parse_args(parser.arguments)
    return _serve(namespace, ServiceOptions.of(namespace))


def _serve(namespace: argparse.Namespace, options: ServiceOptions) -> int:
    from seamless_service.certificates import without_certificates

    with without_certificates():
        from seamless_service.run import run_service

        from .server import DatabaseService

    print(f"DATABASE FILE {os.path.abspath(namespace.database_file)}")  # noqa: PTH100 (pathlib costs 8 ms)
    print("Press Ctrl+C to end", flush=True)
    service = DatabaseService(
        namespace.database_file, writable=namespace.writable, busy_timeout_s=namespace.busy_timeout
    )
    return run_service(service, options)

"""The command `hashserver`."""

from __future__ import annotations

import sys

from seamless_service.certificates import without_certificates
from seamless_service.options import ServiceOptions, given_option

from .options import UsageError, make_parser, parse_options

TYPE_CHECKING = False  # importing typing costs a command 6 ms
if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ("main",)

# Wrong values that Seamless 1.4 found out only when it started: exit code 1, not 2.
_VALUES_OF_1_4 = ("argument --layout:", "argument --timeout:", "argument --lock-timeout:", "HASHSERVER_L")


def main(arguments: Sequence[str] | None = None) -> int:
    """Serve until a signal or inactivity ends it; return the exit code."""
    words = sys.argv[1:] if arguments is None else list(arguments)
    try:
        namespace = make_parser().parse_args(words)
    except UsageError as exc:
        return _wrong_usage(str(exc), words)
    with without_certificates():
        from seamless_service.run import run_service  # aiohttp: not for --help

        from .service import HashserverService

    return run_service(HashserverService(parse_options(namespace)), ServiceOptions.of(namespace))


def _wrong_usage(message: str, words: Sequence[str]) -> int:
    """Say what is wrong, to a launcher too: it waits for the status file."""
    from seamless_service.failures import StartFailed
    from seamless_service.status_file import StatusFile

    hint = "hashserver --help"
    print(f"error: {message}\nhint:  {hint}", file=sys.stderr)
    status = StatusFile(given_option(words, "--status-file"))
    try:
        status.wait()
    except StartFailed as exc:
        print(f"error: {exc.message}\nhint:  {exc.hint}", file=sys.stderr)
    else:
        status.failed(StartFailed(message, hint=hint))
    return 1 if message.startswith(_VALUES_OF_1_4) else 2

"""rhl-handshake: ask an HTTP service whether it answers."""

from __future__ import annotations

from remote_http_launcher.errors import UsageError
from remote_http_launcher.handshake import probe

from .frame import parse, run, to_seconds, write_error, write_json

TYPE_CHECKING = False  # importing typing costs a helper 6 ms
if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ("main",)

NAME = "rhl-handshake"
TIMEOUT_S = 10.0
HELP = """\
usage: rhl-handshake URL [--timeout SECONDS] [--json]

Ask once, by GET. A redirect is not followed: it is an answer that is not 2xx.

  --timeout SECONDS  for the whole exchange (default 10)
  --json             print status, identity of the service and error

examples:
  rhl-handshake http://127.0.0.1:5000/healthcheck
      tell by the exit code whether the service is well
  rhl-handshake http://127.0.0.1:5000/healthcheck --json
      say who it is

exit codes:
  0  the status is 2xx
  2  it is another one
  1  no answer, or wrong usage
"""


def main(arguments: Sequence[str] | None = None) -> int:
    """Entry point of rhl-handshake."""
    return run(NAME, HELP, _body, arguments)


def _body(arguments: Sequence[str]) -> int:
    options = parse(arguments, flags=("--json",), values=("--timeout",))
    if len(options.words) != 1:
        raise UsageError("exactly one URL is required")
    answer = probe(options.words[0], to_seconds(options, "--timeout", TIMEOUT_S))
    if "--json" in options.flags:
        write_json(
            {"error": answer.error, "identity": answer.identity, "status": answer.status}, sort_keys=True
        )
    if answer.is_healthy:
        return 0
    if answer.status is None:
        write_error(answer.error)
        return 1
    write_error(f"HTTP Error {answer.status}: {answer.error}")
    return 2

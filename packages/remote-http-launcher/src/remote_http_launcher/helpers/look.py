"""rhl-look: everything about services, in one call."""

from __future__ import annotations

from remote_http_launcher.errors import UsageError
from remote_http_launcher.looking import look

from .frame import parse, run, to_integer, to_seconds, write_json

TYPE_CHECKING = False  # importing typing costs a helper 6 ms
if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ("main",)

NAME = "rhl-look"
N_LINES_MAX = 10_000
HELP = """\
usage: rhl-look KEY... [--wait SECONDS] [--want STATUS,...] [--handshake PATH] [--no-handshake]
                [--port-name NAME] [--tail N] [--with-token]

Print one JSON object with everything known of services of this machine: state, its age by this
machine's clock, whether the process lives, whether the port is open, who answers, the end of the log.

  --want STATUS,...  answer when each service has one of these statuses, or cannot get one any more
  --wait SECONDS     how long to wait for that at most (default 0)
  --handshake PATH   where to ask a running service (default /healthcheck)
  --no-handshake     do not ask
  --port-name NAME   which member of the state is the port to ask at (default port)
  --tail N           also the last N lines of the log
  --with-token       also the token: for a client that is going to use the service

examples:
  rhl-look hashserver-local-rw-p --tail 20
      show how the service is
  rhl-look hashserver-local-rw-p --want running,failed --wait 30
      wait until it has started, or failed to

exit codes:
  0  done, whatever the answer is
  1  wrong usage
"""


def main(arguments: Sequence[str] | None = None) -> int:
    """Entry point of rhl-look."""
    return run(NAME, HELP, _body, arguments)


def _body(arguments: Sequence[str]) -> int:
    options = parse(
        arguments,
        flags=("--no-handshake", "--with-token"),
        values=("--wait", "--want", "--handshake", "--port-name", "--tail"),
    )
    if not options.words:
        raise UsageError("at least one key is required")
    handshake = options.values.get("--handshake", "/healthcheck")
    if not handshake.isascii() or not handshake.isprintable() or " " in handshake:
        raise UsageError("--handshake requires the path of a URL")
    n_lines = to_integer(options, "--tail", 0)
    if not 0 <= n_lines <= N_LINES_MAX:
        raise UsageError(f"--tail must be in [0, {N_LINES_MAX}]")
    want = [status for status in options.values.get("--want", "").split(",") if status]
    answer = look(
        options.words,
        to_seconds(options, "--wait", 0.0),
        want,
        handshake=None if "--no-handshake" in options.flags else handshake,
        port_name=options.values.get("--port-name", "port"),
        n_log_lines=n_lines,
        with_token="--with-token" in options.flags,
    )
    write_json(answer, sort_keys=True)
    return 0

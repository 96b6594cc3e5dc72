"""rhl-verify-port: tell whether somebody listens on a port."""

from __future__ import annotations

import time

from remote_http_launcher.errors import UsageError
from remote_http_launcher.handshake import connect_error

from .frame import parse, run, to_integer, write_error

TYPE_CHECKING = False  # importing typing costs a helper 6 ms
if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ("main",)

NAME = "rhl-verify-port"
N_TRIES = 3
CONNECT_TIMEOUT_S = 2.0
PAUSE_S = 2.0
_LABEL = frozenset("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-")
HELP = """\
usage: rhl-verify-port HOST PORT [--tries N]

Tell by the exit code whether a TCP connection to the port is accepted.

  --tries N  how often to try (default 3); 2 seconds for each, and 2 between them

examples:
  rhl-verify-port 127.0.0.1 5000
      ask three times
  rhl-verify-port 127.0.0.1 5000 --tries 1
      ask once

exit codes:
  0  it is accepted
  1  it is not, with the reason on standard error; or wrong usage
"""


def main(arguments: Sequence[str] | None = None) -> int:
    """Entry point of rhl-verify-port."""
    return run(NAME, HELP, _body, arguments)


def _body(arguments: Sequence[str]) -> int:
    options = parse(arguments, values=("--tries",))
    if len(options.words) != 2:
        raise UsageError("HOST and PORT are required")
    host, port = options.words
    if not _is_host(host):
        raise UsageError("invalid host")
    if not (port.isascii() and port.isdigit() and len(port) <= 5 and 0 < int(port) < 65536):
        raise UsageError("port must be in [1, 65535]")
    n_tries = to_integer(options, "--tries", N_TRIES)
    if not 1 <= n_tries <= 100:
        raise UsageError("--tries must be in [1, 100]")
    error = ""
    for n in range(n_tries):
        if n:
            time.sleep(PAUSE_S)
        error = connect_error(host, int(port), CONNECT_TIMEOUT_S)
        if not error:
            return 0
    write_error(error)
    return 1


def _is_host(text: str) -> bool:
    if ":" in text:
        import socket

        try:
            socket.inet_pton(socket.AF_INET6, text)
        except OSError:
            return False
        return True
    labels = text.split(".")
    return 0 < len(text) <= 253 and all(
        label and _LABEL.issuperset(label) and label[0] != "-" and label[-1] != "-" for label in labels
    )

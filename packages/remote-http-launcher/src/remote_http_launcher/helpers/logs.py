"""rhl-logs: print the log of a service, or follow it."""

from __future__ import annotations

import sys

from remote_http_launcher.directories import log_path, server_state_path
from remote_http_launcher.errors import LogMissing, TokenUnusable, UsageError
from remote_http_launcher.keys import check_key
from remote_http_launcher.tail import LogFollower, last_lines, pieces
from remote_http_launcher.tokens import Redactor, read_token, token_path

from .frame import parse, run, to_integer, write_bytes

TYPE_CHECKING = False  # importing typing costs a helper 6 ms
if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

__all__ = ("main",)

NAME = "rhl-logs"
HELP = """\
usage: rhl-logs KEY [--tail N] [--follow] [--previous]

Print the log of a service of this machine. A token in it is shown as [token].

  --tail N    only the last N lines
  --follow    print what comes, until interrupted or until nobody reads; also over the start of a new log
  --previous  the log of the start before this one

examples:
  rhl-logs hashserver-local-rw-p --tail 50
      print the last 50 lines
  rhl-logs hashserver-local-rw-p --tail 0 --follow
      print only what comes from now on

exit codes:
  0    done; with --follow: nobody reads any more
  1    there is no such log, or wrong usage
  130  interrupted
"""


def main(arguments: Sequence[str] | None = None) -> int:
    """Entry point of rhl-logs."""
    return run(NAME, HELP, _body, arguments)


def _body(arguments: Sequence[str]) -> int:
    options = parse(arguments, flags=("--follow", "--previous"), values=("--tail",))
    if len(options.words) != 1:
        raise UsageError("exactly one key is required")
    n_lines = to_integer(options, "--tail", -1) if "--tail" in options.values else None
    if n_lines is not None and n_lines < 0:
        raise UsageError("--tail must be >= 0")
    if len(options.flags) > 1:
        raise UsageError("--follow and --previous are mutually exclusive")
    key = check_key(options.words[0])
    is_previous = "--previous" in options.flags
    path = log_path(key, previous=is_previous)
    follower: LogFollower | None = None
    try:
        content: Iterable[bytes]
        if "--follow" in options.flags:
            content = follower = LogFollower(path, n_lines, _nobody_reads)
        else:
            content = pieces(path) if n_lines is None else [last_lines(path, n_lines)]
        _print(content, _redactor(key), at_once=follower is not None)
    except FileNotFoundError:
        which = "previous log file" if is_previous else "log file"
        raise LogMissing(f"no {which} for {key!r}", hint="rhl-ps --key", key=key) from None
    finally:
        if follower is not None:
            follower.close()
    return 0


def _print(content: Iterable[bytes], redactor: Redactor, *, at_once: bool) -> None:
    for piece in content:
        write_bytes(redactor.feed(piece))
        if at_once:
            sys.stdout.flush()
    write_bytes(redactor.rest())


def _redactor(key: str) -> Redactor:
    try:
        return Redactor(read_token(token_path(server_state_path(key))))
    except TokenUnusable:
        return Redactor(None)


def _nobody_reads() -> bool:
    """Whether the reader of a pipe has gone: a follower over SSH must not outlive its client."""
    import select

    try:
        poll = select.poll()
        poll.register(sys.stdout.fileno(), 0)
        return any(event & (select.POLLERR | select.POLLHUP) for _, event in poll.poll(0))
    except (AttributeError, OSError, ValueError):
        return False  # a stream in memory

"""rhl-rm: remove state files."""

from __future__ import annotations

import os

from remote_http_launcher.directories import (
    client_directory,
    client_state_path,
    group_token_path,
    server_state_path,
)
from remote_http_launcher.errors import StateMalformed, StateMissing, UsageError
from remote_http_launcher.processes import is_ours
from remote_http_launcher.state_files import read_state, remove_state
from remote_http_launcher.tokens import remove_token, token_path

from .frame import parse, run, write, write_error

TYPE_CHECKING = False  # importing typing costs a helper 6 ms
if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ("main",)

NAME = "rhl-rm"
HELP = """\
usage: rhl-rm KEY... [--client] [--server]

Remove the state of services, and their tokens; on both sides unless one is given. Logs stay.
A tunnel from this machine is closed. No service is ended: stop it first.

  --client  only the state of the connection from this machine
  --server  only the state of the service on this machine

examples:
  rhl-stop KEY && rhl-rm KEY
      end a service and forget it
  rhl-rm KEY --client
      look for the service anew at the next launch

exit codes:
  0  done, also when there was nothing
  1  a file cannot be removed, or wrong usage
"""


def main(arguments: Sequence[str] | None = None) -> int:
    """Entry point of rhl-rm."""
    return run(NAME, HELP, _body, arguments)


def _body(arguments: Sequence[str]) -> int:
    options = parse(arguments, flags=("--client", "--server"))
    if not options.words:
        raise UsageError("at least one key is required")
    sides = options.flags or {"--client", "--server"}
    places = [(key, client_state_path(key), server_state_path(key)) for key in options.words]
    for key, client, server in places:
        found = False
        if "--client" in sides:
            found |= _remove(client)
            remove_token(token_path(client))
            _close_tunnel(key)
        if "--server" in sides:
            is_running = _runs(server)
            found |= _remove(server)
            if is_running:
                write_error(f"{NAME}: {key}: its process still runs, and is not known to rhl-stop any more")
            else:
                remove_token(token_path(server))
                remove_token(group_token_path(key))
        if not found:
            write(f"{key}: not found\n")
    return 0


def _remove(path: str) -> bool:
    if not remove_state(path):
        return False
    write(f"removed {path}\n")
    return True


def _close_tunnel(key: str) -> None:
    record = os.path.join(client_directory(), "tunnels", f"{key}.json")
    if os.path.lexists(record):
        from remote_http_launcher.tunnels import close_tunnel  # it brings socket and signal

        close_tunnel(key)


def _runs(path: str) -> bool:
    try:
        return is_ours(read_state(path), path)
    except (StateMissing, StateMalformed):
        return False

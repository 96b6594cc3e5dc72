"""rhl-stop: end services."""

from __future__ import annotations

from remote_http_launcher.directories import server_state_path
from remote_http_launcher.errors import LauncherError, StateMissing, UsageError
from remote_http_launcher.listing import derived_status
from remote_http_launcher.processes import pid_of
from remote_http_launcher.state_files import read_state
from remote_http_launcher.stopping import CANNOT_TELL, DENIED, GRACE_S, SURVIVED, stop_processes

from .frame import parse, run, to_seconds, write, write_error

TYPE_CHECKING = False  # importing typing costs a helper 6 ms
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Any

__all__ = ("main",)

NAME = "rhl-stop"
HELP = """\
usage: rhl-stop KEY... [--grace SECONDS] [--dry-run]

End services of this machine: SIGINT, then SIGTERM, then SIGKILL, to the process and its group.
Only the very process that was started is signalled, never another one that got its number.

  --grace SECONDS  how long to wait after SIGINT, and after SIGTERM (default 5)
  --dry-run        only say which processes would be ended

One line for each key: stopped, already gone, kill required, missing state, permission denied,
cannot tell (it may run on another machine), still running. After the first three the status is stale.

examples:
  rhl-stop hashserver-local-rw-p
      end one service
  rhl-stop $(rhl-ps --status running --key)
      end all that run

exit codes:
  0  all are gone
  1  permission denied, cannot tell, still running, a state without a process number, or wrong usage
"""


def main(arguments: Sequence[str] | None = None) -> int:
    """Entry point of rhl-stop."""
    return run(NAME, HELP, _body, arguments)


def _body(arguments: Sequence[str]) -> int:
    options = parse(arguments, flags=("--dry-run",), values=("--grace",))
    if not options.words:
        raise UsageError("at least one key is required")
    grace_s = to_seconds(options, "--grace", GRACE_S)
    keys = list(dict.fromkeys(options.words))
    paths = {key: server_state_path(key) for key in keys}
    states: dict[str, dict[str, Any]] = {}
    for key, path in paths.items():
        try:
            states[key] = read_state(path)
        except StateMissing:
            continue
        if pid_of(states[key]) is None:
            raise LauncherError(f"{key}: invalid PID", hint=f"rhl-inspect {key}", layer="state", key=key)
    if "--dry-run" in options.flags:
        outcomes = [_plan(states[key], paths[key]) for key in states]
    else:
        outcomes = stop_processes([(states[key], paths[key]) for key in states], grace_s=grace_s)
    found = dict(zip(states, outcomes, strict=True))
    for key in options.words:
        write(f"{key}: {found.get(key, 'missing state')}\n")
    for key, outcome in found.items():
        if outcome == CANNOT_TELL:
            host = states[key].get("host") or "an unknown host"
            write_error(
                f"{NAME}: {key}: process {states[key]['pid']} was started on {host}; run rhl-stop there"
            )
    return 1 if {DENIED, CANNOT_TELL, SURVIVED}.intersection(outcomes) else 0


def _plan(state: dict[str, Any], path: str) -> str:
    live = derived_status({**state, "status": "running"}, path)[1]
    if live is None:
        return CANNOT_TELL
    return f"would stop process {state['pid']}" if live else "already gone"

"""End services: SIGINT, then SIGTERM, then SIGKILL, to the very process of the state and the group that it leads.

A step is taken for all services together, when the grace of the step before is over; a service whose process and group
are gone gets no further one. A process that only has the recorded number is never signalled: then the service is gone.
"""

from __future__ import annotations

import os
import time

from .processes import group_members, identity_of, is_ours, leads_group, liveness, pid_of, signal_process
from .state_files import update_state

TYPE_CHECKING = False  # importing typing costs a helper 6 ms
if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from typing import Any

__all__ = (
    "ALREADY_GONE",
    "CANNOT_TELL",
    "DENIED",
    "ENDED_OUTCOMES",
    "KILLED",
    "STOPPED",
    "SURVIVED",
    "stop_processes",
)

STOPPED = "stopped"
ALREADY_GONE = "already gone"
KILLED = "kill required"
DENIED = "permission denied"
CANNOT_TELL = "cannot tell"
SURVIVED = "still running"
ENDED_OUTCOMES = (STOPPED, ALREADY_GONE, KILLED)

GRACE_S = 5.0
KILL_GRACE_S = (
    5.0  # a killed process that is still there after this waits for a disk or a network file system
)
POLL_S = 0.02
_INT, _TERM, _KILL = 2, 15, 9  # the module signal costs 5 ms


def stop_processes(
    services: Sequence[tuple[Mapping[str, Any], str]], *, grace_s: float = GRACE_S, mark_stale: bool = True
) -> list[str]:
    """Stop the processes of these states (state, path of its file), and return what became of each.

    Outcomes: `stopped`; `already gone`; `kill required`; `permission denied`; `cannot tell`, when it may be of another
    machine; `still running`, when not even SIGKILL ended it in time. mark_stale: the states of those that are
    gone get the status `stale`, unless they are of a newer process by now.
    """
    targets = [_Target(state, path) for state, path in services]
    for number, grace in ((_INT, grace_s), (_TERM, grace_s), (_KILL, KILL_GRACE_S)):
        for target in targets:
            target.send(number)
        deadline = time.monotonic() + grace
        while any(target.is_waited_for() for target in targets) and time.monotonic() < deadline:
            time.sleep(POLL_S)
    for target in targets:
        target.finish(mark_stale)
    return [target.outcome for target in targets]


class _Target:
    """One service on its way to the end. outcome is "" as long as it is not decided."""

    def __init__(self, state: Mapping[str, Any], path: str) -> None:
        self.state = state
        self.path = path
        self.outcome = ""
        self.was_killed = False
        self.pid = pid_of(state) or 0
        alive = liveness(state, path)
        if alive != "alive":
            self.outcome = ALREADY_GONE if alive == "dead" else CANNOT_TELL
            return
        self.leads = leads_group(self.pid) and self.pid != os.getpgrp()
        # from here on the process is known by its start time, also where the state does not tell it
        self.known = {**state, **identity_of(self.pid)}
        if not is_ours(self.known, path):
            self.outcome = ALREADY_GONE

    def send(self, number: int) -> None:
        if not self.is_waited_for():
            return
        self.was_killed = number == _KILL
        delivery = signal_process(self.known, self.path, number)
        if delivery == "denied":
            self.outcome = DENIED
        elif delivery == "gone" and self._has_group():
            try:
                os.killpg(self.pid, number)  # the leader is gone, its group keeps the number
            except ProcessLookupError:
                pass
            except PermissionError:
                self.outcome = DENIED

    def is_waited_for(self) -> bool:
        """Whether something of it still runs; decides that it has stopped."""
        if self.outcome:
            return False
        if is_ours(self.known, self.path) or self._has_group():
            return True
        self.outcome = KILLED if self.was_killed else STOPPED
        return False

    def finish(self, mark_stale: bool) -> None:
        if self.is_waited_for():
            self.outcome = SURVIVED
        if mark_stale and self.outcome in ENDED_OUTCOMES:
            update_state(self.path, self.state, {"status": "stale"})

    def _has_group(self) -> bool:
        """Whether members of its group are left; a leader of that number that is not ours has a group of its own."""
        return (
            self.leads
            and liveness(self.known, self.path) != "unknown"
            and self._no_stranger()
            and bool(group_members(self.pid))
        )

    def _no_stranger(self) -> bool:
        found = identity_of(self.pid)["start_time"]
        return found is None or found == self.known["start_time"]

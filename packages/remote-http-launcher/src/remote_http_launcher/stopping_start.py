"""End a service that does not come up, and what it started: its process and the group that it leads."""

from __future__ import annotations

import os
import signal
import time

from .processes import group_members, liveness, pid_of, signal_process

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

__all__ = ("end_start",)

GRACE_S = 5.0  # after SIGTERM, before SIGKILL
KILL_S = 5.0  # after SIGKILL: until the system has ended it
_PAUSE_S = 0.02


def end_start(state: Mapping[str, Any], path: str) -> bool:
    """End the process of the state and its group: SIGTERM, then SIGKILL. Return whether nothing of it is left.

    The group is asked for its members before the leader ends: afterwards its number alone says little. A leader that
    has ended before leaves a group that only its own children can be in, as long as there is one.
    """
    pid = pid_of(state)
    if pid is None or pid in (os.getpid(), os.getpgrp()):
        return False
    alive = liveness(state, path)
    if alive == "unknown":
        return False
    if alive == "dead" and not _may_have_left_children(state, pid):
        return True
    for number, wait_s in ((signal.SIGTERM, GRACE_S), (signal.SIGKILL, KILL_S)):
        signal_process(state, path, number)
        _signal_group(pid, number)
        deadline = time.monotonic() + wait_s
        while time.monotonic() < deadline:
            if liveness(state, path) == "dead" and not group_members(pid):
                return True
            time.sleep(_PAUSE_S)
    return liveness(state, path) == "dead" and not group_members(pid)


def _may_have_left_children(state: Mapping[str, Any], pid: int) -> bool:
    """Tell whether the group with this number can only be the one that the dead process led.

    The system gives no process a pid that is the number of a group, so as long as the group has members nobody else has
    it. That holds for this boot and set of pids, which `liveness` has compared, and while no process has the pid now.
    """
    return isinstance(state.get("start_time"), int) and not _exists(pid) and bool(group_members(pid))


def _exists(pid: int) -> bool:
    try:
        with open(f"/proc/{pid}/stat", "rb") as file:
            return file.read().rpartition(b")")[2].split()[0] not in (b"Z", b"X", b"x")
    except OSError:
        return False


def _signal_group(pid: int, number: int) -> None:
    if group_members(pid) and pid != os.getpgrp():
        try:
            os.killpg(pid, number)
        except (ProcessLookupError, PermissionError):
            pass

"""Tell whether the process of a state lives, and signal that very process only.

A pid is used again. So a state also says machine, boot, set of pids (container) and start time of the process. Three
answers exist: `alive`, `dead`, and `unknown`, which is never dead: the process may be on another machine that shares
this home. Two machines of one name are told apart by their machine id, two copies of one image by their name.

A state without these members is another implementation's. Its process is ours only if the command line names that
state file; any other process with the pid is a stranger, and the service is dead.

Invariant: no signal reaches a process that is not the one that the state names, or of the group that it leads.
"""

from __future__ import annotations

import errno
import os

TYPE_CHECKING = False  # importing typing costs a helper 6 ms
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any, Literal

    Liveness = Literal["alive", "dead", "unknown"]
    Delivery = Literal["sent", "gone", "denied", "unknown"]

__all__ = (
    "group_members",
    "identity_of",
    "is_ours",
    "is_running",
    "leads_group",
    "liveness",
    "pid_of",
    "signal_process",
)

_PATH_CHARACTERS = frozenset("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._-/")
_ENDED = (b"Z", b"X", b"x")


def identity_of(pid: int) -> dict[str, Any]:
    """Return the members of a state that tell the process from any other, `pid` included.

    Ask for a process that cannot have gone: this one, or a child that nobody has waited for yet.
    """
    found = _stat(pid)
    return {**_this_machine(), "pid": pid, "start_time": None if found is None else found[3]}


def pid_of(state: Mapping[str, Any]) -> int | None:
    """Return the pid that the state names, None if it names none."""
    pid = state.get("pid")
    return pid if isinstance(pid, int) and not isinstance(pid, bool) and 0 < pid < 2**31 else None


def liveness(state: Mapping[str, Any], status_path: str) -> Liveness:
    """Tell whether the process of the state lives. A state without a usable pid is `unknown`."""
    pid = pid_of(state)
    if pid is None:
        return "unknown"
    if _has_identity(state):
        place = _place(state)
        if place != "here":
            return "dead" if place == "before this boot" else "unknown"
    found = _stat(pid)
    if found is None:
        return _liveness_without_proc(pid)
    if found[0] in _ENDED:
        return "dead"
    if _has_identity(state) and isinstance(state.get("start_time"), int):
        return "alive" if state["start_time"] == found[3] else "dead"
    return _named_by_command(pid, status_path)


def is_ours(state: Mapping[str, Any], path: str) -> bool:
    """Whether the process lives and is the one of the state, for sure."""
    return liveness(state, path) == "alive"


def is_running(pid: int) -> bool:
    """Whether there is any process of this number; one that has ended, and waits for its parent, does not count."""
    found = _stat(pid)
    return _liveness_without_proc(pid) == "unknown" if found is None else found[0] not in _ENDED


def signal_process(state: Mapping[str, Any], path: str, number: int) -> Delivery:
    """Send the signal to the process of the state, and to its group if it leads one.

    Returns `sent`; `gone` if it is dead; `denied` if it is another user's; `unknown`, and then nothing was sent, if it
    cannot be told whether the pid is still that process.
    """
    pid = pid_of(state)
    if pid is None or pid == os.getpid():
        return "unknown"
    descriptor = _pidfd(pid)  # from here on the pid cannot become another process for this descriptor
    try:
        alive = liveness(state, path)
        if alive != "alive":
            return "gone" if alive == "dead" else "unknown"
        try:
            if leads_group(pid) and pid != os.getpgrp():
                os.killpg(pid, number)  # a group keeps its number as long as it has a member
            elif descriptor is not None:
                from signal import pidfd_send_signal

                pidfd_send_signal(descriptor, number)
            else:
                os.kill(pid, number)
        except ProcessLookupError:
            return "gone"
        except PermissionError:
            return "denied"
        return "sent"
    finally:
        if descriptor is not None:
            os.close(descriptor)


def leads_group(pid: int) -> bool:
    """Whether the process leads the process group of its number."""
    try:
        return os.getpgid(pid) == pid
    except OSError:
        return False


def group_members(group: int) -> list[int]:
    """Return the processes of the group that have not ended; none where the system has no /proc."""
    try:
        names = os.listdir("/proc")
    except OSError:
        return []
    members = []
    for name in names:
        if name.isdigit():
            found = _stat(int(name))
            if found is not None and found[2] == group and found[0] not in _ENDED:
                members.append(int(name))
    return members


def _has_identity(state: Mapping[str, Any]) -> bool:
    return isinstance(state.get("boot_id"), str) and bool(state.get("boot_id") or state.get("machine_id"))


def _place(state: Mapping[str, Any]) -> Literal["here", "before this boot", "elsewhere"]:
    here = _this_machine()
    if state["boot_id"] and state["boot_id"] == here["boot_id"]:
        return "here" if state.get("pid_namespace") == here["pid_namespace"] else "elsewhere"
    same_machine = here["machine_id"] and state.get("machine_id") == here["machine_id"]
    if not same_machine or state.get("host") != here["host"]:
        return "elsewhere"
    if state["boot_id"] and here["boot_id"]:
        return "before this boot"
    return "here" if state.get("pid_namespace") == here["pid_namespace"] else "elsewhere"


_machine: dict[str, str] = {}


def _this_machine() -> dict[str, str]:
    if not _machine:
        _machine.update(
            host=os.uname().nodename,
            machine_id=_text("/etc/machine-id"),
            boot_id=_text("/proc/sys/kernel/random/boot_id"),
            pid_namespace=_link("/proc/self/ns/pid"),
        )
    return _machine


def _stat(pid: int) -> tuple[bytes, int, int, int] | None:
    """Return state, parent, group and start time in clock ticks since boot; None if there is no such process."""
    content = _bytes(f"/proc/{pid}/stat")
    if not content:
        return None
    after_name = content.rpartition(b")")[2].split()
    return after_name[0], int(after_name[1]), int(after_name[2]), int(after_name[19])


def _liveness_without_proc(pid: int) -> Liveness:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return "dead"
    except OSError:
        pass  # it exists, and belongs to another user
    return "unknown"


def _named_by_command(pid: int, status_path: str) -> Liveness:
    """Tell whether the command line names the state file, in whatever spelling, also inside a shell's command."""
    content = _bytes(f"/proc/{pid}/cmdline")
    if not content or not status_path:
        return "unknown"  # between two programs, or not shown to this user
    wanted = {os.path.abspath(status_path), os.path.realpath(status_path)}
    for argument in content.split(b"\0"):
        text = os.fsdecode(argument)
        if any(_holds_path(text, path) for path in wanted):
            return "alive"
        path = text.rpartition("=")[2] if text.startswith("--") else text
        if path.startswith("/") and path.endswith(".json") and os.path.realpath(path) in wanted:
            return "alive"
    return "dead"


def _holds_path(text: str, path: str) -> bool:
    start = text.find(path)
    while start >= 0:
        before, after = text[start - 1 : start], text[start + len(path) :][:1]
        if before not in _PATH_CHARACTERS and after not in _PATH_CHARACTERS:
            return True
        start = text.find(path, start + 1)
    return False


def _pidfd(pid: int) -> int | None:
    if not hasattr(os, "pidfd_open"):
        return None
    try:
        return os.pidfd_open(pid)
    except OSError as exc:
        if exc.errno in (errno.ESRCH, errno.ENOSYS, errno.EPERM, errno.EINVAL):
            return None
        raise


def _text(path: str) -> str:
    return _bytes(path).decode("ascii", "replace").strip()


def _bytes(path: str) -> bytes:
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return b""
    try:
        pieces = []
        while piece := os.read(descriptor, 65536):
            pieces.append(piece)
        return b"".join(pieces)
    except OSError:
        return b""  # it ended while it was read
    finally:
        os.close(descriptor)


def _link(path: str) -> str:
    try:
        return os.readlink(path)
    except OSError:
        return ""

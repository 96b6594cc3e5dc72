"""Tell which process listens on a port of this machine, from /proc.

For a service that gives no identity: a stranger that took its port must not be adopted.
"""

from __future__ import annotations

import os

from .processes import group_members

__all__ = ("listens_on",)

_LISTEN = "0A"  # include/net/tcp_states.h


def listens_on(pid: int, port: int) -> bool | None:
    """Whether the process, or one of the group that it leads, listens on the TCP port; None if it cannot be told."""
    sockets = _listening_sockets(port)
    if not sockets:
        return None if sockets is None else False
    hidden = False
    for member in {pid, *group_members(pid)}:
        try:
            names = os.listdir(f"/proc/{member}/fd")
        except FileNotFoundError:
            continue
        except OSError:
            hidden = True  # another user's
            continue
        for name in names:
            try:
                if os.readlink(f"/proc/{member}/fd/{name}") in sockets:
                    return True
            except OSError:
                continue  # closed meanwhile
    return None if hidden else False


def _listening_sockets(port: int) -> set[str] | None:
    """Return the sockets as links of /proc name them, None where the system does not say."""
    found: set[str] = set()
    is_known = False
    for table in ("/proc/self/net/tcp", "/proc/self/net/tcp6"):
        try:
            with open(table, encoding="ascii") as file:
                lines = file.readlines()[1:]
        except OSError:
            continue
        is_known = True
        for line in lines:
            fields = line.split()
            if fields[3] == _LISTEN and int(fields[1].rpartition(":")[2], 16) == port:
                found.add(f"socket:[{fields[9]}]")
    return found if is_known else None

"""What a service says of itself: who answers on this port."""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import Any

__all__ = ("identity",)


def identity(
    *, service: str, version: str, protocol: str, capabilities: tuple[str, ...], key: str
) -> dict[str, Any]:
    """Return the identity of this process as the service.

    | key | meaning |
    |---|---|
    | service, version, protocol | what it is: `hashserver`, `database`, ...; of the software; of the wire format |
    | capabilities | what it offers beyond the protocol, sorted |
    | key | the launcher's name for it, "" when nobody launched it |
    | pid, start_time, boot_id | the process: `start_time` in clock ticks since boot, null where unknown |
    | started_at | seconds since 1970 |
    """
    return {
        "service": service,
        "version": version,
        "protocol": protocol,
        "capabilities": sorted(capabilities),
        "key": key,
        "pid": os.getpid(),
        "start_time": _start_time(),
        "boot_id": _boot_id(),
        "started_at": time.time(),
    }


def _boot_id() -> str:
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
    except OSError:
        return ""


def _start_time() -> int | None:
    try:
        return int(Path("/proc/self/stat").read_bytes().rpartition(b")")[2].split()[19])
    except (OSError, IndexError, ValueError):
        return None

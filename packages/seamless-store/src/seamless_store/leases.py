"""Say who holds something, in a file that outlives its holder, and tell whether the holder lives.

A lease is one line of JSON. Three answers exist: alive, dead, and unknown (another machine, another
container, a system that does not say). Unknown is never dead.

| key | type | meaning |
|---|---|---|
| schema | integer | 1 |
| host | text | host name, for people |
| machine_id | text | /etc/machine-id, "" where there is none |
| boot_id | text | /proc/sys/kernel/random/boot_id, "" where there is none |
| pid_namespace | text | the target of /proc/self/ns/pid: pids of two containers do not compare |
| pid | integer | process |
| start_time | integer or null | when it started, in clock ticks since boot; a pid is used again |
| nonce | text | 32 random hex digits: tells two leases of one process apart |
"""

from __future__ import annotations

import enum
import os
import socket
from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path

from .errors import StoreError

__all__ = ("Lease", "LeaseInvalid", "Liveness")

SCHEMA = 1


class LeaseInvalid(StoreError):
    """A lease file does not hold a lease of the known form.

    Remedy: find out what wrote it; remove it when nothing uses the directory.
    """


class Liveness(enum.Enum):
    """Whether a process lives, as far as this host can tell."""

    ALIVE = "alive"
    DEAD = "dead"
    UNKNOWN = "unknown"


@dataclass(frozen=True)
class Lease:
    """The identity of the process that holds something."""

    host: str
    machine_id: str
    boot_id: str
    pid_namespace: str
    pid: int
    start_time: int | None
    nonce: str
    schema: int = SCHEMA

    @classmethod
    def of_this_process(cls) -> Lease:
        """Return a new lease, with a nonce of its own."""
        global _here
        pid = os.getpid()
        if _here is None or _here.pid != pid:  # first use, or a fork since
            _here = cls(
                host=socket.gethostname(),
                machine_id=_text("/etc/machine-id"),
                boot_id=_text("/proc/sys/kernel/random/boot_id"),
                pid_namespace=_link("/proc/self/ns/pid"),
                pid=pid,
                start_time=_start_time(pid),
                nonce="",
            )
        return replace(_here, nonce=os.urandom(16).hex())

    def write(self, path: str | os.PathLike[str]) -> None:
        """Put the lease into place as a whole, over any other; durable when this returns."""
        target = Path(path)
        temporary = target.with_name(f".{target.name}-{self.nonce}")
        try:
            with open(temporary, "w", encoding="utf-8") as file:
                file.write(self.text())
                file.flush()
                os.fsync(file.fileno())
            temporary.replace(target)
        finally:
            temporary.unlink(missing_ok=True)

    def text(self, **more: str) -> str:
        """Return the line that stands for the lease in a file. more: keys that its readers may want besides."""
        import json

        return json.dumps({**asdict(self), **more}, sort_keys=True) + "\n"

    @classmethod
    def read(cls, path: str | os.PathLike[str]) -> Lease | None:
        """Return the lease in the file, None if there is no file; LeaseInvalid if it holds something else."""
        try:
            text = Path(path).read_text(encoding="utf-8", errors="replace")
        except FileNotFoundError:
            return None
        return cls.parse(text, path)

    @classmethod
    def parse(cls, text: str, path: str | os.PathLike[str]) -> Lease:
        """Return the lease that the text of the file stands for. Raises LeaseInvalid."""
        import json

        try:
            found = json.loads(text)
        except (ValueError, RecursionError):
            found = None
        if not isinstance(found, dict) or not _is_lease(found):
            raise LeaseInvalid(
                f"{os.fspath(path)} is no lease of schema {SCHEMA}: {text!r:.120}",
                path=os.fspath(path),
                remedy="find out what wrote it; remove it when nothing uses the directory.",
            )
        return cls(**{field.name: found[field.name] for field in fields(cls)})

    def is_of_this_process(self) -> bool:
        """Whether this very process made it."""
        here = Lease.of_this_process()
        return replace(self, host=here.host, nonce=here.nonce) == here

    def liveness(self) -> Liveness:
        """Tell whether the holder lives."""
        here = Lease.of_this_process()
        if not self.machine_id or self.machine_id != here.machine_id:
            return Liveness.UNKNOWN
        if self.boot_id and here.boot_id and self.boot_id != here.boot_id:
            return Liveness.DEAD
        if self.pid_namespace != here.pid_namespace:
            return Liveness.UNKNOWN
        return _process_liveness(self.pid, self.start_time)


_here: Lease | None = None  # this process, but for the nonce


def _process_liveness(pid: int, start_time: int | None) -> Liveness:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return Liveness.DEAD
    except PermissionError:
        pass  # it exists, and belongs to another user
    found = _start_time(pid)
    if found is None or start_time is None:
        return Liveness.UNKNOWN
    return Liveness.ALIVE if found == start_time else Liveness.DEAD


def _is_lease(found: dict[str, object]) -> bool:
    texts = ("host", "machine_id", "boot_id", "pid_namespace", "nonce")
    pid, start_time = found.get("pid"), found.get("start_time")
    return (
        found.get("schema") == SCHEMA
        and all(isinstance(found.get(key), str) for key in texts)
        and isinstance(pid, int)
        and pid > 0
        and "start_time" in found
        and (start_time is None or isinstance(start_time, int))
    )


def _text(path: str) -> str:
    try:
        return Path(path).read_text(encoding="ascii").strip()
    except OSError:
        return ""


def _link(path: str) -> str:
    try:
        return str(Path(path).readlink())
    except OSError:
        return ""


def _start_time(pid: int) -> int | None:
    """Return when the process started; None where the system does not say, -1 for a zombie."""
    try:
        after_name = Path(f"/proc/{pid}/stat").read_bytes().rpartition(b")")[2].split()
    except OSError:
        return None
    return -1 if after_name[0] in (b"Z", b"X") else int(after_name[19])

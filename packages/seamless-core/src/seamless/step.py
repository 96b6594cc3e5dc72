"""What travels between the driver of a graph and an executor: a request, and its outcome."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from .buffer import Buffer
    from .checksum import Checksum

__all__ = ("ResourceUsage", "SourceLocation", "StepHolder", "StepOutcome", "StepOutput", "StepRequest")


@dataclass(frozen=True, slots=True)
class SourceLocation:
    """Where the code of a step was written: outside its identity, inside its tracebacks."""

    filename: str
    first_line: int  # line of the code's first line in `filename`, counted from 1


@dataclass(frozen=True, slots=True)
class StepOutput:
    """Where the bytes go that the command of a step writes, while it runs; each is called on the step's thread.

    What a callable raises stops the command and passes on to whoever runs the step.
    """

    stdout: Callable[[bytes], object]
    stderr: Callable[[bytes], object]
    result: Callable[[bytes], object] | None = None
    """Gets pieces of the RESULT file as it grows, in order and without gaps: the beginning of the file, all of it
    only if the command fails. Nothing comes when RESULT is no plain file, and no more once it stops growing at its
    end (it is replaced, or cut); what came before is then no part of the result."""


@dataclass(frozen=True, slots=True)
class StepRequest:
    """One step to run: its transformation dictionary and how to get at its inputs."""

    tf_checksum: Checksum
    transformation: Mapping[str, Any]
    """Pins and dunder keys, those outside the identity (`__meta__`, `__env__`) included."""
    read_buffer: Callable[[Checksum], Buffer]
    """Return the buffer of an input; raises CacheMissError."""
    read_path: Callable[[Checksum], Any] | None = None
    """Return a file that holds the buffer, or None; for inputs that a command reads as files."""
    location: SourceLocation | None = None
    cancelled: Callable[[], bool] = lambda: False
    """Asked now and then while the step runs; True means its result is no longer wanted."""
    output: StepOutput | None = None
    """Of a command; None: what it prints on standard output is shown, its standard error kept for an error."""


@dataclass(frozen=True, slots=True)
class ResourceUsage:
    """What a step cost: seconds and bytes, of the step only where the system can tell."""

    wall_s: float
    cpu_user_s: float
    cpu_system_s: float
    memory_peak_bytes: int
    gpu_memory_peak_bytes: int | None = None


@dataclass(frozen=True, slots=True)
class StepOutcome:
    """A finished step: its result and what it cost."""

    result: Buffer
    usage: ResourceUsage
    attachments: tuple[Buffer, ...] = field(default=())
    """Buffers that the result refers to: the leaves of a deepcell or folder."""


class StepHolder(NamedTuple):
    """A process that runs a step.

    what: it says it is doing. nonce: of this one announcement.
    is_alive: False means that nobody can tell (another machine, another container); a dead process holds nothing.
    is_here: it is this very process.
    """

    host: str
    pid: int
    what: str
    nonce: str
    is_alive: bool
    is_here: bool

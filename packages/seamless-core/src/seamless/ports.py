"""The ports of Seamless: what a store, a result cache and an executor must offer.

A higher layer fills them (memory here, `seamless_store` through `seamless.embedded`, HTTP in
`seamless_remote`). Every implementation passes the importable contract suite of its port,
`seamless.testing.port_contracts`.

All methods are synchronous and safe to call from many threads at once. `_many` forms take any
sequence, keep its order, accept repeats, and cost one round trip where the medium has round trips.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import Future
from contextlib import AbstractContextManager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Protocol, runtime_checkable

if TYPE_CHECKING:
    from seamless_store.layout import Form

    from .buffer import Buffer
    from .checksum import Checksum
    from .step import StepHolder, StepOutcome, StepRequest

__all__ = ("Announcement", "BufferStore", "Executor", "ResultCache", "RunningSteps")


@runtime_checkable
class BufferStore(Protocol):
    """Buffers under their checksums. A buffer that is returned always hashes to its checksum."""

    def get(self, checksum: Checksum) -> Buffer | None:
        """Return the buffer, or None when this store does not hold it."""
        ...

    def get_many(self, checksums: Sequence[Checksum]) -> list[Buffer | None]: ...

    def put(self, buffer: Buffer) -> None:
        """Take the buffer. It is visible to `get` of this process at once; durable after `flush`."""
        ...

    def put_many(self, buffers: Sequence[Buffer]) -> None: ...

    def put_files(self, files: Sequence[tuple[Checksum, str, Form | None]]) -> None:
        """Take buffers from files, each given as checksum, path, and compression of the file (None: plain).

        In bounded memory where the medium allows it; a compressed file may be kept compressed, as it is. Visible
        to `get` of this process at once; durable after `flush`.
        Raises OSError for a file that cannot be read, FileChanged for one that does not hold the buffer. What
        came before it may have been taken.
        """
        ...

    def has(self, checksum: Checksum) -> bool: ...

    def has_many(self, checksums: Sequence[Checksum]) -> list[bool]: ...

    def length(self, checksum: Checksum) -> int | None:
        """Return the length in bytes, or None when the buffer is not held."""
        ...

    def length_many(self, checksums: Sequence[Checksum]) -> list[int | None]: ...

    def promise(self, checksum: Checksum) -> None:
        """Announce that this buffer will be put soon. A hint: nothing may depend on it."""
        ...

    def path(self, checksum: Checksum) -> Path | None:
        """Return a readable file that holds exactly the buffer, or None where there is none."""
        ...

    def flush(self) -> None:
        """Return when everything that was put is durable. Raises the error of a failed write."""
        ...

    def close(self) -> None:
        """Flush and let go of resources; idempotent."""
        ...


@runtime_checkable
class ResultCache(Protocol):
    """Results of transformations. The first result of a transformation stands."""

    def get(self, transformation: Checksum) -> Checksum | None: ...

    def get_many(self, transformations: Sequence[Checksum]) -> list[Checksum | None]: ...

    def put(
        self,
        transformation: Checksum,
        result: Checksum,
        *,
        buffers: Sequence[Buffer] = (),
        record: dict[str, Any] | None = None,
    ) -> Checksum:
        """Insert the result if there is none, and return the result that stands.

        buffers: what the row refers to (result, inputs, transformation text); they become durable
            before the row does, in the same batch.
        record: the execution record, stored only if this result is the one that stands.

        The returned checksum is final: no process that shares the cache will ever see another
        result for this transformation, unless it is contested.
        """
        ...

    def reverse(self, result: Checksum) -> list[Checksum]:
        """Return the transformations that have this result, oldest first."""
        ...

    def record(self, transformation: Checksum) -> dict[str, Any] | None:
        """Return the execution record, or None."""
        ...

    def contest(self, transformation: Checksum, result: Checksum) -> None:
        """Declare the stored result irreproducible: it is forgotten and kept for inspection.

        Raises ResultConflict when another result is stored.
        """
        ...

    def flush(self) -> None: ...

    def close(self) -> None: ...


@runtime_checkable
class Executor(Protocol):
    """Runs steps somewhere."""

    def submit(self, request: StepRequest) -> Future[StepOutcome]:
        """Start the step and return a future of its outcome.

        The future's exception is a StepError when the step itself failed, any other exception when
        the machinery did. Cancelling a wait on the future never loses a finished result.
        """
        ...

    def cancel(self, request: StepRequest) -> bool:
        """Ask to stop the step; True if it will not deliver a result any more."""
        ...

    def close(self) -> None: ...


class Announcement(Protocol):
    """That this process runs a step. It only saves work: where it cannot be made known, the step runs all the same."""

    @property
    def runs_elsewhere(self) -> bool:
        """Whether another living process runs the step already; then nothing was announced."""
        ...

    def cancel_requested(self) -> bool:
        """Whether somebody asks to stop the step; cheap, to be asked often."""
        ...


@runtime_checkable
class RunningSteps(Protocol):
    """Which steps the processes that share a cache run at the moment."""

    def announce(self, transformation: Checksum, what: str) -> AbstractContextManager[Announcement]:
        """Announce the step for as long as the context lasts, unless another living process has.

        what: words for a person. Steps of one process do not exclude each other.
        """
        ...

    def holder(self, transformation: Checksum) -> StepHolder | None:
        """Return who runs the step, None when nobody does."""
        ...

    def request_cancel(self, transformation: Checksum) -> Literal["canceled", "not-running"]:
        """Ask whoever runs the step to stop it. "canceled": it was asked; `holder` tells when it has."""
        ...


BufferReader = Callable[["Checksum"], "Buffer"]
"""How an executor obtains an input: returns the buffer or raises CacheMissError."""

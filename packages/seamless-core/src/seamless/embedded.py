"""The embedded cache: `SEAMLESS_CACHE=DIR` opened by the process itself, without any server.

`DIR/__TOPLEVEL__` holds the buffers and `seamless.db`, the same files that the servers use; any number of
processes may open it at once. This module is the one adapter between `Checksum`, `Buffer` and the engine,
`seamless_store`, which speaks 32-byte digests and bytes.
"""

from __future__ import annotations

import json
import os
import sys
import threading
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from .active import ActiveSet
from .buffer import Buffer
from .buffer_cache import get_buffer_cache
from .cache_paths import CACHE_VARIABLE, DATABASE_NAME, cache_root, forwarded_clients, working_directory
from .checksum import Checksum
from .errors import FileChanged, ResultConflict, SeamlessError
from .memory_stores import MemoryBufferStore, MemoryResultCache

if TYPE_CHECKING:
    from seamless_store.buffer_directory import BufferDirectory
    from seamless_store.layout import Form
    from seamless_store.results_database import ResultsDatabase
    from seamless_store.running_steps import Announcement, RunningSteps
    from seamless_store.write_behind import WriteBehind

    from .step import StepHolder

__all__ = (
    "CacheDirectoryError",
    "EmbeddedBufferStore",
    "EmbeddedResultCache",
    "EmbeddedRunningSteps",
    "RemoteClientsUnavailable",
    "cache_directory",
    "keep_in_memory",
    "memory_set",
    "open_embedded",
    "report_conflict",
    "set_from_environment",
)

MAX_REMEMBERED_RESULTS = 1 << 20  # in front of the database; about 250 bytes each


class CacheDirectoryError(SeamlessError, OSError):
    """The directory named by SEAMLESS_CACHE cannot be used.

    Remedy: name a directory that you may write, or unset SEAMLESS_CACHE to keep results in memory.
    """


class RemoteClientsUnavailable(SeamlessError, RuntimeError):
    """SEAMLESS_REMOTE_CLIENTS names services, but the package that talks to them is not installed.

    Remedy: `pip install seamless-remote`, or unset the variable.
    """


def cache_directory() -> Path | None:
    """Return the directory of `SEAMLESS_CACHE`, absolute; None when unset or blank."""
    root = cache_root()
    return None if root is None else Path(root)


def memory_set() -> ActiveSet:
    """Make a set that keeps everything in this process."""
    buffers = MemoryBufferStore(get_buffer_cache())
    return ActiveSet(buffers=buffers, results=MemoryResultCache(buffers), persistent=False, location="memory")


def set_from_environment(
    *,
    project: str | None = None,
    subproject: str | None = None,
    stage: str | None = None,
    substage: str | None = None,
) -> ActiveSet:
    """Make the set that the environment asks for.

    Embedded if SEAMLESS_CACHE is set, else the services of SEAMLESS_REMOTE_CLIENTS, else memory. Raises
    CacheDirectoryError, RemoteClientsUnavailable, and what the clients raise.
    """
    directory = cache_directory()
    if directory is None:
        if forwarded_clients() is None:
            return memory_set()
        make_set = _remote_set_maker()
        return make_set(project=project, subproject=subproject, stage=stage, substage=substage)
    return open_embedded(directory, project=project, subproject=subproject, stage=stage, substage=substage)


def _remote_set_maker() -> Callable[..., ActiveSet]:
    """Load what seamless-remote offers for SEAMLESS_REMOTE_CLIENTS: it lies above this package."""
    from importlib.metadata import entry_points

    for entry_point in entry_points(group="seamless.plugins", name="remote_set"):
        make_set: Callable[..., ActiveSet] = entry_point.load()
        return make_set
    raise RemoteClientsUnavailable(
        "SEAMLESS_REMOTE_CLIENTS names services, but the package seamless-remote, which talks to them, is not "
        "installed. Install it (pip install seamless-remote), or unset SEAMLESS_REMOTE_CLIENTS."
    )


def open_embedded(
    directory: Path,
    *,
    project: str | None = None,
    subproject: str | None = None,
    stage: str | None = None,
    substage: str | None = None,
) -> ActiveSet:
    """Open (or make) the embedded cache below `directory`. Raises CacheDirectoryError.

    Each project, subproject and stage has a directory of its own; without a project it is `__TOPLEVEL__`.
    """
    from seamless_store.buffer_directory import BufferDirectory
    from seamless_store.results_database import ResultsDatabase
    from seamless_store.write_behind import WriteBehind

    workdir = Path(working_directory(str(directory), project, subproject, stage))
    writable = True
    try:
        workdir.mkdir(parents=True, exist_ok=True)
        writable = os.access(workdir, os.W_OK)
    except OSError as exc:
        raise CacheDirectoryError(
            f"{CACHE_VARIABLE}={directory} cannot be used: {exc.strerror} ({workdir}). "
            f"Name a directory that you may write, or unset {CACHE_VARIABLE}."
        ) from exc
    database_path = workdir / DATABASE_NAME
    buffer_directory = BufferDirectory(workdir, writable=writable)
    database = ResultsDatabase(database_path, writable=writable)
    behind = WriteBehind(buffer_directory, database, on_conflict=report_conflict)
    buffers = EmbeddedBufferStore(buffer_directory, behind, writable=writable)
    return ActiveSet(
        buffers=buffers,
        results=EmbeddedResultCache(behind, database, writable=writable),
        persistent=True,
        location=str(workdir),
        stage=stage,
        substage=substage,
        running=EmbeddedRunningSteps(workdir) if writable else None,
    )


def report_conflict(transformation: bytes, ours: bytes, winner: bytes) -> None:
    """Say on standard error that another result of the step was stored first, and stands."""
    print(
        f"seamless: transformation {transformation.hex()} gave result {ours.hex()}, but {winner.hex()} was stored "
        "first and stands. The step is not reproducible: fix its random seed, its time or its environment.",
        file=sys.stderr,
    )


def keep_in_memory(buffers: Sequence[Buffer]) -> None:
    """Keep buffers that no store takes, within the limits of the process's buffer cache."""
    cache = get_buffer_cache()
    for buffer in buffers:
        cache.add(buffer.get_checksum().bytes(), buffer)


class EmbeddedBufferStore:
    """A buffer directory, written behind. In a read-only one, new buffers stay in memory."""

    def __init__(self, directory: BufferDirectory, behind: WriteBehind, *, writable: bool) -> None:
        self._directory = directory
        self._behind = behind
        self._writable = writable

    def get(self, checksum: Checksum) -> Buffer | None:
        digest = checksum.bytes()
        parts = self._behind.pending(digest)
        if parts is None:
            content = self._read(digest)
            if content is None:
                return None
            parts = (content,)
        return Buffer._from_parts(tuple(parts), checksum)

    def _read(self, digest: bytes) -> bytes | memoryview | None:
        """Return the content; None also when its file is damaged, which is then out of the way and reported."""
        from seamless_store.errors import BufferDamaged

        try:
            return self._directory.get(digest)
        except BufferDamaged as exc:
            print(f"seamless: {exc} It counts as absent and will be computed again.", file=sys.stderr)
            return None

    def get_many(self, checksums: Sequence[Checksum]) -> list[Buffer | None]:
        return [self.get(checksum) for checksum in checksums]

    def put(self, buffer: Buffer) -> None:
        self.put_many([buffer])

    def put_many(self, buffers: Sequence[Buffer]) -> None:
        if not self._writable:
            keep_in_memory(buffers)
            return
        self._behind.put_buffers([(buffer.get_checksum().bytes(), buffer.parts) for buffer in buffers])

    def put_files(self, files: Sequence[tuple[Checksum, str, Form | None]]) -> None:
        """Store them at once, not behind: they are as large as one likes and need not be held in memory."""
        if not self._writable:
            from .file_buffers import read_buffer

            keep_in_memory([read_buffer(*file) for file in files])
            return
        from seamless_store.errors import SourceChanged
        from seamless_store.file_intake import publish_files

        try:
            publish_files(self._directory, [(checksum.bytes(), path, form) for checksum, path, form in files])
        except SourceChanged as exc:
            raise FileChanged(exc.path, Checksum(exc.digest), exc.detail) from exc

    def has(self, checksum: Checksum) -> bool:
        digest = checksum.bytes()
        return self._behind.pending(digest) is not None or self._directory.has(digest)

    def has_many(self, checksums: Sequence[Checksum]) -> list[bool]:
        return [self.has(checksum) for checksum in checksums]

    def length(self, checksum: Checksum) -> int | None:
        digest = checksum.bytes()
        parts = self._behind.pending(digest)
        if parts is not None:
            return sum(len(part) for part in parts)
        return self._directory.length(digest)

    def length_many(self, checksums: Sequence[Checksum]) -> list[int | None]:
        return [self.length(checksum) for checksum in checksums]

    def promise(self, checksum: Checksum) -> None:
        """Nothing to do: other processes see files, not promises."""

    def path(self, checksum: Checksum) -> Path | None:
        digest = checksum.bytes()
        if self._behind.pending(digest) is not None:
            self._behind.flush()
        return self._directory.path(digest)

    def flush(self) -> None:
        self._behind.flush()

    def close(self) -> None:
        """Make everything durable. What is stored can still be read: steps that have finished may need it."""
        self._behind.close()


class EmbeddedResultCache:
    """A results database, written behind, with the results of this process in front of it."""

    def __init__(self, behind: WriteBehind, database: ResultsDatabase, *, writable: bool) -> None:
        self._behind = behind
        self._database = database
        self._writable = writable
        self._lock = threading.Lock()
        self._remembered: dict[bytes, Checksum] = {}

    def get(self, transformation: Checksum) -> Checksum | None:
        digest = transformation.bytes()
        known = self._remembered.get(digest)
        if known is None:
            found = self._behind.result(digest)
            if found is None:
                return None
            known = self._remember(digest, Checksum(found))
        return known

    def get_many(self, transformations: Sequence[Checksum]) -> list[Checksum | None]:
        results = [self._remembered.get(transformation.bytes()) for transformation in transformations]
        missing = [index for index, result in enumerate(results) if result is None]
        if missing:
            digests = [transformations[index].bytes() for index in missing]
            found = self._database.transformation_many(digests)
            for index, digest, result in zip(missing, digests, found, strict=True):
                results[index] = (
                    self.get(transformations[index])  # it may be queued
                    if result is None
                    else self._remember(digest, Checksum(result))
                )
        return results

    def put(
        self,
        transformation: Checksum,
        result: Checksum,
        *,
        buffers: Sequence[Buffer] = (),
        record: dict[str, Any] | None = None,
    ) -> Checksum:
        digest = transformation.bytes()
        if not self._writable:
            keep_in_memory(buffers)
            return self._remember(digest, self.get(transformation) or result)
        text = None if record is None else json.dumps(record, separators=(",", ":"))
        winner = self._behind.put(
            digest,
            result.bytes(),
            buffers=[(buffer.get_checksum().bytes(), buffer.parts) for buffer in buffers],
            record=text,
        )
        return self._remember(digest, result if winner == result.bytes() else Checksum(winner))

    def _remember(self, digest: bytes, result: Checksum) -> Checksum:
        with self._lock:
            if len(self._remembered) >= MAX_REMEMBERED_RESULTS:
                del self._remembered[next(iter(self._remembered))]
            return self._remembered.setdefault(digest, result)

    def reverse(self, result: Checksum) -> list[Checksum]:
        self._behind.flush()
        return [Checksum(digest) for digest in self._database.rev_transformations(result.bytes())]

    def record(self, transformation: Checksum) -> dict[str, Any] | None:
        self._behind.flush()
        text = self._database.metadata(transformation.bytes())
        record: dict[str, Any] | None = None if text is None else json.loads(text)
        return record

    def contest(self, transformation: Checksum, result: Checksum) -> None:
        from seamless_store.database_errors import ResultNotStored

        self._behind.flush()
        try:
            self._database.contest(transformation.bytes(), result.bytes())
        except ResultNotStored as exc:
            raise ResultConflict(str(exc)) from exc
        with self._lock:
            self._remembered.pop(transformation.bytes(), None)

    def flush(self) -> None:
        self._behind.flush()

    def close(self) -> None:
        self._behind.close()
        self._database.close()


class EmbeddedRunningSteps:
    """The leases beside the buffers."""

    def __init__(self, workdir: Path) -> None:
        self._workdir = workdir
        self._opened: RunningSteps | None = None

    @property
    def _steps(self) -> RunningSteps:
        if self._opened is None:
            from seamless_store.running_steps import RunningSteps

            self._opened = RunningSteps(self._workdir)
        return self._opened

    def announce(self, transformation: Checksum, what: str) -> Announcement:
        return self._steps.announce(transformation.bytes(), what)

    def holder(self, transformation: Checksum) -> StepHolder | None:
        from seamless_store.leases import Liveness

        from .step import StepHolder

        entry = self._steps.holder(transformation.bytes())
        if entry is None:
            return None
        lease = entry.lease
        return StepHolder(
            lease.host,
            lease.pid,
            entry.what,
            lease.nonce,
            is_alive=lease.liveness() is Liveness.ALIVE,
            is_here=lease.is_of_this_process(),
        )

    def request_cancel(self, transformation: Checksum) -> Literal["canceled", "not-running"]:
        return self._steps.request_cancel(transformation.bytes())

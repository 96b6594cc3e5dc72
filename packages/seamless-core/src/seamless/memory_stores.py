"""The ports in memory: what Seamless uses when nothing is configured, and the simplest example of each port."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from .errors import ResultConflict

if TYPE_CHECKING:
    from pathlib import Path

    from seamless_store.layout import Form

    from .buffer import Buffer
    from .buffer_cache import BufferCache
    from .checksum import Checksum
    from .ports import BufferStore

__all__ = ("MemoryBufferStore", "MemoryResultCache")


class MemoryBufferStore:
    """Buffers in the process's buffer cache, hence within its limits: what is dropped is recomputed."""

    def __init__(self, cache: BufferCache) -> None:
        self._cache = cache

    def get(self, checksum: Checksum) -> Buffer | None:
        return self._cache.get(checksum.bytes())

    def get_many(self, checksums: Sequence[Checksum]) -> list[Buffer | None]:
        return [self.get(checksum) for checksum in checksums]

    def put(self, buffer: Buffer) -> None:
        self._cache.add(buffer.get_checksum().bytes(), buffer)

    def put_many(self, buffers: Sequence[Buffer]) -> None:
        for buffer in buffers:
            self.put(buffer)

    def put_files(self, files: Sequence[tuple[Checksum, str, Form | None]]) -> None:
        from .file_buffers import read_buffer

        for checksum, path, form in files:
            self.put(read_buffer(checksum, path, form))

    def has(self, checksum: Checksum) -> bool:
        return self.get(checksum) is not None

    def has_many(self, checksums: Sequence[Checksum]) -> list[bool]:
        return [self.has(checksum) for checksum in checksums]

    def length(self, checksum: Checksum) -> int | None:
        buffer = self.get(checksum)
        return None if buffer is None else len(buffer)

    def length_many(self, checksums: Sequence[Checksum]) -> list[int | None]:
        return [self.length(checksum) for checksum in checksums]

    def promise(self, checksum: Checksum) -> None:
        """Nothing to do: nobody else can see this store."""

    def path(self, checksum: Checksum) -> Path | None:
        return None

    def flush(self) -> None:
        """Nothing to do: memory is as durable as the process."""

    def close(self) -> None:
        """Nothing to let go of: the cache belongs to the process."""


class MemoryResultCache:
    """Results in a dict, for the life of the process or of the active set.

    buffers: the store that gets what the results refer to.
    """

    def __init__(self, buffers: BufferStore) -> None:
        self._buffers = buffers
        self._lock = threading.Lock()
        self._results: dict[Checksum, Checksum] = {}
        self._reverse: dict[Checksum, list[Checksum]] = {}
        self._records: dict[Checksum, dict[str, Any]] = {}

    def get(self, transformation: Checksum) -> Checksum | None:
        return self._results.get(transformation)

    def get_many(self, transformations: Sequence[Checksum]) -> list[Checksum | None]:
        return [self._results.get(transformation) for transformation in transformations]

    def put(
        self,
        transformation: Checksum,
        result: Checksum,
        *,
        buffers: Sequence[Buffer] = (),
        record: dict[str, Any] | None = None,
    ) -> Checksum:
        self._buffers.put_many(buffers)
        with self._lock:
            winner = self._results.get(transformation)
            if winner is None:
                winner = self._results[transformation] = result
                self._reverse.setdefault(result, []).append(transformation)
            if record is not None and winner == result:
                self._records.setdefault(transformation, record)
        return winner

    def reverse(self, result: Checksum) -> list[Checksum]:
        with self._lock:
            return list(self._reverse.get(result, ()))

    def record(self, transformation: Checksum) -> dict[str, Any] | None:
        with self._lock:
            return self._records.get(transformation)

    def contest(self, transformation: Checksum, result: Checksum) -> None:
        with self._lock:
            stored = self._results.get(transformation)
            if stored is not None and stored != result:
                raise ResultConflict(
                    f"cannot contest result {result} of transformation {transformation}: the stored result is "
                    f"{stored}. Look it up again, and contest that one."
                )
            if stored is not None:
                del self._results[transformation]
                self._reverse[result].remove(transformation)
            self._records.pop(transformation, None)

    def flush(self) -> None:
        """Nothing to do: memory is as durable as the process."""

    def close(self) -> None:
        """Nothing to let go of."""

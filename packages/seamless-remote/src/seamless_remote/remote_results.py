"""The port ResultCache over HTTP: results in databases, their buffers acknowledged first.

`put` uploads what its row refers to, and whatever was put before, waits for the acknowledgement, and only then sends
the row, as an insert-if-absent whose answer is the result that stands. Calls of several threads share one upload and
one request. What this process knows is remembered in front, within bounds.

Invariant: a row is sent only after every buffer that was given with it, or before it, has been acknowledged.

Without a writable database, or without a server that takes the buffers, new results stay in memory.
"""

from __future__ import annotations

import threading

from seamless.errors import ResultConflict

from .first_found import first_found
from .insert_group import InsertGroup, ResultRow

TYPE_CHECKING = False  # importing typing costs a command 6 ms
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Any, Protocol

    from seamless.buffer import Buffer
    from seamless.checksum import Checksum

    from .remote_store import RemoteBufferStore

    class _ResultReader(Protocol):
        """What the cache needs of a client to read; `DatabaseClient` offers it."""

        def get_transformation_result_sync(self, tf_checksum: Checksum, /) -> Checksum | None: ...

        def transformation_many_sync(self, tf_checksums: Sequence[Checksum], /) -> list[Checksum | None]: ...

        def reverse_sync(self, result_checksum: Checksum, /) -> list[Checksum]: ...

        def record_sync(self, tf_checksum: Checksum, /) -> dict[str, Any] | None: ...

    class _ResultWriter(Protocol):
        """What the cache needs of a client to write; `DatabaseClient` offers it."""

        def insert_many_sync(
            self, rows: Sequence[tuple[Checksum, Checksum, dict[str, Any] | None]], /
        ) -> list[Checksum]: ...

        def contest_sync(self, tf_checksum: Checksum, result_checksum: Checksum, /) -> None: ...


__all__ = ("RemoteResultCache",)

MAX_REMEMBERED_RESULTS = 1 << 20  # about 250 bytes each


class RemoteResultCache:
    """readers: databases, in order. writers: databases that get every new result; the first decides which stands."""

    def __init__(
        self,
        buffers: RemoteBufferStore,
        *,
        readers: Sequence[_ResultReader],
        writers: Sequence[_ResultWriter] = (),
    ) -> None:
        from seamless.memory_stores import MemoryResultCache

        self._buffers = buffers
        self._readers = tuple(readers)
        self._writers = tuple(writers) if buffers.writable else ()
        self._unsaved = MemoryResultCache(buffers)  # what no server takes
        self._group = InsertGroup(self._insert)
        self._lock = threading.Lock()
        self._remembered: dict[bytes, Checksum] = {}

    @property
    def writable(self) -> bool:
        """Whether new results go to a server."""
        return bool(self._writers)

    # Reading

    def get(self, transformation: Checksum) -> Checksum | None:
        known = self._remembered.get(transformation.bytes())
        if known is not None:
            return known
        (found,) = first_found(
            self._readers,
            [transformation],
            lambda client, asked: [client.get_transformation_result_sync(asked[0])],
        )
        if found is None:
            return self._unsaved.get(transformation)
        return self._remember(transformation, found)

    def get_many(self, transformations: Sequence[Checksum]) -> list[Checksum | None]:
        results = {each: self._remembered.get(each.bytes()) for each in transformations}
        missing = [each for each, result in results.items() if result is None]
        if missing:
            answers = first_found(
                self._readers, missing, lambda client, asked: client.transformation_many_sync(asked)
            )
            for each, found in zip(missing, answers, strict=True):
                results[each] = self._unsaved.get(each) if found is None else self._remember(each, found)
        return [results[each] for each in transformations]

    def reverse(self, result: Checksum) -> list[Checksum]:
        listed: dict[Checksum, None] = {}
        for client in self._readers:
            listed.update(dict.fromkeys(client.reverse_sync(result)))
        listed.update(dict.fromkeys(self._unsaved.reverse(result)))
        return list(listed)

    def record(self, transformation: Checksum) -> dict[str, Any] | None:
        (found,) = first_found(
            self._readers, [transformation], lambda client, asked: [client.record_sync(asked[0])]
        )
        return self._unsaved.record(transformation) if found is None else found

    # Writing

    def put(
        self,
        transformation: Checksum,
        result: Checksum,
        *,
        buffers: Sequence[Buffer] = (),
        record: dict[str, Any] | None = None,
    ) -> Checksum:
        if not self._writers:
            standing = self.get(transformation)
            if standing is None:
                return self._unsaved.put(transformation, result, buffers=buffers, record=record)
            self._buffers.put_many(buffers)
            return standing
        self._buffers.put_many(buffers)
        winner = self._group.put(ResultRow(transformation, result, record))
        if winner != result:
            from seamless.embedded import report_conflict

            report_conflict(transformation.bytes(), result.bytes(), winner.bytes())
        return self._remember(transformation, winner)

    def _insert(self, rows: Sequence[ResultRow]) -> list[Checksum]:
        """Send rows, after the buffers; return what stands in the first database, and make the others agree."""
        self._buffers.flush()
        sent = [(row.transformation, row.result, row.record) for row in rows]
        standing = self._writers[0].insert_many_sync(sent)
        if len(self._writers) > 1:
            agreed = [
                (row.transformation, winner, row.record if winner == row.result else None)
                for row, winner in zip(rows, standing, strict=True)
            ]
            for writer in self._writers[1:]:
                writer.insert_many_sync(agreed)
        return standing

    def _remember(self, transformation: Checksum, result: Checksum) -> Checksum:
        with self._lock:
            if len(self._remembered) >= MAX_REMEMBERED_RESULTS:
                del self._remembered[next(iter(self._remembered))]
            return self._remembered.setdefault(transformation.bytes(), result)

    def contest(self, transformation: Checksum, result: Checksum) -> None:
        """Forget the result in every writable database. Raises ResultConflict."""
        if not self._writers:
            self._unsaved.contest(transformation, result)
        with self._lock:
            self._remembered.pop(transformation.bytes(), None)
        for writer in self._writers:
            try:
                writer.contest_sync(transformation, result)
            except ResultConflict as exc:
                raise ResultConflict(
                    f"cannot contest result {result} of transformation {transformation}: the stored result is "
                    f"{self.get(transformation)}. Look it up again, and contest that one."
                ) from exc

    def flush(self) -> None:
        """Rows were acknowledged when `put` returned; buffers are now."""
        self._buffers.flush()

    def close(self) -> None:
        """Nothing is kept back here; the buffer store flushes its own."""

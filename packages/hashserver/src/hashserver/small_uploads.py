"""Store many small uploads at once: what arrives while one batch is made durable is the next batch.

An fsync costs the same for one buffer as, with syncfs, for hundreds. So there is one batch at a time, in a thread; an
upload alone waits for nobody, and under load the batches grow. `put` returns when its buffer is durable.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence

from seamless_store.buffer_directory import BufferDirectory

__all__ = ("SMALL_MAX_BYTES", "SmallUploads", "published")

SMALL_MAX_BYTES = 256 * 1024
_BATCH_MAX_BYTES = 16 * 1024 * 1024
_BATCH_MAX_ITEMS = 1024

_Item = tuple[bytes, bytes]
_Publish = Callable[[Sequence[_Item]], Awaitable[list[BaseException | None]]]


class SmallUploads:
    """Batches for one directory. publish: `published` in a thread. Event loop only."""

    def __init__(self, publish: _Publish) -> None:
        self._publish = publish
        self._waiting: list[tuple[_Item, asyncio.Future[None]]] = []
        self._worker: asyncio.Task[None] | None = None

    async def put(self, digest: bytes, content: bytes) -> None:
        """Store a buffer that has this digest. Raises what storing it raises."""
        done: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.append(((digest, content), done))
        if self._worker is None:
            self._worker = asyncio.get_running_loop().create_task(self._work(), name="small-uploads")
        await done

    async def close(self) -> None:
        """Wait until everything is stored."""
        while self._worker is not None:
            await self._worker

    async def _work(self) -> None:
        try:
            while self._waiting:
                batch = self._next_batch()
                outcomes: Sequence[BaseException | None]
                try:
                    outcomes = await self._publish([item for item, _ in batch])
                except BaseException as exc:
                    outcomes = [exc] * len(batch)
                for (_, done), outcome in zip(batch, outcomes, strict=True):
                    if done.done():
                        continue  # its client is gone
                    if outcome is None:
                        done.set_result(None)
                    else:
                        done.set_exception(outcome)
        finally:
            self._worker = None

    def _next_batch(self) -> list[tuple[_Item, asyncio.Future[None]]]:
        n_items = n_bytes = 0
        for (_, content), _ in self._waiting[:_BATCH_MAX_ITEMS]:
            n_items += 1
            n_bytes += len(content)
            if n_bytes >= _BATCH_MAX_BYTES:
                break
        batch, self._waiting = self._waiting[:n_items], self._waiting[n_items:]
        return batch


def published(directory: BufferDirectory, items: Sequence[_Item]) -> list[BaseException | None]:
    """Store buffers whose digests were checked; return what went wrong with each, None where nothing did."""
    try:
        directory.publish([(digest, [content]) for digest, content in items], verified=True)
    except Exception as exc:
        if len(items) == 1:
            return [exc]
        return [published(directory, [item])[0] for item in items]  # one may be the cause, all were refused
    return [None] * len(items)

"""Store many small uploads at once: what arrives while one batch is made durable is the next batch.

Making one buffer durable costs hardly less than making a hundred durable. So one thread stores one batch at a time: an
upload alone waits for nobody, and under load the batches grow. `put` returns when its buffer is durable.
"""

from __future__ import annotations

import asyncio
import queue
import threading
from collections.abc import Callable, Sequence

from seamless_store.buffer_directory import BufferDirectory

__all__ = ("SMALL_MAX_BYTES", "SmallUploads", "published")

SMALL_MAX_BYTES = 256 * 1024
_BATCH_MAX_BYTES = 16 * 1024 * 1024
_BATCH_MAX_ITEMS = 1024

_Item = tuple[bytes, bytes]
_Waiting = tuple[_Item, "asyncio.Future[None]"]


class SmallUploads:
    """The batches of one directory, and their thread, which begins with the first upload.

    publish: stores a batch and returns what went wrong with each item, None where nothing did.
    """

    def __init__(self, publish: Callable[[Sequence[_Item]], Sequence[Exception | None]]) -> None:
        self._publish = publish
        self._queue: queue.SimpleQueue[_Waiting | None] = queue.SimpleQueue()
        self._thread: threading.Thread | None = None

    async def put(self, digest: bytes, content: bytes) -> None:
        """Store a buffer that has this digest. Raises what storing it raises."""
        loop = asyncio.get_running_loop()
        if self._thread is None:
            self._thread = threading.Thread(target=self._work, args=(loop,), name="hashserver-small-uploads")
            self._thread.start()
        done: asyncio.Future[None] = loop.create_future()
        self._queue.put(((digest, content), done))
        await done

    def close(self) -> None:
        """Wait until everything is stored, and end the thread; idempotent. Call it when nobody calls `put` any more."""
        thread, self._thread = self._thread, None
        if thread is not None:
            self._queue.put(None)
            thread.join()

    def _work(self, loop: asyncio.AbstractEventLoop) -> None:
        while True:
            batch, is_last = self._next_batch()
            if batch:
                outcomes: Sequence[Exception | None]
                try:
                    outcomes = self._publish([item for item, _ in batch])
                except Exception as exc:
                    outcomes = [exc] * len(batch)
                loop.call_soon_threadsafe(_tell, batch, outcomes)
                del batch, outcomes  # else their memory would be held until the next batch comes
            if is_last:
                return

    def _next_batch(self) -> tuple[list[_Waiting], bool]:
        """Wait for an upload; return it with all others that wait, and whether it was the last."""
        batch: list[_Waiting] = []
        n_bytes = 0
        try:
            entry = self._queue.get()
            while entry is not None:
                batch.append(entry)
                n_bytes += len(entry[0][1])
                if n_bytes >= _BATCH_MAX_BYTES or len(batch) >= _BATCH_MAX_ITEMS:
                    return batch, False
                entry = self._queue.get_nowait()
        except queue.Empty:
            return batch, False
        return batch, True


def _tell(batch: list[_Waiting], outcomes: Sequence[Exception | None]) -> None:
    for (_, done), outcome in zip(batch, outcomes, strict=True):
        if done.done():
            continue  # its client is gone
        if outcome is None:
            done.set_result(None)
        else:
            done.set_exception(outcome)


def published(directory: BufferDirectory, items: Sequence[_Item]) -> list[Exception | None]:
    """Store buffers whose digests were checked; return what went wrong with each, None where nothing did."""
    try:
        directory.publish([(digest, [content]) for digest, content in items], verified=True)
    except Exception as exc:
        if len(items) == 1:
            return [exc]
        return [published(directory, [item])[0] for item in items]  # one may be the cause, all were refused
    return [None] * len(items)

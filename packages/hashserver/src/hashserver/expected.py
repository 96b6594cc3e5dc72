"""Buffers that are not there yet, and may come: promised ones, and uploads under way.

Readers of such a buffer wait. A promise lasts 600 s from the latest time it was made, is lost when the server
ends, and is kept by any upload that succeeds; one that fails leaves it standing. Event loop only.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Callable, Iterator

__all__ = ("PROMISE_S", "Expected")

PROMISE_S = 600.0


class Expected:
    """What is expected. clock: seconds, monotonic."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._promises: dict[bytes, float] = {}  # digest: when it expires; the soonest first
        self._uploads: dict[bytes, int] = {}
        self._waiting: dict[bytes, list[asyncio.Future[None]]] = {}

    def promise(self, digest: bytes) -> None:
        """Expect this buffer for the next PROMISE_S seconds."""
        self._forget_expired()
        self._promises.pop(digest, None)
        self._promises[digest] = self._clock() + PROMISE_S

    def is_promised(self, digest: bytes) -> bool:
        expires = self._promises.get(digest)
        return expires is not None and expires > self._clock()

    def is_arriving(self, digest: bytes) -> bool:
        """Tell whether an upload of this buffer is under way."""
        return digest in self._uploads

    def __contains__(self, digest: bytes) -> bool:
        return digest in self._uploads or self.is_promised(digest)

    @contextlib.contextmanager
    def upload(self, digest: bytes) -> Iterator[None]:
        """Expect the buffer while the context lasts."""
        self._uploads[digest] = self._uploads.get(digest, 0) + 1
        try:
            yield
        finally:
            self._uploads[digest] -= 1
            if not self._uploads[digest]:
                del self._uploads[digest]
            self._wake(digest)

    def stored(self, digest: bytes) -> None:
        """Say that the buffer is there now: its promise is kept."""
        self._promises.pop(digest, None)
        self._wake(digest)

    async def wait(self, digest: bytes, timeout_s: float) -> None:
        """Wait until there is news of this buffer, its promise expires, or `timeout_s` have passed."""
        if digest not in self._uploads:
            timeout_s = min(timeout_s, max(self._promises.get(digest, 0.0) - self._clock(), 0.0))
        news: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        waiting = self._waiting.setdefault(digest, [])
        waiting.append(news)
        try:
            await asyncio.wait([news], timeout=timeout_s)
        finally:
            if news in waiting:
                waiting.remove(news)
            if not waiting and self._waiting.get(digest) is waiting:
                del self._waiting[digest]

    def __len__(self) -> int:
        self._forget_expired()
        return len(self._promises)

    def _wake(self, digest: bytes) -> None:
        for news in self._waiting.pop(digest, ()):
            if not news.done():
                news.set_result(None)

    def _forget_expired(self) -> None:
        now = self._clock()
        while self._promises:
            soonest = next(iter(self._promises))
            if self._promises[soonest] > now:
                return
            del self._promises[soonest]

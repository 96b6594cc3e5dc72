"""Hash large chunks on another core while they are written.

The calling thread writes; a helper thread, started with the first large chunk, hashes the same bytes
(hashlib and write both let other threads run). `update` returns when both are done, so the caller may
use the chunk's memory again.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import queue
    import threading
    from hashlib import _Hash

__all__ = ("SideHash", "hash_read")

SIDE_MIN_BYTES = 256 * 1024  # 0.2 ms of hashing; handing over to the helper and back costs 0.05 ms


class SideHash:
    """A hash whose updates overlap with other work. Use from one thread; `close` ends the helper."""

    def __init__(self, hasher: _Hash) -> None:
        self._hasher = hasher
        self._helper: threading.Thread | None = None
        self._chunks: queue.SimpleQueue[memoryview | None] | None = None
        self._done: queue.SimpleQueue[None] | None = None

    def update(self, chunk: memoryview, meanwhile: Callable[[memoryview], None]) -> None:
        """Hash the chunk and call `meanwhile(chunk)`, at the same time if the chunk is large."""
        if chunk.nbytes < SIDE_MIN_BYTES:
            self._hasher.update(chunk)
            meanwhile(chunk)
            return
        if self._chunks is None or self._done is None:
            import queue
            import threading

            self._chunks, self._done = queue.SimpleQueue(), queue.SimpleQueue()
            self._helper = threading.Thread(target=self._work, name="seamless-store-hash", daemon=True)
            self._helper.start()
        self._chunks.put(chunk)
        try:
            meanwhile(chunk)
        finally:
            self._done.get()

    def digest(self) -> bytes:
        return self._hasher.digest()

    def close(self) -> None:
        """End the helper thread; idempotent."""
        helper, self._helper = self._helper, None
        if helper is not None and self._chunks is not None:
            self._chunks.put(None)
            helper.join()

    def _work(self) -> None:
        assert self._chunks is not None
        assert self._done is not None
        while (chunk := self._chunks.get()) is not None:
            self._hasher.update(chunk)
            del chunk  # else its memory would be held until the next one comes
            self._done.put(None)


def hash_read(hasher: _Hash, readinto: Callable[[memoryview], int], *, piece_bytes: int) -> int:
    """Hash what `readinto` gives until it gives nothing; return the number of bytes.

    Reads the next piece while one is hashed, and holds two pieces.
    """
    now, following = memoryview(bytearray(piece_bytes)), memoryview(b"")
    n_now, n_bytes = readinto(now), 0
    n_following = 0

    def read_on(_: memoryview) -> None:
        nonlocal following, n_following
        if not following:
            following = memoryview(bytearray(piece_bytes))
        n_following = readinto(following)

    side = SideHash(hasher)
    try:
        while n_now:
            n_bytes += n_now
            side.update(now[:n_now], read_on)
            now, following, n_now = following, now, n_following
    finally:
        side.close()
    return n_bytes

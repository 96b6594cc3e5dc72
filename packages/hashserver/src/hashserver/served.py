"""What the routes of one server share: its directories, what it expects, its threads, its counters."""

from __future__ import annotations

import functools
from collections.abc import Callable, Coroutine
from typing import Any, ParamSpec, TypeVar

from seamless_service.service import ServiceContext
from seamless_store.directory_chain import DirectoryChain
from seamless_store.layout import Form

from .expected import Expected
from .small_uploads import SmallUploads, published

__all__ = ("Served",)

_P = ParamSpec("_P")
_T = TypeVar("_T")


class Served:
    """One server's state. is_local: the directories answer at once, so that the event loop may ask them itself.

    lock_timeout_s: for how long a reader waits for the lock files of other writers.
    """

    def __init__(
        self,
        chain: DirectoryChain,
        context: ServiceContext,
        *,
        writable: bool,
        is_local: bool,
        lock_timeout_s: float,
        hash_algorithm: str,
    ) -> None:
        self.chain = chain
        self.main = chain.main
        self.writable = writable
        self.is_local = is_local
        self.lock_timeout_s = lock_timeout_s
        self.hash_algorithm = hash_algorithm
        self._context = context
        self.log = context.log
        self.expected = Expected()
        self.small_uploads = SmallUploads(functools.partial(published, self.main))
        counter = context.metrics.counter
        self.n_stored = counter("buffers_stored", "Buffers stored by uploads")
        self.n_damaged = counter("damaged_found", "Stored files found damaged when they were asked for")
        context.metrics.gauge("promises", "Promises that stand", lambda: len(self.expected))

    def run_blocking(
        self, function: Callable[_P, _T], *args: _P.args, **kwargs: _P.kwargs
    ) -> Coroutine[Any, Any, _T]:
        """Run a function that may block in a thread."""
        return self._context.run_blocking(function, *args, **kwargs)

    def stored(self, digest: bytes) -> None:
        """Note that an upload has been stored, durably."""
        self.n_stored.inc()
        self.expected.stored(digest)

    async def is_stored(self, digest: bytes, form: Form | None) -> bool:
        """Tell whether an upload of this form could only repeat what is stored, true and durable."""
        if self.is_local:
            if self.main.is_known_stored(digest, form):
                return True
            if not self.main.is_there(digest, form):
                return False
        return await self.run_blocking(self.main.confirm, digest, form)

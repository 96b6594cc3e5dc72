"""Run what may block in threads: look-ups and writes apart, and nobody waits for ever.

A file that is locked for writing can often still be read. So writes that wait must not take the threads that
look-ups need.
"""

from __future__ import annotations

import asyncio
import functools
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import ParamSpec, TypeVar

__all__ = ("DeadlinePassed", "Threads")

N_READERS = 8

_P = ParamSpec("_P")
_T = TypeVar("_T")


class DeadlinePassed(Exception):
    """A call did not end in time, or its turn did not come.

    Remedy: find out what it waits for; the answer of the server names it.
    """


class Threads:
    """The threads of one server. patience_s: after which a caller is not kept waiting any longer."""

    def __init__(self, patience_s: float) -> None:
        self.patience_s = patience_s
        self._readers = ThreadPoolExecutor(N_READERS, thread_name_prefix="database-read")
        self._writer = ThreadPoolExecutor(1, thread_name_prefix="database-write")

    async def read(self, function: Callable[_P, _T], *args: _P.args, **kwargs: _P.kwargs) -> _T:
        """Run a function in one of the reading threads. A call whose turn does not come in time is not begun."""
        deadline = time.monotonic() + self.patience_s

        def in_turn() -> _T:
            if time.monotonic() >= deadline:
                raise DeadlinePassed
            return function(*args, **kwargs)

        loop = asyncio.get_running_loop()
        return await self.patiently(loop.run_in_executor(self._readers, in_turn))

    def write(self, function: Callable[_P, _T], *args: _P.args, **kwargs: _P.kwargs) -> asyncio.Future[_T]:
        """Run a function in the writing thread, after those before it. There is no deadline."""
        return asyncio.get_running_loop().run_in_executor(
            self._writer, functools.partial(function, *args, **kwargs)
        )

    async def patiently(self, future: asyncio.Future[_T]) -> _T:
        """Return what the future gives, or give it up when the time has passed, and raise DeadlinePassed."""
        loop = asyncio.get_running_loop()
        is_late = False

        def give_up() -> None:
            nonlocal is_late
            is_late = future.cancel()

        timer = loop.call_later(self.patience_s, give_up)
        try:
            return await future
        except asyncio.CancelledError:
            if is_late:
                raise DeadlinePassed from None
            raise
        finally:
            timer.cancel()

    def close(self) -> None:
        """Wait for what is under way; drop what has not begun."""
        for pool in (self._readers, self._writer):
            pool.shutdown(wait=True, cancel_futures=True)

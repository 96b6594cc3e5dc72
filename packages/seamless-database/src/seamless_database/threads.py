"""Run what may block in threads: look-ups and writes apart, each with a deadline.

A file that is locked for writing can often still be read. So writes that wait must not take the threads that
look-ups need. A call whose turn has not come before its deadline is never begun.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import ParamSpec, TypeVar

__all__ = ("DeadlinePassed", "Threads")

N_READERS = 8
N_WRITERS = 16  # so many writes share a transaction

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
        self._writers = ThreadPoolExecutor(N_WRITERS, thread_name_prefix="database-write")

    async def read(self, function: Callable[_P, _T], *args: _P.args, **kwargs: _P.kwargs) -> _T:
        return await self._run(self._readers, lambda: function(*args, **kwargs))

    async def write(self, function: Callable[_P, _T], *args: _P.args, **kwargs: _P.kwargs) -> _T:
        return await self._run(self._writers, lambda: function(*args, **kwargs))

    async def _run(self, pool: ThreadPoolExecutor, call: Callable[[], _T]) -> _T:
        loop = asyncio.get_running_loop()
        deadline = time.monotonic() + self.patience_s

        def in_turn() -> _T:
            if time.monotonic() >= deadline:
                raise DeadlinePassed
            return call()

        future = loop.run_in_executor(pool, in_turn)
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
        for pool in (self._readers, self._writers):
            pool.shutdown(wait=True, cancel_futures=True)

"""Run blocking calls for coroutines: a bounded pool of daemon threads that end when they are idle.

Not the event loop's own pool: that has a handful of threads, and one fetch may wait minutes for a promised buffer
whose upload must then still find a thread. Cancelling the wait does not stop the call, so a finished result is
never torn.
"""

from __future__ import annotations

import os
import threading

TYPE_CHECKING = False  # importing typing costs a command 6 ms
if TYPE_CHECKING:
    import asyncio
    from collections import deque
    from collections.abc import Callable
    from typing import Any, TypeVar

    T = TypeVar("T")

__all__ = ("run_blocking",)

MAX_THREADS = 128
IDLE_S = 2.0


async def run_blocking(function: Callable[..., T], *args: Any) -> T:
    """Call `function(*args)` in a thread and return its result."""
    import asyncio

    loop = asyncio.get_running_loop()
    future: asyncio.Future[T] = loop.create_future()
    _pool.submit(_Call(loop, future, function, args))
    return await future


class _Call:
    __slots__ = ("_args", "_function", "_future", "_loop")

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        future: asyncio.Future[Any],
        function: Callable[..., Any],
        args: tuple[Any, ...],
    ) -> None:
        self._loop = loop
        self._future = future
        self._function = function
        self._args = args

    def run(self) -> None:
        try:
            result = self._function(*self._args)
        except BaseException as exc:  # it belongs to the coroutine that waits
            self._deliver(None, exc)
        else:
            self._deliver(result, None)

    def _deliver(self, result: Any, error: BaseException | None) -> None:
        try:
            self._loop.call_soon_threadsafe(self._settle, result, error)
        except RuntimeError:
            pass  # the loop has been closed: nobody waits any more

    def _settle(self, result: Any, error: BaseException | None) -> None:
        if self._future.done():
            return
        if error is None:
            self._future.set_result(result)
        else:
            self._future.set_exception(error)


class _Pool:
    def __init__(self) -> None:
        from collections import deque

        self._condition = threading.Condition()
        self._calls: deque[_Call] = deque()
        self._idle = 0
        self._threads = 0

    def submit(self, call: _Call) -> None:
        with self._condition:
            self._calls.append(call)
            if self._idle >= len(self._calls) or self._threads >= MAX_THREADS:
                self._condition.notify()
                return
            self._threads += 1
        threading.Thread(target=self._work, name="seamless-remote-call", daemon=True).start()

    def _work(self) -> None:
        while True:
            with self._condition:
                while not self._calls:
                    self._idle += 1
                    notified = self._condition.wait(IDLE_S)
                    self._idle -= 1
                    if not notified and not self._calls:
                        self._threads -= 1
                        return
                call = self._calls.popleft()
            call.run()
            del call  # else its result would be held until the next one comes


_pool = _Pool()


def _after_fork() -> None:
    global _pool
    _pool = _Pool()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)

"""Daemon threads that are made on demand and end when unused; they carry the helpers of runs."""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable

__all__ = ("HelperThreads",)

IDLE_S = 2.0  # an unused thread ends after this time


class HelperThreads:
    """As many threads as there are tasks at once: a task may block, and none ever waits for another."""

    def __init__(self) -> None:
        self._tasks: deque[Callable[[], None]] = deque()
        self._lock = threading.Lock()  # entered as such: Ctrl-C could hit inside Condition.__enter__
        self._available = threading.Condition(self._lock)
        self._idle = 0
        self._made = 0

    def submit(self, task: Callable[[], None]) -> None:
        """Have the task done soon. Raises RuntimeError when the system gives no more threads."""
        with self._lock:
            if self._idle > len(self._tasks):
                self._tasks.append(task)
                self._available.notify()
                return
            self._made += 1
            name = f"seamless-step-{self._made}"
        threading.Thread(target=self._work, args=(task,), name=name, daemon=True).start()

    def _work(self, task: Callable[[], None] | None) -> None:
        while task is not None:
            task()
            task = self._next()

    def _next(self) -> Callable[[], None] | None:
        with self._lock:
            self._idle += 1
            try:
                end = time.monotonic() + IDLE_S
                while not self._tasks:
                    remaining = end - time.monotonic()
                    if remaining <= 0:
                        return None
                    self._available.wait(remaining)
                return self._tasks.popleft()
            finally:
                self._idle -= 1

"""When a service was last of use: requests and running work.

A service with `--timeout S` stops after S seconds in which no request began or ended and no work ran.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Iterator

__all__ = ("Activity",)


class Activity:
    """What keeps a service alive. To be used on the event loop's thread only.

    n_running: requests and pieces of work under way.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._last = clock()
        self.n_running = 0

    def begin(self) -> None:
        self.n_running += 1

    def end(self) -> None:
        self.n_running -= 1
        self._last = self._clock()

    @contextlib.contextmanager
    def work(self) -> Iterator[None]:
        """Keep the service alive while the context lasts, for work that outlives its request."""
        self.begin()
        try:
            yield
        finally:
            self.end()

    def idle_s(self) -> float:
        """Return for how long nothing has happened; 0 while something is under way."""
        return 0.0 if self.n_running else self._clock() - self._last

"""Try again what can heal: at most 5 attempts with jitter, inside a window of 30 s.

What heals: refused or reset connections, a connection that does not come to stand, truncated answers, a 503
with Retry-After. Nothing else is repeated: an error that stays the same only wastes time, and hides where it came from.
"""

from __future__ import annotations

import time

TYPE_CHECKING = False  # importing typing costs a command 6 ms
if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ("Retrying",)

ATTEMPTS = 5
WINDOW_S = 30.0
FIRST_WAIT_S = 0.1
GROWTH = 2.5  # about 2.5 s in all: a service that is started again is back by then
LONGEST_WAIT_S = 5.0


def _random() -> float:
    import random

    return random.random()  # seeded anew in each process: many clients must not knock at once


class Retrying:
    """The attempts of one call.

    may_retry(): whether there is another attempt; it waits first. `attempts` and `elapsed_s` say what it took.
    clock, sleep, random: for tests.
    """

    __slots__ = ("_clock", "_random", "_sleep", "_started", "attempts")

    def __init__(
        self,
        *,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
        random: Callable[[], float] = _random,
    ) -> None:
        self._clock = clock
        self._sleep = sleep
        self._random = random
        self._started = clock()
        self.attempts = 1

    @property
    def elapsed_s(self) -> float:
        return self._clock() - self._started

    def may_retry(self, *, after_s: float | None = None) -> bool:
        """Wait and return True, or return False when the attempts or the window are used up.

        after_s: what the server asked for (Retry-After); no shorter wait is made.
        """
        if self.attempts >= ATTEMPTS:
            return False
        wait_s = min(LONGEST_WAIT_S, FIRST_WAIT_S * GROWTH ** (self.attempts - 1)) * (0.5 + self._random())
        if after_s is not None:
            wait_s = max(wait_s, after_s)
        if self.elapsed_s + wait_s > WINDOW_S:
            return False
        self._sleep(wait_s)
        self.attempts += 1
        return True

    def describe(self) -> str:
        """Say how often and how long it was tried."""
        tries = "1 try" if self.attempts == 1 else f"{self.attempts} tries"
        return f"{tries} in {self.elapsed_s:.1f} s"

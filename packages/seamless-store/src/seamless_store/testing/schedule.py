"""Interleave several tasks deterministically: one runs at a time, a seed decides which.

Each task is a thread, so that the code under test is ordinary code, but a thread runs only while it
holds the baton. It offers the baton back at every operation on the simulated world (`switch`), and
waits in `wait_until` for what other tasks must do first. When all tasks sleep, time jumps to the first
that wakes up. The same seed and the same code give the same order.
"""

from __future__ import annotations

import random
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Generic, TypeVar

__all__ = ("Outcome", "Schedule", "SimulatedDeadlock")

T = TypeVar("T")
_STUCK_AFTER_S = 30.0  # real seconds; reached only if a task blocks outside the simulated world


class SimulatedDeadlock(BaseException):
    """Every task waits for another one. Not an Exception, so that no handler of the code hides it.

    Remedy: find the cycle of locks in the trace of the simulated world.
    """


@dataclass(frozen=True)
class Outcome(Generic[T]):
    """What one task came to: a value, or what it raised."""

    value: T | None = None
    error: BaseException | None = None


@dataclass
class _Task:
    number: int
    baton: threading.Event = field(default_factory=threading.Event)
    ready: Callable[[], bool] | None = None  # None: can run
    is_done: bool = False
    outcome: Outcome[object] = field(default_factory=Outcome)


class Schedule:
    """Runs tasks in an order drawn from `seed`.

    advance: called when every task waits; lets time pass until one can go on, or returns False.
    """

    def __init__(self, seed: int, *, advance: Callable[[], bool]) -> None:
        self._random = random.Random(seed)
        self._stay = self._random.choice((0.0, 0.5, 0.9, 0.97))  # fine interleaving, or long runs of one task
        self._advance = advance
        self._tasks: list[_Task] = []
        self._current: _Task | None = None

    def run(self, functions: Sequence[Callable[[], T]]) -> list[Outcome[T]]:
        """Run all functions to their end and return their outcomes in order."""
        self._tasks = [_Task(number) for number in range(len(functions))]
        threads = [
            threading.Thread(target=self._work, args=pair, name=f"simulated-{pair[0].number}", daemon=True)
            for pair in zip(self._tasks, functions, strict=True)
        ]
        for thread in threads:
            thread.start()
        self._pass_baton()
        for thread in threads:
            thread.join(_STUCK_AFTER_S)
            if thread.is_alive():
                raise RuntimeError(f"{thread.name} blocks outside the simulated world")
        self._current = None
        return [task.outcome for task in self._tasks]  # type: ignore[misc]

    def switch(self) -> None:
        """Perhaps let another task go first. Does nothing outside `run`."""
        self.wait_until(None)

    def wait_until(self, ready: Callable[[], bool] | None) -> None:
        """Go on when `ready()` is true; let other tasks run until then.

        Outside `run` there are no others: raises SimulatedDeadlock unless time alone makes it true.
        """
        task = self._current
        if task is None:
            while ready is not None and not ready():
                if not self._advance():
                    raise SimulatedDeadlock("waiting for what nobody will do")
            return
        task.ready = ready
        self._pass_baton()
        if not task.baton.wait(_STUCK_AFTER_S):
            raise RuntimeError("another task blocks outside the simulated world")
        task.baton.clear()
        if task.ready is not None and not task.ready():
            raise SimulatedDeadlock(f"task {task.number} waits for what nobody will do")
        task.ready = None

    def _pass_baton(self) -> None:
        while True:
            waiting = [task for task in self._tasks if not task.is_done]
            able = [task for task in waiting if task.ready is None or task.ready()]
            if able or not waiting or not self._advance():
                break
        if waiting:
            stays = self._random.random() < self._stay and self._current in able
            # If none is able, one gets SimulatedDeadlock.
            chosen = self._current if stays and self._current else self._random.choice(able or waiting)
            self._current = chosen
            chosen.baton.set()

    def _work(self, task: _Task, function: Callable[[], object]) -> None:
        task.baton.wait(_STUCK_AFTER_S)
        task.baton.clear()
        try:
            task.outcome = Outcome(value=function())
        except BaseException as exc:
            task.outcome = Outcome(error=exc)
        task.is_done = True
        self._pass_baton()

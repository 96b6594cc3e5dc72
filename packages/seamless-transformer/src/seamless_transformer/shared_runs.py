"""Take turns with other processes that share the cache: the same command runs once at a time.

A step that costs a process anyway (a bash step) is announced while it runs. Who finds it announced by a living process
waits, and then looks the result up; if there is none (the other one failed, was cancelled or killed) it runs the step
itself. Of whom nobody can tell whether it lives, nobody waits for. Python steps are not announced: that would cost
more than most of them.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from contextlib import AbstractContextManager

    from seamless.active import ActiveSet
    from seamless.checksum import Checksum
    from seamless.ports import Announcement, RunningSteps
    from seamless.step import StepHolder

__all__ = ("StepTurn", "is_announced")

POLL_S = 0.05
GRACE_S = 0.1  # how long the result of a short step may take to be visible here after its lease has gone
LONG_S = 0.1  # from here on, what ran is made durable (and so visible) before its lease goes


def is_announced(language: str) -> bool:
    """Whether steps in this language are announced while they run."""
    return language == "bash"


class StepTurn:
    """A context manager around running and recording one step.

    known: after `__enter__`, the result that another process has recorded while this one waited for it; then there is
        nothing to do. None: it is our turn to run.
    cancelled: asked while waiting; CancelledError when it is true.
    accept: whether a result that another process has recorded will do; None: any will.
    waiting: called once for each process that is waited for, before the wait.
    announce: False: no other process is asked or told.
    """

    __slots__ = (
        "_accept",
        "_active",
        "_announcement",
        "_cancelled",
        "_context",
        "_running",
        "_started_s",
        "_tf_checksum",
        "_waiting",
        "_what",
        "known",
    )

    def __init__(
        self,
        tf_checksum: Checksum,
        active: ActiveSet,
        *,
        what: str,
        announce: bool,
        cancelled: Callable[[], bool],
        accept: Callable[[Checksum], bool] | None = None,
        waiting: Callable[[StepHolder], object] | None = None,
    ) -> None:
        self._tf_checksum = tf_checksum
        self._active = active
        self._running: RunningSteps | None = active.running if announce else None
        self._what = what
        self._cancelled = cancelled
        self._accept = accept
        self._waiting = waiting
        self._context: AbstractContextManager[Announcement] | None = None
        self._announcement: Announcement | None = None
        self._started_s = 0.0
        self.known: Checksum | None = None

    def __enter__(self) -> StepTurn:
        running = self._running
        while running is not None:
            context = running.announce(self._tf_checksum, self._what)
            announcement = context.__enter__()
            if not announcement.runs_elsewhere:
                self._context, self._announcement = context, announcement
                break
            context.__exit__(None, None, None)
            result = self._wait(running)
            if result is not None and (self._accept is None or self._accept(result)):
                self.known = result
                break
        self._started_s = time.monotonic()
        return self

    def __exit__(self, *exc_info: object) -> None:
        context, self._context = self._context, None
        announcement, self._announcement = self._announcement, None
        if context is None or announcement is None:
            return
        try:
            if exc_info[0] is None and time.monotonic() - self._started_s >= LONG_S:
                self._make_visible()
        finally:
            context.__exit__(None, None, None)

    def cancel_requested(self) -> bool:
        """Whether another process asks to stop the step that runs here."""
        return self._announcement is not None and self._announcement.cancel_requested()

    def _make_visible(self) -> None:
        """Let those who wait for the lease find the result when it goes."""
        try:
            self._active.results.flush()
        except Exception as exc:  # the result is kept; the next use of the store, or its closing, raises
            import logging

            logging.getLogger(__name__).warning("step %s is not durable yet: %s", self._tf_checksum, exc)

    def _wait(self, running: RunningSteps) -> Checksum | None:
        """Wait until no other process runs the step; return the result that it has recorded, if any."""
        told = None
        while (holder := running.holder(self._tf_checksum)) is not None:
            if not holder.is_alive or holder.is_here:
                break
            if holder.nonce != told:
                told = holder.nonce
                if self._waiting is not None:
                    self._waiting(holder)
            self._pause(POLL_S)
        deadline_s = time.monotonic() + GRACE_S
        while (result := self._active.results.get(self._tf_checksum)) is None:
            if time.monotonic() >= deadline_s:
                return None
            self._pause(POLL_S / 10)
        return result

    def _pause(self, seconds: float) -> None:
        if self._cancelled():
            from concurrent.futures import CancelledError

            raise CancelledError(f"step {self._tf_checksum} was cancelled while another process ran it")
        time.sleep(seconds)

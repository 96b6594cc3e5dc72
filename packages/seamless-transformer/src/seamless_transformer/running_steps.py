"""Steps that run in this process right now, so that an identical one waits instead of running too."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from typing import TYPE_CHECKING

from .nodes import NodeState
from .transformation_errors import StepCycleError

if TYPE_CHECKING:
    from seamless import Checksum

    from .transformation import Transformation

__all__ = ("RunningStep", "RunningSteps", "running_steps")


class RunningStep:
    """One running step, the transformation that leads it, and those that wait for its result."""

    __slots__ = (
        "cancelled",
        "followers",
        "leader",
        "parent",
        "stop_elsewhere",
        "stopping",
        "tf_checksum",
        "waits_for",
    )

    def __init__(self, tf_checksum: Checksum, leader: Transformation, parent: RunningStep | None) -> None:
        self.tf_checksum = tf_checksum
        self.leader = leader
        self.parent = parent
        self.followers: list[tuple[Transformation, RunningStep | None]] = []
        self.waits_for: list[RunningStep] = []
        self.cancelled = False  # given up by somebody: nobody gets a result
        self.stopping = False  # the work is asked to stop
        self.stop_elsewhere: Callable[[], object] | None = None

    @property
    def is_led(self) -> bool:
        """Whether somebody is at work; False when a KeyboardInterrupt hit between two lines of ours."""
        return self.leader._state == NodeState.ACTIVE

    def stop(self) -> None:
        """Ask the work to stop."""
        self.stopping = True
        if self.stop_elsewhere is not None:
            self.stop_elsewhere()


class RunningSteps:
    """Registry of running steps by tf_checksum; also knows which step runs on which thread."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._running: dict[Checksum, RunningStep] = {}
        self._thread = threading.local()

    def current(self) -> RunningStep | None:
        """Return the step that runs on this thread, if any."""
        return getattr(self._thread, "step", None)

    def enter(self, step: RunningStep) -> RunningStep | None:
        """Note that `step` runs on this thread from now on; return the former one for `leave`."""
        former = self.current()
        self._thread.step = step
        return former

    def leave(self, former: RunningStep | None) -> None:
        self._thread.step = former

    def lead_or_follow(
        self, tf_checksum: Checksum, transformation: Transformation, parent: RunningStep | None
    ) -> RunningStep | None:
        """Become the leader of this step and get its entry, or None when somebody else leads it already.

        Raises StepCycleError when waiting would be for ever: the step that leads waits for `parent` itself.
        """
        with self._lock:
            running = self._running.get(tf_checksum)
            if running is None or not running.is_led:
                step = self._running[tf_checksum] = RunningStep(tf_checksum, transformation, parent)
                if running is not None:
                    _take_over(step, running)
                if parent is not None:
                    parent.waits_for.append(step)
                return step
            if parent is not None:
                if _reaches(running, parent):
                    raise StepCycleError(
                        f"step {transformation._definition.name!r} ({tf_checksum}) needs its own result: it was called "
                        "again, with the same code and arguments, by a step that runs inside it. Change the arguments "
                        "of the inner call, or call the plain function instead of the step."
                    )
                parent.waits_for.append(running)
            running.followers.append((transformation, parent))
            return None

    def end(self, step: RunningStep) -> list[Transformation]:
        """Take the step out; return who waited for it. Once: a second call returns nobody."""
        with self._lock:
            if self._running.get(step.tf_checksum) is step:
                del self._running[step.tf_checksum]
            parent, step.parent = step.parent, None
            if parent is not None:
                parent.waits_for.remove(step)
            followers, step.followers = step.followers, []
            for _, parent in followers:
                if parent is not None:
                    parent.waits_for.remove(step)
            return [transformation for transformation, _ in followers]

    def cancel(self, tf_checksum: Checksum) -> RunningStep | None:
        """Mark the running step, with all that wait for it, as cancelled and take it out: a new call starts afresh."""
        with self._lock:
            step = self._running.pop(tf_checksum, None)
            if step is not None:
                step.cancelled = True
                for transformation in (step.leader, *(follower for follower, _ in step.followers)):
                    transformation._canceled = True
            return step


def _take_over(step: RunningStep, abandoned: RunningStep) -> None:
    """Let those who wait for a run that nobody leads any more wait for the new one."""
    step.followers, abandoned.followers = abandoned.followers, []
    for _, parent in step.followers:
        if parent is not None:
            parent.waits_for.remove(abandoned)
            parent.waits_for.append(step)
    if abandoned.parent is not None:
        abandoned.parent.waits_for.remove(abandoned)
        abandoned.parent = None


def _reaches(start: RunningStep, goal: RunningStep) -> bool:
    stack = [start]
    seen: set[int] = set()
    while stack:
        step = stack.pop()
        if step is goal:
            return True
        if id(step) not in seen:
            seen.add(id(step))
            stack.extend(step.waits_for)
    return False


running_steps = RunningSteps()


def _after_fork() -> None:
    """What other threads ran does not run in the child; this thread goes on inside its step."""
    running_steps._lock = threading.Lock()
    running_steps._running = {}


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)

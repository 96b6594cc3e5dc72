"""Measure what a step costs.

A Python step that runs alone in its process is charged the process: all its threads and the child
processes that ended meanwhile. When other steps run in the process at the same time, only the step's own
thread can be told apart, and it is charged that thread. Threads of the host count in the first case.
The memory peak is the process's highest resident size so far, which no system resets for a part of it.
"""

from __future__ import annotations

import sys
from time import perf_counter
from typing import TYPE_CHECKING, Any

from seamless.step import ResourceUsage

from . import running

if TYPE_CHECKING:
    from .running import RunningStep

__all__ = ("UsageMeter", "usage_of_command")

_MAXRSS_UNIT_BYTES = 1 if sys.platform == "darwin" else 1024


class UsageMeter:
    """Started when made; `stop` returns the usage since. Costs about 5 us in all."""

    __slots__ = ("_children", "_process", "_started_s", "_step", "_thread")

    def __init__(self, step: RunningStep) -> None:
        from resource import RUSAGE_CHILDREN, RUSAGE_SELF, getrusage

        self._step = step
        self._thread = _thread_cpu()
        self._process: Any = None
        if step.alone:
            self._process = getrusage(RUSAGE_SELF)
            self._children = getrusage(RUSAGE_CHILDREN)
        self._started_s = perf_counter()

    def stop(self) -> ResourceUsage:
        from resource import RUSAGE_CHILDREN, RUSAGE_SELF, getrusage

        wall_s = perf_counter() - self._started_s
        process = getrusage(RUSAGE_SELF)
        if self._process is not None and self._step.start_number == running.n_started():
            children = getrusage(RUSAGE_CHILDREN)
            before, children_before = self._process, self._children
            user_s = process.ru_utime - before.ru_utime + children.ru_utime - children_before.ru_utime
            system_s = process.ru_stime - before.ru_stime + children.ru_stime - children_before.ru_stime
        else:
            user_s, system_s = _thread_cpu()
            user_s -= self._thread[0]
            system_s -= self._thread[1]
        return ResourceUsage(wall_s, user_s, system_s, process.ru_maxrss * _MAXRSS_UNIT_BYTES)


def usage_of_command(wall_s: float, rusage: Any) -> ResourceUsage:
    """Return the usage of a finished child and the descendants it has waited for.

    rusage: of `os.wait4`. Its memory peak starts at this process's size, of which the child was a copy.
    """
    return ResourceUsage(wall_s, rusage.ru_utime, rusage.ru_stime, rusage.ru_maxrss * _MAXRSS_UNIT_BYTES)


def _thread_cpu() -> tuple[float, float]:
    """Return user and system seconds of this thread; elsewhere than on Linux all of it as user time."""
    import resource

    thread = getattr(resource, "RUSAGE_THREAD", None)
    if thread is None:
        from time import thread_time

        return thread_time(), 0.0
    figures = resource.getrusage(thread)
    return figures.ru_utime, figures.ru_stime

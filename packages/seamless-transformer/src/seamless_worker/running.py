"""Which steps run in this process at the moment, and in which threads.

A step runs on its caller's thread. Standard output and the names `transformer` and `transformer.*` in
`sys.modules` belong to the process, so stand-ins take their place while at least one step runs; each
stand-in asks here which step the asking thread runs. The host finds its own objects again afterwards.

Threads that a step starts itself belong to no step: what they print goes through, but is not kept.
"""

from __future__ import annotations

import sys
import threading
from threading import get_ident
from typing import Any

from .output_capture import OutputTail, StepStream

__all__ = ("PACKAGE_NAME", "RunningStep", "enter", "innermost", "leave", "n_started", "offer_module")

PACKAGE_NAME = "transformer"  # `__name__` and `__package__` of every step


class RunningStep:
    """One running step: what it printed, its namespace, the step around it on the same thread."""

    __slots__ = ("alone", "modules", "namespace", "outer", "start_number", "stderr", "stdout", "thread_id")

    def __init__(self, outer: RunningStep | None, thread_id: int) -> None:
        self.outer = outer
        self.thread_id = thread_id
        self.stdout: OutputTail | None = None
        self.stderr: OutputTail | None = None
        self.namespace: dict[str, Any] | None = None
        self.modules: dict[str, dict[str, Any]] | None = None
        self.alone = True
        self.start_number = 0

    def printed(self, stream_name: str) -> str:
        tail: OutputTail | None = getattr(self, stream_name)
        return "" if tail is None else tail.text()


_lock = threading.Lock()
_innermost: dict[int, RunningStep] = {}
_n_running = 0
_n_started = 0
_aliases: set[str] = set()


def innermost() -> RunningStep | None:
    """Return the step that this thread runs, the innermost one if steps are nested."""
    return _innermost.get(get_ident())


def n_started() -> int:
    """Return how many outermost steps were ever started; equal readings mean none began between."""
    return _n_started


def enter() -> RunningStep:
    """Register a step on this thread, and set up the stand-ins if it is the first."""
    global _n_running, _n_started
    thread_id = get_ident()
    outer = _innermost.get(thread_id)
    step = RunningStep(outer, thread_id)
    with _lock:
        if outer is None:
            step.alone = _n_running == 0
            _n_running += 1
            _n_started += 1
        else:
            step.alone = outer.alone
        step.start_number = _n_started
        _innermost[thread_id] = step
        _install_streams()
        if PACKAGE_NAME not in sys.modules:
            sys.modules[PACKAGE_NAME] = _Alias(PACKAGE_NAME)  # type: ignore[assignment]
            _aliases.add(PACKAGE_NAME)
    return step


def leave(step: RunningStep) -> None:
    """Undo `enter`; with the last running step the stand-ins go."""
    global _n_running
    with _lock:
        if step.outer is not None:
            _innermost[step.thread_id] = step.outer
            return
        del _innermost[step.thread_id]
        _n_running -= 1
        if _n_running == 0:
            _remove_streams()
            for name in _aliases:
                sys.modules.pop(name, None)
            _aliases.clear()


def offer_module(full_name: str) -> None:
    """Make `sys.modules[full_name]` the stand-in for a module of steps; needed by dataclasses and pickle."""
    with _lock:
        if full_name not in sys.modules:
            sys.modules[full_name] = _Alias(full_name)  # type: ignore[assignment]
            _aliases.add(full_name)


def _install_streams() -> None:
    if type(sys.stdout) is not StepStream:
        sys.stdout = StepStream(sys.stdout, "stdout", _innermost)
    if type(sys.stderr) is not StepStream:
        sys.stderr = StepStream(sys.stderr, "stderr", _innermost)


def _remove_streams() -> None:
    if type(sys.stdout) is StepStream:
        sys.stdout = sys.stdout.replaced_stream
    if type(sys.stderr) is StepStream:
        sys.stderr = sys.stderr.replaced_stream


class _Alias:
    """Stands in `sys.modules` for the modules of that name of all running steps."""

    __slots__ = ("_full_name",)

    def __init__(self, full_name: str) -> None:
        self._full_name = full_name

    def _names(self) -> dict[str, Any]:
        step = _innermost.get(get_ident())
        if step is None and len(_innermost) == 1:
            step = next(iter(_innermost.values()), None)  # a thread that the only running step started
        while step is not None:
            if self._full_name == PACKAGE_NAME:
                if step.namespace is not None:
                    return step.namespace
            elif step.modules is not None and self._full_name in step.modules:
                return step.modules[self._full_name]
            step = step.outer
        raise AttributeError(f"module {self._full_name!r} exists only inside a running step")

    def __getattr__(self, name: str) -> Any:
        names = self._names()
        if name == "__dict__":
            return names
        try:
            return names[name]
        except KeyError:
            raise AttributeError(f"module {self._full_name!r} has no attribute {name!r}") from None

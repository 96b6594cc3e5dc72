"""Keep Ctrl-C from striking between the start of a process and the code that would stop it.

Python raises KeyboardInterrupt between any two instructions of the main thread. `HeldSignals` takes the place
of the handlers of SIGINT, SIGTERM and SIGHUP there, remembers what comes, and hands it over when released. On other
threads, which no signal interrupts, it does nothing.
"""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable
from types import FrameType
from typing import Any

__all__ = ("HeldSignals",)

_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class HeldSignals:
    """Made holding. `release` and `hold` may follow each other; both are idempotent."""

    __slots__ = ("_came", "_handlers")

    def __init__(self) -> None:
        self._handlers: dict[signal.Signals, Callable[[int, FrameType | None], Any]] = {}
        self._came: list[tuple[int, FrameType | None]] = []
        self.hold()

    def hold(self) -> None:
        if self._handlers or threading.current_thread() is not threading.main_thread():
            return
        for number in _SIGNALS:
            handler = signal.getsignal(number)
            if callable(handler):
                self._handlers[number] = handler
                signal.signal(number, self._remember)

    def release(self) -> None:
        """Put the handlers back, and give them what has come meanwhile: this may raise KeyboardInterrupt."""
        handlers, self._handlers = self._handlers, {}
        for number, handler in handlers.items():
            signal.signal(number, handler)
        came, self._came = self._came, []
        for arrived, frame in came:
            handlers[signal.Signals(arrived)](arrived, frame)

    def _remember(self, number: int, frame: FrameType | None) -> None:
        self._came.append((number, frame))

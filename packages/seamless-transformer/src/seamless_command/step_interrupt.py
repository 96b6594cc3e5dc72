"""While a step runs inside a command: stop it when another process asks, and keep standard output for the answer."""

from __future__ import annotations

import contextlib
import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator

__all__ = ("InterruptOnRequest", "standard_output_kept_clean")

POLL_S = 0.05
STDOUT, STDERR = 1, 2


class InterruptOnRequest:
    """A context manager: while it lasts, a request to stop ends the main thread's work as SIGTERM does.

    is_requested: asked every 50 ms on a thread of its own.
    """

    def __init__(self, is_requested: Callable[[], bool]) -> None:
        self._is_requested = is_requested
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._watch, name="seamless-cancel-watch", daemon=True)

    def __enter__(self) -> InterruptOnRequest:
        self._thread.start()
        return self

    def __exit__(self, *exc_info: object) -> None:
        self._over.set()
        self._thread.join()

    def _watch(self) -> None:
        while not self._over.wait(POLL_S):
            if self._is_requested():
                main = threading.main_thread().ident
                if main is not None and not self._over.is_set():
                    signal.pthread_kill(main, signal.SIGTERM)  # to that thread, so that it wakes from a sleep
                return


@contextlib.contextmanager
def standard_output_kept_clean(*, shown: bool) -> Iterator[None]:
    """Send what is written to standard output, by this process and its children, to standard error or nowhere."""
    sys.stdout.flush()
    saved = os.dup(STDOUT)
    try:
        if shown:
            os.dup2(STDERR, STDOUT)
        else:
            sink = os.open(os.devnull, os.O_WRONLY | os.O_CLOEXEC)
            os.dup2(sink, STDOUT)
            os.close(sink)
        yield
    finally:
        sys.stdout.flush()
        os.dup2(saved, STDOUT)
        os.close(saved)

"""Opening and closing of Seamless in this process, and whether the process is a worker."""

from __future__ import annotations

import atexit
import sys
import threading
from collections.abc import Callable

from .errors import SeamlessClosed

__all__ = ("close", "ensure_open", "is_worker", "register_close_hook", "set_is_worker")

_lock = threading.RLock()
_hooks: list[Callable[[], None]] = []
_closed = False
_is_worker = False
_atexit_registered = False


def register_close_hook(hook: Callable[[], None]) -> None:
    """Have `hook` called by `close()`, last registered first; once, however often it was registered."""
    if not callable(hook):
        raise TypeError(f"a close hook is a callable without arguments, not {type(hook).__name__}")
    global _atexit_registered
    with _lock:
        if hook not in _hooks:
            _hooks.append(hook)
        if not _atexit_registered:
            atexit.register(close)
            _atexit_registered = True


def close() -> None:
    """Make durable what is pending, stop what was started, and refuse further steps. Idempotent.

    Runs at interpreter exit by itself. Raises the first error of a hook after all hooks ran: a result
    that could not be made durable is reported here at the latest.
    """
    global _closed
    with _lock:
        if _closed:
            return
        _closed = True
        hooks = _hooks[::-1]
        _hooks.clear()
    first: BaseException | None = None
    for hook in hooks:
        try:
            hook()
        except BaseException as exc:  # every hook must run: the first error is raised below, others are shown
            if first is None:
                first = exc
            else:
                print(f"seamless: while closing: {type(exc).__name__}: {exc}", file=sys.stderr)
    if first is not None:
        raise first


def ensure_open(operation: str | None = None) -> None:
    """Raise SeamlessClosed if `close()` was called; `operation` says what was attempted."""
    if _closed:
        what = f" for {operation}" if operation else ""
        raise SeamlessClosed(
            f"Seamless has been closed; cannot perform further operations{what}. "
            "Call seamless.close() only at the end of the program."
        )


def is_worker() -> bool:
    """Tell whether this process only runs steps for another one."""
    return _is_worker


def set_is_worker(value: bool = True) -> None:
    """Mark this process as a worker: it owns no cache and asks its parent."""
    global _is_worker
    _is_worker = bool(value)


def _reopen_for_tests() -> None:
    global _closed
    with _lock:
        _closed = False

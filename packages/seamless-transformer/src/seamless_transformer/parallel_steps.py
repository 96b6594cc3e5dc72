"""Many steps at once: at most `nparallel` running, results in input order."""

from __future__ import annotations

import threading
from collections.abc import AsyncIterator, Callable, Iterable, Iterator
from functools import partial
from typing import TYPE_CHECKING, Any

from seamless.lifecycle import ensure_open

from .driver import Run
from .event_loop import running_loop_exists

if TYPE_CHECKING:
    from .driver import Node
    from .transformation import Transformation

__all__ = ("parallel", "parallel_async", "set_configuration")

_get_nparallel: Callable[[], int] | None = None
_set_stage: Callable[..., None] | None = None


def set_configuration(get_nparallel: Callable[[], int], set_stage: Callable[..., None]) -> None:
    """Fill the port to the configuration layer."""
    global _get_nparallel, _set_stage
    _get_nparallel, _set_stage = get_nparallel, set_stage


def parallel(
    iterable: Iterable[Transformation], stage: str | None = None, substage: str | None = None
) -> Iterator[Transformation]:
    """Run steps, at most nparallel at once, and give each back when it and all before it have finished.

    Failures do not raise: look at `status` and `exception` of each. `seamless.config.set_nparallel(n)` sets the width.
    """
    if running_loop_exists():
        raise RuntimeError(
            "parallel() cannot be called from within a running event loop. Use parallel_async() instead."
        )
    items, width = _prepare(iterable, stage, substage)
    return _run_in_order(iterable, items, width)


def parallel_async(
    iterable: Iterable[Transformation], stage: str | None = None, substage: str | None = None
) -> AsyncIterator[Transformation]:
    """Like `parallel`, as an asynchronous generator."""
    items, width = _prepare(iterable, stage, substage)
    return _run_in_order_async(iterable, items, width)


def _prepare(
    iterable: Iterable[Transformation], stage: str | None, substage: str | None
) -> tuple[list[Transformation], int]:
    from .transformation import Transformation

    ensure_open("parallel")
    _load_configuration()
    if stage is not None or substage is not None:
        assert _set_stage is not None
        _set_stage(stage, substage)
    assert _get_nparallel is not None
    width = _get_nparallel()
    items = list(iterable)
    for index, item in enumerate(items):
        if not isinstance(item, Transformation):
            raise TypeError(
                f"item {index} given to parallel() is a {type(item).__name__}, not a Transformation. "
                "Make steps with delayed(function)(arguments)."
            )
    items.reverse()  # the next one is popped from the end
    return items, width


def _load_configuration() -> None:
    if _get_nparallel is None:
        from importlib.metadata import entry_points

        for entry_point in entry_points(group="seamless.plugins", name="configuration"):
            entry_point.load()()
    if _get_nparallel is None:
        raise RuntimeError("parallel() needs the package seamless-config: pip install seamless-config")


def _run_in_order(iterable: Any, items: list[Transformation], width: int) -> Iterator[Transformation]:
    run = Run(width=width, eager=any(item._active.executor is not None for item in items))
    watch = _Watch(iterable, items)
    done = False
    try:
        run.add(reversed(items))
        while items:
            run.drive(items[-1])
            watch.catch_up(items)
            watch.raise_error()
            yield items.pop()  # memory: what was given back is the caller's
        done = True
    finally:
        if not done:
            run.abort(items)
        watch.close()


async def _run_in_order_async(
    iterable: Any, items: list[Transformation], width: int
) -> AsyncIterator[Transformation]:
    from .waiting import finished

    run = Run(width=width, helpers_only=True)
    watch = _Watch(iterable, items)
    done = False
    try:
        run.add(reversed(items))
        while items:
            await finished(items[-1])
            watch.catch_up(items)
            watch.raise_error()
            yield items.pop()
        done = True
    finally:
        if not done:
            run.abort(items)
        watch.close()


class _Watch:
    """Tells the iterable what happens: `finish(index)` as each item finishes, `close()` at the end.

    An item counts as finished before its callbacks were called, so the iteration may come first: whichever thread
    does so calls `finish`, once for each item, and the others wait until it has returned. An error in `finish` comes
    out of the iteration, not out of the thread that finished the item.
    """

    def __init__(self, iterable: Any, items_reversed: list[Transformation]) -> None:
        self._iterable = iterable
        self._error: Exception | None = None
        self._closed = False
        self._lock = threading.RLock()
        self._n_items = len(items_reversed)
        self._told = bytearray(self._n_items)
        self._finish: Callable[[int], None] | None = getattr(iterable, "finish", None)
        if self._finish is not None:
            for index, item in enumerate(reversed(items_reversed)):
                item.when_finished(partial(self._finished, index))

    def catch_up(self, items_reversed: list[Transformation]) -> None:
        """Have `finish` called for the item that comes next, if it is finished."""
        if self._finish is not None:
            self._finished(self._n_items - len(items_reversed), items_reversed[-1], again=False)

    def _finished(self, index: int, item: Node, *, again: bool = True) -> None:
        if not item.finished:  # the run of somebody else had it, and was aborted: it will run again
            if again and not self._closed:
                item.when_finished(partial(self._finished, index))
            return
        assert self._finish is not None
        with self._lock:
            if self._closed or self._told[index]:
                return
            self._told[index] = True
            try:
                self._finish(index)
            except Exception as exc:
                self._error = self._error or exc

    def raise_error(self) -> None:
        """Raise what `finish` raised, or what the iterable asks for."""
        if self._error is not None:
            raise self._error
        raise_first_error = getattr(self._iterable, "raise_first_error", None)
        if raise_first_error is not None:
            raise_first_error()

    def close(self) -> None:
        with self._lock:
            self._closed = True
        close = getattr(self._iterable, "close", None)
        if close is not None:
            close()

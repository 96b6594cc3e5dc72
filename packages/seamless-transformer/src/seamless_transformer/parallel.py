"""Many steps at once: at most `nparallel` running, results in input order."""

from __future__ import annotations

import itertools
from collections.abc import AsyncIterator, Callable, Iterable, Iterator
from typing import TYPE_CHECKING, Any

from seamless.lifecycle import ensure_open

from .driver import Run
from .event_loop import running_loop_exists

if TYPE_CHECKING:
    from .transformation import Transformation

__all__ = ("parallel", "parallel_async")

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
    return items, width


def _load_configuration() -> None:
    if _get_nparallel is None:
        from importlib.metadata import entry_points

        for entry_point in entry_points(group="seamless.plugins", name="configuration"):
            entry_point.load()()
    if _get_nparallel is None:
        raise RuntimeError("parallel() needs the package seamless-config: pip install seamless-config")


def _run_in_order(iterable: Any, items: list[Transformation], width: int) -> Iterator[Transformation]:
    run = Run(width=width, eager=width > 1)
    _watch(iterable, items)
    current: Transformation | None = None
    try:
        run.add(items)
        for index in range(len(items)):
            current = items[index]
            items[index] = None  # type: ignore[call-overload]  # memory: what was given back is the caller's
            run.drive(current)
            _call(iterable, "raise_first_error")
            yield current
        current = None
    finally:
        if current is not None:
            run.abort([item for item in items if item is not None])
        _call(iterable, "close")


async def _run_in_order_async(
    iterable: Any, items: list[Transformation], width: int
) -> AsyncIterator[Transformation]:
    import asyncio

    from .transformation import _finished

    run = Run(width=width, helpers_only=True)
    _watch(iterable, items)
    left = len(items)
    try:
        run.add(items)
        for item in items:
            await _finished(item)
            left -= 1
            _call(iterable, "raise_first_error")
            yield item
    finally:
        if left:
            run.abort(items)
        await asyncio.sleep(0)
        _call(iterable, "close")


def _watch(iterable: Any, items: list[Transformation]) -> None:
    """Call `iterable.finish(index)` as each item finishes."""
    finish = getattr(iterable, "finish", None)
    if finish is None:
        return
    for index, item in zip(itertools.count(), items):
        item.when_finished(lambda _, index=index: finish(index))  # type: ignore[misc]


def _call(iterable: Any, name: str) -> None:
    method = getattr(iterable, name, None)
    if method is not None:
        method()

"""Wait for steps: on the caller's thread, or inside an event loop without a thread of their own."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from .driver import Run

if TYPE_CHECKING:
    from .nodes import Node
    from .transformation import Transformation

__all__ = ("drive_all", "finished", "in_thread", "value_of")


def drive_all(nodes: Sequence[Transformation]) -> None:
    """Run the steps on this thread (helpers may join in) until all have finished."""
    run = Run()
    run.add(nodes)
    try:
        for node in nodes:
            run.drive(node)
    except BaseException:
        run.abort(nodes)
        raise


async def value_of(transformation: Transformation) -> Any:
    """Compute the step and return its value; a cancelled wait cancels the step."""
    import asyncio

    transformation.start()
    try:
        await finished(transformation)
    except asyncio.CancelledError:
        transformation.cancel()
        raise
    transformation._raise_failure()
    return await in_thread(transformation._result_value)


async def finished(node: Transformation) -> None:
    """Return when the node has finished; start it if nobody has, or if the run that had it was aborted."""
    import asyncio

    loop = asyncio.get_running_loop()
    while not node.finished:
        node.start()
        future: asyncio.Future[None] = loop.create_future()
        node.when_finished(_waker(loop, future))
        await future


def _waker(loop: Any, future: Any) -> Callable[[Node], None]:
    def resolve() -> None:
        if not future.done():
            future.set_result(None)

    def wake(_: Node) -> None:
        try:
            loop.call_soon_threadsafe(resolve)
        except RuntimeError:
            if not loop.is_closed():
                raise

    return wake


async def in_thread(function: Callable[[], Any]) -> Any:
    """Run a blocking function in the loop's bounded pool."""
    import asyncio

    return await asyncio.get_running_loop().run_in_executor(None, function)

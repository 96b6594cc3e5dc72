"""Give a step up, with everybody in this process who waits for the same run."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from . import driver
from .nodes import NodeState
from .running_steps import running_steps

if TYPE_CHECKING:
    from .transformation import Transformation

__all__ = ("CANCELED", "cancel")

CANCELED = "Transformation was canceled"


def cancel(transformation: Transformation, *, recursive: bool) -> bool:
    """Cancel the step, and with `recursive` all that it depends on; True if this changed anything."""
    changed = _cancel_one(transformation)
    if recursive:
        stack = list(transformation._dependency_nodes())
        seen: set[int] = set()
        while stack:
            dependency = stack.pop()
            if id(dependency) not in seen:
                seen.add(id(dependency))
                stack.extend(dependency._dependency_nodes())
                changed = _cancel_one(dependency) or changed
    return changed


def _cancel_one(transformation: Transformation) -> bool:
    if transformation._canceled or (transformation.finished and transformation._failure is None):
        return False
    active = transformation._state == NodeState.ACTIVE
    transformation._canceled = True
    tf_checksum = transformation._tf
    running = running_steps.cancel(tf_checksum) if active and tf_checksum is not None else None
    others: Sequence[Transformation] = ()
    if running is not None:
        running.stop()
        others = (running.leader, *running_steps.end(running))
    for each in {transformation, *others}:
        each._failure = None
        driver.finish(each)
        each._leave()
    return True

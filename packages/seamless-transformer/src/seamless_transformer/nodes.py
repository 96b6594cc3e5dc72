"""The nodes of a graph of work, and their transitions.

States: IDLE -> WAITING (for dependencies) -> READY -> ACTIVE -> FINISHED. What did not finish goes back to IDLE. Each
transition costs O(1) per edge and none recurses. `seamless_transformer.driver` runs the nodes.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .driver import Run

__all__ = ("Node", "NodeState", "drop", "finish", "pass_on", "put_back", "requeue", "reset", "transitions")


class NodeState:
    """Plain numbers: an Enum costs 4 ms of start-up."""

    IDLE = 0
    WAITING = 1
    READY = 2
    ACTIVE = 3
    FINISHED = 4


_IDLE, _WAITING, _READY, _ACTIVE, _FINISHED = range(5)

# One lock for all transitions: they are short, touch no I/O and call no user code. Reentrant, because a signal handler
# or a finalizer may cancel a step while its thread is inside a transition.
transitions = threading.RLock()


class Node:
    """A unit of work with dependencies. Subclasses implement `_dependency_nodes` and `_advance`."""

    __slots__ = ("__weakref__", "_callbacks", "_dependants", "_pending", "_run", "_state")

    def __init__(self) -> None:
        self._state = _IDLE
        self._pending = 0
        self._dependants: list[Node] | None = None
        self._callbacks: list[Callable[[Node], None]] | None = None
        self._run: Run | None = None

    def _dependency_nodes(self) -> Sequence[Node]:
        raise NotImplementedError

    def _advance(self, run: Run | None) -> bool:
        """Do the work. True: finished. False: somebody will call `finish`, `requeue` or `drop` for this node.

        Must not raise, except KeyboardInterrupt and the like, which abort the run.
        """
        raise NotImplementedError

    def _interrupt(self) -> bool:
        """Ask running work to stop. True: it will, soon. False: it cannot be stopped, or it need not be waited for."""
        return False

    @property
    def finished(self) -> bool:
        return self._state == _FINISHED

    def when_finished(self, callback: Callable[[Node], None]) -> None:
        """Call `callback(node)` once the node has finished; at once if it has. It must be quick and not raise.

        It is also called, once, when the run of the node is aborted: then `node.finished` is False.
        """
        with transitions:
            if self._state != _FINISHED:
                if self._callbacks is None:
                    self._callbacks = []
                self._callbacks.append(callback)
                return
        callback(self)

    def run_alone(self) -> bool:
        """Do the work of an idle node without dependencies right here; False when it needs a run."""
        with transitions:
            if self._state != _IDLE or self._dependency_nodes():
                return False
            self._state = _ACTIVE
        try:
            if self._advance(None):
                finish(self)
        except BaseException:
            drop(self)
            raise
        return self._state == _FINISHED


def finish(node: Node) -> None:
    """Mark the node as finished, release its dependants, and tell who waits for it."""
    runs: dict[Run, int] = {}
    with transitions:
        if node._state == _FINISHED:
            return
        node._state = _FINISHED
        dependants, node._dependants = node._dependants, None
        callbacks, node._callbacks = node._callbacks, None
        run, node._run = node._run, None
        if run is not None:
            run._active.discard(node)
            run._delegated.discard(node)
            run._completed += 1
        for dependant in dependants or ():
            if dependant._state == _WAITING:
                dependant._pending -= 1
                owner = dependant._run
                if dependant._pending == 0 and owner is not None:
                    dependant._state = _READY
                    owner._ready.append(dependant)
                    runs[owner] = runs.get(owner, 0) + 1
    if run is not None:
        run._left(node)
    for owner in runs:
        owner._arrived()
    for callback in callbacks or ():
        callback(node)


def requeue(node: Node) -> None:
    """Let an active node advance once more: what it waited for went away without a result."""
    with transitions:
        if node._state != _ACTIVE:
            return
        run = node._run
        if run is not None and not run._aborted:
            run._active.discard(node)
            run._delegated.discard(node)
            node._state = _READY
            run._ready.append(node)
        else:
            run = None
    if run is not None:
        run._arrived()
    else:
        drop(node)


def drop(node: Node) -> None:
    """Put an active node back, its work undone. It can be run again; whoever waits for it is told or takes it over."""
    with transitions:
        if node._state != _ACTIVE:
            return
        run = node._run
        if run is not None:
            run._active.discard(node)
            run._delegated.discard(node)
        put_back(node)
    if run is not None:
        run._left(node)
    pass_on(node, run)


def put_back(node: Node) -> None:
    node._state = _IDLE
    node._pending = 0
    node._run = None


def pass_on(node: Node, former: Run | None) -> None:
    """Give a node that was put back to a run that still needs it, and tell who waits."""
    with transitions:
        callbacks, node._callbacks = node._callbacks, None
        heirs = [d._run for d in node._dependants or () if d._run is not None and d._run is not former]
    for heir in heirs[:1]:
        heir.add([node])
    for callback in callbacks or ():
        callback(node)


def reset(node: Node) -> None:
    """Make a finished node runnable again (a failure that is to be retried)."""
    with transitions:
        if node._state == _FINISHED:
            node._state = _IDLE


def _after_fork() -> None:
    transitions._at_fork_reinit()  # type: ignore[attr-defined]  # other threads' transitions do not end in the child


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)

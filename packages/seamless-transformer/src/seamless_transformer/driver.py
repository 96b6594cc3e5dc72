"""The graph driver: runs nodes after their dependencies, event by event.

A node that waits holds no thread, each transition costs O(1), and no transition recurses: a chain or a fan of
a million nodes is fine. The driver knows nothing of steps; `Transformation` is its node.

Threads. Whoever waits for a node works: `Run.drive` executes ready nodes on the caller's own thread, so a single
step needs no thread hop and Ctrl-C reaches it. Helper threads join a run when several nodes are ready and the steps
are slow enough to pay for it. A helper that itself blocks (a step that waits for nested steps) gives its place in the
run back while it waits, so nesting can never exhaust the threads: some thread of every run can always proceed.

States: IDLE -> WAITING (for dependencies) -> READY -> ACTIVE -> FINISHED. A run that is aborted puts what has not
finished back to IDLE, so that it can be run again.
"""

from __future__ import annotations

import os
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from enum import IntEnum

__all__ = ("Node", "NodeState", "Run", "background_run", "default_width")

HELPER_PATIENCE_S = 0.002  # a helper joins only when fewer than two nodes finished in this time
HELPER_IDLE_S = 2.0  # an unused helper thread ends after this time


class NodeState(IntEnum):
    IDLE = 0
    WAITING = 1
    READY = 2
    ACTIVE = 3
    FINISHED = 4


# One lock for all transitions: they are short, touch no I/O and call no user code.
_transitions = threading.Lock()
_thread = threading.local()  # .helping: the run for which this thread is a helper


class Node:
    """A unit of work with dependencies. Subclasses implement `_dependency_nodes` and `_advance`."""

    __slots__ = ("__weakref__", "_callbacks", "_dependants", "_pending", "_run", "_state")

    def __init__(self) -> None:
        self._state = NodeState.IDLE
        self._pending = 0
        self._dependants: list[Node] | None = None
        self._callbacks: list[Callable[[Node], None]] | None = None
        self._run: Run | None = None

    def _dependency_nodes(self) -> Sequence[Node]:
        raise NotImplementedError

    def _advance(self, run: Run) -> bool:
        """Do the work. True: finished. False: somebody will call `finish` or `requeue` for this node.

        Must not raise, except KeyboardInterrupt and the like, which abort the run.
        """
        raise NotImplementedError

    def _interrupt(self) -> None:
        """Ask running work to stop; it may ignore this."""

    @property
    def finished(self) -> bool:
        return self._state is NodeState.FINISHED

    def when_finished(self, callback: Callable[[Node], None]) -> None:
        """Call `callback(node)` once the node has finished; at once if it has. It must be quick and not raise."""
        with _transitions:
            if self._state is not NodeState.FINISHED:
                if self._callbacks is None:
                    self._callbacks = []
                self._callbacks.append(callback)
                return
        callback(self)


def finish(node: Node) -> None:
    """Mark the node as finished, release its dependants, and tell who waits for it."""
    ready: list[Node] = []
    with _transitions:
        if node._state is NodeState.FINISHED:
            return
        node._state = NodeState.FINISHED
        dependants, node._dependants = node._dependants, None
        callbacks, node._callbacks = node._callbacks, None
        run, node._run = node._run, None
        for dependant in dependants or ():
            if dependant._state is NodeState.WAITING:
                dependant._pending -= 1
                if dependant._pending == 0:
                    dependant._state = NodeState.READY
                    ready.append(dependant)
    if run is not None:
        run._left(node)
    for dependant in ready:
        if dependant._run is not None:
            dependant._run._push(dependant)
    for callback in callbacks or ():
        callback(node)


def requeue(node: Node) -> None:
    """Let an active node advance once more: what it waited for went away without a result."""
    with _transitions:
        if node._state is not NodeState.ACTIVE:
            return
        run = node._run
        node._state = NodeState.READY if run is not None else NodeState.IDLE
    if run is not None:
        run._push(node)


def reset(node: Node) -> None:
    """Make a finished node runnable again (a failure that is to be retried)."""
    with _transitions:
        if node._state is NodeState.FINISHED:
            node._state = NodeState.IDLE


class Run:
    """Some nodes on their way, driven by the threads that wait for them and by helpers.

    width: how many nodes may be active at once.
    helpers_only: nobody will call `drive`; helper threads do all the work.
    """

    def __init__(self, *, width: int | None = None, helpers_only: bool = False, eager: bool = False) -> None:
        self._width = width or default_width()
        self._helpers_only = helpers_only
        self._eager = eager or helpers_only
        self._ready: deque[Node] = deque()
        self._condition = threading.Condition(threading.Lock())
        self._driving = 0  # drivers that execute a node right now
        self._helpers = 0  # helper threads of this run, blocked ones not counted
        self._delegated: set[Node] = set()  # active nodes whose work is done elsewhere
        self._waiting_drivers = 0
        self._completed = 0
        self._aborted = False

    def add(self, nodes: Iterable[Node]) -> None:
        """Schedule nodes and everything they depend on that has not been scheduled yet."""
        ready: list[Node] = []
        stack = list(nodes)
        stack.reverse()
        with _transitions:
            while stack:
                node = stack.pop()
                if node._state is not NodeState.IDLE:
                    continue
                node._state = NodeState.WAITING
                node._run = self
                pending = 0
                for dependency in node._dependency_nodes():
                    if dependency._state is NodeState.FINISHED:
                        continue
                    if dependency._dependants is None:
                        dependency._dependants = []
                    dependency._dependants.append(node)
                    pending += 1
                    if dependency._state is NodeState.IDLE:
                        stack.append(dependency)
                node._pending = pending
                if pending == 0:
                    node._state = NodeState.READY
                    ready.append(node)
        self._ready.extend(ready)
        if self._eager and ready:
            self._call_helpers()

    def drive(self, node: Node, *, timeout_s: float | None = None) -> bool:
        """Work and wait until `node` has finished; False when the time is over first.

        KeyboardInterrupt aborts the run: what has not finished can be run again.
        """
        if node.finished:
            return True
        deadline = None if timeout_s is None else time.monotonic() + timeout_s
        if node._run is not self or self._helpers_only:
            node.when_finished(self._wake)
        try:
            while not node.finished:
                if not self._work_one() and not node.finished and not self._wait(node, deadline):
                    return False
                if deadline is not None and time.monotonic() >= deadline and not node.finished:
                    return False
        except BaseException:
            self.abort([node])
            raise
        return True

    def abort(self, nodes: Iterable[Node]) -> None:
        """Stop: forget what is not active yet, interrupt what is. Unfinished nodes become IDLE again."""
        active: list[Node] = []
        stack = list(nodes)
        dropped: set[Node] = set()
        dependencies: set[Node] = set()
        with _transitions:
            self._aborted = True
            self._ready.clear()
            while stack:
                node = stack.pop()
                if node._run is not self or node._state is NodeState.FINISHED:
                    continue
                if node._state is NodeState.ACTIVE:
                    active.append(node)
                    continue
                node._state = NodeState.IDLE
                node._run = None
                dropped.add(node)
                dependencies.update(node._dependency_nodes())
                stack.extend(node._dependency_nodes())
            for dependency in dependencies:
                if dependency._dependants is not None:
                    dependency._dependants = [each for each in dependency._dependants if each not in dropped]
        for node in active:
            node._interrupt()
        with self._condition:
            self._condition.notify_all()

    # internals

    def _wake(self, node: Node) -> None:
        with self._condition:
            self._condition.notify_all()

    def _push(self, node: Node) -> None:
        if self._aborted:
            with _transitions:
                node._state = NodeState.IDLE
                node._run = None
            return
        self._ready.append(node)
        if self._waiting_drivers:
            with self._condition:
                self._condition.notify()
        elif self._eager:
            self._call_helpers()

    def _left(self, node: Node) -> None:
        self._completed += 1
        if self._delegated and node in self._delegated:
            with self._condition:
                self._delegated.discard(node)
            if self._ready and self._eager:
                self._call_helpers()
        if self._waiting_drivers:
            with self._condition:
                self._condition.notify_all()

    def _work_one(self, *, as_helper: bool = False) -> bool:
        """Execute one ready node on this thread; False when there is none or the width is used up."""
        if not as_helper and self._occupied() >= self._width:
            return False
        try:
            node = self._ready.popleft()
        except IndexError:
            return False
        with _transitions:
            if node._state is not NodeState.READY:
                return True
            node._state = NodeState.ACTIVE
        if not as_helper:
            with self._condition:
                self._driving += 1
        if self._ready:
            self._call_helpers()
        try:
            finished = node._advance(self)
        except BaseException:
            with _transitions:
                if node._state is NodeState.ACTIVE:
                    node._state = NodeState.IDLE
                    node._run = None
            raise
        finally:
            if not as_helper:
                with self._condition:
                    self._driving -= 1
        if finished:
            finish(node)
        else:
            self._note_delegated(node)
        return True

    def _note_delegated(self, node: Node) -> None:
        with self._condition:
            self._delegated.add(node)
        if node.finished:  # it finished between `_advance` and here
            with self._condition:
                self._delegated.discard(node)

    def _wait(self, node: Node, deadline: float | None) -> bool:
        """Wait for an event. False when the deadline has passed."""
        helping: Run | None = getattr(_thread, "helping", None)
        if helping is not None:
            helping._give_up_place()
        try:
            with self._condition:
                self._waiting_drivers += 1
                try:
                    while not node.finished and not (self._ready and self._occupied() < self._width):
                        if self._aborted:
                            raise RuntimeError("the run of this step was aborted from another thread")
                        remaining = None if deadline is None else deadline - time.monotonic()
                        if remaining is not None and remaining <= 0:
                            return False
                        # bounded, so that a missed notification costs a delay and never a hang
                        self._condition.wait(0.5 if remaining is None else min(remaining, 0.5))
                finally:
                    self._waiting_drivers -= 1
        finally:
            if helping is not None:
                helping._take_place()
        return True

    def _occupied(self) -> int:
        return self._driving + self._helpers + len(self._delegated)

    def _give_up_place(self) -> None:
        with self._condition:
            self._helpers -= 1
        if self._ready:
            self._call_helpers()

    def _take_place(self) -> None:
        with self._condition:
            self._helpers += 1

    def _call_helpers(self) -> None:
        """Start helpers for the ready nodes while there are free places, one at a time unless eager."""
        with self._condition:
            wanted = min(len(self._ready), self._width - self._occupied())
            if wanted <= 0 or self._aborted:
                return
            if not self._eager:
                wanted = 1
            self._helpers += wanted
        for _ in range(wanted):
            _helper_threads.submit(self._help)

    def _help(self) -> None:
        outer: Run | None = getattr(_thread, "helping", None)
        _thread.helping = self
        try:
            patient = not self._eager
            while self._ready and not self._aborted:
                if patient:
                    before = self._completed
                    time.sleep(HELPER_PATIENCE_S)
                    if self._completed - before >= 2:
                        continue
                started = time.monotonic()
                if not self._work_one(as_helper=True):
                    break
                patient = not self._eager and time.monotonic() - started < HELPER_PATIENCE_S / 2
                if self._ready:
                    self._call_helpers()
        finally:
            _thread.helping = outer
            with self._condition:
                self._helpers -= 1
                lost = bool(self._ready) and not self._aborted and self._eager
            if lost:  # a node arrived between the last look and now
                self._call_helpers()


class _HelperThreads:
    """Daemon threads that are made on demand and end when unused."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._forget()

    def _forget(self) -> None:
        self._tasks: deque[Callable[[], None]] = deque()
        self._available = threading.Condition(threading.Lock())
        self._idle = 0
        self._made = 0

    def submit(self, task: Callable[[], None]) -> None:
        with self._available:
            self._tasks.append(task)
            if self._idle >= len(self._tasks):
                self._available.notify()
                return
            self._made += 1
            name = f"seamless-step-{self._made}"
        threading.Thread(target=self._loop, name=name, daemon=True).start()

    def _loop(self) -> None:
        while True:
            with self._available:
                self._idle += 1
                try:
                    end = time.monotonic() + HELPER_IDLE_S
                    while not self._tasks:
                        remaining = end - time.monotonic()
                        if remaining <= 0:
                            return
                        self._available.wait(remaining)
                    task = self._tasks.popleft()
                finally:
                    self._idle -= 1
            task()


_helper_threads = _HelperThreads()
_background: Run | None = None


def default_width() -> int:
    """Return how many steps of one run are active at once unless said otherwise: the usable processors."""
    if hasattr(os, "sched_getaffinity"):
        return max(1, len(os.sched_getaffinity(0)))
    return os.cpu_count() or 1


def background_run() -> Run:
    """Return the run of steps that were started without anybody waiting for them."""
    global _background
    with _transitions:
        if _background is None or _background._aborted:
            _background = Run(helpers_only=True)
        return _background


def _after_fork() -> None:
    global _transitions, _background
    _transitions = threading.Lock()
    _background = None
    _helper_threads.__init__()  # type: ignore[misc]


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)

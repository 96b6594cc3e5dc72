"""The graph driver: runs nodes after their dependencies, event by event.

A node that waits holds no thread, each transition costs O(1), and no transition recurses: a chain or a fan of
a million nodes is fine. The driver knows nothing of steps; `Transformation` is its node.

Threads. Whoever waits for a node works: `Run.drive` executes ready nodes on the caller's own thread, so a single
step needs no thread hop and Ctrl-C reaches it. Helper threads join a run when several nodes are ready and the steps
are slow enough to pay for it. A helper that itself blocks (a step that waits for nested steps) gives its place in the
run back while it waits, so nesting can never exhaust the threads: some thread of every run can always proceed.

States: IDLE -> WAITING (for dependencies) -> READY -> ACTIVE -> FINISHED. A run that is aborted puts what has not
finished back to IDLE, so that it can be run again. A node belongs to one run at a time; when that run is aborted, the
runs whose nodes or drivers wait for the node take it over, so nobody waits for a node that nobody will run.
"""

from __future__ import annotations

import os
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from functools import lru_cache

from seamless.lifecycle import register_close_hook

from .helper_threads import HelperThreads

__all__ = (
    "Node",
    "NodeState",
    "Run",
    "background_run",
    "default_width",
    "drop",
    "finish",
    "requeue",
    "reset",
)

HELPER_PATIENCE_S = 0.002  # a helper joins only when fewer than two nodes finished in this time
WAIT_SLICE_S = 0.5  # a missed notification costs at most this delay, never a hang
INTERRUPT_GRACE_S = (
    2.5  # how long an abort waits for work that is being stopped (a command ends within 1.1 s)
)
POLL_S = 0.01


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
_transitions = threading.RLock()
_thread = threading.local()  # .helping: the run for which this thread is a helper


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
        with _transitions:
            if self._state != _FINISHED:
                if self._callbacks is None:
                    self._callbacks = []
                self._callbacks.append(callback)
                return
        callback(self)

    def run_alone(self) -> bool:
        """Do the work of an idle node without dependencies right here; False when it needs a run."""
        with _transitions:
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
    with _transitions:
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
    with _transitions:
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
    with _transitions:
        if node._state != _ACTIVE:
            return
        run = node._run
        if run is not None:
            run._active.discard(node)
            run._delegated.discard(node)
        _put_back(node)
    if run is not None:
        run._left(node)
    _pass_on(node, run)


def _put_back(node: Node) -> None:
    node._state = _IDLE
    node._pending = 0
    node._run = None


def _pass_on(node: Node, former: Run | None) -> None:
    """Give a node that was put back to a run that still needs it, and tell who waits."""
    with _transitions:
        callbacks, node._callbacks = node._callbacks, None
        heirs = [d._run for d in node._dependants or () if d._run is not None and d._run is not former]
    for heir in heirs[:1]:
        heir.add([node])
    for callback in callbacks or ():
        callback(node)


def reset(node: Node) -> None:
    """Make a finished node runnable again (a failure that is to be retried)."""
    with _transitions:
        if node._state == _FINISHED:
            node._state = _IDLE


class Run:
    """Some nodes on their way, driven by the threads that wait for them and by helpers.

    width: how many nodes may be active at once; one that waits for nested steps is not counted meanwhile.
    helpers_only: nobody will call `drive`; helper threads do all the work.
    eager: helpers start at once, not only when the nodes turn out to be slow.
    """

    def __init__(self, *, width: int | None = None, helpers_only: bool = False, eager: bool = False) -> None:
        self._width = width or default_width()
        self._helpers_only = helpers_only
        self._eager = eager or helpers_only
        self._ready: deque[Node] = deque()
        self._condition = threading.Condition(threading.Lock())
        self._driving = 0  # drivers that execute a node right now
        self._helpers = 0  # helper threads of this run, blocked ones not counted
        self._active: set[Node] = set()  # changed in transitions only, like the next
        self._delegated: set[Node] = set()  # active nodes whose work is done elsewhere
        self._awaited: list[Node] = []  # what the waiting drivers wait for
        self._completed = 0
        self._aborted = False

    def add(self, nodes: Iterable[Node]) -> None:
        """Schedule nodes and everything they depend on that has not been scheduled yet."""
        n_ready = 0
        stack = list(nodes)
        stack.reverse()
        with _transitions:
            if self._aborted:
                return
            while stack:
                node = stack.pop()
                if node._state != _IDLE:
                    continue
                node._state = _WAITING
                node._run = self
                pending = 0
                for dependency in node._dependency_nodes():
                    if dependency._state == _FINISHED:
                        continue
                    if dependency._dependants is None:
                        dependency._dependants = []
                    dependency._dependants.append(node)
                    pending += 1
                    if dependency._state == _IDLE:
                        stack.append(dependency)
                node._pending = pending
                if pending == 0:
                    node._state = _READY
                    self._ready.append(node)
                    n_ready += 1
        if n_ready:
            self._arrived()

    def drive(self, node: Node, *, timeout_s: float | None = None) -> bool:
        """Work and wait until `node` has finished; False when the time is over first.

        KeyboardInterrupt aborts the run: what has not finished can be run again.
        """
        if node.finished:
            return True
        deadline = None if timeout_s is None else time.monotonic() + timeout_s
        try:
            if node._run is not self:
                node.when_finished(self._wake)
            while not node.finished:
                if self._aborted:
                    raise RuntimeError("the run of this step was aborted from another thread")
                if node._state == _IDLE:  # the run that had it was aborted
                    self.add([node])
                if not self._work_one() and not node.finished and not self._wait(node, deadline):
                    return False
                if deadline is not None and time.monotonic() >= deadline and not node.finished:
                    return False
        except BaseException:
            self.abort([node])
            raise
        return True

    def abort(self, nodes: Iterable[Node] = ()) -> None:
        """Stop: put back what is not active yet, interrupt what is and wait a little for what can be stopped.

        nodes: those that were added; what is ready or active, and what depends on it, is found anyway.
        """
        active: list[Node] = []
        dropped: list[Node] = []
        with _transitions:
            self._aborted = True
            stack = [*nodes, *self._ready, *self._active]
            self._ready.clear()
            seen: set[Node] = set()
            while stack:
                node = stack.pop()
                if node._run is not self or node in seen:
                    continue
                seen.add(node)
                stack.extend(node._dependency_nodes())
                stack.extend(node._dependants or ())
                (active if node._state == _ACTIVE else dropped).append(node)
            gone = set(dropped)
            for node in dropped:
                _put_back(node)
            for dependency in {each for node in dropped for each in node._dependency_nodes()}:
                if dependency._dependants is not None:
                    dependency._dependants = [each for each in dependency._dependants if each not in gone]
        stopping = [node for node in active if node._interrupt()]
        for node in dropped:
            _pass_on(node, self)
        with self._condition:
            self._condition.notify_all()
        deadline = time.monotonic() + INTERRUPT_GRACE_S
        while any(node._state == _ACTIVE for node in stopping) and time.monotonic() < deadline:
            time.sleep(POLL_S)

    # internals

    def _wake(self, node: Node) -> None:
        if not node.finished and not self._aborted:
            node.when_finished(self._wake)  # its run was aborted; the next one tells us again
        with self._condition:
            self._condition.notify_all()

    def _arrived(self) -> None:
        """Find a thread for nodes that became ready."""
        if self._awaited:
            with self._condition:
                self._condition.notify()
        if self._eager:
            self._call_helpers()

    def _left(self, node: Node) -> None:
        if self._ready and self._eager:
            self._call_helpers()
        if self._awaited and (node in self._awaited or (self._ready and self._occupied() < self._width)):
            with self._condition:
                self._condition.notify_all()

    def _work_one(self, *, as_helper: bool = False) -> bool:
        """Execute one ready node on this thread; False when there is none or the width is used up."""
        if not self._ready or (not as_helper and self._occupied() >= self._width):
            return False
        node: Node | None = None
        counted = False
        try:
            with _transitions:
                while self._ready and node is None:
                    node = self._ready.popleft()
                    if node._state == _READY and node._run is self:
                        node._state = _ACTIVE
                        self._active.add(node)
                    else:
                        node = None
            if node is None:
                return False
            if not as_helper:
                with self._condition:
                    self._driving += 1
                    counted = True
            if self._ready:
                self._call_helpers()
            if node._advance(self):
                finish(node)
            else:
                with _transitions:
                    if node._state == _ACTIVE and node._run is self:
                        self._delegated.add(node)
        except BaseException:
            if node is not None:
                drop(node)
            raise
        finally:
            if counted:
                with self._condition:
                    self._driving -= 1
        return True

    def _wait(self, node: Node, deadline: float | None) -> bool:
        """Wait for an event. False when the deadline has passed."""
        helping: Run | None = getattr(_thread, "helping", None)
        if helping is not None:
            helping._give_up_place()
        try:
            with self._condition:
                self._awaited.append(node)
                try:
                    while (
                        node._state not in (_FINISHED, _IDLE)
                        and not (self._ready and self._occupied() < self._width)
                        and not self._aborted
                    ):
                        remaining = None if deadline is None else deadline - time.monotonic()
                        if remaining is not None and remaining <= 0:
                            return False
                        self._condition.wait(
                            WAIT_SLICE_S if remaining is None else min(remaining, WAIT_SLICE_S)
                        )
                finally:
                    self._awaited.remove(node)
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
        for started in range(wanted):
            try:
                _helper_threads.submit(self._help)
            except RuntimeError:  # no more threads: those that there are do the work
                with self._condition:
                    self._helpers -= wanted - started
                    helpless = self._helpers_only and self._helpers == 0
                if helpless:
                    raise
                return

    def _help(self) -> None:
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
            _thread.helping = None
            with self._condition:
                self._helpers -= 1
                if self._ready and self._awaited:
                    self._condition.notify()
            if self._ready and self._eager:  # a node arrived between the last look and now
                self._call_helpers()


_helper_threads = HelperThreads()
_background: Run | None = None


@lru_cache(maxsize=1)
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
            register_close_hook(_close_background)
        return _background


def _close_background() -> None:
    run = _background
    if run is not None:
        run.abort()


def _after_fork() -> None:
    global _transitions, _background, _helper_threads
    _transitions = threading.RLock()
    _background = None
    _helper_threads = HelperThreads()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)

"""The graph driver: runs nodes after their dependencies, event by event.

A node that waits holds no thread, each transition costs O(1), and no transition recurses: a chain or a fan of
a million nodes is fine. The driver knows nothing of steps; `Transformation` is its node.

Threads. Whoever waits for a node works: `Run.drive` executes ready nodes on the caller's own thread, so a single
step needs no thread hop and Ctrl-C reaches it. Helper threads join a run when several nodes are ready and the steps
are slow enough to pay for it. A helper that itself blocks (a step that waits for nested steps) gives its place in the
run back while it waits, so nesting can never exhaust the threads: some thread of every run can always proceed.

A run that is aborted puts what has not finished back to IDLE, so that it can be run again. A node belongs to one run at
a time; when that run is aborted, the runs whose nodes or drivers wait for the node take it over, so nobody waits for
a node that nobody will run.
"""

from __future__ import annotations

import os
import threading
import time
from collections import deque
from collections.abc import Iterable
from functools import lru_cache

from seamless.lifecycle import register_close_hook

from .helper_threads import HelperThreads
from .nodes import Node, NodeState, drop, finish, pass_on, put_back, requeue, reset, transitions

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
    2.5  # how long an abort waits for work that is being stopped (a command ends within 0.6 s)
)
POLL_S = 0.01


_thread = threading.local()  # .helping: the run for which this thread is a helper


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
        # Entered as a plain lock: Condition.__enter__ is Python code, in which Ctrl-C could hit with the lock taken.
        self._lock = threading.Lock()
        self._condition = threading.Condition(self._lock)
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
        with transitions:
            if self._aborted:
                return
            while stack:
                node = stack.pop()
                if node._state != NodeState.IDLE:
                    continue
                node._state = NodeState.WAITING
                node._run = self
                pending = 0
                for dependency in node._dependency_nodes():
                    if dependency._state == NodeState.FINISHED:
                        continue
                    if dependency._dependants is None:
                        dependency._dependants = []
                    dependency._dependants.append(node)
                    pending += 1
                    if dependency._state == NodeState.IDLE:
                        stack.append(dependency)
                node._pending = pending
                if pending == 0:
                    node._state = NodeState.READY
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
                if node._state == NodeState.IDLE:  # the run that had it was aborted
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
        with transitions:
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
                (active if node._state == NodeState.ACTIVE else dropped).append(node)
            gone = set(dropped)
            for node in dropped:
                put_back(node)
            for dependency in {each for node in dropped for each in node._dependency_nodes()}:
                if dependency._dependants is not None:
                    dependency._dependants = [each for each in dependency._dependants if each not in gone]
        stopping = [node for node in active if node._interrupt()]
        for node in dropped:
            pass_on(node, self)
        with self._lock:
            self._condition.notify_all()
        deadline = time.monotonic() + INTERRUPT_GRACE_S
        while any(node._state == NodeState.ACTIVE for node in stopping) and time.monotonic() < deadline:
            time.sleep(POLL_S)

    # internals

    def _wake(self, node: Node) -> None:
        if not node.finished and not self._aborted:
            node.when_finished(self._wake)  # its run was aborted; the next one tells us again
        with self._lock:
            self._condition.notify_all()

    def _arrived(self) -> None:
        """Find a thread for nodes that became ready."""
        if self._awaited:
            with self._lock:
                self._condition.notify()
        if self._eager:
            self._call_helpers()

    def _left(self, node: Node) -> None:
        if self._ready and self._eager:
            self._call_helpers()
        if self._awaited and (node in self._awaited or (self._ready and self._occupied() < self._width)):
            with self._lock:
                self._condition.notify_all()

    def _work_one(self, *, as_helper: bool = False) -> bool:
        """Execute one ready node on this thread; False when there is none or the width is used up."""
        if not self._ready or (not as_helper and self._occupied() >= self._width):
            return False
        node: Node | None = None
        counted = False
        try:
            with transitions:
                while self._ready and node is None:
                    node = self._ready.popleft()
                    if node._state == NodeState.READY and node._run is self:
                        node._state = NodeState.ACTIVE
                        self._active.add(node)
                    else:
                        node = None
            if node is None:
                return False
            if not as_helper:
                with self._lock:
                    self._driving += 1
                    counted = True
            if self._ready:
                self._call_helpers()
            if node._advance(self):
                finish(node)
            else:
                with transitions:
                    if node._state == NodeState.ACTIVE and node._run is self:
                        self._delegated.add(node)
        except BaseException:
            if node is not None:
                drop(node)
            raise
        finally:
            if counted:
                with self._lock:
                    self._driving -= 1
        return True

    def _wait(self, node: Node, deadline: float | None) -> bool:
        """Wait for an event. False when the deadline has passed."""
        helping: Run | None = getattr(_thread, "helping", None)
        if helping is not None:
            helping._give_up_place()
        try:
            with self._lock:
                self._awaited.append(node)
                try:
                    while (
                        node._state not in (NodeState.FINISHED, NodeState.IDLE)
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
        with self._lock:
            self._helpers -= 1
        if self._ready:
            self._call_helpers()

    def _take_place(self) -> None:
        with self._lock:
            self._helpers += 1

    def _call_helpers(self) -> None:
        """Start helpers for the ready nodes while there are free places, one at a time unless eager."""
        with self._lock:
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
                with self._lock:
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
            with self._lock:
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
    with transitions:
        if _background is None or _background._aborted:
            _background = Run(helpers_only=True)
            register_close_hook(_close_background)
        return _background


def _close_background() -> None:
    run = _background
    if run is not None:
        run.abort()


def _after_fork() -> None:
    global _background, _helper_threads
    _background = None
    _helper_threads = HelperThreads()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)

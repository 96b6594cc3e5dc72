"""Let writes that arrive together end in one transaction, on the callers' own threads.

The first caller becomes the leader: it takes the writers' lock, carries out everything that has queued up
to then, its own request included, in one transaction, and hands the lead to the first of those who arrived
meanwhile. Then it makes the transaction durable, while the next one is under way, and wakes the others.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from .wal_durability import Commit, SharedSync

if TYPE_CHECKING:
    from apsw import Connection

__all__ = ("GroupCommit", "Request")

_T = TypeVar("_T")


_NOT_COMMITTED = Commit()


class Request(Generic[_T]):
    """One write: `operation(connection)` inside a transaction that it shares with others.

    An operation checks before its first change, and raises only then: its error is its own, while an
    error of SQLite fails the whole transaction.
    """

    __slots__ = ("answered", "commit", "error", "leads", "operation", "value", "wake")

    def __init__(self, operation: Callable[[Connection], _T]) -> None:
        self.operation = operation
        self.commit = _NOT_COMMITTED
        self.wake: threading.Event | None = None  # None: its thread leads from the start
        self.leads = False
        self.answered = False
        self.error: BaseException | None = None
        self.value: Any = None  # the _T of `operation`, once answered without error

    def awaken(self) -> None:
        if self.wake is not None:
            self.wake.set()

    def answer(self, value: _T) -> None:
        self.value = value
        self.answered = True

    def fail(self, error: BaseException) -> None:
        self.error = error
        self.answered = True


class GroupCommit:
    """Queue of writes. `transact(requests)` answers or fails each of them, in one transaction.

    acquire, release: of the writers' lock, called around each transaction.
    sync: makes durable what was committed before it is called.
    afterwards: called by the leader when everybody has been answered.
    """

    def __init__(
        self,
        transact: Callable[[list[Request[Any]]], None],
        acquire: Callable[[], None],
        release: Callable[[], None],
        sync: Callable[[], None],
        afterwards: Callable[[], None],
    ) -> None:
        self._transact = transact
        self._acquire = acquire
        self._release = release
        self._sync = sync
        self._afterwards = afterwards
        self.reset()

    def reset(self) -> None:
        """Forget everything, as a forked child must."""
        self._mutex = threading.Lock()
        self._queue: list[Request[Any]] = []
        self._led = False
        self._durability = SharedSync(self._sync)

    def run(self, operation: Callable[[Connection], _T]) -> _T:
        """Return the value of the operation when it is durable, or raise its error."""
        request = Request(operation)
        with self._mutex:
            self._queue.append(request)
            request.leads = not self._led
            if not request.leads:
                request.wake = threading.Event()
            self._led = True
        if request.wake is not None:
            self._await(request, request.wake)
        if request.leads:
            self._lead(request)
            self._afterwards()
        if request.error is not None:
            raise request.error
        self._durability.settle(request.commit)  # it is, unless a Ctrl-C hit the leader
        if request.commit.error is not None:
            raise request.commit.error
        value: _T = request.value
        return value

    def _await(self, request: Request[Any], wake: threading.Event) -> None:
        try:
            wake.wait()
        except BaseException:
            with self._mutex:
                if request in self._queue and not request.leads:
                    self._queue.remove(request)
                    raise
            if request.leads:
                self._lead(request)
            raise

    def _lead(self, own: Request[Any]) -> None:
        batch: list[Request[Any]] = []
        commit = Commit()
        try:
            self._acquire()
            try:
                batch = self._take(commit)
                self._transact(batch)
                self._durability.committed(commit)
            finally:
                self._release()
        except Exception as exc:
            batch = batch or self._take(commit)
            _fail_all(batch, exc)
        finally:
            self._hand_over(batch, own)
            try:
                if any(request.answered and request.error is None for request in batch):
                    self._durability.settle(commit)
            finally:
                for request in batch:
                    if request.answered:
                        request.awaken()

    def _take(self, commit: Commit) -> list[Request[Any]]:
        with self._mutex:
            batch, self._queue = self._queue, []
        for request in batch:
            request.commit = commit
        return batch

    def _hand_over(self, batch: list[Request[Any]], own: Request[Any]) -> None:
        """Let the first of those that have no answer lead, which after a Ctrl-C are all of them."""
        with self._mutex:
            self._queue[:0] = [request for request in batch if not request.answered]
            if own in self._queue:
                self._queue.remove(own)
            if self._queue:
                self._queue[0].leads = True
                self._queue[0].awaken()
            else:
                self._led = False


def _fail_all(batch: list[Request[Any]], error: BaseException) -> None:
    for request in batch:
        if not request.answered:
            request.fail(error)

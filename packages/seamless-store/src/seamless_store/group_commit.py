"""Let writes that arrive together end in one transaction, on the callers' own threads.

The first caller becomes the leader: it takes the writers' lock, carries out everything that has queued up
to then, its own request included, in one transaction, and wakes the others. Whoever arrives meanwhile
queues for the next transaction, led by the first of them.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Generic, TypeVar

if TYPE_CHECKING:
    from apsw import Connection

__all__ = ("GroupCommit", "Request")

_T = TypeVar("_T")


class Request(Generic[_T]):
    """One write: `operation(connection)` inside a transaction that it shares with others.

    An operation checks before its first change, and raises only then: its error is its own, while an
    error of SQLite fails the whole transaction.
    """

    __slots__ = ("answered", "error", "leads", "operation", "value", "wake")

    def __init__(self, operation: Callable[[Connection], _T]) -> None:
        self.operation = operation
        self.wake = threading.Event()
        self.leads = False
        self.answered = False
        self.error: BaseException | None = None
        self.value: Any = None  # the _T of `operation`, once answered without error

    def answer(self, value: _T) -> None:
        self.value = value
        self.answered = True

    def fail(self, error: BaseException) -> None:
        self.error = error
        self.answered = True


class GroupCommit:
    """Queue of writes. `transact(requests)` answers or fails each of them, in one transaction.

    acquire, release: of the writers' lock, called around each transaction.
    afterwards: called by the leader when everybody has been answered.
    """

    def __init__(
        self,
        transact: Callable[[list[Request[Any]]], None],
        acquire: Callable[[], None],
        release: Callable[[], None],
        afterwards: Callable[[], None],
    ) -> None:
        self._transact = transact
        self._acquire = acquire
        self._release = release
        self._afterwards = afterwards
        self.reset()

    def reset(self) -> None:
        """Forget everything, as a forked child must."""
        self._mutex = threading.Lock()
        self._queue: list[Request[Any]] = []
        self._led = False

    def run(self, operation: Callable[[Connection], _T]) -> _T:
        """Return the value of the operation when it is durable, or raise its error."""
        request = Request(operation)
        with self._mutex:
            self._queue.append(request)
            request.leads = not self._led
            self._led = True
        if not request.leads:
            self._await(request)
        if request.leads:
            self._lead(request)
            self._afterwards()
        if request.error is not None:
            raise request.error
        value: _T = request.value
        return value

    def _await(self, request: Request[Any]) -> None:
        try:
            request.wake.wait()
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
        try:
            self._acquire()
            try:
                batch = self._take()
                self._transact(batch)
            finally:
                self._release()
        except Exception as exc:
            batch = batch or self._take()
            _fail_all(batch, exc)
        finally:
            self._hand_over(batch, own)

    def _take(self) -> list[Request[Any]]:
        with self._mutex:
            batch, self._queue = self._queue, []
        return batch

    def _hand_over(self, batch: list[Request[Any]], own: Request[Any]) -> None:
        """Wake the answered ones and let the first of the others lead (all of them after a Ctrl-C here)."""
        with self._mutex:
            self._queue[:0] = [request for request in batch if not request.answered]
            if own in self._queue:
                self._queue.remove(own)
            if self._queue:
                self._queue[0].leads = True
                self._queue[0].wake.set()
            else:
                self._led = False
        for request in batch:
            if request.answered:
                request.wake.set()


def _fail_all(batch: list[Request[Any]], error: BaseException) -> None:
    for request in batch:
        if not request.answered:
            request.fail(error)

"""Let results that are put at the same time travel in one request, on the callers' own threads.

The first caller leads: it sends everything that has queued up to then, its own row included, while later ones wait;
then the next one leads with what has come meanwhile. Each caller gets its own answer, or the error of its request.
"""

from __future__ import annotations

import os
import threading
import weakref

TYPE_CHECKING = False  # importing typing costs a command 6 ms
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from typing import Any

    from seamless.checksum import Checksum

__all__ = ("InsertGroup", "ResultRow")

MAX_ROWS = 1000  # in one request


class ResultRow:
    """A result to be inserted, and its execution record."""

    __slots__ = ("record", "result", "transformation")

    def __init__(self, transformation: Checksum, result: Checksum, record: dict[str, Any] | None) -> None:
        self.transformation = transformation
        self.result = result
        self.record = record  # Any: JSON


class _Waiting:
    __slots__ = ("answer", "error", "row")

    def __init__(self, row: ResultRow) -> None:
        self.row = row
        self.answer: Checksum | None = None
        self.error: Exception | None = None


class InsertGroup:
    """send: gets rows, returns the standing results in the same order; its error fails all of them."""

    def __init__(self, send: Callable[[Sequence[ResultRow]], Sequence[Checksum]]) -> None:
        self._send = send
        self._reset()
        _live.add(self)

    def _reset(self) -> None:
        self._mutex = threading.Lock()
        self._lead = threading.Lock()
        self._queue: list[_Waiting] = []

    def put(self, row: ResultRow) -> Checksum:
        """Return the result that stands after the row was sent. Raises what `send` raised."""
        mine = _Waiting(row)
        with self._mutex:
            self._queue.append(mine)
        while mine.answer is None and mine.error is None:
            with self._lead:
                if mine.answer is None and mine.error is None:
                    self._send_batch()
        if mine.error is not None:
            raise mine.error
        assert mine.answer is not None  # the loop ends with one of them
        return mine.answer

    def _send_batch(self) -> None:
        with self._mutex:
            batch, self._queue = self._queue[:MAX_ROWS], self._queue[MAX_ROWS:]
        try:
            answers = self._send([waiting.row for waiting in batch])
        except Exception as exc:
            for waiting in batch:
                waiting.error = exc
            return
        except BaseException:  # this thread is interrupted; the others send again, which changes nothing
            with self._mutex:
                self._queue = batch + self._queue
            raise
        for waiting, answer in zip(batch, answers, strict=True):
            waiting.answer = answer


_live: weakref.WeakSet[InsertGroup] = weakref.WeakSet()


def _after_fork_in_child() -> None:
    for group in list(_live):
        group._reset()


os.register_at_fork(after_in_child=_after_fork_in_child)

"""The active set: where buffers and results live and where steps run, as one immutable object.

It is replaced as a whole (`seamless.config.init`, `set_stage`); a Transformation captures it when it is
constructed, so look-up, execution and record always use one and the same set. A set that was replaced is
retired: it is closed after its work has drained.
"""

from __future__ import annotations

import threading
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from .errors import SeamlessError
from .lifecycle import register_close_hook

if TYPE_CHECKING:
    from .ports import BufferStore, Executor, ResultCache, RunningSteps

__all__ = ("ActiveSet", "get_active", "replace_active")


@dataclass(frozen=True, slots=True, eq=False)
class ActiveSet:
    """Stores, result cache and execution of this process."""

    buffers: BufferStore
    results: ResultCache
    persistent: bool
    """Whether anything outlives the process; False: memory only."""
    location: str
    """Where results are kept, in words for a person: "memory" or a directory."""
    execution: str = "process"
    executor: Executor | None = None
    """None: run in this process."""
    stage: str | None = None
    substage: str | None = None
    full_records: bool = False
    running: RunningSteps | None = None
    """Where steps that run are announced to other processes; None: nobody else could know of them."""
    work: _WorkCount = field(default_factory=lambda: _WorkCount())

    def close(self) -> None:
        """Make everything durable and let go of it."""
        try:
            self.results.close()
        finally:
            try:
                self.buffers.close()
            finally:
                if self.executor is not None:
                    self.executor.close()


class _WorkCount:
    """How many steps still use a set; `retire` closes the set when the last one leaves."""

    __slots__ = ("_count", "_lock", "_retire")

    def __init__(self) -> None:
        self._lock = threading.RLock()  # a finalizer may leave while this thread enters
        self._count = 0
        self._retire: ActiveSet | None = None

    def enter(self) -> bool:
        """Keep the set open until `leave`. False: it was retired and is closed, or about to be."""
        with self._lock:
            if self._retire is not None and self._count == 0:
                return False
            self._count += 1
            return True

    def leave(self) -> None:
        with self._lock:
            self._count -= 1
            retired = self._retire if self._count == 0 else None
        if retired is not None:
            retired.close()

    def retire(self, active: ActiveSet) -> None:
        with self._lock:
            self._retire = active
            idle = self._count == 0
        if idle:
            active.close()


_lock = threading.Lock()
_active: ActiveSet | None = None


def get_active() -> ActiveSet:
    """Return the active set; made from the environment at first use (`SEAMLESS_CACHE`, else memory)."""
    active = _active
    if active is not None:
        return active
    return _make_default()


def _make_default() -> ActiveSet:
    global _active
    with _lock:
        if _active is None:
            from .embedded import set_from_environment

            _active = set_from_environment()
            _connect(_active)
        return _active


def replace_active(active: ActiveSet) -> None:
    """Make `active` the set of every step constructed from now on, and retire the former one."""
    global _active
    with _lock:
        former, _active = _active, active
        _connect(active)
    if former is not None and former is not active:
        former.work.retire(former)


def _connect(active: ActiveSet) -> None:
    """Have the set closed at the end, and let the buffer cache drop what its store can give back."""
    from .buffer_cache import get_buffer_cache
    from .checksum import Checksum

    def is_stored(digest: bytes) -> bool:
        try:
            return active.persistent and active.buffers.has(Checksum._from_digest(digest))
        except SeamlessError:  # a store that cannot be asked: what it may lack is not dropped
            return False

    get_buffer_cache().set_stored_check(is_stored)
    register_close_hook(_close_active)


def _close_active() -> None:
    global _active
    with _lock:
        former, _active = _active, None
    if former is not None:
        former.close()

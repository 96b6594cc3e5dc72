"""A list of steps that reports its progress while `parallel` works through it."""

from __future__ import annotations

import sys
import threading
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from seamless import Checksum

    from .transformation import Transformation

__all__ = ("TransformationIterableBase", "TransformationList")


class TransformationIterableBase(list["Transformation"]):
    """A list of transformations with a hook: `finish(index)` is called as each item finishes."""

    def finish(self, index: int) -> None:
        """Called once per item, from the thread that finished it."""


class TransformationList(TransformationIterableBase):
    """A list of transformations with progress bars on stderr (on a terminal only).

    on_error: None; "print" prints the exception of each failed item; "raise" raises RuntimeError out of the iteration.
    store_details: keep exception or result checksum per index and replace finished items by None, to save memory.
    """

    def __init__(
        self,
        transformations: Iterable[Transformation],
        show_progress: bool = True,
        on_error: str | None = None,
        store_details: bool = False,
    ) -> None:
        if on_error not in (None, "print", "raise"):
            raise ValueError(f"on_error is None, 'print' or 'raise', not {on_error!r}")
        super().__init__(transformations)
        self._show_progress = show_progress
        self._on_error = on_error
        self._store_details = store_details
        self._lock = threading.Lock()
        self._bars: dict[str, Any] = {}
        self._first_error: str | None = None
        self._exceptions: dict[int, str] = {}
        self._results: dict[int, Checksum] = {}

    @property
    def exceptions(self) -> dict[int, str]:
        """Exception texts by index, kept with store_details."""
        return dict(self._exceptions)

    @property
    def result_checksums(self) -> dict[int, Checksum]:
        """Result checksums by index, kept with store_details."""
        return dict(self._results)

    def finish(self, index: int) -> None:
        item = self[index]
        exception = item.exception
        canceled = item.status == "Status: canceled"
        with self._lock:
            self._advance("finished")
            if exception is not None:
                self._advance("cancelled" if canceled else "error")
            if self._store_details:
                if exception is None:
                    self._results[index] = item.result_checksum
                else:
                    self._exceptions[index] = exception
                self[index] = None  # type: ignore[call-overload]  # documented: finished items are let go
            if exception is not None and self._on_error == "raise" and self._first_error is None:
                self._first_error = f"Transformation {index} failed:\n{exception}"
        if exception is not None and self._on_error == "print":
            print(exception.rstrip("\n"))

    def raise_first_error(self) -> None:
        """Raise what `on_error="raise"` asks for, if an item has failed."""
        if self._first_error is not None:
            raise RuntimeError(self._first_error)

    def close(self) -> None:
        """Close the progress bars."""
        with self._lock:
            for bar in self._bars.values():
                bar.close()
            self._bars.clear()

    def _advance(self, name: str) -> None:
        if not self._show_progress or not sys.stderr.isatty():
            return
        bar = self._bars.get(name)
        if bar is None:
            from tqdm import tqdm

            bar = self._bars[name] = tqdm(
                total=len(self), desc=name, position=len(self._bars), file=sys.stderr, leave=True
            )
        bar.update(1)

"""Progress of a transfer in bytes: a bar on a terminal, for what takes more than half a second; else nothing."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from types import TracebackType
    from typing import Any

    from tqdm import tqdm
    from typing_extensions import Self

__all__ = ("BarProgress", "NoProgress", "Progress", "byte_progress")

DELAY_S = 0.5  # what is over sooner needs no bar, nor the time to load the library


class Progress(Protocol):
    """Takes note of transferred bytes; a context manager."""

    def __enter__(self) -> Self: ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None: ...

    def advance(self, n_bytes: int) -> None: ...


class NoProgress:
    """Shows nothing."""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        return None

    def advance(self, n_bytes: int) -> None:
        """Do nothing."""


class BarProgress:
    """Shows a bar on standard error from `DELAY_S` on, and removes it at the end."""

    def __init__(self, description: str, total_bytes: int) -> None:
        import time

        self._description = description
        self._total_bytes = total_bytes
        self._clock = time.monotonic
        self._start = time.monotonic()
        self._n_bytes = 0
        self._bar: tqdm[Any] | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if self._bar is not None:
            self._bar.close()

    def advance(self, n_bytes: int) -> None:
        """Note that so many more bytes are done."""
        self._n_bytes += n_bytes
        if self._bar is not None:
            self._bar.update(n_bytes)
        elif self._clock() - self._start > DELAY_S:
            import tqdm

            self._bar = tqdm.tqdm(
                desc=self._description,
                total=self._total_bytes,
                initial=self._n_bytes,
                unit="B",
                unit_scale=True,
                leave=False,
                file=sys.stderr,
            )


def byte_progress(description: str, total_bytes: int, *, quiet: bool = False) -> Progress:
    """Return what shows the progress of a transfer: a bar if standard error is a terminal and not `quiet`."""
    if quiet or sys.stderr is None or not sys.stderr.isatty():
        return NoProgress()
    return BarProgress(description, total_bytes)

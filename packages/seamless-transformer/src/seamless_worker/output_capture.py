"""Keep what each step prints, while it goes on to where it would go anyway.

`StepStream` replaces `sys.stdout` and `sys.stderr` while steps run. It passes every write on at once and
appends it to the tail of the step that the writing thread runs (and of the steps around that one), so two
steps in two threads never mix. A stream left behind after its steps have finished only passes through.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping
from threading import get_ident
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .running import RunningStep

__all__ = ("TAIL_LIMIT_BYTES", "OutputTail", "StepStream", "keep")

TAIL_LIMIT_BYTES = 64 * 1024


class OutputTail:
    """The last `TAIL_LIMIT_BYTES` of a text stream, counted in UTF-8."""

    __slots__ = ("_chunks", "_n_characters")

    def __init__(self) -> None:
        self._chunks: deque[str] = deque()
        self._n_characters = 0

    def append(self, text: str) -> None:
        if len(text) > TAIL_LIMIT_BYTES:
            text = text[-TAIL_LIMIT_BYTES:]
        self._chunks.append(text)
        self._n_characters += len(text)
        while self._n_characters - len(self._chunks[0]) >= TAIL_LIMIT_BYTES:
            self._n_characters -= len(self._chunks.popleft())

    def text(self) -> str:
        encoded = "".join(self._chunks).encode("utf-8", "backslashreplace")
        return encoded[-TAIL_LIMIT_BYTES:].decode("utf-8", "ignore")


def keep(step: RunningStep | None, stream_name: str, text: str) -> None:
    """Append `text` to the tail of `step` and of the steps around it."""
    while step is not None:
        tail = getattr(step, stream_name)
        if tail is None:
            tail = OutputTail()
            setattr(step, stream_name, tail)
        tail.append(text)
        step = step.outer


class StepStream:
    """A text stream that tees what steps write; everything else is the replaced stream's."""

    __slots__ = ("__weakref__", "_running", "_stream_name", "replaced_stream")

    def __init__(self, replaced_stream: Any, stream_name: str, running: Mapping[int, RunningStep]) -> None:
        # Any: whatever the host has put into sys.stdout, None included
        self.replaced_stream = replaced_stream
        self._stream_name = stream_name
        self._running = running

    def write(self, text: str) -> int:
        step = self._running.get(get_ident())
        if step is not None and isinstance(text, str):
            keep(step, self._stream_name, text)
        if self.replaced_stream is None:
            return len(text)
        return self.replaced_stream.write(text)  # type: ignore[no-any-return]

    def writelines(self, lines: Any) -> None:
        for line in lines:
            self.write(line)

    def flush(self) -> None:
        if self.replaced_stream is not None:
            self.replaced_stream.flush()

    @property
    def buffer(self) -> _BinaryStepStream:
        return _BinaryStepStream(self.replaced_stream.buffer, self._stream_name, self._running)

    def __getattr__(self, name: str) -> Any:
        return getattr(self.replaced_stream, name)

    def __iter__(self) -> Any:
        return iter(self.replaced_stream)


class _BinaryStepStream:
    """The `buffer` of a StepStream, for steps that print bytes."""

    __slots__ = ("_running", "_stream_name", "replaced_stream")

    def __init__(self, replaced_stream: Any, stream_name: str, running: Mapping[int, RunningStep]) -> None:
        self.replaced_stream = replaced_stream
        self._stream_name = stream_name
        self._running = running

    def write(self, chunk: Any) -> int:
        step = self._running.get(get_ident())
        if step is not None:
            keep(step, self._stream_name, bytes(chunk).decode("utf-8", "replace"))
        return self.replaced_stream.write(chunk)  # type: ignore[no-any-return]

    def __getattr__(self, name: str) -> Any:
        return getattr(self.replaced_stream, name)

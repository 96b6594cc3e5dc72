"""Show what a command writes: at once on a terminal, whole at the end everywhere else.

Bytes are passed on as they are. Standard error is always passed on at once, unless the command is to be quiet.
"""

from __future__ import annotations

import os
from collections.abc import Iterable

from seamless_command.raw_output import write_all

TYPE_CHECKING = False  # importing typing costs a command 6 ms
if TYPE_CHECKING:
    from hashlib import _Hash

    from seamless.step import StepOutput

__all__ = ("LiveOutput",)

STDOUT, STDERR = 1, 2


class LiveOutput:
    """What a command has shown so far.

    quiet: show nothing while it runs. result_is_stdout: the result of the step is what it writes on standard output.
    """

    def __init__(self, *, quiet: bool, result_is_stdout: bool) -> None:
        self._quiet = quiet
        self._tail_result = result_is_stdout and not quiet and os.isatty(STDOUT)
        self._n_shown = 0
        self._shown: _Hash | None = None

    @property
    def shows_stderr(self) -> bool:
        return not self._quiet

    def for_step(self) -> StepOutput:
        """Return where the running step delivers its output."""
        from seamless.step import StepOutput

        if self._quiet:
            return StepOutput(stdout=_drop, stderr=_drop)
        return StepOutput(
            stdout=lambda piece: write_all(STDOUT, [piece]),
            stderr=lambda piece: write_all(STDERR, [piece]),
            result=self._show_result if self._tail_result else None,
        )

    def _show_result(self, piece: bytes) -> None:
        if self._shown is None:
            import hashlib

            self._shown = hashlib.sha256()
        write_all(STDOUT, [piece])
        self._shown.update(piece)
        self._n_shown += len(piece)

    def finish(self, parts: Iterable[bytes | memoryview]) -> None:
        """Write the result to standard output, but for what was shown of it already."""
        if self._shown is None:
            write_all(STDOUT, parts)
            return
        import hashlib

        content = b"".join(parts)
        if hashlib.sha256(content[: self._n_shown]).digest() == self._shown.digest():
            write_all(STDOUT, [memoryview(content)[self._n_shown :]])
            return
        write_all(STDOUT, [content])


def _drop(piece: bytes) -> None:
    """Nobody is to see it."""

"""What a command says on standard error: its story, never its answer."""

from __future__ import annotations

import sys

TYPE_CHECKING = False  # importing typing costs a command 6 ms
if TYPE_CHECKING:
    from typing import TextIO

__all__ = ("Messages",)

BOX_WIDTH = 60


class Messages:
    """Messages with a level; those above the verbosity are not shown.

    program: stands before each message. verbosity: -1 (`-q`), 0, or the number of `-v`.
    """

    __slots__ = ("program", "stream", "verbosity")

    def __init__(self, program: str, verbosity: int = 0, stream: TextIO | None = None) -> None:
        self.program = program
        self.verbosity = verbosity
        self.stream = stream

    def say(self, level: int, text: str) -> None:
        """Print the message if the verbosity is `level` or more; boxed from `level` + 2 on."""
        if self.verbosity < level:
            return
        if self.verbosity >= level + 2:
            rule = "*" * BOX_WIDTH
            lines = [rule, *text.splitlines(), rule]
            text = "\n".join(f"* {line}" if line != rule else line for line in lines)
            text = "\n".join(f"{self.program}: {line}" for line in text.splitlines())
        else:
            text = f"{self.program}: {text}"
        self._print(text)

    def error(self, text: str, hint: str | None = None) -> None:
        """Print a fatal error: an empty line, `ERROR: <text>`, and the hint."""
        self._print(f"\nERROR: {text}" + (f"\nhint:  {hint}" if hint else ""))

    def _print(self, text: str) -> None:
        stream = self.stream or sys.stderr
        try:
            print(text, file=stream, flush=True)
        except UnicodeEncodeError:
            encoding = getattr(stream, "encoding", None) or "ascii"
            print(text.encode(encoding, "backslashreplace").decode(encoding), file=stream, flush=True)

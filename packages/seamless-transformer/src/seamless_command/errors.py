"""What a command of the shell refuses, with the remedy."""

from __future__ import annotations

from seamless.errors import SeamlessError

__all__ = ("ShellError",)


class ShellError(SeamlessError):
    """A command cannot do what it was asked to.

    hint: the next thing to type, or what to change; None when the text says it all.
    exit_code: of the whole command.

    Remedy: the line that begins with `hint:` names it.
    """

    def __init__(self, message: str, *, hint: str | None = None, exit_code: int = 1) -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint
        self.exit_code = exit_code

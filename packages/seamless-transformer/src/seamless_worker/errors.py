"""The exceptions of running a step, one class per cause."""

from __future__ import annotations

from seamless.errors import SeamlessError

__all__ = ("SeamlessStreamTransformationError", "StepResultError", "UnsupportedLanguage")

_FRAME = "*" * 49


class SeamlessStreamTransformationError(RuntimeError):
    """The command of a bash step failed, or left no usable RESULT.

    returncode: exit status of the command; negative is the signal that killed it; None when the
        command itself succeeded.

    Remedy: read the standard error in the message; run the command by hand with the same inputs if that is not enough.
    """

    def __init__(self, reason: str, command: str, *, returncode: int | None = None, stderr: str = "") -> None:
        self.reason = reason
        self.command = command
        self.returncode = returncode
        self.stderr = stderr
        super().__init__(reason, command)

    def __str__(self) -> str:
        text = (
            "\nBash transformer exception\n==========================\n\n"
            f"Error: {self.reason}\n\n"
            f"{_FRAME}\n* Command\n{_FRAME}\n{self.command}\n{_FRAME}\n"
        )
        if self.stderr:
            text += f"{_FRAME}\n* Standard error\n{_FRAME}\n{self.stderr.rstrip()}\n{_FRAME}\n"
        return text

    def __reduce__(self) -> tuple[object, ...]:
        return (_rebuild_stream_error, (self.reason, self.command, self.returncode, self.stderr))


def _rebuild_stream_error(
    reason: str, command: str, returncode: int | None, stderr: str
) -> SeamlessStreamTransformationError:
    return SeamlessStreamTransformationError(reason, command, returncode=returncode, stderr=stderr)


class StepResultError(TypeError):
    """What the step returned cannot be stored with its result celltype.

    Remedy: return a value that the result celltype can hold, or declare another: `step.celltypes.result = 'mixed'`.
    """


class UnsupportedLanguage(SeamlessError, NotImplementedError):
    """Nothing installed here runs steps in this language.

    Remedy: write the step in Python or bash, or run it where its language is installed.
    """

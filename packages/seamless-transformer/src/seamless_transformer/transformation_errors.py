"""Errors of running steps, one class per cause."""

from __future__ import annotations

from functools import lru_cache

from seamless.errors import SeamlessError, StepError

__all__ = ("StepCycleError", "TransformationError", "error_like")


class TransformationError(SeamlessError, RuntimeError):
    """A transformation has no result: it failed, was cancelled, or was not computed.

    When the step's own code raised, `__cause__` is that exception with the traceback of the user's lines, and the
    error is also an instance of its class: `except ZeroDivisionError` works as without Seamless.
    """

    stdout: str = ""
    stderr: str = ""

    def __init__(self, message: str) -> None:
        super().__init__(message)
        self.message = message

    def __str__(self) -> str:
        return self.message


class StepCycleError(SeamlessError, RuntimeError):
    """A step needs its own result.

    Remedy: change the arguments of the inner call, or call the plain function instead of the step.
    """


@lru_cache(maxsize=256)
def _combined(cause: type[BaseException]) -> type[TransformationError]:
    if not issubclass(cause, Exception) or issubclass(TransformationError, cause):
        return TransformationError
    try:
        return type("TransformationError", (TransformationError, cause), {"__module__": __name__})
    except TypeError:  # the two classes have incompatible layouts
        return TransformationError


def error_like(message: str, failure: StepError | None) -> TransformationError:
    """Make the error to raise for a failed step, also an instance of what its code raised."""
    if failure is None or failure.exception is None:
        return TransformationError(message)
    kind = _combined(type(failure.exception))
    error = kind.__new__(kind)
    Exception.__init__(error, message)
    error.message = message
    error.stdout = failure.stdout
    error.stderr = failure.stderr
    error.__cause__ = failure.exception
    return error

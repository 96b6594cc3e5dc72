"""Errors of running steps, one class per cause."""

from __future__ import annotations

from functools import lru_cache
from types import GetSetDescriptorType, MemberDescriptorType
from typing import TYPE_CHECKING, Any

from seamless.errors import SeamlessError

if TYPE_CHECKING:
    from .failure import Failure

__all__ = ("StepCycleError", "TransformationError", "error_like")


class TransformationError(SeamlessError, RuntimeError):
    """A transformation has no result: it failed, was cancelled, or was not computed.

    When the step's own code raised, `__cause__` is that exception with the traceback of the user's lines, and the
    error is also an instance of its class, with its attributes: `except ZeroDivisionError` works as without Seamless.

    Remedy: correct the code, the argument or the environment that the message names, and call the step again (for the
    same transformation: `clear_exception()`, then `run()`); a failure is not cached.
    """

    stdout: str = ""
    stderr: str = ""

    def __init__(self, message: str) -> None:
        super().__init__(message)
        self._text = message

    @property
    def message(self) -> str:
        """The whole text, the step's traceback and output included."""
        return self._text

    def __str__(self) -> str:
        return self._text

    def __reduce__(self) -> tuple[object, ...]:
        return _rebuilt, (self.message, self.__cause__, self.stdout, self.stderr)


class StepCycleError(SeamlessError, RuntimeError):
    """A step needs its own result.

    Remedy: change the arguments of the inner call, or call the plain function instead of the step.
    """


def error_like(message: str, failure: Failure) -> TransformationError:
    """Make the error to raise for a failed step, also an instance of what its code raised."""
    return _rebuilt(message, failure.cause, failure.stdout, failure.stderr)


def _rebuilt(message: str, cause: BaseException | None, stdout: str, stderr: str) -> TransformationError:
    error = TransformationError(message) if cause is None else _instance_like(cause, message)
    error.stdout = stdout
    error.stderr = stderr
    error.__cause__ = cause
    return error


def _instance_like(cause: BaseException, message: str) -> TransformationError:
    cause_class: Any = type(cause)
    kind: Any = _combined(cause_class)
    if kind is TransformationError:
        return TransformationError(message)
    error = _made(kind, cause_class, cause.args)
    if error is None:
        return TransformationError(message)
    for name, value in _attributes(cause):
        try:
            setattr(error, name, value)
        except (AttributeError, TypeError):  # read-only
            continue
    Exception.__init__(error, message)
    error._text = message
    return error


def _made(kind: Any, own: Any, args: tuple[object, ...]) -> TransformationError | None:
    """Return an instance of `kind` without calling `__init__`; None when its classes do not allow that."""
    attempts: tuple[tuple[Any, tuple[object, ...]], ...] = (
        (kind, ()),
        (own, ()),  # OSError insists on its own __new__
        (own, args),  # ExceptionGroup wants its arguments
    )
    for maker, arguments in attempts:
        try:
            error: TransformationError = maker.__new__(kind, *arguments)
        except Exception:  # whatever that class does: the plain error still tells everything
            continue
        return error
    return None


@lru_cache(maxsize=256)
def _combined(cause: Any) -> type[TransformationError]:
    """cause: a class of exceptions (Any: a class is hashable, which mypy does not see)."""
    if issubclass(cause, TransformationError):  # a step inside the step failed
        kind: type[TransformationError] = cause
        return kind
    if not issubclass(cause, Exception) or issubclass(TransformationError, cause):
        return TransformationError
    try:
        return type(
            "TransformationError",
            (TransformationError, cause),
            {"__module__": __name__, "__hash__": object.__hash__},
        )
    except Exception:  # incompatible layouts, or a base that wants no subclass: no reason to hide the failure
        return TransformationError


def _attributes(exception: BaseException) -> list[tuple[str, object]]:
    """Return the attributes of an exception that its class defines in C or by slots, and those of its `__dict__`."""
    found: dict[str, object] = {}
    for kind in type(exception).__mro__[:-2]:  # without BaseException and object
        for name, descriptor in vars(kind).items():
            if type(descriptor) in (MemberDescriptorType, GetSetDescriptorType) and not name.startswith("__"):
                try:
                    found.setdefault(name, getattr(exception, name))
                except (AttributeError, TypeError):  # never set
                    continue
    found.update(getattr(exception, "__dict__", {}))
    return list(found.items())

"""Why a transformation has no result."""

from __future__ import annotations

from dataclasses import dataclass

from seamless.errors import StepError

__all__ = ("Failure",)

_FRAME = "*" * 49


@dataclass(frozen=True, slots=True)
class Failure:
    """A failure as text for `.exception`, and as what `run()` raises from it.

    cause: what the step's code raised, or what the machinery raised on its behalf.
    """

    text: str
    cause: BaseException | None = None
    stdout: str = ""
    stderr: str = ""
    in_construction: bool = False

    @classmethod
    def of_construction(cls, text: str, origin: Failure | BaseException | None = None) -> Failure:
        """Make the failure of a step that could not be identified, because of another failure or an exception."""
        if not text.endswith("\n"):
            text += "\n"
        if isinstance(origin, Failure):
            return cls(text, origin.cause, origin.stdout, origin.stderr, True)
        return cls(text, origin, in_construction=True)

    @classmethod
    def of_step(cls, error: StepError) -> Failure:
        """Make the failure of a step whose code raised."""
        text = error.user_traceback
        if not text.endswith("\n"):
            text += "\n"
        for title, printed in (("Standard output", error.stdout), ("Standard error", error.stderr)):
            if printed.strip():
                text += f"{_FRAME}\n* {title}\n{_FRAME}\n{printed.rstrip()}\n{_FRAME}\n"
        return cls(text, error.exception, error.stdout, error.stderr)

    @classmethod
    def of_machinery(cls, error: BaseException) -> Failure:
        """Make the failure of a step that could not be run, looked up or recorded."""
        if isinstance(error, StepError):
            return cls.of_step(error)
        return cls(f"{type(error).__name__}: {error}\n", error)

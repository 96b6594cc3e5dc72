"""Why a service did not start, or ended."""

from __future__ import annotations

__all__ = ("StartFailed",)


class StartFailed(Exception):
    """A service cannot start: the port, the data, the options or the token do not allow it.

    message: what was attempted, and why it cannot be. hint: what to do next.

    Remedy: do what the hint says; the status file and the log hold both.
    """

    def __init__(self, message: str, *, hint: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint

    def __reduce__(self) -> tuple[object, ...]:
        return (_rebuild, (type(self), self.message, self.hint))


def _rebuild(cls: type[StartFailed], message: str, hint: str) -> StartFailed:
    return cls(message, hint=hint)

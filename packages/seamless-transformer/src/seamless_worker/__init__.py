"""Run one step on this machine: Python or bash code, its inputs, its output, its cost."""

from __future__ import annotations

from typing import TYPE_CHECKING

from .errors import SeamlessStreamTransformationError, StepResultError, UnsupportedLanguage

if TYPE_CHECKING:
    from .run import run_step

__all__ = ("SeamlessStreamTransformationError", "StepResultError", "UnsupportedLanguage", "run_step")


def __getattr__(name: str) -> object:
    """Load what runs steps when a step runs: looking one up does not need it."""
    if name == "run_step":
        from .run import run_step

        globals()[name] = run_step
        return run_step
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")

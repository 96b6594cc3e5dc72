"""Run one step on this machine: Python or bash code, its inputs, its output, its cost."""

from __future__ import annotations

from .errors import SeamlessStreamTransformationError, StepResultError, UnsupportedLanguage
from .run import run_step

__all__ = ("SeamlessStreamTransformationError", "StepResultError", "UnsupportedLanguage", "run_step")

"""The entry point: run one step on the caller's thread."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from . import running
from .errors import UnsupportedLanguage
from .python_step import run_python

if TYPE_CHECKING:
    from seamless.step import StepOutcome, StepRequest

    from .running import RunningStep

__all__ = ("run_step",)


def run_step(request: StepRequest) -> StepOutcome:
    """Run the step here and return its outcome; no event loop and no other thread is involved.

    Raises StepError when the step itself fails, whatever its code raises (SystemExit included); only a
    KeyboardInterrupt passes unchanged, after cleaning up. Raises CancelledError when the request was
    cancelled and the command of a bash step was stopped for it; a Python step cannot be stopped.
    CacheMissError and any other exception mean that the step could not be run properly.

    Safe on many threads at once. A step may run steps.
    """
    language = request.transformation.get("__language__", "python")
    runner: Callable[[StepRequest, RunningStep], StepOutcome]
    if language == "python":
        runner = run_python
    elif language == "bash":
        from .bash_step import run_bash

        runner = run_bash
    else:
        raise UnsupportedLanguage(
            f"step {request.tf_checksum} is written in {language!r}; only 'python' and 'bash' steps run here"
        )
    step = running.enter()
    try:
        return runner(request, step)
    finally:
        running.leave(step)

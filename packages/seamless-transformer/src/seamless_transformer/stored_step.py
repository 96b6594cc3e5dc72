"""Run one step that is given as a transformation dictionary, and record it.

What the dictionary says is the whole step: its identity is computed here, never taken from the caller. It runs on the
caller's thread (or in the executor of the active set), so Ctrl-C reaches it.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from contextlib import nullcontext
from typing import TYPE_CHECKING, Any, NamedTuple

from seamless.checksum import Checksum
from seamless.errors import SeamlessError, StepError
from seamless.resolution import find_buffer
from seamless.step import StepRequest

from .counters import counting
from .identity import identity_text
from .input_reading import input_reader
from .recording import record_outcome
from .shared_runs import StepTurn, is_announced

if TYPE_CHECKING:
    from contextlib import AbstractContextManager

    from seamless.active import ActiveSet
    from seamless.buffer import Buffer
    from seamless.ports import Executor
    from seamless.step import ResourceUsage, StepHolder, StepOutcome, StepOutput

__all__ = (
    "FinishedStep",
    "NotATransformation",
    "check_transformation",
    "look_up",
    "run_transformation",
)

_HEX_DIGITS = frozenset("0123456789abcdef")
POLL_S = 0.05  # how often a step that runs elsewhere is asked whether it is still wanted


class NotATransformation(SeamlessError, ValueError):
    """A dictionary, or the content of a file or buffer, does not describe a step.

    Remedy: give the checksum or the file of a transformation: `seamless-run --dry -j DIR` writes one.
    """


class FinishedStep(NamedTuple):
    """What a step gave.

    result: the checksum that stands; another run's, if that one was recorded first.
    buffer: of the result; None if it is not at hand. executed: whether the step ran here. usage: what it cost then.
    """

    tf_checksum: Checksum
    result: Checksum
    buffer: Buffer | None
    executed: bool
    usage: ResourceUsage | None


def look_up(tf_checksum: Checksum, active: ActiveSet) -> Checksum | None:
    """Return the recorded result of a step, or None."""
    result = active.results.get(tf_checksum)
    if result is not None:
        counting.add("hits")
    return result


def run_transformation(
    transformation: Mapping[str, Any],
    *,
    active: ActiveSet,
    scratch: bool = False,
    allow_input_fingertip: bool = False,
    read_input: Callable[[Checksum], Buffer | None] | None = None,
    output: StepOutput | None = None,
    cancelled: Callable[[], bool] = lambda: False,
    waiting: Callable[[StepHolder], object] | None = None,
    announce: bool | None = None,
    around: Callable[[Callable[[], bool]], AbstractContextManager[object]] | None = None,
) -> FinishedStep:
    """Run the step, whether or not its result is known, and record what it gave.

    If another process that shares the cache runs it at the moment, this one waits for that result; without `scratch`,
    its buffer must be at hand then.

    transformation: pins and dunder keys; those outside the identity (`__meta__`, `__env__`, pins called `META__*`)
        count for the run only.
    scratch: keep the result out of the store. Its checksum is recorded, and so is what computes it again.
    allow_input_fingertip: compute missing inputs again.
    read_input: asked first for inputs; those that it gives are stored.
    output: gets what a command prints, while it runs.
    cancelled: asked now and then; a step for which it turned true is not recorded.
    waiting: told which process is waited for; what it raises ends the wait.
    announce: let other processes know that this one runs the step, and wait for theirs. None: if it is a bash step.
    around: called with what tells whether another process asks to stop the step; entered while the step runs. A
        command needs none, it is stopped anyway.

    Raises StepError when the step fails, whose `exception` is a SeamlessStreamTransformationError when a command
    does; CacheMissError when an input is missing; CancelledError; NotATransformation; UnsupportedLanguage.
    """
    check_transformation(transformation)
    text = identity_text(transformation)
    tf_checksum = _checksum_of(text)
    given: dict[Checksum, Buffer] = {}

    def at_hand(checksum: Checksum) -> Buffer | None:
        buffer = given.get(checksum)
        if buffer is None and read_input is not None:
            buffer = read_input(checksum)
            if buffer is not None:
                given[checksum] = buffer
        return buffer

    meta = transformation.get("__meta__") or {}
    executor = None if meta.get("local") is True else active.executor
    entered = active.work.enter()
    try:
        turn = StepTurn(
            tf_checksum,
            active,
            what=f"{transformation['__language__']} step",
            announce=is_announced(transformation["__language__"]) if announce is None else announce,
            cancelled=cancelled,
            accept=lambda result: scratch or find_buffer(result, active) is not None,
            waiting=waiting,
        )
        with turn:
            if turn.known is not None:
                counting.add("shared")
                return FinishedStep(tf_checksum, turn.known, find_buffer(turn.known, active), False, None)

            def is_unwanted() -> bool:
                return cancelled() or turn.cancel_requested()

            request = StepRequest(
                tf_checksum=tf_checksum,
                transformation=transformation,
                read_buffer=input_reader(
                    active,
                    at_hand,
                    last_resort=_recompute_in(active)
                    if allow_input_fingertip or meta.get("allow_input_fingertip")
                    else None,
                ),
                read_path=active.buffers.path,
                cancelled=is_unwanted,
                output=output,
            )
            with nullcontext() if around is None else around(turn.cancel_requested):
                outcome = _run(request, executor)
            if is_unwanted():
                raise _cancellation(tf_checksum)
            result = record_outcome(
                active, tf_checksum, outcome, text=text, inputs=_unstored(given, active), scratch=scratch
            )
    finally:
        if entered:
            active.work.leave()
    counting.add("executed")
    is_ours = result == outcome.result.get_checksum()
    buffer = outcome.result if is_ours else find_buffer(result, active)
    return FinishedStep(tf_checksum, result, buffer, True, outcome.usage)


def check_transformation(transformation: object) -> None:
    """Raise NotATransformation unless this is the dictionary of a step; UnknownDunderKey for a key nobody knows."""
    if not isinstance(transformation, Mapping):
        raise NotATransformation(
            f"a transformation is a dictionary of pins, not {type(transformation).__name__} {transformation!r:.80}"
        )
    output = transformation.get("__output__")
    if not isinstance(transformation.get("__language__"), str) or not (
        isinstance(output, list | tuple) and len(output) == 3 and isinstance(output[1], str)
    ):
        raise NotATransformation(
            "a transformation says in which language it is written (__language__) and what it gives "
            f'(__output__, such as ["result", "mixed", null]); this has {sorted(map(str, transformation))!r:.200}'
        )
    for name, pin in transformation.items():
        if not name.startswith("__"):
            _check_pin(name, pin)
    if "code" not in transformation or transformation["code"][2] is None:
        raise NotATransformation("this transformation has no code: a pin 'code' with a checksum is missing")


def _check_pin(name: str, pin: object) -> None:
    if isinstance(pin, list | tuple) and len(pin) == 3:
        celltype, subcelltype, checksum = pin
        is_null_or_checksum = checksum is None or (
            isinstance(checksum, str) and len(checksum) == 64 and not set(checksum) - _HEX_DIGITS
        )
        is_null_or_text = subcelltype is None or isinstance(subcelltype, str)
        if isinstance(celltype, str) and is_null_or_text and is_null_or_checksum:
            return
    raise NotATransformation(
        f"pin {name!r} of a transformation is [celltype, subcelltype or null, checksum or null], not {pin!r:.120}"
    )


def _run(request: StepRequest, executor: Executor | None) -> StepOutcome:
    from concurrent.futures import CancelledError

    try:
        return _run_here(request) if executor is None else _run_elsewhere(request, executor)
    except CancelledError:
        raise
    except Exception:
        counting.add("failed")
        raise


def _run_here(request: StepRequest) -> StepOutcome:
    from seamless_worker.run import run_step

    try:
        return run_step(request)
    except KeyboardInterrupt as exc:
        if threading.current_thread() is threading.main_thread():
            raise
        # Ctrl-C goes to the main thread only: here the step's own code raised it
        raise StepError(exc, "KeyboardInterrupt\n") from None


def _run_elsewhere(request: StepRequest, executor: Executor) -> StepOutcome:
    from concurrent.futures import wait

    future = executor.submit(request)
    try:
        while not wait([future], POLL_S).done:
            if request.cancelled() and executor.cancel(request):
                raise _cancellation(request.tf_checksum)
    except KeyboardInterrupt:
        executor.cancel(request)
        raise
    return future.result()


def _cancellation(tf_checksum: Checksum) -> Exception:
    from concurrent.futures import CancelledError

    return CancelledError(f"step {tf_checksum} was cancelled")


def _recompute_in(active: ActiveSet) -> Callable[[Checksum], Buffer | None]:
    def recompute_missing(checksum: Checksum) -> Buffer | None:
        from .fingertip import recompute

        return recompute(checksum, active)

    return recompute_missing


def _unstored(given: Mapping[Checksum, Buffer], active: ActiveSet) -> list[Buffer]:
    """Return those of the given buffers that the store lacks."""
    stored = active.buffers.has_many(list(given))
    return [buffer for buffer, is_stored in zip(given.values(), stored, strict=True) if not is_stored]


def _checksum_of(text: bytes) -> Checksum:
    import hashlib

    return Checksum._from_digest(hashlib.sha256(text).digest())

"""Look one step up and, if it is new, run it here and record it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from seamless import Buffer, CacheMissError, Checksum
from seamless.buffer_cache import get_buffer_cache
from seamless.errors import StepError
from seamless.resolution import find_buffer
from seamless.step import StepOutcome, StepRequest

from . import driver
from .counters import counting
from .execution_record import minimal_record
from .running_steps import RunningStep, running_steps

if TYPE_CHECKING:
    from concurrent.futures import Future

    from .transformation import Transformation

__all__ = ("Failure", "request_again", "run_here")


@dataclass(frozen=True, slots=True)
class Failure:
    """Why a transformation has no result."""

    text: str
    step_error: StepError | None = None
    in_construction: bool = False

    @classmethod
    def of_construction(cls, text: str, step_error: StepError | None = None) -> Failure:
        return cls(text if text.endswith("\n") else text + "\n", step_error, True)

    @classmethod
    def of_step(cls, error: StepError) -> Failure:
        text = error.user_traceback if error.user_traceback.endswith("\n") else error.user_traceback + "\n"
        for title, printed in (("Standard output", error.stdout), ("Standard error", error.stderr)):
            if printed.strip():
                line = "*" * 49
                text += f"{line}\n* {title}\n{line}\n{printed.rstrip()}\n{line}\n"
        return cls(text, error)

    @classmethod
    def of_machinery(cls, error: BaseException) -> Failure:
        return cls(f"{type(error).__name__}: {error}\n")


def run_here(transformation: Transformation) -> bool:
    """Give the transformation its result, from the cache or by running it. False: somebody else will finish it."""
    active = transformation._active
    tf_checksum = transformation._tf
    assert tf_checksum is not None
    try:
        known = active.results.get(tf_checksum)
        if known is not None:
            counting.add("hits")
            transformation._succeed(known)
            return True
        parent = running_steps.current()
        step = running_steps.lead_or_follow(tf_checksum, transformation, parent)
    except Exception as exc:  # a store or database that fails is this step's failure, not the driver's
        transformation._fail(Failure.of_machinery(exc))
        return True
    if step is None:
        counting.add("shared")
        return False
    known = active.results.get(tf_checksum)
    if known is not None:  # it ended between the look-up and now
        counting.add("hits")
        _end(step, lambda each: each._succeed(known))
        return True
    executor = None if transformation._definition.local else active.executor
    if executor is None:
        return _run_inline(transformation, step)
    future = executor.submit(_request(transformation, step))
    future.add_done_callback(lambda done: _delivered(transformation, step, done))
    return False


def _run_inline(transformation: Transformation, step: RunningStep) -> bool:
    from seamless_worker import run_step

    transformation._running = step
    former = running_steps.enter(step)
    outcome: StepOutcome | BaseException
    try:
        outcome = run_step(_request(transformation, step))
    except Exception as exc:
        outcome = exc
    except BaseException:
        transformation._running = None
        for follower in running_steps.end(step):
            driver.requeue(follower)
        raise
    finally:
        running_steps.leave(former)
    transformation._running = None
    return _conclude(transformation, step, outcome)


def _delivered(transformation: Transformation, step: RunningStep, future: Future[StepOutcome]) -> None:
    error = future.exception()
    if _conclude(transformation, step, future.result() if error is None else error):
        driver.finish(transformation)


def _conclude(transformation: Transformation, step: RunningStep, outcome: StepOutcome | BaseException) -> bool:
    """Record the outcome and hand it to everybody who waits for it."""
    if step.cancelled:
        if transformation._canceled:
            running_steps.end(step)
            return True
        for follower in running_steps.end(step):  # the run was interrupted, the step not given up
            driver.requeue(follower)
        transformation._canceled = True
        transformation._leave()
        return True
    if isinstance(outcome, BaseException):
        counting.add("failed")
        failure = (
            Failure.of_step(outcome) if isinstance(outcome, StepError) else Failure.of_machinery(outcome)
        )
        _end(step, lambda each: each._fail(failure))
        return True
    try:
        result = _record(transformation, outcome)
    except Exception as exc:  # the result cannot be kept: every waiting call must learn why
        failure = Failure.of_machinery(exc)
        _end(step, lambda each: each._fail(failure))
        return True
    counting.add("executed")
    _end(step, lambda each: each._succeed(result, outcome.result))
    return True


def _end(step: RunningStep, conclude: Callable[[Transformation], None]) -> None:
    followers = running_steps.end(step)
    if not step.leader._canceled:
        conclude(step.leader)
    for follower in followers:
        if not follower._canceled:
            conclude(follower)
        driver.finish(follower)


def request_again(transformation: Transformation) -> StepRequest:
    """Return the request of a step that has ended, to run it once more."""
    assert transformation._tf is not None
    return _request(transformation, RunningStep(transformation._tf, transformation, None))


def _request(transformation: Transformation, step: RunningStep) -> StepRequest:
    definition = transformation._definition
    active = transformation._active
    at_hand = {buffer.get_checksum(): buffer for buffer in transformation._buffers}
    for buffer in definition.fixed_buffers():
        at_hand[buffer.get_checksum()] = buffer

    def read_buffer(checksum: Checksum) -> Buffer:
        buffer = at_hand.get(checksum)
        if buffer is None:
            buffer = find_buffer(checksum, active)
        if buffer is None and (definition.allow_input_fingertip or checksum in transformation._from_steps):
            from .fingertip import recompute

            buffer = recompute(checksum, active)
        if buffer is None:
            raise CacheMissError(checksum)
        return buffer

    dictionary = definition.transformation(transformation._hexes)
    return StepRequest(
        tf_checksum=step.tf_checksum,
        transformation=dictionary,
        read_buffer=read_buffer,
        read_path=active.buffers.path,
        location=definition.location,
        cancelled=lambda: step.cancelled,
    )


def _record(transformation: Transformation, outcome: StepOutcome) -> Checksum:
    """Keep result, inputs and record in one batch; return the result that stands."""
    definition = transformation._definition
    active = transformation._active
    tf_checksum = transformation._tf
    assert tf_checksum is not None
    result = outcome.result.get_checksum()
    template = definition.template(tuple(transformation._hexes))
    text = template.text(list(transformation._hexes.values()))
    buffers = [Buffer._from_parts((text,), tf_checksum), *transformation._buffers]
    if definition.stored_in is not active:
        buffers.extend(definition.fixed_buffers())
    buffers.extend(outcome.attachments)
    if not definition.scratch:
        buffers.append(outcome.result)
    record: dict[str, Any] = minimal_record(
        tf_checksum.hex(), result.hex(), outcome.usage, execution=active.execution, remote=None
    )
    winner = active.results.put(tf_checksum, result, buffers=buffers, record=record)
    definition.stored_in = active
    if winner != result:
        counting.add("conflicts")
    elif not definition.scratch:
        get_buffer_cache().add(result.bytes(), outcome.result)
    return winner

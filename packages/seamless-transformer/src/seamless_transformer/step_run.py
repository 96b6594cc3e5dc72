"""Look one step up and, if it is new, run it here and record it."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import TYPE_CHECKING

from seamless.step import StepOutcome, StepRequest

from . import driver
from .cancellation import cancel
from .counters import counting
from .failure import Failure
from .input_reading import input_reader
from .recording import record_outcome
from .running_steps import RunningStep, running_steps
from .shared_runs import StepTurn, is_announced

if TYPE_CHECKING:
    from concurrent.futures import Future

    from seamless import Buffer, Checksum
    from seamless.ports import Executor

    from .driver import Run
    from .transformation import Transformation

__all__ = ("request_again", "run_here")


def run_here(transformation: Transformation, run: Run | None) -> bool:
    """Give the transformation its result, from the cache or by running it. False: somebody else will finish it.

    Raises what the store, the database or the registry of running steps raises.
    """
    active = transformation._active
    tf_checksum = transformation._tf
    assert tf_checksum is not None
    step = running_steps.lead_or_follow(tf_checksum, transformation, transformation._inside)
    transformation._following = step is None
    if step is None:
        counting.add("shared")
        return False
    transformation._running = step
    try:
        if transformation._canceled:
            _give_back(step)
            return True
        if run is not None and run._aborted:  # before it could be told to stop
            _give_back(step)
            driver.drop(transformation)
            return False
        # only now: a run that has ended is found, one that goes on is led by somebody else
        known = active.results.get(tf_checksum)
        if known is None:
            executor = None if transformation._definition.local else active.executor
            return (
                _run_inline(transformation, step)
                if executor is None
                else _submit(transformation, step, executor)
            )
    except Exception as exc:  # everybody who waits for this step must learn why it does not come
        return _conclude(transformation, step, exc)
    except BaseException:
        _give_back(step)
        raise
    counting.add("hits")
    result = known
    _end(step, lambda each: each._succeed(result))
    return True


def _submit(transformation: Transformation, step: RunningStep, executor: Executor) -> bool:
    request = _request(transformation, step, lambda: step.stopping)
    step.stop_elsewhere = lambda: executor.cancel(request)
    future = executor.submit(request)
    future.add_done_callback(lambda done: _delivered(transformation, step, done))
    return False


def _delivered(transformation: Transformation, step: RunningStep, future: Future[StepOutcome]) -> None:
    outcome: StepOutcome | BaseException | None
    if future.cancelled():
        from concurrent.futures import CancelledError

        step.stopping = True
        outcome = CancelledError()
    else:
        outcome = future.exception() or future.result()
    if _conclude(transformation, step, outcome):
        driver.finish(transformation)


def _run_inline(transformation: Transformation, step: RunningStep) -> bool:
    definition = transformation._definition
    turn = StepTurn(
        step.tf_checksum,
        transformation._active,
        what=f"step {definition.name!r}",
        announce=is_announced(definition.language),
        cancelled=lambda: step.stopping,
    )
    with turn:
        result = turn.known
        if result is not None:
            counting.add("shared")
            _end(step, lambda each: each._succeed(result))
            return True
        return _conclude(transformation, step, _outcome(transformation, step, turn))


def _outcome(
    transformation: Transformation, step: RunningStep, turn: StepTurn
) -> StepOutcome | BaseException:
    from seamless_worker.run import run_step

    def is_unwanted() -> bool:
        if not step.stopping and turn.cancel_requested():
            cancel(transformation, recursive=False)
        return step.stopping

    former = running_steps.enter(step)
    try:
        return run_step(_request(transformation, step, is_unwanted))
    except Exception as exc:
        return exc
    except BaseException as exc:
        if threading.current_thread() is threading.main_thread():
            raise
        return exc  # Ctrl-C goes to the main thread only: here the step's own code raised it
    finally:
        running_steps.leave(former)


def _give_back(step: RunningStep) -> None:
    """Let those who wait for the step run it themselves."""
    step.leader._running = None
    for follower in running_steps.end(step):
        driver.requeue(follower)


def _conclude(
    transformation: Transformation, step: RunningStep, outcome: StepOutcome | BaseException
) -> bool:
    """Record the outcome and hand it to everybody who waits for it. False: the step was interrupted, not given up."""
    transformation._running = None
    if step.cancelled:
        running_steps.end(step)
        return True
    if step.stopping and _is_cancellation(outcome):
        _give_back(step)
        driver.drop(transformation)
        return False
    if isinstance(outcome, BaseException):
        counting.add("failed")
        failure = Failure.of_machinery(outcome)
    else:
        try:
            result = _record(transformation, outcome)
        except Exception as exc:  # the result cannot be kept: every waiting call must learn why
            failure = Failure.of_machinery(exc)
        else:
            counting.add("executed")
            buffer = outcome.result if result == outcome.result.get_checksum() else None
            _end(step, lambda each: each._succeed(result, buffer))
            return True
    _end(step, lambda each: each._fail(failure))
    return True


def _is_cancellation(outcome: StepOutcome | BaseException) -> bool:
    if not isinstance(outcome, Exception):
        return False
    from concurrent.futures import CancelledError

    return isinstance(outcome, CancelledError)


def _end(step: RunningStep, conclude: Callable[[Transformation], None]) -> None:
    followers = running_steps.end(step)
    step.leader._running = None
    if not step.leader._canceled:
        conclude(step.leader)
    for follower in followers:
        if not follower._canceled:
            conclude(follower)
        driver.finish(follower)


def request_again(transformation: Transformation) -> StepRequest:
    """Return the request of a step that has ended, to run it once more."""
    assert transformation._tf is not None
    step = RunningStep(transformation._tf, transformation, None)
    return _request(transformation, step, lambda: step.stopping)


def _request(transformation: Transformation, step: RunningStep, cancelled: Callable[[], bool]) -> StepRequest:
    definition = transformation._definition
    active = transformation._active
    at_hand = {buffer.get_checksum(): buffer for buffer in transformation._buffers}
    for buffer in definition.fixed_buffers():
        at_hand[buffer.get_checksum()] = buffer

    def last_resort(checksum: Checksum) -> Buffer | None:
        from_steps = transformation._from_steps
        buffer = from_steps.get(checksum)
        if buffer is None and (definition.allow_input_fingertip or checksum in from_steps):
            from .fingertip import recompute

            buffer = recompute(checksum, active)
        return buffer

    dictionary = definition.transformation(transformation._hexes)
    return StepRequest(
        tf_checksum=step.tf_checksum,
        transformation=dictionary,
        read_buffer=input_reader(active, at_hand.get, last_resort=last_resort),
        read_path=active.buffers.path,
        location=definition.location,
        cancelled=cancelled,
    )


def _record(transformation: Transformation, outcome: StepOutcome) -> Checksum:
    """Keep result, inputs and record in one batch; return the result that stands."""
    definition = transformation._definition
    active = transformation._active
    tf_checksum = transformation._tf
    assert tf_checksum is not None
    template = definition.template(tuple(transformation._hexes))
    inputs = list(transformation._buffers)
    if definition.stored_in is not active:
        inputs.extend(definition.fixed_buffers())
    winner = record_outcome(
        active,
        tf_checksum,
        outcome,
        text=template.text(list(transformation._hexes.values())),
        inputs=inputs,
        scratch=definition.scratch,
    )
    definition.stored_in = active
    return winner

"""Compute a buffer again from a step that is known to produce it.

Depth first through missing inputs, with a depth limit and a guard against cycles. Nothing is recorded: the result
is checked against the checksum that was asked for, and kept in memory only.
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

from seamless import Buffer, CacheMissError, Checksum
from seamless.active import get_active
from seamless.buffer_cache import get_buffer_cache
from seamless.errors import ResultConflict, SeamlessError, StepError
from seamless.resolution import find_buffer
from seamless.step import StepRequest

from .counters import counting
from .execution_record import minimal_record
from .input_reading import input_reader

if TYPE_CHECKING:
    from seamless.active import ActiveSet

    from .transformation import Transformation

__all__ = ("MAX_DEPTH", "FingertipDepthError", "FingertipWatch", "recompute", "recompute_result")

MAX_DEPTH = 100  # steps recomputed for one another; deeper chains need a stored result in between


class FingertipDepthError(CacheMissError):
    """A buffer could only be recomputed through a chain of more steps than the limit.

    Remedy: compute one of the steps in between without scratch, so that its result is stored.
    """


class FingertipWatch:
    """Told of every step that is tried; this one takes no note."""

    def starting(self, wanted: Checksum, tf_checksum: Checksum) -> None:
        """The step `tf_checksum` is about to run, because it once gave the buffer `wanted`."""

    def failed(self, wanted: Checksum, tf_checksum: Checksum, reason: str) -> None:
        """The step did not give the buffer; `reason` is a sentence."""


def recompute(
    checksum: Checksum, active: ActiveSet | None = None, watch: FingertipWatch | None = None
) -> Buffer | None:
    """Return the buffer from a new run of a step that once produced it; None when there is no such step.

    Raises FingertipDepthError.
    """
    return _Search(active or get_active(), watch or FingertipWatch()).recompute(checksum, ())


class _Search:
    """One search for a way to compute a buffer; remembers what is out of reach, so that no way is tried twice."""

    def __init__(self, active: ActiveSet, watch: FingertipWatch) -> None:
        self._active = active
        self._watch = watch
        self._out_of_reach: set[Checksum] = set()
        self._n_cycles = 0

    def recompute(self, checksum: Checksum, path: tuple[Checksum, ...]) -> Buffer | None:
        if checksum in path:
            self._n_cycles += 1
            return None
        if checksum in self._out_of_reach:
            return None
        n_cycles = self._n_cycles
        buffer = self._recompute(checksum, path)
        if buffer is None and self._n_cycles == n_cycles:  # not only because of where we came from
            self._out_of_reach.add(checksum)
        return buffer

    def _recompute(self, checksum: Checksum, path: tuple[Checksum, ...]) -> Buffer | None:
        if len(path) >= MAX_DEPTH:
            raise FingertipDepthError(
                path[0],
                f"buffer {path[0]} can only be recomputed through a chain of more than {MAX_DEPTH} steps whose "
                "results are all missing. Compute one of the steps in between without scratch, so that its result "
                "is stored.",
            )
        inner_path = (*path, checksum)
        for tf_checksum in self._active.results.reverse(checksum):
            try:
                transformation = _read_transformation(tf_checksum, self._active)
                inputs = self._read_inputs(transformation, inner_path)
                self._watch.starting(checksum, tf_checksum)
                buffer = _run_again(tf_checksum, transformation, inputs, self._active)
                if buffer.get_checksum() != checksum:
                    raise _NoWay(
                        f"it gave {buffer.get_checksum()} this time: it is not reproducible, here at least"
                    )
            except _NoWay as exc:
                self._watch.failed(checksum, tf_checksum, str(exc))
                continue
            get_buffer_cache().add(checksum.bytes(), buffer)
            return buffer
        return None

    def _read_inputs(
        self, transformation: dict[str, Any], path: tuple[Checksum, ...]
    ) -> dict[Checksum, Buffer]:
        inputs: dict[Checksum, Buffer] = {}
        for name, pin in transformation.items():
            if name.startswith("__") or pin[2] is None:
                continue
            checksum = Checksum(pin[2])
            buffer = find_buffer(checksum, self._active)
            if buffer is None:
                buffer = self.recompute(checksum, path)
            if buffer is None:
                raise _NoWay(f"its input {name!r} ({checksum}) is nowhere, and could not be computed again")
            inputs[checksum] = buffer
        return inputs


class _NoWay(Exception):
    """This step does not lead to the buffer; another one may."""


def _read_transformation(tf_checksum: Checksum, active: ActiveSet) -> dict[str, Any]:
    buffer = find_buffer(tf_checksum, active)
    if buffer is None:
        raise _NoWay("its definition is nowhere")
    from .stored_step import check_transformation

    try:
        transformation = buffer.get_value("plain")
        if isinstance(transformation, dict):
            check_transformation(transformation)
            return transformation
    except (TypeError, ValueError):
        pass
    raise _NoWay("its definition is damaged")


def _run_again(
    tf_checksum: Checksum, transformation: dict[str, Any], inputs: dict[Checksum, Buffer], active: ActiveSet
) -> Buffer:
    from seamless_worker.run import run_step

    request = StepRequest(
        tf_checksum=tf_checksum,
        transformation=transformation,
        read_buffer=input_reader(active, inputs.get),
        read_path=active.buffers.path,
    )
    try:
        outcome = run_step(request)
    except StepError as exc:
        lines = exc.user_traceback.strip().splitlines() or ["no reason given"]
        raise _NoWay(f"it failed: {lines[-1].strip()}") from exc
    except SeamlessError as exc:  # an input of it is missing, or its language does not run here
        raise _NoWay(f"it cannot run here: {exc}") from exc
    counting.add("executed")
    for attachment in outcome.attachments:
        get_buffer_cache().add(attachment.get_checksum().bytes(), attachment)
    return outcome.result


def recompute_result(transformation: Transformation) -> Buffer:
    """Return the result buffer of a finished step whose buffer is gone.

    If its code does not give the recorded result any more, the record is contested and the new result stands: a result
    that nobody can read is worth nothing. Raises CacheMissError when an input is missing too.
    """
    from .step_run import request_again

    recorded = transformation.result_checksum
    active = transformation._active
    # the environment is no part of what a store knows of a step: with one, only the step itself can run again
    in_environment = transformation._definition.environment is not None
    buffer = None if in_environment else recompute(recorded, active)
    if buffer is not None:
        if not transformation.scratch:
            active.buffers.put(buffer)  # it was stored once, and is missing or damaged there
        return buffer
    from seamless_worker.run import run_step

    request = request_again(transformation)
    try:
        outcome = run_step(request)
    except StepError as exc:
        raise CacheMissError(
            recorded,
            f"the result {recorded} of step {transformation._definition.name!r} is recorded, but its buffer is gone, "
            f"and running the step again failed:\n{exc.user_traceback}",
        ) from exc.exception
    counting.add("executed")
    buffer = outcome.result
    checksum = buffer.get_checksum()
    if checksum != recorded:
        print(
            f"seamless: step {transformation._definition.name!r} ({request.tf_checksum}): the buffer of its recorded "
            f"result {recorded} is gone and a new run gave {checksum}; the new result replaces it.",
            file=sys.stderr,
        )
        counting.add("conflicts")
        try:
            active.results.contest(request.tf_checksum, recorded)
        except ResultConflict:  # somebody else has replaced it meanwhile: that one stands
            other = active.results.get(request.tf_checksum)
            replaced = None if other is None else find_buffer(other, active)
            if other is not None and replaced is not None:
                transformation._result = other
                return replaced
        record = minimal_record(
            request.tf_checksum.hex(), checksum.hex(), outcome.usage, execution=active.execution, remote=None
        )
        buffers = [*outcome.attachments, *(() if transformation.scratch else (buffer,))]
        transformation._result = active.results.put(
            request.tf_checksum, checksum, buffers=buffers, record=record
        )
    elif not transformation.scratch:
        active.buffers.put_many([*outcome.attachments, buffer])
    get_buffer_cache().add(checksum.bytes(), buffer)
    return buffer

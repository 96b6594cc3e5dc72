"""A step with its arguments: constructed, looked up, run if need be, recorded.

Life cycle: construct (dependencies, then identity) -> compute (result checksum) -> value. The active set is captured
at construction; look-up, execution and record use that one.
"""

from __future__ import annotations

from collections.abc import Generator, Mapping, Sequence
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from seamless import Buffer, CacheMissError, Checksum
from seamless.active import get_active
from seamless.lifecycle import ensure_open
from seamless.resolution import find_buffer

from . import driver
from .arguments import PreparedArguments, all_dependencies
from .cancellation import CANCELED, cancel
from .dependencies import identify, try_to_identify
from .driver import Node, NodeState, Run
from .event_loop import refuse_inside_event_loop
from .failure import Failure
from .running_steps import running_steps
from .step_run import run_here
from .transformation_errors import TransformationError, error_like
from .waiting import drive_all, finished, in_thread, value_of

if TYPE_CHECKING:
    import asyncio

    from seamless.active import ActiveSet

    from .running_steps import RunningStep
    from .step_definition import StepDefinition

__all__ = ("Transformation",)


class Transformation(Node):
    """One step with its arguments. Made by calling a delayed transformer; never directly.

    `run()` computes and returns the value; `await tf` does the same inside an event loop; `start()` begins without
    waiting. A Transformation may be an argument of another step, by itself or inside a list, tuple or dict.
    """

    __slots__ = (
        "_active",
        "_arguments",
        "_buffers",
        "_canceled",
        "_definition",
        "_entered",
        "_failure",
        "_following",
        "_from_steps",
        "_hexes",
        "_inside",
        "_result",
        "_result_buffer",
        "_running",
        "_tf",
    )

    def __init__(self, definition: StepDefinition, arguments: PreparedArguments) -> None:
        super().__init__()
        self._definition = definition
        self._entered = False
        active = get_active()
        while not active.work.enter():  # it was replaced between the two
            active = get_active()
        self._active: ActiveSet = active
        self._entered = True
        self._buffers: list[Buffer] = arguments.keep()
        self._hexes: dict[str, str | None] = dict(zip(arguments.names, arguments.hexes, strict=True))
        self._arguments: PreparedArguments | None = None if arguments.complete else arguments
        if self._arguments is not None:
            self._arguments.payloads = []
        self._from_steps: dict[Checksum, Buffer | None] = {}
        self._tf: Checksum | None = None
        self._result: Checksum | None = None
        self._result_buffer: Buffer | None = None
        self._failure: Failure | None = None
        self._canceled = False
        self._inside = running_steps.current()  # the step whose code made this, for the detection of cycles
        self._following = False  # waits for an identical step that somebody else leads
        self._running: RunningStep | None = None  # while this leads a running step

    def __del__(self) -> None:
        if getattr(self, "_entered", False):
            self._entered = False
            self._active.work.leave()

    def __repr__(self) -> str:
        return f"<Transformation of {self._definition.name!r}, {self.status}>"

    # construction

    def construct(self) -> Checksum | None:
        """Compute the dependencies and return the transformation checksum; None with `.exception` on failure."""
        if self._tf is None and self._failure is None and not self._canceled:
            dependencies = self._dependency_nodes()
            if any(not dependency.finished for dependency in dependencies):
                ensure_open("transformation construction")
                try:
                    refuse_inside_event_loop("tf.construct()", "await tf.construction()")
                except RuntimeError as exc:
                    self._failure = Failure.of_construction(f"RuntimeError: {exc}\n", exc)
                    return None
                drive_all(dependencies)
            try_to_identify(self)
        return self._tf

    async def construction(self) -> Checksum | None:
        """Like `construct`, without blocking the event loop."""
        for dependency in self._dependency_nodes():
            await finished(dependency)
        return self.construct()

    # computation

    def compute(self) -> Checksum | None:
        """Return the result checksum; None with `.exception` set when the step failed."""
        refuse_inside_event_loop("tf.compute()", "await tf.computation()")
        self._compute()
        return self._result

    async def computation(self, require_value: bool = False) -> Checksum | None:
        """Like `compute`, without blocking the event loop; with `require_value`, its value is at hand afterwards."""
        self.start()
        await finished(self)
        if require_value and self._result is not None:
            await in_thread(self._result_buffer_or_recompute)
        return self._result

    def run(self) -> Any:
        """Compute and return the value. Raises TransformationError."""
        refuse_inside_event_loop("tf.run()", "await tf.task()")
        self._compute()
        self._raise_failure()
        return self._result_value()

    def task(self) -> asyncio.Task[Any]:
        """Return a task of the running event loop that gives the value. Cancelling it cancels the step."""
        import asyncio

        task = asyncio.get_running_loop().create_task(value_of(self))
        task.add_done_callback(lambda done: self.cancel() if done.cancelled() else False)
        return task

    def __await__(self) -> Generator[Any, None, Any]:
        return value_of(self).__await__()

    def start(self, loop: asyncio.AbstractEventLoop | None = None) -> Transformation:
        """Begin, with everything it depends on, without waiting; return self. `loop` is not needed."""
        ensure_open("transformation start")
        if self._state == NodeState.IDLE:
            driver.background_run().add([self])
        return self

    def _compute(self, *, width: int | None = None) -> None:
        ensure_open("transformation computation")
        if self._state == NodeState.IDLE and self.run_alone():
            return
        while not self.finished:
            run = Run(width=width)
            run.add([self])
            run.drive(self)

    # what is known

    @property
    def transformation_checksum(self) -> Checksum:
        """Checksum of the step with its arguments. Raises TransformationError before `construct`."""
        if self._tf is None and self._failure is None and not self._unfinished_dependencies():
            try_to_identify(self)
        if self._tf is None:
            if self._canceled:
                raise TransformationError(CANCELED)
            if self._failure is not None:
                raise TransformationError("Transformation construction returned an exception")
            raise TransformationError("Transformation has not been constructed")
        return self._tf

    @property
    def result_checksum(self) -> Checksum:
        """Checksum of the result. Raises TransformationError when there is none."""
        if self._result is not None:
            return self._result
        self._raise_failure()
        if self._state != NodeState.IDLE:
            raise TransformationError("Transformation is still computing")
        if self._tf is None and self._unfinished_dependencies():
            raise TransformationError("Transformation has not been constructed")
        raise TransformationError("Transformation has not been computed")

    @property
    def buffer(self) -> Buffer:
        """The result as a Buffer. Nothing is recomputed: CacheMissError when it is not at hand."""
        checksum = self.result_checksum
        buffer = self._find_result()
        if buffer is None:
            raise CacheMissError(checksum)
        return buffer

    @property
    def value(self) -> Any:
        """The result as a value. Nothing is recomputed."""
        return self.buffer.get_value(self.celltype)

    @property
    def status(self) -> str:
        """One line: ready, pending, OK, exception or canceled."""
        if self._canceled:
            return "Status: canceled"
        if self._failure is not None:
            return "Status: exception"
        if self._result is not None:
            return "Status: OK"
        if self._state == NodeState.IDLE:
            return "Status: ready"
        return "Status: pending"

    @property
    def exception(self) -> str | None:
        """What went wrong, as text: the traceback of the step's own lines, then what it printed."""
        if self._canceled:
            return CANCELED
        return None if self._failure is None else self._failure.text

    @property
    def celltype(self) -> str:
        """Celltype of the result."""
        return self._definition.output_celltype

    @property
    def meta(self) -> Mapping[str, Any]:
        """Settings that travel with the step, read-only; never part of its identity."""
        return MappingProxyType(dict(self._definition.meta))

    @meta.setter
    def meta(self, value: object) -> None:
        raise TransformationError("Transformation definition is immutable")

    @property
    def scratch(self) -> bool:
        """Whether the result is kept out of the store and recomputed when it is needed."""
        return self._definition.scratch

    @scratch.setter
    def scratch(self, value: object) -> None:
        raise TransformationError("Transformation definition is immutable")

    @property
    def allow_input_fingertip(self) -> bool:
        """Whether missing inputs may be recomputed where the step runs."""
        return self._definition.allow_input_fingertip

    @property
    def logs(self) -> str:
        """What the step printed. Not kept for steps that succeed."""
        raise NotImplementedError(
            "what a step prints is shown while it runs, and is part of .exception when it fails; it is not kept"
        )

    def clear_exception(self) -> None:
        """Forget a failure, so that the step can be tried again; without effect once cancelled."""
        if self._failure is not None and not self._canceled:
            self._failure = None
            self._enter()
            driver.reset(self)

    def is_cached(self) -> bool:
        """Ask the results database whether this step has a result. Raises RuntimeError when there is none."""
        self.construct()
        return self._look_up_durable()

    async def is_cached_async(self) -> bool:
        """Like `is_cached`, without blocking the event loop."""
        await self.construction()
        return bool(await in_thread(self._look_up_durable))

    # cancellation

    def cancel(self, recursive: bool = False) -> bool:
        """Give the step up. True if this changed something; False if it had ended or was cancelled already.

        Python code that runs cannot be stopped: its result is dropped. A running command is ended. Everybody who
        waits for the same running step in this process gets the cancellation too.
        """
        return cancel(self, recursive=recursive)

    async def cancel_async(self, recursive: bool = False) -> bool:
        """Like `cancel`."""
        return self.cancel(recursive)

    def _interrupt(self) -> bool:
        running = self._running
        if running is not None:
            running.stop()
        elif self._following:
            return False
        here = running is None or running.stop_elsewhere is None
        return here and self._definition.language != "python"

    # the driver's side

    def _dependency_nodes(self) -> Sequence[Transformation]:
        arguments = self._arguments
        return () if arguments is None else all_dependencies(arguments)

    def _unfinished_dependencies(self) -> bool:
        return any(not dependency.finished for dependency in self._dependency_nodes())

    def _advance(self, run: Run | None) -> bool:
        if self._canceled:
            return True
        try:
            self._enter()
            return not identify(self) or run_here(self, run)
        except Exception as exc:  # whatever fails here (a store, a database, memory) is this step's failure
            self._fail(Failure.of_machinery(exc))
            return True

    def _succeed(self, result: Checksum, buffer: Buffer | None = None) -> None:
        self._result = result
        self._result_buffer = buffer if self._definition.scratch else None
        if self._active.persistent:  # elsewhere this step may be all that can bring an evicted result back
            self._buffers = []
        self._from_steps = dict.fromkeys(self._from_steps)
        self._leave()

    def _fail(self, failure: Failure) -> None:
        self._failure = failure
        self._leave()

    def _enter(self) -> None:
        if not self._entered:
            self._entered = self._active.work.enter()

    def _leave(self) -> None:
        if self._entered:
            self._entered = False
            self._active.work.leave()

    def _look_up_durable(self) -> bool:
        if not self._active.persistent:
            raise RuntimeError(
                "is_cached() asks the results database, and none is configured. Set SEAMLESS_CACHE=DIR, or configure a "
                "cluster and call seamless.config.init()."
            )
        return self._tf is not None and self._active.results.get(self._tf) is not None

    def _find_result(self) -> Buffer | None:
        if self._result_buffer is not None:
            return self._result_buffer
        assert self._result is not None
        return find_buffer(self._result, self._active) or find_buffer(self._result)

    def _result_buffer_or_recompute(self) -> Buffer:
        assert self._result is not None
        buffer = self._find_result()
        if buffer is None:
            from .fingertip import recompute_result

            buffer = recompute_result(self)
        return buffer

    def _result_value(self) -> Any:
        return self._result_buffer_or_recompute().get_value(self.celltype)

    def _raise_failure(self) -> None:
        if self._canceled:
            raise TransformationError(CANCELED)
        failure = self._failure
        if failure is not None:
            what = (
                "Transformation construction returned"
                if failure.in_construction
                else "Transformation returned"
            )
            raise error_like(f"{what} an exception:\n{failure.text}", failure)

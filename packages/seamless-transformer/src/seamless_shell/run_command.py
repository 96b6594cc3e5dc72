"""seamless-run: run a command as a step, or find its result."""

from __future__ import annotations

import sys
import time
from collections.abc import Sequence

from seamless_command.errors import ShellError
from seamless_command.program import EXIT_INTERRUPTED, run_program

from .run_options import parse_run_options, run_parser

TYPE_CHECKING = False  # importing typing costs a command 6 ms
if TYPE_CHECKING:
    import argparse

    from seamless import Buffer, Checksum
    from seamless.errors import StepError
    from seamless.step import StepHolder
    from seamless_command.messages import Messages
    from seamless_command.scope import Scope

    from .prepare import PreparedStep
    from .run_inputs import StepInputs

__all__ = ("main",)

PROGRAM = "seamless-run"


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command; return its exit code."""
    return run_program(PROGRAM, lambda messages: _main(argv, messages))


def _main(argv: Sequence[str] | None, messages: Messages) -> int:
    started_s = time.monotonic()
    options = parse_run_options(argv)
    if options.command[:1] == ["--"]:
        del options.command[0]
    if not options.command:
        print(run_parser().format_usage(), end="")
        return 1
    from seamless_command.scope import require_configuration, scope_of

    from .services import use_services

    messages.verbosity = options.verbosity
    use_services()
    scope = scope_of(options)
    require_configuration(scope, messages)
    step = _prepare(options, messages)
    if options.queue and not step.targets:
        raise ShellError(
            "Submit to a queue, but no capture/download targets. Refuse to print output to screen.",
            hint="give the output a file: -c 'COMMAND > FILE', or -cp :FILE",
        )
    if (options.upload or options.queue or options.write_remote_job) and not scope.has_cluster:
        raise ShellError(
            "--upload or --qsubmit require a cluster", hint="export SEAMLESS_CACHE=/path/to/cache, for one"
        )
    if options.dry or options.queue:
        from .run_dry import prepare_only

        return prepare_only(step, options, scope, messages, sys.argv[1:] if argv is None else argv)
    try:
        return _Run(step, options, scope, messages, started_s).run()
    finally:
        if scope.is_open:
            from seamless.lifecycle import close

            close()


def _prepare(options: argparse.Namespace, messages: Messages) -> PreparedStep:
    from .future_files import wait_for_future
    from .prepare import prepare_step

    return prepare_step(
        options, wait_for_future=lambda path: wait_for_future(path, messages.say), say=messages.say
    )


class _Run:
    """One run of seamless-run, from the look-up on."""

    def __init__(
        self,
        step: PreparedStep,
        options: argparse.Namespace,
        scope: Scope,
        messages: Messages,
        started_s: float,
    ) -> None:
        from .live_output import LiveOutput

        self.step = step
        self.options = options
        self.scope = scope
        self.messages = messages
        self.started_s = started_s
        self.live = LiveOutput(quiet=options.quiet_command, result_is_stdout=not step.targets)

    def run(self) -> int:
        return 0 if self._quick_hit() else self._look_up()

    def _quick_hit(self) -> bool:
        """Deliver a result that lies ready, without opening the stores. False: not so simple."""
        result = self.scope.quick_result(self.step.digest)
        if result is None:
            return False
        content = None if self.options.scratch else self.scope.quick_content(result)
        if self.step.targets and content is not None:
            from .run_results import rewrite_sidecars

            if not rewrite_sidecars(content, self.step.targets, download=not self.options.no_download):
                return False
        elif content is None and not self.options.scratch:
            return False
        self._tell("hit", self.step.digest.hex(), result.hex(), self.scope.location)
        if not self.step.targets and content is not None:
            self.live.finish([content])
        return True

    def _look_up(self) -> int:
        from seamless.checksum import Checksum

        tf_checksum = Checksum(self.step.digest)
        known = self.scope.active.results.get(tf_checksum)
        if known is not None:
            buffer = self._known_buffer(tf_checksum, known)
            if buffer is not None or self.options.scratch:
                self._tell("hit", tf_checksum.hex(), known.hex(), self.scope.active.location)
                return self._deliver(known, buffer)
        return self._execute(tf_checksum)

    def _known_buffer(self, tf_checksum: Checksum, result: Checksum) -> Buffer | None:
        """Return the content of a known result; None if it is gone and may be computed again, or is not needed."""
        if self.options.scratch:
            return None
        buffer = self.scope.active.buffers.get(result)
        if buffer is not None and self.step.targets and not self.options.no_download:
            from .fetching import missing_buffers
            from .run_results import results_by_target

            if missing_buffers(
                results_by_target(buffer.get_value("plain"), self.step.targets), self.scope.active
            ):
                buffer = None
        if buffer is None and not self.options.fingertip:
            raise ShellError(
                f"the result of step {tf_checksum} is known ({result}), but its content is nowhere: it was never "
                "stored (--scratch), or the buffers were cleared.",
                hint="--fingertip runs the command again",
            )
        return buffer

    def _execute(self, tf_checksum: Checksum) -> int:
        from concurrent.futures import CancelledError

        from seamless.errors import StepError

        from .future_files import FutureFiles
        from .run_inputs import StepInputs

        inputs = StepInputs(self.step, self.scope.active)
        inputs.upload(self.messages, answer=self.options.answer)
        if not self.options.fingertip:
            inputs.demand_all()
        if self.options.docker:
            self.messages.say(
                0, f"the image {self.options.docker!r} is noted, but commands run here outside of containers"
            )
        self.messages.say(1, f"bash command:\n{self.step.command}")
        try:
            with FutureFiles(
                tf_checksum.hex(), self.step.targets if not self.options.scratch else {}
            ) as future:
                future.announce()
                result, buffer, verdict = self._run_step(inputs)
                self._tell(verdict, tf_checksum.hex(), result.hex(), self.scope.active.location)
                return self._deliver(result, buffer)
        except StepError as exc:
            return self._failed(exc)
        except (KeyboardInterrupt, CancelledError):
            print(f"Canceled transformation {tf_checksum}", file=sys.stderr)
            return EXIT_INTERRUPTED

    def _run_step(self, inputs: StepInputs) -> tuple[Checksum, Buffer | None, str]:
        from seamless_transformer.stored_step import run_transformation

        finished = run_transformation(
            self.step.transformation,
            active=self.scope.active,
            scratch=self.options.scratch,
            allow_input_fingertip=self.options.fingertip,
            read_input=inputs.read,
            output=self.live.for_step(),
            waiting=self._say_whom,
        )
        return finished.result, finished.buffer, "miss" if finished.executed else "hit"

    def _say_whom(self, holder: StepHolder) -> None:
        self.messages.say(
            0, f"process {holder.pid} on {holder.host} runs the same step already; waiting for its result"
        )

    def _deliver(self, result: Checksum, buffer: Buffer | None) -> int:
        """Show the result, or write its files."""
        step, options = self.step, self.options
        if not step.targets:
            if buffer is None:
                buffer = self.scope.active.buffers.get(result)
            if buffer is None:
                raise ShellError(f"the result {result} is known, but its content is nowhere")
            sys.stdout.flush()
            self.live.finish(buffer.parts)
            return 0
        if options.scratch:
            return 0
        if buffer is None:
            buffer = self.scope.active.buffers.get(result)
        if buffer is None:
            raise ShellError(f"the result {result} is known, but its content is nowhere")
        from .run_results import write_results

        index: dict[str, str] = buffer.get_value("plain")
        write_results(
            index,
            step.targets,
            self.scope.active,
            download=not options.no_download,
            answer=options.answer,
        )
        return 0

    def _failed(self, exc: StepError) -> int:
        from seamless_worker.errors import SeamlessStreamTransformationError

        cause = exc.exception
        if not isinstance(cause, SeamlessStreamTransformationError):
            print(exc.user_traceback, end="", file=sys.stderr)
            return 1
        shown = SeamlessStreamTransformationError(
            cause.reason,
            cause.command,
            returncode=cause.returncode,
            stderr="" if self.live.shows_stderr else cause.stderr,
        )
        print(shown, file=sys.stderr)
        if cause.returncode is None:
            return 1
        return cause.returncode if cause.returncode > 0 else 128 - cause.returncode

    def _tell(self, verdict: str, tf_hex: str, result_hex: str, where: str) -> None:
        seconds = time.monotonic() - self.started_s
        self.messages.say(1, f"{verdict}: step {tf_hex}")
        self.messages.say(1, f"result {result_hex}, after {seconds:.3f} s, kept in {where}")

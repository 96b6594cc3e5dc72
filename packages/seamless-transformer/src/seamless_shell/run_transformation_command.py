"""seamless-run-transformation: run a step that is stored, or lies in a job directory, and print its result's checksum.

Standard output is the checksum alone: what the step itself prints goes to standard error (`--direct-print`), or is
dropped unless the step fails.
"""

from __future__ import annotations

import sys

from seamless_command.command_parser import command_parser
from seamless_command.scope import add_scope_options

TYPE_CHECKING = False  # importing typing costs a command 6 ms
if TYPE_CHECKING:
    import argparse
    from collections.abc import Sequence
    from typing import Any

    from seamless.checksum import Checksum
    from seamless.errors import StepError
    from seamless.step import StepHolder, StepOutput
    from seamless_command.messages import Messages
    from seamless_command.scope import Scope

    from .stored_transformation import GivenTransformation

__all__ = ("main",)

PROGRAM = "seamless-run-transformation"


def main(argv: Sequence[str] | None = None) -> int:
    """Entry point of seamless-run-transformation."""
    options = _parser().parse_args(argv)

    from seamless_command.program import run_program

    return run_program(PROGRAM, lambda messages: _main(options, messages))


def _parser() -> argparse.ArgumentParser:
    parser = command_parser(
        PROGRAM,
        "Run a stored transformation, unless its result is known, and print the checksum of the result.",
        examples=[
            ("seamless-run-transformation 4ad251bc...8278e", "run the transformation of this checksum"),
            (
                "seamless-run --dry -j job cat a.txt; seamless-run-transformation job/transformation.json",
                "run a job",
            ),
        ],
        exit_codes=(
            (0, "done"),
            (1, "failed, or unknown"),
            (2, "wrong usage"),
            (130, "cancelled or interrupted"),
        ),
    )
    parser.add_argument(
        "transformation",
        metavar="CHECKSUM|FILE",
        help="its checksum, a file that holds it (FILE or FILE.CHECKSUM), or a transformation.json",
    )
    add_scope_options(parser)
    parser.add_argument(
        "--direct-print", action="store_true", help="show what the step prints, on standard error"
    )
    parser.add_argument("--verbose", action="store_true", help="say more")
    parser.add_argument("--debug", action="store_true", help="say everything")
    parser.add_argument(
        "--scratch", action="store_true", help="keep the result out of the cache, all but its checksum"
    )
    parser.add_argument("--fingertip", action="store_true", help="compute missing inputs again")
    parser.add_argument(
        "--strict",
        action="store_true",
        help="fail if the transformation is running already, instead of waiting for it",
    )
    parser.add_argument(
        "--output", metavar="FILE", help="write the checksum into FILE instead of printing it"
    )
    parser.add_argument(
        "--dunder",
        metavar="FILE",
        help="keys outside the identity, as JSON (default: dunder.json beside the FILE)",
    )
    return parser


def _main(options: argparse.Namespace, messages: Messages) -> int:
    from seamless_command.scope import require_configuration, scope_of

    from .services import use_services
    from .stored_transformation import read_dunder, transformation_of_word

    messages.verbosity = 2 if options.debug else int(options.verbose)
    use_services()
    scope = scope_of(options)
    require_configuration(scope, messages)
    given = transformation_of_word(options.transformation)
    if options.dunder is not None:
        given.beside.update(read_dunder(options.dunder))
    try:
        quick = scope.quick_result(given.checksum.bytes())
        if quick is not None:
            messages.say(1, f"hit: {given.checksum}")
            return _answer(quick.hex(), options)
        return _run(given, scope, options, messages)
    finally:
        if scope.is_open:
            from seamless.lifecycle import close

            close()


def _run(given: GivenTransformation, scope: Scope, options: argparse.Namespace, messages: Messages) -> int:
    from concurrent.futures import CancelledError

    from seamless.errors import CacheMissError, StepError
    from seamless_command.errors import ShellError
    from seamless_command.step_interrupt import InterruptOnRequest, standard_output_kept_clean
    from seamless_transformer.stored_step import look_up, run_transformation

    active = scope.active
    result = look_up(given.checksum, active)
    if result is not None:
        messages.say(1, f"hit: {given.checksum}")
        return _answer(result.hex(), options)
    transformation = _transformation(given, scope, options)
    active.buffers.put_many(given.buffers)

    def waiting(holder: StepHolder) -> None:
        where = f"process {holder.pid} on {holder.host}"
        if options.strict:
            raise ShellError(
                f"Transformation {given.checksum} is already running with a different dunder envelope; "
                f"{where} runs it",
                hint="wait until it has ended, or leave out --strict to take its result",
            )
        messages.say(0, f"waiting for {where}, which runs this transformation ({holder.what})")

    messages.say(1, f"run: {given.checksum}")
    try:
        with standard_output_kept_clean(shown=options.direct_print):
            done = run_transformation(
                transformation,
                active=active,
                scratch=options.scratch,
                allow_input_fingertip=options.fingertip,
                output=_output(shown=options.direct_print),
                waiting=waiting,
                announce=True,
                around=InterruptOnRequest,
            )
    except StepError as exc:
        return _failed(exc, stderr_was_shown=options.direct_print)
    except CacheMissError as exc:
        raise ShellError(
            f"seamless.CacheMissError: {exc.checksum}: this input of transformation {given.checksum} is nowhere",
            hint=None
            if options.fingertip
            else "--fingertip computes it again, if a step is known that made it",
        ) from None
    except (KeyboardInterrupt, CancelledError):
        from seamless_command.program import EXIT_INTERRUPTED

        print(f"Canceled transformation {given.checksum}", file=sys.stderr)
        return EXIT_INTERRUPTED
    messages.say(1, f"result: {done.result}" + ("" if done.executed else ", of another process"))
    return _answer(done.result.hex(), options)


def _transformation(
    given: GivenTransformation, scope: Scope, options: argparse.Namespace
) -> dict[str, Any]:  # Any: JSON
    dictionary = given.dictionary
    if dictionary is None:
        dictionary = _stored_dictionary(given.checksum, scope)
    dictionary = {**dictionary, **given.beside}
    if options.direct_print:
        dictionary["__meta__"] = {**(dictionary.get("__meta__") or {}), "__direct_print__": True}
    return dictionary


def _stored_dictionary(checksum: Checksum, scope: Scope) -> dict[str, Any]:  # Any: JSON
    from seamless.resolution import find_buffer
    from seamless_command.errors import ShellError
    from seamless_transformer.identity import tf_checksum
    from seamless_transformer.stored_step import check_transformation

    buffer = find_buffer(checksum, scope.active)
    if buffer is None:
        raise ShellError(
            f"seamless.CacheMissError: {checksum}: no such transformation in {scope.active.location}",
            hint="choose its --project and --stage, or store it: seamless-run --dry --upload COMMAND",
        )
    try:
        dictionary: dict[str, Any] = buffer.get_value("plain")
    except (TypeError, ValueError) as exc:
        raise ShellError(f"buffer {checksum} is no transformation: {exc}") from None
    check_transformation(dictionary)
    if tf_checksum(dictionary) != checksum.bytes():
        raise ShellError(f"buffer {checksum} is no transformation: it is not written as one")
    return dictionary


def _output(*, shown: bool) -> StepOutput:
    from seamless.step import StepOutput
    from seamless_command.raw_output import write_all

    if not shown:
        return StepOutput(stdout=_drop, stderr=_drop)
    return StepOutput(
        stdout=lambda piece: write_all(sys.stderr.fileno(), [piece]),
        stderr=lambda piece: write_all(sys.stderr.fileno(), [piece]),
    )


def _drop(_piece: bytes) -> None:
    """What a step prints is no answer; if it fails, the error has the end of it."""


def _failed(exc: StepError, *, stderr_was_shown: bool) -> int:
    from seamless_worker.errors import SeamlessStreamTransformationError

    cause, text = exc.exception, exc.user_traceback
    if stderr_was_shown and isinstance(cause, SeamlessStreamTransformationError):
        text = str(
            SeamlessStreamTransformationError(cause.reason, cause.command, returncode=cause.returncode)
        )
    print(text.rstrip("\n"), file=sys.stderr)
    return 1


def _answer(result_hex: str, options: argparse.Namespace) -> int:
    if options.output is None:
        print(result_hex)
    else:
        from seamless_command.temporary_files import atomic_write

        atomic_write(options.output, f"{result_hex}\n".encode())
    return 0

"""seamless-cancel: stop a step that another process runs."""

from __future__ import annotations

from seamless_command.command_parser import command_parser
from seamless_command.scope import add_scope_options

TYPE_CHECKING = False  # importing typing costs a command 6 ms
if TYPE_CHECKING:
    import argparse
    from collections.abc import Sequence

    from seamless_command.messages import Messages

__all__ = ("cancel_step", "main")

PROGRAM = "seamless-cancel"
PATIENCE_S = 5.0  # a command that does not heed SIGTERM is killed well before
POLL_S = 0.02
EXIT_NOTHING_CANCELLED = 2


def main(argv: Sequence[str] | None = None) -> int:
    """Entry point of seamless-cancel."""
    options = _parser().parse_args(argv)

    from seamless_command.program import run_program

    return run_program(PROGRAM, lambda messages: _main(options, messages))


def _parser() -> argparse.ArgumentParser:
    parser = command_parser(
        PROGRAM,
        "Stop a transformation that runs, in whatever process that uses the same cache.",
        examples=[
            ("seamless-cancel 4ad251bc...8278e", "stop the transformation of this checksum"),
            ("seamless-cancel job/transformation.json", "stop the one that this file describes"),
        ],
        exit_codes=(
            (0, "it was stopped"),
            (1, "wrong input or set-up"),
            (2, "nothing was stopped; wrong usage"),
            (130, "interrupted"),
        ),
    )
    parser.add_argument(
        "transformation",
        metavar="CHECKSUM|FILE",
        help="its checksum, a file that holds it (FILE or FILE.CHECKSUM), or a transformation.json",
    )
    add_scope_options(parser)
    parser.add_argument("--verbose", action="store_true", help="say more")
    parser.add_argument("--debug", action="store_true", help="say everything")
    return parser


def _main(options: argparse.Namespace, messages: Messages) -> int:
    from seamless_command.scope import require_configuration, scope_of

    from .stored_transformation import transformation_of_word

    messages.verbosity = 2 if options.debug else int(options.verbose)
    scope = scope_of(options)
    require_configuration(scope, messages)
    checksum = transformation_of_word(options.transformation).checksum
    messages.say(1, f"transformation {checksum}, in {scope.directory or 'memory'}")
    verdict = "not-running" if scope.directory is None else cancel_step(scope.directory, checksum.bytes())
    print(f"process: {verdict}")
    return 0 if verdict == "canceled" else EXIT_NOTHING_CANCELLED


def cancel_step(directory: str, digest: bytes, *, patience_s: float = PATIENCE_S) -> str:
    """Stop the step and wait until it has ended; return `canceled`, `not-running` or `error: ...`.

    directory: the buffer directory whose users are meant.
    """
    import time

    from seamless_store.running_steps import RunningSteps

    steps = RunningSteps(directory)
    try:
        before = steps.holder(digest)
        if before is None or steps.request_cancel(digest) == "not-running":
            return "not-running"
    except OSError as exc:
        return f"error: {exc.strerror}: {exc.filename}"
    deadline_s = time.monotonic() + patience_s
    while (holder := steps.holder(digest)) is not None and holder.lease.nonce == before.lease.nonce:
        if time.monotonic() >= deadline_s:
            lease = before.lease
            return f"error: process {lease.pid} on {lease.host} was asked to stop, and goes on after {patience_s:g} s"
        time.sleep(POLL_S)
    return "canceled"

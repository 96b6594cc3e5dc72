"""seamless-fingertip: as seamless-resolve, and compute the buffer again when nobody has it.

The steps that once gave the buffer are looked up in the database, and run here, in this process, one after the other,
until one of them gives the very buffer. What they print goes to standard error: standard output is the buffer alone.
"""

from __future__ import annotations

TYPE_CHECKING = False  # importing typing costs a command 6 ms
if TYPE_CHECKING:
    import argparse
    from collections.abc import Sequence

    from seamless.active import ActiveSet
    from seamless.buffer import Buffer
    from seamless.checksum import Checksum
    from seamless_command.messages import Messages

__all__ = ("main",)

PROGRAM = "seamless-fingertip"
SHOWN_FAILURES = 20


def main(argv: Sequence[str] | None = None) -> int:
    """Entry point of seamless-fingertip."""
    options = _parser().parse_args(argv)

    from seamless_command.program import run_program

    from .buffer_command import explain_services

    return run_program(PROGRAM, lambda messages: explain_services(lambda: _fingertip(options, messages)))


def _fingertip(options: argparse.Namespace, messages: Messages) -> int:
    from seamless_command.scope import scope_of

    from .buffer_command import deliver, deliver_bytes, open_buffers, require_cluster, wanted_checksum

    messages.verbosity = 2 if options.debug else int(options.verbose)
    checksum = wanted_checksum(options.checksum)
    scope = scope_of(options)
    require_cluster(scope, "fingertip")
    content = None if scope.has_services else scope.quick_content(checksum.bytes())
    if content is not None:
        deliver_bytes((content,), options.output)
        return 0
    store, location = open_buffers(scope)
    messages.say(1, f"looking for {checksum} in {location}")
    if deliver(checksum, store, options.output, messages):
        return 0
    try:
        deliver_bytes(_computed_again(checksum, scope.active, messages).parts, options.output)
        return 0
    finally:
        from seamless.lifecycle import close

        close()


def _computed_again(checksum: Checksum, active: ActiveSet, messages: Messages) -> Buffer:
    """Return the buffer from a new run of a step. Raises ShellError that says what was tried."""
    from seamless.errors import CacheMissError
    from seamless.resolution import find_buffer
    from seamless_command.errors import ShellError
    from seamless_command.step_interrupt import standard_output_kept_clean
    from seamless_transformer.fingertip import FingertipWatch, recompute

    trivial = find_buffer(checksum, active)
    if trivial is not None:
        return trivial
    failures: list[str] = []

    class Watch(FingertipWatch):
        def starting(self, wanted: Checksum, tf_checksum: Checksum) -> None:
            messages.say(0, f"computing {wanted} again: running step {tf_checksum}")

        def failed(self, wanted: Checksum, tf_checksum: Checksum, reason: str) -> None:
            messages.say(1, f"step {tf_checksum} did not give {wanted}: {reason}")
            failures.append(f"  step {tf_checksum}, for {wanted}:\n    {reason}")

    try:
        with standard_output_kept_clean(shown=True):
            buffer = recompute(checksum, active, Watch())
    except CacheMissError as exc:
        raise ShellError(str(exc)) from exc
    if buffer is not None:
        return buffer
    if not failures:
        raise ShellError(
            f"seamless.CacheMissError: {checksum}: this buffer is nowhere, and no step is known that made it "
            f"({active.location})",
            hint="upload it from where it is, or choose its --project and --stage",
        )
    more = [f"  and {len(failures) - SHOWN_FAILURES} more"] if len(failures) > SHOWN_FAILURES else []
    raise ShellError(
        f"seamless.CacheMissError: {checksum}: this buffer is nowhere, and could not be computed again. Tried:\n"
        + "\n".join(failures[:SHOWN_FAILURES] + more),
        hint="make available here what the steps miss, or upload the buffer from where it is",
    )


def _parser() -> argparse.ArgumentParser:
    from seamless_command.command_parser import command_parser

    from .buffer_command import EXIT_CODES, add_buffer_options

    parser = command_parser(
        PROGRAM,
        "Print the buffer of a checksum, or write it into a file; when nobody has it, run a step again that once "
        "gave it, here in this process, and its own missing inputs too. The result is verified.",
        examples=[
            ("seamless-fingertip 5891b5b5...6be03", "print the buffer, computed again if need be"),
            ("seamless-fingertip table.CHECKSUM --output table", "write it into a file"),
        ],
        exit_codes=EXIT_CODES,
        distribution="seamless-remote",
    )
    add_buffer_options(parser)
    return parser

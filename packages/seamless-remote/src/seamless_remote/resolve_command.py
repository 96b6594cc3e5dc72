"""seamless-resolve: print the buffer of a checksum, or write it into a file."""

from __future__ import annotations

TYPE_CHECKING = False  # importing typing costs a command 6 ms
if TYPE_CHECKING:
    import argparse
    from collections.abc import Sequence

    from seamless.checksum import Checksum
    from seamless_command.messages import Messages

__all__ = ("main",)

PROGRAM = "seamless-resolve"


def main(argv: Sequence[str] | None = None) -> int:
    """Entry point of seamless-resolve."""
    options = _parser().parse_args(argv)

    from seamless_command.program import run_program

    from .buffer_command import explain_services

    return run_program(PROGRAM, lambda messages: explain_services(lambda: _resolve(options, messages)))


def _resolve(options: argparse.Namespace, messages: Messages) -> int:
    from seamless_command.scope import scope_of

    from .buffer_command import deliver, deliver_bytes, open_buffers, require_cluster, wanted_checksum

    messages.verbosity = 2 if options.debug else int(options.verbose)
    checksum = wanted_checksum(options.checksum)
    scope = scope_of(options)
    require_cluster(scope, "resolve")
    content = None if scope.has_services else scope.quick_content(checksum.bytes())
    if content is not None:
        deliver_bytes((content,), options.output)
        return 0
    store, location = open_buffers(scope)
    messages.say(1, f"looking for {checksum} in {location}")
    if deliver(checksum, store, options.output, messages):
        return 0
    _deliver_trivial(checksum, options.output, location)
    return 0


def _deliver_trivial(checksum: Checksum, output: str | None, location: str) -> None:
    """Deliver a buffer that everybody knows, such as the empty one. Raises ShellError for all others."""
    import hashlib

    from seamless.resolution import TRIVIAL_CONTENTS
    from seamless_command.errors import ShellError

    from .buffer_command import deliver_bytes

    for content in TRIVIAL_CONTENTS:
        if hashlib.sha256(content).digest() == checksum.bytes():
            deliver_bytes((content,), output)
            return
    raise ShellError(
        f"seamless.CacheMissError: {checksum}: this buffer is not in {location}",
        hint=f"seamless-fingertip {checksum} computes it again, if a step is known that made it; or upload it from "
        "where it is",
    )


def _parser() -> argparse.ArgumentParser:
    from seamless_command.command_parser import command_parser

    from .buffer_command import EXIT_CODES, add_buffer_options

    parser = command_parser(
        PROGRAM,
        "Print the buffer of a checksum, byte by byte as it is, or write it into a file. It is looked for in the "
        "services of SEAMLESS_REMOTE_CLIENTS, or in the cache SEAMLESS_CACHE, and verified.",
        examples=[
            ("seamless-resolve 5891b5b5...6be03", "print the buffer of that checksum"),
            (
                "seamless-resolve result.npy.CHECKSUM --output result.npy",
                "write the file that a sidecar stands for",
            ),
        ],
        exit_codes=EXIT_CODES,
        distribution="seamless-remote",
    )
    add_buffer_options(parser)
    return parser

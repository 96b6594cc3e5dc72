"""Ask before much is uploaded or downloaded; never off a terminal."""

from __future__ import annotations

import sys

from seamless_command.errors import ShellError

TYPE_CHECKING = False  # importing typing costs a command 6 ms
if TYPE_CHECKING:
    import argparse
    from typing import Literal, TextIO

    Answer = Literal["yes", "no"] | None

__all__ = ("add_confirmation_options", "answer_of", "confirm_transfer")


def add_confirmation_options(parser: argparse.ArgumentParser) -> None:
    """Add `-y` and `-n`."""
    limits = (
        "Without either, you are asked, on a terminal, before more than 400 files or 100 MB are uploaded or 2000 files "
        "or 500 MB are downloaded (SEAMLESS_MAX_UPLOAD_FILES, SEAMLESS_MAX_UPLOAD_SIZE, SEAMLESS_MAX_DOWNLOAD_FILES, "
        "SEAMLESS_MAX_DOWNLOAD_SIZE)."
    )
    group = parser.add_mutually_exclusive_group()
    group.add_argument("-y", "--yes", action="store_true", help="go on, however much it is")
    group.add_argument("-n", "--no", action="store_true", help="stop where you would be asked. " + limits)


def answer_of(options: argparse.Namespace) -> Answer:
    """Return the answer that `-y` or `-n` gives in advance."""
    return "yes" if options.yes else "no" if options.no else None


def confirm_transfer(
    direction: Literal["upload", "download"], n_files: int, n_bytes: int, answer: Answer
) -> None:
    """Return if so much may go: it is within the limits, or -y was given, or the user says so.

    Raises ShellError otherwise: after `-n`, off a terminal, or when the user says no.
    """
    from .transfer_limits import human_size, transfer_limits

    limits = transfer_limits(direction)
    if answer == "yes" or (n_files <= limits.max_files and n_bytes <= limits.max_bytes):
        return
    what = f"{direction} of {n_files} files, total {human_size(n_bytes)}"
    terminal = None if answer == "no" else _terminal()
    if terminal is None:
        raise ShellError(
            f"Cannot confirm {what}. Exiting.",
            hint=f"-y (the limits are {limits.max_files} files and {human_size(limits.max_bytes)})",
        )
    print(f"Confirm {what}? (y/[n])? ", end="", file=terminal, flush=True)
    if sys.stdin.readline().strip().lower() not in ("y", "yes"):
        raise ShellError(f"The {what} was not confirmed. Exiting.")


def _terminal() -> TextIO | None:
    """Return where to ask; None where nobody can see the question or answer it."""
    if sys.stdin is None or not sys.stdin.isatty():
        return None
    for stream in (sys.stdout, sys.stderr):
        if stream is not None and stream.isatty():
            return stream
    return None

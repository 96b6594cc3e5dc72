"""What all rhl-* commands share: options, `--help`, `--version`, errors, and output as bytes.

Options are parsed by hand, for the start-up and for strictness: no abbreviations, each option once, and a word that is
not known is refused. Errors are one line on standard error, `NAME: message`, with a hint below where there is one;
the exit code is 1, also for wrong usage: that is what callers of these commands know.
"""

from __future__ import annotations

import os
import sys

from remote_http_launcher.errors import KeyInvalid, LauncherError, PathRefused, UsageError

TYPE_CHECKING = False  # importing typing costs a helper 6 ms
if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Sequence
    from typing import Any

__all__ = (
    "Options",
    "parse",
    "run",
    "silence_stdout",
    "to_integer",
    "to_seconds",
    "version",
    "write",
    "write_bytes",
    "write_error",
    "write_json",
)

DISTRIBUTION = "remote-http-launcher"
INTERRUPTED = 130
SECONDS_MAX = 86400.0


class Options:
    """A command line. words: those that are no option; flags: options without a value; values: the others."""

    __slots__ = ("flags", "values", "words")

    def __init__(self) -> None:
        self.words: list[str] = []
        self.flags: set[str] = set()
        self.values: dict[str, str] = {}


def parse(
    arguments: Sequence[str], *, flags: Collection[str] = (), values: Collection[str] = (), words: bool = True
) -> Options:
    """Return the options. words: whether anything else may stand there; `--` ends the options. Raises UsageError."""
    options = Options()
    waiting = list(arguments)[::-1]
    only_words = False
    while waiting:
        argument = waiting.pop()
        name, has_value, value = argument.partition("=")
        if only_words or not argument.startswith("--"):
            if not words:
                raise UsageError(f"unknown argument: {argument}")
            options.words.append(argument)
        elif argument == "--":
            only_words = True
        elif argument in flags:
            options.flags.add(argument)
        elif name in values:
            if not has_value:
                if not waiting:
                    raise UsageError(f"{name} requires a value")
                value = waiting.pop()
            if name in options.values:
                raise UsageError(f"{name} is given twice")
            options.values[name] = value
        else:
            raise UsageError(f"unknown flag(s): {argument}")
    return options


def to_integer(options: Options, name: str, default: int) -> int:
    """Return the value of the option as a number. Raises UsageError."""
    text = options.values.get(name)
    if text is None:
        return default
    digits = text.removeprefix("-")
    if not (digits.isascii() and digits.isdigit() and len(digits) <= 9):
        raise UsageError(f"{name} requires an integer")
    return int(text)


def to_seconds(options: Options, name: str, default: float) -> float:
    """Return the value of the option in seconds, 0 to one day. Raises UsageError."""
    text = options.values.get(name)
    if text is None:
        return default
    try:
        seconds = float(text)
    except ValueError:
        seconds = -1.0
    if not 0 <= seconds <= SECONDS_MAX:
        raise UsageError(f"{name} requires a number of seconds, 0 to {SECONDS_MAX:g}")
    return seconds


def run(
    name: str, help_text: str, body: Callable[[Sequence[str]], int], arguments: Sequence[str] | None
) -> int:
    """Run the command and return its exit code; `--help` and `--version` wherever they stand before `--`."""
    given = sys.argv[1:] if arguments is None else arguments
    options = list(given[: list(given).index("--")] if "--" in given else given)
    try:
        if "-h" in options or "--help" in options:
            write(help_text)
            code = 0
        elif "--version" in options:
            write(f"{name} {version()}\n")
            code = 0
        else:
            code = body(given)
        sys.stdout.flush()
        return code
    except LauncherError as exc:
        speaker = "rhl" if isinstance(exc, (KeyInvalid, PathRefused)) else name
        write_error(f"{speaker}: {exc.message}" + (f"\nhint:  {exc.hint}" if exc.hint else ""))
    except BrokenPipeError:
        silence_stdout()
    except KeyboardInterrupt:
        return INTERRUPTED
    except OSError as exc:
        write_error(f"{name}: {exc}")
    return 1


def version(distribution: str = DISTRIBUTION) -> str:
    """Return the version of a distribution; the look-up costs 20 ms."""
    from importlib.metadata import PackageNotFoundError
    from importlib.metadata import version as installed_version

    try:
        return installed_version(distribution)
    except PackageNotFoundError:
        return "(not installed)"


def write(text: str) -> None:
    """Write on standard output, also names of files that are not Unicode."""
    write_bytes(text.encode("utf-8", "surrogateescape"))


def write_bytes(content: bytes) -> None:
    """Write on standard output, unchanged."""
    binary = getattr(sys.stdout, "buffer", None)
    if binary is None:
        sys.stdout.write(content.decode("utf-8", "replace"))
        return
    sys.stdout.flush()
    binary.write(content)


def write_json(value: Any, **layout: Any) -> None:
    """Write one JSON value and a newline."""
    from remote_http_launcher.small_json import dumps

    write(dumps(value, **layout) + "\n")


def write_error(text: str) -> None:
    """Write lines on standard error."""
    print(text.encode("utf-8", "backslashreplace").decode("utf-8"), file=sys.stderr)


def silence_stdout() -> None:
    """Whoever read has gone; what is left in the buffer must not complain at exit."""
    try:
        devnull = os.open(os.devnull, os.O_WRONLY)
        os.dup2(devnull, sys.stdout.fileno())
        os.close(devnull)
    except (OSError, ValueError):
        pass  # a stream in memory

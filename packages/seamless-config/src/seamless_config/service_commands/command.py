"""What all seamless-service-* commands share: `--help`, `--version`, errors in three parts, exit codes.

Standard output has the answer and nothing else; an error is `error: ...` on standard error, with `hint:  ...` below.
"""

from __future__ import annotations

import sys

from remote_http_launcher.errors import LauncherError, UsageError
from remote_http_launcher.helpers.frame import silence_stdout, version, write, write_error
from remote_http_launcher.small_json import dumps

TYPE_CHECKING = False  # importing typing costs a command 6 ms
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from typing import Any

__all__ = ("print_error", "print_failure", "print_json", "printable", "run", "warn")

FAILED = 1
WRONG_USAGE = 2
INTERRUPTED = 130
DISTRIBUTION = "seamless-config"


def run(
    name: str, help_text: str, body: Callable[[Sequence[str]], int], arguments: Sequence[str] | None
) -> int:
    """Run a command and return its exit code; whatever goes wrong becomes an error in words."""
    given = sys.argv[1:] if arguments is None else arguments
    try:
        if "-h" in given or "--help" in given:
            write(help_text)
            code = 0
        elif "--version" in given:
            write(f"{name} {version(DISTRIBUTION)}\n")
            code = 0
        else:
            code = body(given)
        sys.stdout.flush()
        return code
    except UsageError as exc:
        print_error(exc.message, f"{name} --help")
        return WRONG_USAGE
    except LauncherError as exc:
        return print_failure(exc)
    except BrokenPipeError:
        silence_stdout()
        return FAILED
    except KeyboardInterrupt:
        return INTERRUPTED
    except OSError as exc:
        print_error(str(exc))
        return FAILED
    except Exception as exc:
        if not _is_of_configuration(exc):
            raise
        print_error(str(exc))
        return FAILED


def print_failure(error: LauncherError) -> int:
    """Tell what failed, and return the exit code that stands for it."""
    from .hosts import exit_code_of, explain

    print_error(*explain(error))
    return exit_code_of(error)


def print_error(message: str, hint: str | None = None) -> None:
    """Tell what failed, and what to do."""
    lines = message.strip().splitlines() or ["it failed"]
    text = "\n       ".join(lines)
    write_error(printable(f"error: {text}" + (f"\nhint:  {hint}" if hint else "")))


def printable(text: str) -> str:
    """Return lines that a terminal only shows: what another host has said may hold control characters."""
    return "".join(each if each.isprintable() or each == "\n" else ascii(each)[1:-1] for each in text)


def warn(message: str) -> None:
    """Tell something on standard error, though it goes on."""
    write_error(printable(message))


def print_json(value: Mapping[str, Any]) -> None:
    """Print one object on one line, with sorted members."""
    write(dumps(dict(value), sort_keys=True) + "\n")


def _is_of_configuration(exc: Exception) -> bool:
    from seamless_config.errors import ConfigurationError

    return isinstance(exc, ConfigurationError)

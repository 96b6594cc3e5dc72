"""The frame of every command: errors become messages, signals become exit code 130."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Callable
from types import FrameType

from seamless.errors import SeamlessError

from .errors import ShellError
from .messages import Messages

TYPE_CHECKING = False  # importing typing costs a command 6 ms
if TYPE_CHECKING:
    from seamless_store.errors import StoreError

__all__ = ("EXIT_INTERRUPTED", "run_program")

EXIT_INTERRUPTED = 130


class _Terminated(KeyboardInterrupt):
    """SIGTERM or SIGHUP: handled as Ctrl-C is."""


def run_program(program: str, body: Callable[[Messages], int]) -> int:
    """Run the body of a command and return its exit code; nothing that a user causes ends in a traceback.

    body: gets the messages of the command (verbosity 0; it may raise it) and returns the exit code.
    """
    messages = Messages(program)
    former = {number: signal.signal(number, _interrupt) for number in (signal.SIGTERM, signal.SIGHUP)}
    try:
        code = body(messages)
        sys.stdout.flush()
        return code
    except ShellError as exc:
        messages.error(exc.message, exc.hint)
        return exc.exit_code
    except KeyboardInterrupt:
        return EXIT_INTERRUPTED
    except BrokenPipeError:  # whoever read our output has gone: not worth a word
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    except SeamlessError as exc:
        messages.error(f"{type(exc).__module__.partition('.')[0]}.{type(exc).__name__}: {exc}")
        return 1
    except _store_errors() as exc:
        messages.error(exc.cause, exc.remedy or None)
        return 1
    except OSError as exc:
        messages.error(f"{exc.strerror or exc}" + (f": {exc.filename!r}" if exc.filename else ""))
        return 1
    finally:
        for number, handler in former.items():
            signal.signal(number, handler)


def _store_errors() -> tuple[type[StoreError], ...]:
    """Return the base class of the store's errors, if the store was used at all."""
    module = sys.modules.get("seamless_store.errors")
    return () if module is None else (module.StoreError,)


def _interrupt(number: int, frame: FrameType | None) -> None:
    raise _Terminated(number)

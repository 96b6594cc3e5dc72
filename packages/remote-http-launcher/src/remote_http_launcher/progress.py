"""What a launch tells about itself, on stderr and in files.

| level | on stderr |
|---|---|
| debug | a line for each phase, and details below it |
| basic | a line for each phase: seconds, phase, result |
| minimal | nothing for 1.5 s; then a moving line on a terminal, and at the end that it is ready |

Below debug each launch has one moving line on a terminal (progress_lines.py), unless it is over before. A line that was
seen to move stays as how the launch ended. Errors are told at every level. `log_file` gets the lines of basic, at level
minimal only; `debug_log_file` those of debug, at minimal and basic. Both are emptied first.
"""

from __future__ import annotations

import os
import sys
import threading
import time

from .launch_errors import ConfigurationError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import TextIO

    from .progress_lines import MovingLine

__all__ = ("NoProgress", "Progress")

QUIET_S = 1.5
_STEP_S = 0.2  # of the moving bar
_BAR = 20  # characters


class NoProgress:
    """Tells nothing."""

    def phase(self, name: str, result: str) -> None:
        """Tell how a phase ended."""

    def begin(self, name: str) -> None:
        """Tell what is waited for now."""

    def detail(self, text: str) -> None:
        """Tell something that only a debugger wants."""

    def warn(self, text: str) -> None:
        """Tell something that the user should know, though it goes on."""

    def error(self, message: str) -> None:
        """Tell why it failed."""

    def close(self, *, is_ready: bool) -> None:
        """End; release files and the thread."""


class Progress(NoProgress):
    """Tells about the launch of one key. Always `close` it: it may own a thread and files."""

    def __init__(
        self,
        key: str,
        level: str,
        *,
        log_file: str | None = None,
        debug_log_file: str | None = None,
        quiet: bool = False,
        stream: TextIO | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """quiet: errors, and that it is ready, are the caller's to tell; a line that was seen to move says `ready` or
        `not ready` all the same. Raises ConfigurationError for a file that cannot be written."""
        self._key = key
        self._level = level
        self._quiet = quiet
        self._stream: TextIO | None = sys.stderr if stream is None else stream  # None: there is none
        self._clock = clock
        self._began = clock()
        self._now = ""
        self._lock = threading.Lock()
        self._log = _opened(log_file if level == "minimal" else None, "log_file")
        self._debug = _opened(debug_log_file if level != "debug" else None, "debug_log_file")
        self._is_terminal = _can_move(self._stream)
        self._line: MovingLine | None = None

    def phase(self, name: str, result: str) -> None:
        line = f"{self._elapsed():6.1f}s {name}: {result}"
        self._write(line, to_stream=self._level != "minimal", to_log=True)

    def begin(self, name: str) -> None:
        self._now = name
        if self._line is None and self._stream is not None and self._is_terminal and self._level != "debug":
            from .progress_lines import MovingLine

            self._line = MovingLine(self._stream, self._moving)
            self._line.start()

    def detail(self, text: str) -> None:
        self._write(text, to_stream=self._level == "debug", to_log=False)

    def warn(self, text: str) -> None:
        self._write(f"  {self._key}: warning: {text}", to_stream=True, to_log=True)

    def error(self, message: str) -> None:
        line = f"  {self._key}: error: {message}"
        if self._line is not None and not self._quiet:
            self._end_line(f"{line}\n")
            self._write(line, to_stream=False, to_log=True)
        else:
            self._write(line, to_stream=not self._quiet, to_log=True)

    def close(self, *, is_ready: bool) -> None:
        elapsed_s = self._elapsed()
        line = f"  {self._key}: {'ready' if is_ready else 'not ready'} ({elapsed_s:.1f}s)"
        is_told = is_ready and self._level == "minimal" and elapsed_s >= QUIET_S
        to_stream = is_told and not self._quiet
        if self._line is not None:
            self._end_line(f"{line}\n" if to_stream else "", if_shown=f"{line}\n")
            to_stream = False
        if is_told:
            self._write(line, to_stream=to_stream, to_log=True)
        for file in (self._log, self._debug):
            if file is not None:
                file.close()

    def _elapsed(self) -> float:
        return self._clock() - self._began

    def _write(self, line: str, *, to_stream: bool, to_log: bool) -> None:
        with self._lock:
            if to_stream:
                self._put(f"{line}\n")
            if to_log and self._log is not None:
                print(line, file=self._log, flush=True)
            if self._debug is not None:
                print(line, file=self._debug, flush=True)

    def _moving(self, columns: int) -> str:
        """Return what the line on the terminal says now; nothing for a launch that may yet be a short one."""
        elapsed_s = self._elapsed()
        if elapsed_s < QUIET_S:
            return ""
        at = int(elapsed_s / _STEP_S) % _BAR
        bar = "." * at + "#" + "." * (_BAR - 1 - at)
        doing = f"{self._now} ({elapsed_s:.0f}s)"
        line = f"  {self._key}: [{bar}] {doing}"
        return line if len(line) <= columns else f"  {self._key}: {doing}"

    def _end_line(self, last: str, *, if_shown: str = "") -> None:
        if self._line is not None and not self._line.end(last, if_shown=if_shown):
            self._stream = None
        self._line = None

    def _put(self, text: str) -> None:
        """Write to the stream; one that nobody reads any more must not end a launch."""
        if self._stream is None:
            return
        if self._is_terminal:
            from .progress_lines import write_above

            if not write_above(self._stream, text):
                self._stream = None
            return
        try:
            self._stream.write(text)
            self._stream.flush()
        except (AttributeError, OSError, ValueError):
            self._stream = None


def _can_move(stream: TextIO | None) -> bool:
    """Whether it is a terminal on which a line can be drawn anew."""
    try:
        return stream is not None and stream.isatty() and os.environ.get("TERM") != "dumb"
    except (AttributeError, OSError, ValueError):  # closed, or no more than something to write to
        return False


def _opened(path: str | None, field: str) -> TextIO | None:
    if path is None:
        return None
    expanded = os.path.expanduser(path)
    try:
        os.makedirs(os.path.dirname(os.path.abspath(expanded)), exist_ok=True)
        fd = os.open(expanded, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
    except OSError as exc:
        raise ConfigurationError(
            f"{field} {path!r} cannot be written: {exc.strerror}",
            hint=f"ls -ld {os.path.dirname(expanded) or '.'}",
            field=field,
        ) from exc
    return open(fd, "w", encoding="utf-8")

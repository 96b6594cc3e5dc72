"""What a launch tells about itself, on stderr and in files.

| level | on stderr |
|---|---|
| debug | a line for each phase, and details below it |
| basic | a line for each phase: seconds, phase, result |
| minimal | nothing for 1.5 s; then a moving line on a terminal, and at the end that it is ready |

Errors are told at every level. `log_file` gets the lines of basic, at level minimal only; `debug_log_file` those of
debug, at minimal and basic. Both are emptied first.
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

__all__ = ("NoProgress", "Progress")

QUIET_S = 1.5
_REDRAW_S = 0.2
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
        """quiet: errors, and that it is ready, are the caller's to tell. Raises ConfigurationError for a file that
        cannot be written."""
        self._key = key
        self._level = level
        self._quiet = quiet
        self._stream: TextIO | None = sys.stderr if stream is None else stream  # None: there is none
        self._clock = clock
        self._began = clock()
        self._now = ""
        self._lock = threading.Lock()
        self._has_bar = False
        self._log = _opened(log_file if level == "minimal" else None, "log_file")
        self._debug = _opened(debug_log_file if level != "debug" else None, "debug_log_file")
        self._end = threading.Event()
        self._thread: threading.Thread | None = None
        self._is_tty = level != "debug" and self._stream is not None and self._stream.isatty()

    def phase(self, name: str, result: str) -> None:
        line = f"{self._elapsed():6.1f}s {name}: {result}"
        self._write(line, to_stream=self._level != "minimal", to_log=True)

    def begin(self, name: str) -> None:
        self._now = name
        if self._is_tty and self._thread is None:
            self._thread = threading.Thread(target=self._draw, name="rhl-progress", daemon=True)
            self._thread.start()

    def detail(self, text: str) -> None:
        self._write(text, to_stream=self._level == "debug", to_log=False)

    def warn(self, text: str) -> None:
        self._write(f"  {self._key}: warning: {text}", to_stream=True, to_log=True)

    def error(self, message: str) -> None:
        self._write(f"  {self._key}: error: {message}", to_stream=not self._quiet, to_log=True)

    def close(self, *, is_ready: bool) -> None:
        self._end.set()
        if self._thread is not None:
            self._thread.join()
        elapsed_s = self._elapsed()
        if is_ready and self._level == "minimal" and elapsed_s >= QUIET_S:
            self._write(f"  {self._key}: ready ({elapsed_s:.1f}s)", to_stream=not self._quiet, to_log=True)
        for file in (self._log, self._debug):
            if file is not None:
                file.close()

    def _elapsed(self) -> float:
        return self._clock() - self._began

    def _write(self, line: str, *, to_stream: bool, to_log: bool) -> None:
        with self._lock:
            if to_stream:
                self._clear_bar()
                self._put(f"{line}\n")
            if to_log and self._log is not None:
                print(line, file=self._log, flush=True)
            if self._debug is not None:
                print(line, file=self._debug, flush=True)

    def _draw(self) -> None:
        """Move a line on the terminal until the end; the thread's function."""
        if self._end.wait(QUIET_S):
            return
        while True:
            with self._lock:
                elapsed_s = self._elapsed()
                at = int(elapsed_s / _REDRAW_S) % _BAR
                bar = "." * at + "#" + "." * (_BAR - 1 - at)
                self._put(f"\r  {self._key}: [{bar}] {self._now} ({elapsed_s:.0f}s)\x1b[K")
                self._has_bar = True
            if self._end.wait(_REDRAW_S):
                break
        with self._lock:
            self._clear_bar()

    def _clear_bar(self) -> None:
        if self._has_bar:
            self._put("\r\x1b[K")
            self._has_bar = False

    def _put(self, text: str) -> None:
        """Write to the stream; one that nobody reads any more must not end a launch."""
        if self._stream is not None:
            try:
                self._stream.write(text)
                self._stream.flush()
            except (OSError, ValueError):
                self._stream = None


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

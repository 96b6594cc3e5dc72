r"""Lines that move at the bottom of a terminal: one for each launch, however many a process has under way.

What stays (messages, and how a launch ended) is written above them. All lines of a stream are drawn by one thread,
which lives as long as there is a line.

The cursor rests on an empty row above the lines. So what others write to the terminal goes there, and is never drawn
over; and however the terminal is resized, the cursor knows where the lines begin, and all below is drawn anew.

Used on the stream: `\r`, `\n`, `ESC [ n A` (up), `ESC [ K` and `ESC [ J` (clear to the end of the row, of the screen).

Invariants: whatever the order of calls, a line that has ended is nowhere on the screen, but for its last words; a
stream that breaks raises nothing; no fork happens while a stream is written to, and a child begins with no lines.
"""

from __future__ import annotations

import os
import threading

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import TextIO

__all__ = ("MovingLine", "write_above")

REDRAW_S = 0.2
FORK_WAIT_S = 1.0  # a fork waits so long for a terminal that does not take what is written (Ctrl-S)
_SIZE = (80, 24)  # columns and rows of a terminal that does not know

_lock = threading.Lock()  # for all below, and held while a stream is written to
_boards: dict[int, _Board] = {}  # by id of the stream, which lives as long as its board
_forking: set[int] = set()  # threads that hold the lock for a fork


def write_above(stream: TextIO, text: str) -> bool:
    """Write whole lines to a terminal, above those that move; return whether the stream took it."""
    with _lock:
        board = _boards.get(id(stream))
        return _put(stream, text) if board is None else board.draw(text)


class MovingLine:
    """A line of a terminal, from `start` until `end`; safe for use by several threads.

    text: called several times a second, also by the threads of other lines, with the number of columns; returns what
    to show, or nothing. What is longer is cut.
    """

    def __init__(self, stream: TextIO, text: Callable[[int], str]) -> None:
        self.text = text
        self.is_shown = False  # whether it ever was
        self._stream = stream
        self._board: _Board | None = None

    def start(self) -> None:
        """Have it drawn. A call of its own: whoever is interrupted in it has the line, and can end it."""
        with _lock:
            self._board = _boards.get(id(self._stream))
            if self._board is not None:
                self._board.lines.append(self)
                return
            self._board = _boards[id(self._stream)] = _Board(self._stream)
            self._board.lines.append(self)
            self._board.start()

    def end(self, last: str, *, if_shown: str = "") -> bool:
        """Take it away, in favour of `last`, else of `if_shown` if it was ever shown; return whether that was written.

        last, if_shown: whole lines. To end it again only writes.
        """
        board = self._board
        with _lock:
            text = last or (if_shown if self.is_shown else "")
            if (
                board is None or _boards.get(id(self._stream)) is not board
            ):  # ended, or of the parent of this process
                return _put(self._stream, text)
            if self in board.lines:
                board.lines.remove(self)
            is_written = board.draw(text)
            is_last = not board.lines
            if is_last:
                del _boards[id(self._stream)]
                board.ended.set()
        if is_last:
            board.join()
        return is_written


class _Board:
    """The lines of one stream. Whoever calls holds the lock, but for `join`."""

    def __init__(self, stream: TextIO) -> None:
        self.stream = stream
        self.lines: list[MovingLine] = []
        self.ended = threading.Event()
        self._is_drawn = False
        self._is_broken = False
        self._thread: threading.Thread | None = None

    def start(self) -> None:
        thread = threading.Thread(target=self._keep_drawing, name="rhl-progress", daemon=True)
        try:
            thread.start()
        except RuntimeError:  # no more threads: lines move only when something is told
            return
        self._thread = thread

    def join(self) -> None:
        if self._thread is not None:
            self._thread.join()

    def draw(self, above: str = "") -> bool:
        """Write what stays, then the lines as they are now; return whether the stream took it."""
        if self._is_broken:
            return False
        columns, rows = _size(self.stream)
        texts = [text[: columns - 1] for text in self._texts(columns - 1)]  # the last column makes some wrap
        n_max = rows - 1
        if len(texts) > n_max:  # what has left the screen cannot be drawn anew
            n_shown = max(n_max - 1, 0)
            texts[n_shown:] = [f"  and {len(texts) - n_shown} more"[: columns - 1]][:n_max]
        out = ("\x1b[J\r\x1b[K" if self._is_drawn else "") + above
        if texts:
            out += "".join(f"\n\r{text}" for text in texts) + f"\x1b[{len(texts)}A\r"
        self._is_drawn = bool(texts)
        self._is_broken = not _put(self.stream, out)
        return not self._is_broken

    def _texts(self, columns: int) -> list[str]:
        found = []
        for line in self.lines:
            text = line.text(columns)
            if text:
                line.is_shown = True
                found.append(text)
        return found

    def _keep_drawing(self) -> None:
        while not self.ended.wait(REDRAW_S):
            with _lock:
                if self.ended.is_set() or not self.draw():
                    return


def _size(stream: TextIO) -> tuple[int, int]:
    """Return columns (at least 2) and rows."""
    try:
        columns, rows = os.get_terminal_size(stream.fileno())
    except (AttributeError, OSError, ValueError):
        return _SIZE
    return max(columns or _SIZE[0], 2), rows or _SIZE[1]


def _put(stream: TextIO, text: str) -> bool:
    if text:
        try:
            stream.write(text)
            stream.flush()
        except (AttributeError, OSError, ValueError):
            return False
    return True


# ---- forks


def _before_fork() -> None:
    if _lock.acquire(timeout=FORK_WAIT_S):
        _forking.add(threading.get_ident())


def _after_in_parent() -> None:
    if threading.get_ident() in _forking:
        _forking.remove(threading.get_ident())
        _lock.release()


def _after_in_child() -> None:
    global _lock
    _lock = threading.Lock()
    _boards.clear()
    _forking.clear()


os.register_at_fork(before=_before_fork, after_in_parent=_after_in_parent, after_in_child=_after_in_child)

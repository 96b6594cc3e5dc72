"""Launches share the bottom of a terminal; what is judged is what stands on the screen."""

from __future__ import annotations

import codecs
import fcntl
import io
import json
import os
import pty
import re
import struct
import subprocess
import sys
import termios
import threading

import pytest
from hypothesis import given
from hypothesis import strategies as st
from remote_http_launcher import progress_lines
from remote_http_launcher.progress import QUIET_S, Progress
from remote_http_launcher.progress_lines import write_above

_PART = re.compile(r"\r|\n|\x1b\[(\d*)([A-Za-z])|[^\r\n\x1b]")


class Screen:
    """What a terminal shows. cuts: it cuts rows when it gets narrower (xterm); else it wraps them again."""

    def __init__(self, columns: int = 80, rows: int = 24, *, cuts: bool = False) -> None:
        self.columns = columns
        self.rows = rows
        self.cuts = cuts
        self.cells = [""]  # a text for each row, those that have scrolled away too
        self.goes_on = [False]  # whether a row goes on in the next one
        self.row = self.column = 0

    def feed(self, text: str) -> None:
        at = 0
        while at < len(text):
            found = _PART.match(text, at)
            assert found is not None, f"not understood: {text[at : at + 9]!r}"
            at = found.end()
            self._do(found[0], int(found[1] or 1), found[2])

    def resize(self, columns: int, rows: int) -> None:
        lines, at = [""], (0, 0)
        for number, cells in enumerate(self.cells):
            if number == self.row:
                at = (len(lines) - 1, len(lines[-1]) + self.column)
            lines[-1] += cells
            if not self.goes_on[number] and number + 1 < len(self.cells):
                lines.append("")
        self.cells, self.goes_on = [], []
        for number, line in enumerate(lines):
            parts = [line[i : i + columns] for i in range(0, len(line), columns)] or [""]
            parts = parts[:1] if self.cuts else parts
            if number == at[0]:
                n_above = min(at[1] // columns, len(parts) - 1)
                self.row, self.column = len(self.cells) + n_above, min(at[1] - n_above * columns, columns - 1)
            self.cells += parts
            self.goes_on += [True] * (len(parts) - 1) + [False]
        self.columns, self.rows = columns, rows

    def lines(self) -> list[str]:
        """Return what was written and still stands, scrolled away or not, without empty lines."""
        text = "".join(
            cells + ("" if on else "\n") for cells, on in zip(self.cells, self.goes_on, strict=True)
        )
        return [line for line in text.splitlines() if line.strip()]

    def _do(self, part: str, number: int, command: str | None) -> None:
        if part == "\r":
            self.column = 0
        elif part == "\n":
            self._down(goes_on=False)
        elif command == "A":
            self.row = max(self.row - number, len(self.cells) - self.rows, 0)
        elif command == "K":
            self.cells[self.row] = self.cells[self.row][: self.column]
            self.goes_on[self.row] = False
        elif command == "J":
            self.cells[self.row] = self.cells[self.row][: self.column]
            del self.cells[self.row + 1 :]
            self.goes_on[self.row :] = [False]
        else:
            assert command is None, f"not understood: {part!r}"
            if self.column == self.columns:
                self._down(goes_on=True)
                self.column = 0
            cells = self.cells[self.row].ljust(self.column)
            self.cells[self.row] = cells[: self.column] + part + cells[self.column + 1 :]
            self.column += 1

    def _down(self, *, goes_on: bool) -> None:
        self.goes_on[self.row] = goes_on
        self.row += 1
        if self.row == len(self.cells):
            self.cells.append("")
            self.goes_on.append(False)


class Terminal(io.StringIO):
    """A terminal with a size that can be asked for, and its screen."""

    def __init__(self, columns: int = 80, rows: int = 40, *, cuts: bool = False) -> None:
        super().__init__()
        self.screen = Screen(columns, rows, cuts=cuts)
        self.fds = pty.openpty()
        _set_size(self.fds[1], columns, rows)

    def fileno(self) -> int:
        return self.fds[1]

    def isatty(self) -> bool:
        return True

    def write(self, text: str) -> int:
        self.screen.feed(text.replace("\n", "\r\n"))  # as the line discipline does (ONLCR)
        return super().write(text)

    def resize(self, columns: int) -> None:
        self.screen.resize(columns, self.screen.rows)
        _set_size(self.fds[1], columns, self.screen.rows)

    def close(self) -> None:
        if not self.closed:
            super().close()
            os.close(self.fds[0])
            os.close(self.fds[1])


def _set_size(fd: int, columns: int, rows: int) -> None:
    fcntl.ioctl(fd, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))


class Clock:
    def __init__(self) -> None:
        self.now_s = 0.0

    def __call__(self) -> float:
        return self.now_s


@pytest.fixture(autouse=True)
def _capable_terminal(monkeypatch):
    monkeypatch.setenv("TERM", "xterm-256color")


@pytest.fixture
def by_hand(monkeypatch):
    """Lines are drawn when the test says so, and by what is written."""
    monkeypatch.setattr(progress_lines, "REDRAW_S", 1000.0)


@pytest.fixture
def terminal():
    with Terminal() as found:
        yield found


KEYS = ("a", "service-b", "hashserver-of-a-rather-long-project--STAGE-one", "d")


class Launches:
    """Launches on one terminal, and what must be left of them. Each method may be called in any state."""

    def __init__(self, terminal: Terminal) -> None:
        self.terminal = terminal
        self.clock = Clock()
        self.open: dict[str, Progress] = {}
        self.began: dict[str, float] = {}
        self.waiting = list(KEYS)
        self.expected: list[str] = []
        self.n_warnings = 0

    def begin(self, number: int) -> None:
        if self.waiting:
            key = self.waiting.pop(number % len(self.waiting))
            self.began[key] = self.clock()
            self.open[key] = Progress(key, "minimal", stream=self.terminal, clock=self.clock)
            self.open[key].begin("launch")

    def wait(self, number: int) -> None:
        self.clock.now_s += 0.5 + number / 2

    def phase(self, number: int) -> None:
        for progress in self._one(number).values():
            progress.phase("launch", "started")
            progress.begin("wait_for_start")

    def warn(self, number: int) -> None:
        for key, progress in self._one(number).items():
            self.n_warnings += 1
            self.expected.append(f"  {key}: warning: {self.n_warnings}")
            progress.warn(str(self.n_warnings))

    def other(self, number: int) -> None:
        """The program itself writes."""
        self.expected.append(f"other {number}")
        self.terminal.write(f"other {number}\n")
        self.look(0)

    def resize(self, number: int) -> None:
        self.terminal.resize(64 + 8 * number)
        self.look(0)

    def look(self, number: int) -> None:
        write_above(self.terminal, "")
        assert self._standing() == self.expected
        moving = self.terminal.screen.lines()[len(self.expected) :]
        shown = [key for key in self.open if self._elapsed(key) >= QUIET_S]
        assert [line.partition(":")[0].strip() for line in moving] == shown
        assert all(len(line) < self.terminal.screen.columns for line in moving)

    def ready(self, number: int) -> None:
        for key, progress in self._one(number).items():
            if self._elapsed(key) >= QUIET_S:
                self.expected.append(f"  {key}: ready ({self._elapsed(key):.1f}s)")
            progress.close(is_ready=True)
            del self.open[key]

    def fail(self, number: int) -> None:
        for key, progress in self._one(number).items():
            self.expected.append(f"  {key}: error: no")
            progress.error("no")
            progress.close(is_ready=False)
            del self.open[key]

    def _one(self, number: int) -> dict[str, Progress]:
        keys = list(self.open)
        return {key: self.open[key] for key in keys[number % len(keys) :][:1]} if keys else {}

    def _elapsed(self, key: str) -> float:
        return self.clock() - self.began[key]

    def _standing(self) -> list[str]:
        return self.terminal.screen.lines()[: len(self.expected)]


START = [("begin", 2), ("begin", 1), ("wait", 4), ("resize", 4), ("look", 0)]
OPERATIONS = ("begin", "begin", "wait", "phase", "warn", "other", "resize", "look", "ready", "fail")


@pytest.mark.invariant("I-270")
@pytest.mark.parametrize("cuts", [False, True])
@given(operations=st.lists(st.tuples(st.sampled_from(OPERATIONS), st.integers(0, 5)), max_size=40))
def test_in_whatever_order_each_launch_is_on_the_screen_once(cuts, operations):
    with pytest.MonkeyPatch.context() as patch, Terminal(cuts=cuts) as terminal:
        patch.setattr(progress_lines, "REDRAW_S", 1000.0)
        launches = Launches(terminal)
        try:
            for operation, number in [*START, *operations]:
                getattr(launches, operation)(number)
            launches.look(0)
        finally:
            while launches.open:
                launches.ready(0)
        assert terminal.screen.lines() == launches.expected
    assert _drawing() == []


def _drawing() -> list[threading.Thread]:
    return [thread for thread in threading.enumerate() if thread.name == "rhl-progress"]


@pytest.mark.parametrize(("is_ready", "last"), [(True, "ready"), (False, "not ready")])
def test_quiet_launch_that_was_seen_to_move_stays_as_how_it_ended(terminal, by_hand, is_ready, last):
    clock = Clock()
    seen, unseen = (Progress(key, "minimal", stream=terminal, quiet=True, clock=clock) for key in "ab")
    seen.begin("launch")
    clock.now_s = 2.0
    write_above(terminal, "")
    unseen.error("for the caller to tell")
    unseen.close(is_ready=is_ready)
    seen.error("for the caller to tell")
    seen.close(is_ready=is_ready)
    assert terminal.screen.lines() == [f"  a: {last} (2.0s)"]


def test_level_debug_writes_above_the_line_of_another_launch(terminal, by_hand):
    clock = Clock()
    moving = Progress("a", "basic", stream=terminal, clock=clock)
    telling = Progress("b", "debug", stream=terminal, clock=clock)
    moving.begin("launch")
    clock.now_s = 2.0
    write_above(terminal, "")
    telling.phase("launch", "started")
    assert terminal.screen.lines() == [
        "   2.0s launch: started",
        "  a: [..........#.........] launch (2s)",
    ]
    moving.close(is_ready=True)
    telling.close(is_ready=True)
    assert terminal.screen.lines() == ["   2.0s launch: started", "  a: ready (2.0s)"]


def test_launches_that_find_no_row_are_counted(by_hand):
    with Terminal(rows=5) as terminal:
        clock = Clock()
        launches = [Progress(f"k{n}", "minimal", stream=terminal, clock=clock) for n in range(6)]
        for progress in launches:
            progress.begin("launch")
        clock.now_s = 2.0
        for _ in range(3):
            write_above(terminal, "")
            lines = terminal.screen.lines()
            assert [line[:4] for line in lines[:3]] == ["  k0", "  k1", "  k2"]
            assert lines[3:] == ["  and 3 more"]
            assert len(terminal.screen.cells) == terminal.screen.rows
        for progress in launches:
            progress.close(is_ready=True)
        assert terminal.screen.lines() == [f"  k{n}: ready (2.0s)" for n in range(6)]


def test_what_others_write_between_the_lines_is_never_drawn_over(terminal, by_hand):
    clock = Clock()
    launches = [Progress(key, "minimal", stream=terminal, clock=clock) for key in KEYS]
    for progress in launches:
        progress.begin("launch")
    clock.now_s = 2.0
    write_above(terminal, "")
    expected = []
    for number, progress in enumerate(launches):
        terminal.write(f"output {number}\n")
        write_above(terminal, "")
        progress.warn("careful")
        terminal.write(f"more {number}\n")
        progress.close(is_ready=True)
        expected += [f"output {number}", f"  {KEYS[number]}: warning: careful", f"more {number}"]
        expected += [f"  {KEYS[number]}: ready (2.0s)"]
    assert terminal.screen.lines() == expected


@pytest.mark.parametrize("columns", [1, 2, 5, 20])
def test_line_never_takes_a_second_row_of_a_narrow_terminal(by_hand, columns):
    with Terminal(columns=columns) as terminal:
        clock = Clock()
        launches = [Progress(key, "minimal", stream=terminal, clock=clock) for key in KEYS]
        for progress in launches:
            progress.begin("launch")
        for _ in range(9):
            clock.now_s += 1.0
            write_above(terminal, "")
            assert len(terminal.screen.cells) == (5 if clock() >= QUIET_S else 1)
        for progress in launches:
            progress.close(is_ready=False)
        expected = [f"  {key}: not ready (9.0s)" for key in KEYS]
        assert "".join(terminal.screen.cells) == "".join(expected)


def test_nothing_moves_on_a_terminal_that_cannot(terminal, monkeypatch):
    monkeypatch.setenv("TERM", "dumb")
    clock = Clock()
    progress = Progress("k", "minimal", stream=terminal, clock=clock)
    progress.begin("launch")
    clock.now_s = 2.0
    assert _drawing() == []
    progress.warn("careful")
    progress.close(is_ready=True)
    assert terminal.getvalue() == "  k: warning: careful\n  k: ready (2.0s)\n"


def test_all_launches_are_drawn_by_one_thread_that_ends_with_the_last(terminal):
    launches = [Progress(key, "minimal", stream=terminal) for key in KEYS]
    for progress in launches:
        progress.begin("launch")
    assert len(_drawing()) == 1
    for progress in launches:
        assert len(_drawing()) == 1
        progress.close(is_ready=True)
    assert _drawing() == []
    assert terminal.getvalue() == ""


# ---- streams that break, forks, the real thing


@pytest.mark.invariant("I-271")
@pytest.mark.parametrize("failure", [BrokenPipeError, OSError, ValueError, UnicodeError])
@pytest.mark.parametrize("n_taken", range(5))
def test_terminal_that_breaks_at_any_write_ends_neither_launch(
    terminal, monkeypatch, by_hand, failure, n_taken
):
    texts: list[str] = []

    def write(text):
        texts.append(text)
        if len(texts) > n_taken:
            raise failure("no terminal any more")
        return len(text)

    monkeypatch.setattr(terminal, "write", write)
    _two_launches(terminal)
    assert len(texts) == n_taken + 1  # it is left alone from then on
    assert _drawing() == []


@pytest.mark.invariant("I-271")
def test_stream_that_is_closed_or_only_takes_text_ends_no_launch(terminal):
    class Taking:
        def __init__(self) -> None:
            self.texts: list[str] = []

        def write(self, text: str) -> None:
            self.texts.append(text)

    terminal.close()
    taking = Taking()
    for stream in (terminal, taking):
        _two_launches(stream)
    assert taking.texts[0] == "  a: warning: one\n"
    assert _drawing() == []


def _two_launches(stream) -> None:
    clock = Clock()
    one, two = (Progress(key, "minimal", stream=stream, clock=clock) for key in "ab")
    one.begin("launch")
    two.begin("launch")
    clock.now_s = 2.0
    one.warn("one")
    two.warn("two")
    one.error("three")
    one.close(is_ready=False)
    two.warn("four")
    two.close(is_ready=True)


FORKING = """
import io, os, sys, threading, time
from remote_http_launcher import progress_lines
from remote_http_launcher.progress import Progress

progress_lines.REDRAW_S = 0.001

class Slow(io.StringIO):
    is_written = False
    n_writes = 0
    def isatty(self):
        return True
    def write(self, text):
        self.is_written = True
        time.sleep(0.002)
        self.is_written = False
        self.n_writes += 1
        return super().write(text)

def child(parents):
    wrong = stream.is_written or len(threading.enumerate()) != 1
    now = [0.0]
    one = Progress("child", "minimal", stream=stream, clock=lambda: now[0])
    one.begin("launch")
    now[0] = 2.0
    one.warn("in the child")
    one.close(is_ready=True)
    parents.close(is_ready=True)
    os._exit(wrong or not stream.getvalue().endswith("  child: ready (2.0s)\\n  parent: ready (9.0s)\\n"))

stream = Slow()
now = [0.0]
parents = Progress("parent", "minimal", stream=stream, clock=lambda: now[0])
parents.begin("launch")
now[0] = 9.0
codes = []
for _ in range(40):
    before = stream.n_writes
    pid = os.fork()
    if pid == 0:
        child(parents)
    codes.append(os.waitpid(pid, 0)[1])
    while stream.n_writes == before:  # the parent goes on drawing
        time.sleep(0.001)
parents.close(is_ready=True)
print(codes.count(0), stream.getvalue().count("child"), stream.getvalue().count("ready"))
"""


@pytest.mark.invariant("I-272")
def test_child_of_a_fork_while_lines_move_has_its_own_and_the_parent_keeps_its():
    done = subprocess.run(
        [sys.executable, "-W", "ignore::DeprecationWarning", "-c", FORKING],
        capture_output=True,
        text=True,
        timeout=50,
        check=False,
    )
    assert (done.stdout, done.stderr) == ("40 0 1\n", "")


LAUNCHING = """
import json, sys, threading
from remote_http_launcher.configuration import Configuration
from remote_http_launcher.errors import LauncherError
from remote_http_launcher.launcher import run_configuration

def launch(config):
    try:
        run_configuration(Configuration.from_mapping(config), quiet=sys.argv[1] == "quiet")
    except LauncherError as exc:
        print(exc.key)

print("before", file=sys.stderr)
threads = [threading.Thread(target=launch, args=[config]) for config in json.loads(sys.argv[2])]
for thread in threads:
    thread.start()
for thread in threads:
    thread.join()
print("after", file=sys.stderr)
"""


@pytest.mark.slow
@pytest.mark.invariant("I-270")
@pytest.mark.parametrize(
    ("manner", "told"), [("telling", ["error:", "ready", "ready"]), ("quiet", ["ready", "ready"])]
)
def test_services_that_start_slowly_side_by_side_each_have_a_line(world, manner, told):
    configs = [
        world.config(mode, key) for mode, key in (("slower", "one"), ("slower", "two"), ("crash", "bad"))
    ]
    leader, theirs = pty.openpty()
    _set_size(theirs, 100, 30)
    process = subprocess.Popen(
        [sys.executable, "-c", LAUNCHING, manner, json.dumps(configs)],
        stdout=subprocess.PIPE,
        stderr=theirs,
        text=True,
    )
    os.close(theirs)
    screen, seen = Screen(100, 30), []
    for text in _texts(leader):
        screen.feed(text)
        seen.append(screen.lines())
    os.close(leader)
    assert process.communicate(timeout=30)[0] == "bad\n"
    assert process.returncode == 0
    assert any("one: [" in "".join(lines) and "two: [" in "".join(lines) for lines in seen)
    lines = screen.lines()
    assert (lines[0], lines[-1]) == ("before", "after")
    assert sorted(line.split()[1] for line in lines if line.startswith("  ")) == told
    assert not any("[" in line for line in lines)
    assert len(world.starts()) == 3


def _texts(leader: int):
    """Give what arrives at a terminal until nobody has it open any more."""
    decoder = codecs.getincrementaldecoder("utf-8")()
    while True:
        try:
            found = os.read(leader, 65536)
        except OSError:  # EIO: that is how Linux tells the end
            return
        if not found:
            return
        yield decoder.decode(found)

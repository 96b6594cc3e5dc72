"""What a person at a terminal sees: the command's output while it runs, each byte once."""

from __future__ import annotations

import os
import pty
import time
from collections.abc import Iterator

import pytest

DEADLINE_S = 20


class Terminal:
    def __init__(self) -> None:
        self.master, self.slave = pty.openpty()
        self.seen = b""

    def read_until(self, text: bytes) -> bytes:
        deadline_s = time.monotonic() + DEADLINE_S
        os.set_blocking(self.master, False)
        while text not in self.seen:
            assert time.monotonic() < deadline_s, f"{text!r} did not come, only {self.seen!r}"
            try:
                self.seen += os.read(self.master, 65536)
            except (BlockingIOError, OSError):
                time.sleep(0.01)
        return self.seen


@pytest.fixture
def terminal() -> Iterator[Terminal]:
    terminal = Terminal()
    yield terminal
    os.close(terminal.master)
    os.close(terminal.slave)


def test_output_appears_while_the_command_runs(shell, terminal, tmp_path):
    go = tmp_path / "go"
    command = f"echo early; echo story >&2; until test -f {go}; do sleep 0.02; done; echo late"
    process = shell.start("seamless-run", "-c", command, stdout=terminal.slave, stderr=terminal.slave)
    terminal.read_until(b"early")
    terminal.read_until(b"story")
    assert process.poll() is None
    go.touch()
    seen = terminal.read_until(b"late")
    assert process.wait(10) == 0
    assert (seen.count(b"early"), seen.count(b"late"), seen.count(b"story")) == (1, 1, 1)


def test_quiet_command_shows_the_result_only_at_the_end(shell, terminal, tmp_path):
    go = tmp_path / "go"
    started = tmp_path / "started"
    command = (
        f"echo early; echo x > {started}; until test -f {go}; do sleep 0.02; done; echo late; echo story >&2"
    )
    process = shell.start(
        "seamless-run", "--quiet-command", "-c", command, stdout=terminal.slave, stderr=terminal.slave
    )
    deadline_s = time.monotonic() + DEADLINE_S
    while not started.exists():
        assert time.monotonic() < deadline_s
        time.sleep(0.01)
    go.touch()
    assert process.wait(10) == 0
    assert terminal.read_until(b"late") == b"early\r\nlate\r\n"


def test_output_beside_a_result_file_passes_through(shell, terminal):
    process = shell.start(
        "seamless-run", "-cp", "o.txt", "-c", "echo seen; echo x > o.txt", stdout=terminal.slave, stderr=-1
    )
    process.communicate(timeout=10)
    assert terminal.read_until(b"seen") == b"seen\r\n"


def test_a_hit_on_a_terminal_shows_the_result_once(shell, terminal):
    shell.answer("seamless-run", "echo", "hi")
    process = shell.start("seamless-run", "echo", "hi", stdout=terminal.slave, stderr=-1)
    process.communicate(timeout=10)
    assert terminal.read_until(b"hi") == b"hi\r\n"

"""Seamless mode with the real seamless-run: typed lines are steps, and no step runs twice."""

from __future__ import annotations

import shlex
import sys
from pathlib import Path

import pytest


@pytest.fixture
def log(tmp_path: Path) -> Path:
    """Each run of tool.sh adds a line to it."""
    return tmp_path / "log"


@pytest.fixture
def mode(new_terminal, script: Path, tmp_path: Path, log: Path):
    """A terminal in Seamless mode, with seamless-run and a cache, in a directory with tool.sh and two inputs."""
    terminal = new_terminal(
        f"source {script}; seamless-mode-on -q",
        environment={
            "PATH": f"{Path(sys.executable).parent}:/usr/local/bin:/usr/bin:/bin",
            "SEAMLESS_CACHE": str(tmp_path / "cache"),
        },
    )
    (terminal.folder / "tool.sh").write_text(f'echo run >> {shlex.quote(str(log))}; sort -r "$1"\n')
    (terminal.folder / "a.txt").write_text("one\ntwo\n")
    (terminal.folder / "two words.txt").write_text("three\nfour\n")
    return terminal


def test_typed_line_runs_once_and_shows_its_output_twice(mode, log: Path):
    shown = [mode.run("bash tool.sh a.txt"), mode.run("bash tool.sh a.txt")]
    assert [screen.count("two\r\none\r\n") for screen in shown] == [1, 1]
    assert log.read_text() == "run\n"


def test_result_of_a_typed_redirect_comes_back_after_its_deletion(mode, log: Path):
    mode.run("name='two words.txt'")
    mode.run('bash tool.sh "$name" > out.txt')
    assert (mode.folder / "out.txt").read_text() == "three\nfour\n"
    mode.run("rm out.txt")
    mode.run("bash tool.sh 'two words.txt' > out.txt")
    mode.run('bash tool.sh "$name" > out.txt')
    assert (mode.folder / "out.txt").read_text() == "three\nfour\n"
    assert log.read_text() == "run\n" * 2  # with other quotes it is another line


def test_ctrl_c_ends_the_step_and_not_the_mode(mode, log: Path):
    (mode.folder / "slow.sh").write_text(f"echo slow >> {shlex.quote(str(log))}; echo begun >&2; sleep 100\n")
    mode.type("bash slow.sh a.txt\r")
    mode.wait_for("begun")
    mode.n_commands += 1
    mode.type("\x03")
    mode.wait_for_prompt()
    assert mode.value("$?") == "130"
    mode.run("bash tool.sh a.txt")
    assert log.read_text() == "slow\nrun\n"

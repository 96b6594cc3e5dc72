"""A real bash under a pseudo-terminal, with a seamless-run that only notes how it was called."""

from __future__ import annotations

import codecs
import fcntl
import json
import os
import select
import shlex
import struct
import subprocess
import sys
import termios
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import pytest

SCRIPT = Path(__file__).parents[3] / "scripts" / "seamless-mode-bind.sh"
PATIENCE_S = 20.0
LAUNCHER = """\
import fcntl, os, signal, sys, termios
fcntl.ioctl(0, termios.TIOCSCTTY, 0)
signal.signal(signal.SIGINT, signal.SIG_DFL)  # ignored where the tests themselves run in the background
os.execvp(sys.argv[1], sys.argv[1:])
"""
FAKE_SEAMLESS_RUN = """\
#!{python}
import json, os, sys
with open({calls!r}, "a") as file:
    file.write(json.dumps(sys.argv[1:]) + "\\n")
sys.exit(int(os.environ.get("FAKE_EXIT_CODE", "0")))
"""


class Terminal:
    """Somebody at a terminal. The prompt is `p<number of the command>> `, so that its coming can be awaited."""

    def __init__(self, folder: Path, environment: Mapping[str, str], argv: list[str]) -> None:
        self.folder = folder
        self.screen = ""
        self.n_commands = 1
        self.enter = "\r"
        self._decoder = codecs.getincrementaldecoder("utf-8")("replace")
        self._master, slave = os.openpty()
        fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", 50, 400, 0, 0))
        self._process = subprocess.Popen(
            [sys.executable, "-IS", "-c", LAUNCHER, *argv],
            stdin=slave,
            stdout=slave,
            stderr=slave,
            cwd=folder,
            env=environment,
            start_new_session=True,
        )
        os.close(slave)

    def type(self, text: str) -> None:
        os.write(self._master, text.encode())

    def wait_for(self, text: str) -> str:
        """Return what the screen showed up to the text, and forget that."""
        deadline = time.monotonic() + PATIENCE_S
        while text not in self.screen:
            self._read_until(deadline, f"{text!r} to appear")
        before, _, self.screen = self.screen.partition(text)
        return before

    def wait_for_prompt(self) -> str:
        return self.wait_for(f"p{self.n_commands}> ")

    def interrupt(self) -> None:
        """Press Ctrl-C and wait for the prompt.

        When the interrupt comes while bash is about to read a key, its prompt shows only after the next one: then
        Enter is pressed.
        """
        self.type("\x03")
        deadline = time.monotonic() + PATIENCE_S
        prompt = f"p{self.n_commands}> "
        while prompt not in self.screen:
            if not select.select([self._master], [], [], 2.0)[0]:
                self.type(self.enter)
            self._read_until(deadline, f"{prompt!r} to appear after Ctrl-C")
        self.screen = self.screen.partition(prompt)[2]

    def run(self, *lines: str) -> str:
        """Type the lines of one command, wait for the next prompt, return what was shown.

        Without lines: press Enter after what was typed before.
        """
        self.n_commands += 1
        lines = lines or ("",)
        for line in lines:
            self.type(line + self.enter)
        return self.wait_for_prompt()

    def value(self, text: str) -> str:
        """Return what the text in double quotes expands to."""
        self.run(f'echo "{text}" > value')
        return (self.folder / "value").read_text().removesuffix("\n")

    def output_of(self, command: str) -> str:
        """Return what a command of the shell itself prints."""
        self.run(f"eval {shlex.quote(command)} &> output")
        return (self.folder / "output").read_text()

    def history(self) -> list[str]:
        """Return the history, oldest first, without this question."""
        self.run("history -w seen")
        return (self.folder / "seen").read_text().splitlines()[:-1]

    def close(self) -> None:
        self._process.kill()  # SIGHUP that comes between two prompts waits for a key
        self._process.wait()
        os.close(self._master)

    def _read_until(self, deadline: float, awaited: str) -> None:
        if time.monotonic() > deadline:
            pytest.fail(f"waited {PATIENCE_S} s for {awaited}; the screen shows\n{self.screen}")
        if select.select([self._master], [], [], 1.0)[0]:
            try:
                self.screen += self._decoder.decode(os.read(self._master, 65536))
            except OSError as exc:
                pytest.fail(f"the shell has ended while waiting for {awaited}: {exc}\n{self.screen}")


@pytest.fixture
def calls(tmp_path: Path) -> Callable[[], list[list[str]]]:
    """The arguments of each call of seamless-run so far."""
    file = tmp_path / "calls"
    return lambda: [json.loads(line) for line in file.read_text().splitlines()] if file.exists() else []


@pytest.fixture
def shell_environment(tmp_path: Path) -> dict[str, str]:
    """PATH with a seamless-run that notes its arguments, and our commands."""
    programs = tmp_path / "programs"
    programs.mkdir()
    fake = programs / "seamless-run"
    fake.write_text(FAKE_SEAMLESS_RUN.format(python=sys.executable, calls=str(tmp_path / "calls")))
    fake.chmod(0o755)
    (programs / "_seamlessify").symlink_to(Path(sys.executable).parent / "_seamlessify")
    return {name: value for name, value in os.environ.items() if name not in ("PS1", "PROMPT_COMMAND")} | {
        "PATH": f"{programs}:/usr/local/bin:/usr/bin:/bin",
        "TERM": "xterm",
        "LC_ALL": "C.UTF-8",
        "PS1": "p\\#> ",
        "INPUTRC": "/dev/null",
        "HISTFILE": str(tmp_path / "history"),
    }


@pytest.fixture
def new_terminal(tmp_path: Path, shell_environment: dict[str, str]) -> Iterator[Callable[..., Terminal]]:
    """Start bash in an empty directory; the lines given are its start-up file."""
    folder = tmp_path / "work"
    folder.mkdir()
    terminals: list[Terminal] = []

    def start(
        *startup: str, argv: tuple[str, ...] = ("bash",), environment: Mapping[str, str] = {}
    ) -> Terminal:
        file = tmp_path / "bashrc"
        file.write_text("\n".join(("PS1='p\\#> '", *startup, "")))
        terminal = Terminal(
            folder,
            {**shell_environment, **(environment or {})},
            ["bash", "--noprofile", "--rcfile", str(file), "-i"],
        )
        terminals.append(terminal)
        terminal.wait_for_prompt()
        return terminal

    yield start
    for terminal in terminals:
        terminal.close()


@pytest.fixture
def script() -> Path:
    return SCRIPT


@pytest.fixture
def terminal(new_terminal: Callable[..., Terminal]) -> Terminal:
    """Bash with the functions of Seamless mode, the mode being off."""
    return new_terminal(f"source '{SCRIPT}'")

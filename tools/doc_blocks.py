"""Find the code blocks of a documentation page, and run them as a reader would.

A page is one session in one empty directory, its blocks run in order:

- ```python  is run as a program. With title="name.py" it is only written, for a console block to run.
- ```yaml title="name.yaml" (any language with a title) is written.
- ```pycon   is a doctest.
- ```console holds `$ command` lines, each followed by what it prints.
- ```output  right after a python block is what that printed.
- any other block (sh, text, json) is shown and not run.

In expected output a line `...` stands for any lines, and `...` within a line for any characters. A block that
cannot run is preceded by `<!-- not run: the reason -->`. A page that has `<!-- unset: NAME -->` runs without that
environment variable; a command `unset NAME` or `export NAME=VALUE`, alone on its line, counts for all that follow.
"""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

__all__ = ("Block", "BlockFailed", "blocks", "matches", "run_page")

_FENCE = re.compile(
    r"^(?P<indent> *)(?P<fence>```+) *(?P<language>[\w+-]*)(?P<options>[^\n`]*)\n"
    r"(?P<text>.*?)^(?P=indent)(?P=fence) *$",
    re.DOTALL | re.MULTILINE,
)
_NOT_RUN = re.compile(r"<!-- not run: (?P<reason>[^\n]+?) -->\s*\Z")
_UNSET = re.compile(r"^<!-- unset: (?P<name>\w+) -->$", re.MULTILINE)
_SETTING = re.compile(r"(?:unset (?P<gone>\w+)|export (?P<name>\w+)=\S+)")
_RUN_LANGUAGES = ("console", "output", "pycon", "python")


class BlockFailed(AssertionError):
    """A block of the documentation does not do what the page says.

    Remedy: correct the page or the code; the message names the page and line.
    """


@dataclass(frozen=True)
class Block:
    """A fenced block that means something to the runner."""

    language: str
    text: str
    title: str
    line: int
    not_run: str
    """Why it is not run; empty when it is."""


def blocks(markdown: str) -> Iterator[Block]:
    """Yield the blocks that are run or written, in order; those that are only shown are left out."""
    for match in _FENCE.finditer(markdown):
        title = re.search(r'title="([^"]+)"', match["options"])
        if match["language"] not in _RUN_LANGUAGES and not title:
            continue
        text = "".join(line.removeprefix(match["indent"]) for line in match["text"].splitlines(keepends=True))
        excuse = _NOT_RUN.search(markdown[: match.start()])
        yield Block(
            language=match["language"],
            text=text,
            title=title[1] if title else "",
            line=markdown.count("\n", 0, match.start()) + 1,
            not_run=excuse["reason"] if excuse else "",
        )


def run_page(page: Path, folder: Path, environment: Mapping[str, str], *, timeout_s: float = 50.0) -> int:
    """Run the blocks of the page in `folder`; return how many ran. Raises BlockFailed."""
    n_run = 0
    printed = ""
    text = page.read_text()
    unset = {match["name"] for match in _UNSET.finditer(text)}
    environment = {name: value for name, value in environment.items() if name not in unset}
    for block in blocks(text):
        place = f"{page.name}, line {block.line}"
        if block.not_run:
            continue
        if block.language == "output":
            _compare(place, block.text, printed)
        elif block.title:
            (folder / block.title).parent.mkdir(parents=True, exist_ok=True)
            (folder / block.title).write_text(block.text)
        elif block.language == "console":
            for command, expected in _console_commands(block.text):
                done = _run(["bash", "-c", command], folder, environment, timeout_s, merge_stderr=True)
                _compare(f"{place}: $ {command}", expected, done.stdout)
                if setting := _SETTING.fullmatch(command):
                    environment.pop(setting["gone"], None)
                    if name := setting["name"]:
                        shown = [*("bash", "-c"), f'{command}; printf %s "${name}"']
                        environment[name] = _run(
                            shown, folder, environment, timeout_s, merge_stderr=True
                        ).stdout
        else:
            file = folder / f"line_{block.line}.{'txt' if block.language == 'pycon' else 'py'}"
            file.write_text(block.text)
            doctest = ["-m", "doctest", "-o", "ELLIPSIS"] if block.language == "pycon" else []
            done = _run(
                [sys.executable, *doctest, file.name], folder, environment, timeout_s, merge_stderr=False
            )
            if done.returncode != 0:
                raise BlockFailed(f"{place}: exit code {done.returncode}\n{done.stdout}{done.stderr}")
            printed = done.stdout
        n_run += 1
    return n_run


def matches(expected: str, actual: str) -> bool:
    """Tell whether the output is as expected; `...` stands for anything, trailing blanks do not count."""
    pattern = ""
    for line in expected.strip().splitlines():
        if line.strip() == "...":
            pattern += r"(?:[^\n]*\n)*?"
        else:
            pattern += r"[^\n]*".join(re.escape(part) for part in line.rstrip().split("...")) + r"[ \t]*\n"
    return re.fullmatch(pattern, actual.strip() + "\n" if actual.strip() else "") is not None


def _compare(place: str, expected: str, actual: str) -> None:
    if not matches(expected, actual):
        raise BlockFailed(f"{place}\nexpected:\n{expected}\nprinted:\n{actual}")


def _console_commands(text: str) -> Iterator[tuple[str, str]]:
    """Yield (command, expected output); after a backslash the command goes on in the next line (`> `)."""
    command: str | None = None
    expected: list[str] = []
    for line in text.splitlines():
        if line.startswith("$ "):
            if command is not None:
                yield command, "\n".join(expected)
            command, expected = line[2:], []
        elif command is not None and command.endswith("\\") and line.startswith("> "):
            command += "\n" + line[2:]
        else:
            expected.append(line)
    if command is not None:
        yield command, "\n".join(expected)


def _run(
    argv: list[str], folder: Path, environment: Mapping[str, str], timeout_s: float, *, merge_stderr: bool
) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        argv,
        cwd=folder,
        env=dict(environment),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT if merge_stderr else subprocess.PIPE,
        text=True,
        timeout=timeout_s,
        check=False,
    )

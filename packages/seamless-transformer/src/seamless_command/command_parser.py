"""The command line of the small commands: `--help` with examples and exit codes, `--version`."""

from __future__ import annotations

import argparse
import os

TYPE_CHECKING = False  # importing typing costs a command 6 ms
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Any, NoReturn

__all__ = ("command_parser",)

DISTRIBUTION = "seamless-transformer"


def command_parser(
    program: str,
    purpose: str,
    *,
    examples: Sequence[tuple[str, str]],
    distribution: str = DISTRIBUTION,
    exit_codes: Sequence[tuple[int, str]] = (
        (0, "done"),
        (1, "failed"),
        (2, "wrong usage"),
        (130, "interrupted"),
    ),
) -> argparse.ArgumentParser:
    """Return a parser without abbreviations.

    examples: command and what it does. distribution: whose version `--version` prints.
    """
    lines = ["examples:"]
    for command, meaning in examples:
        lines += [f"  {command}", f"      {meaning}"]
    lines += ["", "exit codes:", *(f"  {code:<4} {meaning}" for code, meaning in exit_codes)]
    parser = argparse.ArgumentParser(
        prog=program,
        description=purpose,
        epilog="\n".join(lines),
        formatter_class=_Formatter,
        allow_abbrev=False,
    )
    parser.add_argument(
        "--version", action=_Version, nargs=0, const=distribution, help="print the version and exit"
    )
    return parser


class _Formatter(argparse.HelpFormatter):
    """Wraps the text of options, and leaves the examples as they are."""

    def __init__(self, prog: str) -> None:
        super().__init__(prog, width=_width())  # argparse would import shutil for it, at every start

    def _fill_text(self, text: str, width: int, indent: str) -> str:
        return text if text.startswith("examples:") else super()._fill_text(text, width, indent)


def _width() -> int:
    """Return how wide help may be: as COLUMNS says, or the terminal."""
    columns = os.environ.get("COLUMNS", "")
    if columns.isdigit() and int(columns) > 0:
        return int(columns) - 2
    try:
        return (os.get_terminal_size(1).columns or 80) - 2
    except (OSError, ValueError):
        return 78


class _Version(argparse.Action):
    """`--version`; the version is looked up only when it is asked for."""

    def __call__(self, parser: argparse.ArgumentParser, *_: Any, **__: Any) -> NoReturn:
        from importlib.metadata import version

        print(f"{parser.prog} {version(self.const)}")
        parser.exit()

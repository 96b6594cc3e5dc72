"""Read the project files of a directory, as far as this version can use them.

`seamless.yaml` and `seamless.profile.yaml` are YAML lists of commands, each a string or a mapping with one key.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

from .errors import ConfigurationError

__all__ = ("check_project_files", "read_commands")

LOCAL_COMMANDS = ("inherit_from_parent", "nparallel", "project", "subproject")  # do not say where steps run


def read_commands(path: str | Path) -> list[tuple[str, Any]]:  # Any: whatever the file holds
    """Return the commands of one file as (name, argument). Raises ConfigurationError with file and line."""
    import yaml

    try:
        content = yaml.safe_load(Path(path).read_text(encoding="utf-8"))
    except yaml.YAMLError as exc:
        mark = getattr(exc, "problem_mark", None)
        place = f", line {mark.line + 1}, column {mark.column + 1}" if mark is not None else ""
        raise ConfigurationError(
            f"{path}{place} is not valid YAML: {getattr(exc, 'problem', None) or exc}"
        ) from exc
    if not isinstance(content, list):
        raise ConfigurationError(
            f"{path} must hold a list of commands, such as '- execution: process', not "
            f"{'nothing' if content is None else type(content).__name__}"
        )
    return [_command(path, number, entry) for number, entry in enumerate(content, 1)]


def _command(path: str | Path, number: int, entry: object) -> tuple[str, Any]:
    if isinstance(entry, str):
        return entry, None
    if isinstance(entry, dict) and len(entry) == 1:
        ((name, argument),) = entry.items()
        if isinstance(name, str):
            return name, argument
    raise ConfigurationError(
        f"{path}: entry {number} is {entry!r:.80}; expected a command such as '- execution: process'"
    )


def check_project_files(files: Sequence[str], stage: str | None = None) -> None:
    """Raise ConfigurationError if the files ask for more than results in memory.

    Nothing that says where results are kept is ever ignored: it would be lost work. Blocks of other stages do not
    count.
    """
    for path in files:
        for name, argument in _selected(path, read_commands(path), stage):
            if name in LOCAL_COMMANDS or (name, argument) in (
                ("execution", "process"),
                ("persistent", False),
                ("record", False),
                ("cluster", None),
                ("remote", None),
                ("node", None),
            ):
                continue
            raise ConfigurationError(
                f"{path}: the command '{name}: {argument}' is not supported by this version, which keeps results in "
                "memory or in the directory SEAMLESS_CACHE. Remove the command, or set SEAMLESS_CACHE=/path/to/cache."
            )


def _selected(
    path: str | Path, commands: Iterable[tuple[str, Any]], stage: str | None
) -> Iterator[tuple[str, Any]]:
    """Yield the commands that count, those in blocks of the selected stage included."""
    for name, argument in commands:
        word, _, block = name.partition(" ")
        if word != "stage":
            yield name, argument
        elif block.strip() == stage:
            if not isinstance(argument, list):
                raise ConfigurationError(
                    f"{path}: '{name}' must hold a list of commands, not {argument!r:.80}"
                )
            nested = [_command(path, number, entry) for number, entry in enumerate(argument, 1)]
            yield from _selected(path, nested, stage)

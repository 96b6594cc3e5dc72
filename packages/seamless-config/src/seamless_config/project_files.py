"""Find and read the project files of a directory and, where they say so, of its parents."""

from __future__ import annotations

import os

from .commands import Command, commands_of, inherits
from .errors import ConfigurationError
from .yaml_reader import file_exists, read_yaml

TYPE_CHECKING = False
if TYPE_CHECKING:
    from .yaml_nodes import Node

__all__ = ("PROJECT_FILES", "ProjectFiles", "read_project_files")

PROJECT_FILES = ("seamless.yaml", "seamless.profile.yaml")


class ProjectFiles:
    """The files of a directory, outermost parent first. hint: about a parent that is not read, or ""."""

    __slots__ = ("hint", "nodes")

    def __init__(self, nodes: list[tuple[str, Node | None]], hint: str) -> None:
        self.nodes = nodes
        self.hint = hint

    @property
    def names(self) -> tuple[str, ...]:
        return tuple(name for name, _ in self.nodes)

    def commands(self, stage: str | None, hints: list[str] | None = None) -> list[Command]:
        """Return the commands that count, in order; see `commands_of`. Raises ConfigurationFileInvalid."""
        return [command for _, node in self.nodes for command in commands_of(node, stage, hints)]


def read_project_files(workdir: str, problems: list[ConfigurationError] | None = None) -> ProjectFiles:
    """Read the files of a directory and of the parents it inherits from. Raises ConfigurationFileInvalid.

    problems: gets what is wrong with a file, instead of it being raised; the file is left out then.
    """
    directory = os.path.realpath(workdir)
    levels: list[list[tuple[str, Node | None]]] = []
    hint = ""
    while True:
        names = [os.path.join(directory, name) for name in PROJECT_FILES]
        found = []
        for name in names:
            try:
                if file_exists(name):
                    found.append((name, read_yaml(name)))
            except ConfigurationError as exc:
                if problems is None:
                    raise
                problems.append(exc)
        levels.append(found)
        parent = os.path.dirname(directory)
        if parent == directory:
            break
        if not any(inherits(node) for _, node in found):
            hint = _hint(directory, parent, is_empty=not found)
            break
        directory = parent
    return ProjectFiles([item for level in reversed(levels) for item in level], hint)


def _hint(directory: str, parent: str, *, is_empty: bool) -> str:
    """Say that the parent directory holds a project file which is not read. is_empty: the directory has none."""
    for name in PROJECT_FILES:
        file = os.path.join(parent, name)
        if os.path.isfile(file):
            what = f"{directory} has no project files" if is_empty else "nothing here inherits it"
            verb = "Write" if is_empty else "Add"
            where = f"{'a ' if is_empty else ''}{PROJECT_FILES[0]}{' here' if is_empty else ''}"
            return f"{file} is not read: {what}. {verb} '- inherit_from_parent' to {where} to do so."
    return ""

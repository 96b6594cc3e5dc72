"""Interface files: what a tool says about its own command line, in `TOOL.SEAMLESS.yaml` or `TOOL.SEAMLESS.py`.

They name inputs that no rule can guess, the results, and the environment; docs/howto/interface-files.md has the
format. A path in them that starts with `./` is relative to the directory of the tool, any other to the current one.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence

from seamless_command.errors import ShellError

from .canonical_commands import CanonicalCommand, match_canonical
from .interface_members import InterfaceMembers, InterfaceSource, check_members, read_yaml

TYPE_CHECKING = False  # importing typing costs a command 6 ms
if TYPE_CHECKING:
    from .input_words import Argument

__all__ = ("Interface", "read_interface")


class Interface:
    """What the interface files of a tool say about a command.

    types: word -> "value", "file" or "directory", for words of the command and those that are listed.
    results: `{name where the command runs: name here}`.
    is_complete: nothing is left to guess; the words after the tool that are not mentioned are values.
    shim: the program that runs in place of the tool.
    """

    __slots__ = (
        "_entries",
        "_members",
        "_tool",
        "conda_environment",
        "docker_image",
        "is_complete",
        "results",
        "shim",
        "types",
    )

    def __init__(
        self,
        members: Sequence[InterfaceMembers],
        words: Sequence[str | None],
        index: int,
        *,
        is_complete: bool,
    ) -> None:
        tool = words[index]
        assert tool is not None
        self._tool = tool
        self._members = members
        self._entries = {  # of several files, the last one counts
            entry: (kind, each.source) for each in members for entry, kind in each.types.items()
        }
        environment = {name: value for each in members for name, value in each.environment.items()}
        self.conda_environment = environment.get("conda_environment")
        self.docker_image = environment.get("docker_image")
        self.results: dict[str, str] = {}
        self.shim: str | None = None
        for each in members:
            if each.results is not None:
                self.results = each.results
            if each.shim is not None:
                self.shim = self._path(each.shim)
                if not os.path.isfile(self.shim):
                    raise each.source.error(("shim",), f"there is no file {self.shim!r}")
        self.is_complete = is_complete
        self.types = self._types(words, index)

    def extra_inputs(self, arguments: Sequence[Argument]) -> list[tuple[str, str]]:
        """Return path and kind of each file and directory that is named beside the words of the command.

        arguments: of the command; an input among them is no extra one. Raises ShellError for one that does not exist.
        """
        known = {argument.input.path for argument in arguments if argument.input is not None}
        extra: dict[str, tuple[str, str]] = {}
        for entry, (kind, source) in self._entries.items():
            path = self._path(entry)
            outside = _outside(path)
            if kind == "value" or outside in known:
                continue
            _demand(source, entry, outside, kind)
            extra[outside] = (path, kind)
        return list(extra.values())

    def canonical_of(self, words: Sequence[str | None]) -> CanonicalCommand | None:
        """Return the canonical command that these words match, if any. Raises ShellError for an impossible one."""
        for each in reversed(self._members):
            if each.canonical is not None:
                return match_canonical(each.source, each.canonical, words, self._path)
        return None

    def _types(self, words: Sequence[str | None], index: int) -> dict[str, str]:
        by_path = {_outside(self._path(entry)): kind for entry, (kind, _) in self._entries.items()}
        types = {entry: kind for entry, (kind, _) in self._entries.items()}
        for position, word in enumerate(words):
            if not word:
                continue
            found = self._entries.get(word)
            kind = found[0] if found is not None else by_path.get(_outside(word))
            if kind is None and self.is_complete and position > index:
                kind = "value"
            if kind is not None:
                types.setdefault(word, kind)
        return types

    def _path(self, entry: str) -> str:
        """Return a path of an interface file as one of the current directory."""
        if entry.startswith("./"):
            return os.path.normpath(os.path.join(os.path.dirname(self._tool), entry))
        return entry


def read_interface(
    words: Sequence[str | None], index: int, say: Callable[[int, str], None]
) -> Interface | None:
    """Return what the interface files beside a word of the command say; None if there is none.

    words: of the primary pipeline; None for one that is not known before it runs. index: of the tool.
    Raises ShellError.
    """
    tool = words[index]
    assert tool is not None
    stem = os.path.splitext(tool)[0]
    members = []
    path = _first_file(f"{tool}.SEAMLESS.yaml", f"{stem}.SEAMLESS.yaml")
    if path is not None:
        say(1, f"interface file {path}")
        members.append(check_members(*read_yaml(path)))
    program = _first_file(f"{stem}.SEAMLESS.py", f"{tool}.SEAMLESS.py")
    if program is not None:
        from .interface_script import run_interface_script

        arguments = [word or "" for word in words[index + 1 :]]
        say(1, f"interface file {program}, run with the arguments {arguments!r}")
        members.append(check_members(InterfaceSource(program), run_interface_script(program, arguments)))
    return Interface(members, words, index, is_complete=program is not None) if members else None


def _first_file(*paths: str) -> str | None:
    return next((path for path in paths if os.path.isfile(path)), None)


def _demand(source: InterfaceSource, entry: str, outside: str, kind: str) -> None:
    """Raise ShellError unless the file or directory is there, or only its checksum."""
    from .compression import split_compression

    there = os.path.isdir(outside) if kind == "directory" else os.path.isfile(outside)
    if not there and not os.path.exists(split_compression(outside)[0] + ".CHECKSUM"):
        raise ShellError(
            f"interface file {source.path}: the {kind} {entry!r} does not exist at {outside}",
            hint="a path that starts with ./ is relative to the directory of the tool, any other to the current one",
        )


def _outside(path: str) -> str:
    return os.path.normpath(os.path.abspath(os.path.expanduser(path)))

"""The members of an interface file, checked one by one: a misspelt one is refused, never ignored.

All leaves are text. YAML is read so that `5`, `yes` and `0.50` stay what is written: they are compared with the
words of a command line.
"""

from __future__ import annotations

from collections.abc import Iterable

from seamless_command.errors import ShellError

TYPE_CHECKING = False  # importing typing costs a command 6 ms
if TYPE_CHECKING:
    from typing import Any

__all__ = ("InterfaceMembers", "InterfaceSource", "check_members", "read_yaml")

KINDS = ("value", "file", "directory")
CELLTYPES = ("str", "text", "int", "float", "bool", "plain")  # what a word can be read as
MEMBERS = (
    "argtypes",
    "files",
    "directories",
    "values",
    "results",
    "environment",
    "shim",
    "canonical",
)
_KIND_OF_LIST = {"files": "file", "directories": "directory", "values": "value"}
_ENVIRONMENT = ("conda_environment", "docker_image")
_CANONICAL = ("command", "variables", "executable", "dummy_command")
_VARIABLE = ("name", "celltype")
_NAME = r"[A-Za-z_][A-Za-z0-9_]*"


class InterfaceSource:
    """Where members come from: a YAML file with its text, or a program (`yaml` is None)."""

    __slots__ = ("path", "yaml")

    def __init__(self, path: str, yaml: str | None = None) -> None:
        self.path = path
        self.yaml = yaml

    def error(self, keys: tuple[str | int, ...], message: str, *, hint: str | None = None) -> ShellError:
        """Return the error of the member at `keys`: file, line where there is one, member, message."""
        line = None if self.yaml is None else _line_of(self.yaml, keys)
        place = self.path if line is None else f"{self.path}, line {line}"
        member = ""
        for key in keys:
            member += f"[{key}]" if isinstance(key, int) else f".{key}" if member else key
        return ShellError(f"interface file {place}: {member + ': ' if member else ''}{message}", hint=hint)

    def wrong(self, keys: tuple[str | int, ...], value: object, expected: str) -> ShellError:
        """Return the error of a member of the wrong type or value."""
        return self.error(keys, f"expected {expected}, not {value!r}")


class InterfaceMembers:
    """What one interface file says.

    types: word or path -> kind, of `argtypes`, `files`, `directories` and `values`. results: in the working directory
    -> outside. None and empty: the file says nothing about it.
    """

    __slots__ = ("canonical", "environment", "results", "shim", "source", "types")

    def __init__(self, source: InterfaceSource) -> None:
        self.source = source
        self.types: dict[str, str] = {}
        self.results: dict[str, str] | None = None
        self.environment: dict[str, str] = {}
        self.shim: str | None = None
        self.canonical: list[dict[str, Any]] | None = None  # JSON-like, checked by `_canonical`


def read_yaml(path: str) -> tuple[InterfaceSource, Any]:
    """Return the content of a YAML file, every leaf as text. Raises ShellError."""
    import yaml

    with open(path, "rb") as file:
        content = file.read()
    try:
        text = content.decode()
    except UnicodeDecodeError as exc:
        raise ShellError(
            f"interface file {path} is no UTF-8 text: byte {exc.start} is {content[exc.start]:#04x}"
        ) from None
    try:
        return InterfaceSource(path, text), yaml.load(text, yaml.BaseLoader)
    except yaml.YAMLError as exc:
        raise ShellError(f"interface file {path} is no YAML: {exc}") from None


def check_members(source: InterfaceSource, content: Any) -> InterfaceMembers:
    """Return the members of an interface file. Raises ShellError for what it cannot hold."""
    found = InterfaceMembers(source)
    if content is None or content == "":
        return found
    if not isinstance(content, dict):
        raise source.error((), f"expected members such as 'argtypes' and 'results', not {_shown(content)}")
    _only(source, (), content, MEMBERS)
    members = {name: value for name, value in content.items() if value is not None and value != ""}
    if "argtypes" in members:
        _add_argtypes(found, members["argtypes"])
    for name, kind in _KIND_OF_LIST.items():
        for index, word in enumerate(_texts(source, (name,), members.get(name, []))):
            _add_type(found, (name, index), word, kind)
    if "results" in members:
        found.results = _results(source, members["results"])
    if "environment" in members:
        environment = _mapping(source, ("environment",), members["environment"])
        _only(source, ("environment",), environment, _ENVIRONMENT)
        found.environment = {
            name: _text(source, ("environment", name), value) for name, value in environment.items()
        }
    if "shim" in members:
        found.shim = _text(source, ("shim",), members["shim"])
    if "canonical" in members:
        commands = members["canonical"]
        if not isinstance(commands, list):
            raise source.wrong(
                ("canonical",), commands, "a list of commands, each {command: ..., variables: [...]}"
            )
        found.canonical = [_canonical(source, index, command) for index, command in enumerate(commands)]
    return found


def _add_argtypes(found: InterfaceMembers, argtypes: Any) -> None:
    source = found.source
    for word, kind in _mapping(source, ("argtypes",), argtypes).items():
        keys = ("argtypes", word)
        if word == "@order":
            _texts(source, keys, kind)
            continue
        if word.startswith("@"):
            raise source.error(keys, "of the entries that begin with '@' there is only '@order'")
        if isinstance(kind, dict):
            _only(source, keys, kind, ("type",))
            kind = kind.get("type")
        if kind not in KINDS:
            raise source.error(
                keys, f"expected a type, one of {', '.join(KINDS)}, not {_shown(kind)}{_nearest(kind, KINDS)}"
            )
        _add_type(found, keys, word, kind)


def _add_type(found: InterfaceMembers, keys: tuple[str | int, ...], word: str, kind: str) -> None:
    if found.types.setdefault(word, kind) != kind:
        raise found.source.error(keys, f"{word!r} is both a {found.types[word]} and a {kind}; keep one")


def _results(source: InterfaceSource, results: Any) -> dict[str, str]:
    if isinstance(results, list):
        return {name: name for name in _texts(source, ("results",), results)}
    if not isinstance(results, dict):
        raise source.wrong(("results",), results, "a list of names, or {name where it runs: name here}")
    return {
        name: _text(source, ("results", name), local) if local else name
        for name, local in _mapping(source, ("results",), results).items()
    }


def _canonical(source: InterfaceSource, index: int, command: Any) -> dict[str, Any]:
    import re

    keys: tuple[str | int, ...] = ("canonical", index)
    members = _mapping(source, keys, command)
    _only(source, keys, members, _CANONICAL)
    if "command" not in members:
        raise source.error(keys, "the member 'command' is missing")
    checked: dict[str, Any] = {
        "command": _text(source, (*keys, "command"), members["command"]).strip(),
        "variables": {},
        "executable": [],
        "dummy_command": None,
    }
    variables = members.get("variables") or []
    if not isinstance(variables, list):
        raise source.wrong((*keys, "variables"), variables, "a list of {name: ..., celltype: ...}")
    for position, variable in enumerate(variables):
        here = (*keys, "variables", position)
        _only(source, here, _mapping(source, here, variable), _VARIABLE)
        name = _text(source, (*here, "name"), variable.get("name"))
        celltype = variable.get("celltype") or "str"
        if not re.fullmatch(_NAME, name) or name.startswith("META__"):
            raise source.wrong((*here, "name"), name, f"a name {_NAME} that does not begin with META__")
        if celltype not in CELLTYPES:
            near = _nearest(celltype, CELLTYPES)
            raise source.error(
                (*here, "celltype"), f"expected one of {', '.join(CELLTYPES)}, not {_shown(celltype)}{near}"
            )
        if name in checked["variables"]:
            raise source.error((*here, "name"), f"the variable {name!r} is there twice")
        checked["variables"][name] = celltype
    executable = members.get("executable") or []
    checked["executable"] = _texts(
        source, (*keys, "executable"), [executable] if isinstance(executable, str) else executable
    )
    if members.get("dummy_command"):
        checked["dummy_command"] = _text(source, (*keys, "dummy_command"), members["dummy_command"])
    return checked


# ---- shapes


def _only(
    source: InterfaceSource, keys: tuple[str | int, ...], members: dict[str, Any], known: Iterable[str]
) -> None:
    for name in members:
        if name not in known:
            raise source.error(
                (*keys, name), f"there is no such member{_nearest(name, known)}; expected {', '.join(known)}"
            )


def _mapping(source: InterfaceSource, keys: tuple[str | int, ...], value: Any) -> dict[str, Any]:
    if not isinstance(value, dict) or not all(isinstance(key, str) for key in value):
        raise source.wrong(keys, value, "members, each 'name: value'")
    return value


def _texts(source: InterfaceSource, keys: tuple[str | int, ...], value: Any) -> list[str]:
    if value == "":
        return []
    if not isinstance(value, list):
        raise source.wrong(keys, value, "a list")
    return [_text(source, (*keys, index), entry) for index, entry in enumerate(value)]


def _text(source: InterfaceSource, keys: tuple[str | int, ...], value: Any) -> str:
    if not isinstance(value, str) or not value or "\0" in value:
        raise source.wrong(keys, value, "text")
    return value


def _shown(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 60 else text[:57] + "..."


def _nearest(name: object, known: Iterable[str]) -> str:
    import difflib

    close = difflib.get_close_matches(str(name), list(known), n=1)
    return f" (did you mean {close[0]!r}?)" if close else ""


def _line_of(text: str, keys: tuple[str | int, ...]) -> int | None:
    """Return the line of the member, or of the nearest one around it that is there; from 1."""
    import yaml

    node = yaml.compose(text, yaml.BaseLoader)
    line = None
    for key in keys:
        found = None
        if isinstance(node, yaml.MappingNode):
            for name, value in node.value:
                if name.value == key:
                    found, line = value, name.start_mark.line + 1
        elif isinstance(node, yaml.SequenceNode) and isinstance(key, int) and key < len(node.value):
            found = node.value[key]
            line = found.start_mark.line + 1
        if found is None:
            break
        node = found
    return line

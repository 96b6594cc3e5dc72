"""What YAML files parse to, kept by the SHA-256 of their content: importing the parser is a fifth of a short command.

A file is always read; what its bytes mean never changes, so nothing here can be out of date. Kept below
`$XDG_CACHE_HOME/seamless`, at most MAX_FILES small files; whatever goes wrong there, the file is parsed. Files with
errors are not kept.
"""

from __future__ import annotations

import hashlib
import os

from .places import Place
from .yaml_nodes import ListNode, MappingNode, Node, ScalarNode

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

__all__ = ("keep_parsed", "parsed_before")

FOLDER = "yaml-1"  # another number whenever the same text comes to mean something else
MAX_FILES = 200
MAX_KEPT_BYTES = 256 << 10
_PLAIN = (str, int, float, bool, type(None))


def parsed_before(path: str, content: bytes, lines: list[str]) -> Node | None:
    """Return the nodes that this content parsed to, with places in `path`; None when they are not kept."""
    import json

    try:
        with open(_name(content), "rb") as file:
            kept = json.loads(file.read(MAX_KEPT_BYTES + 1))
        return _node(kept, path, lines)
    except (OSError, ValueError, TypeError, IndexError, RecursionError):
        return None


def keep_parsed(content: bytes, node: Node) -> None:
    """Keep what the content parsed to, if it is small and of plain values."""
    import json

    try:
        text = json.dumps(_kept(node), separators=(",", ":"), allow_nan=False).encode(
            "utf-8", "surrogatepass"
        )
    except (TypeError, ValueError):
        return  # a date, or a number that JSON does not know
    if len(text) > MAX_KEPT_BYTES:
        return
    name = _name(content)
    temporary = f"{name}.{os.getpid()}.tmp"
    try:
        folder = os.path.dirname(name)
        os.makedirs(folder, mode=0o700, exist_ok=True)
        _make_room(folder)
        with open(
            os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600), "wb"
        ) as file:
            file.write(text)
        os.rename(temporary, name)
    except OSError:
        pass  # a home that is full, or not ours to write


def _name(content: bytes) -> str:
    base = os.environ.get("XDG_CACHE_HOME", "")
    if not os.path.isabs(base):
        base = os.path.join(os.path.expanduser("~"), ".cache")
    return os.path.join(base, "seamless", FOLDER, f"{hashlib.sha256(content).hexdigest()}.json")


def _make_room(folder: str) -> None:
    """Remove the oldest files, so that another one is not too many."""
    with os.scandir(folder) as entries:
        found = sorted((entry.stat(follow_symlinks=False).st_mtime, entry.path) for entry in entries)
    for _, path in found[: max(0, len(found) - MAX_FILES + 1)]:
        os.unlink(path)


def _kept(node: Node) -> list[Any]:
    assert node.place is not None
    place = [node.place.line, node.place.column]
    if isinstance(node, ScalarNode):
        if not isinstance(node.value, _PLAIN):
            raise TypeError
        return ["scalar", *place, node.value, node.raw]
    if isinstance(node, ListNode):
        return ["list", *place, [_kept(item) for item in node.items]]
    assert isinstance(node, MappingNode)
    return ["mapping", *place, [[_kept(key), _kept(value)] for key, value in node.entries]]


def _node(kept: Any, path: str, lines: list[str]) -> Node:
    """Raises TypeError, ValueError or IndexError for what was not written here."""
    kind, line, column, content, *more = kept
    place = Place(path, line, column, lines[line - 1] if line <= len(lines) else "")
    if kind == "scalar":
        (raw,) = more
        return ScalarNode(content, place, raw)
    if kind == "list":
        return ListNode([_node(item, path, lines) for item in content], place)
    if kind != "mapping":
        raise ValueError(kind)
    entries = []
    for key, value in content:
        name = _node(key, path, lines)
        if not isinstance(name, ScalarNode):
            raise TypeError
        entries.append((name, _node(value, path, lines)))
    return MappingNode(entries, place)

"""Read YAML into nodes that know their place.

Safe YAML 1.1: text, numbers, truth values, dates, null, lists and mappings; `<<` merges. Nodes are composed here from
the parser's events, so that nothing recurses on what the file says. Refused: files above MAX_BYTES, more than
MAX_NODES values after aliases are expanded, nesting above MAX_DEPTH, keys that occur twice, all other tags.
"""

from __future__ import annotations

import os
import stat

from .errors import ConfigurationFileInvalid
from .places import Place
from .yaml_hints import yaml_hint
from .yaml_nodes import MAX_DEPTH, ListNode, MappingNode, Node, ScalarNode

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Any

__all__ = ("file_exists", "read_yaml")

MAX_BYTES = 4 << 20
MAX_NODES = 100_000
MAX_SCALAR = 200  # characters of a number, date or truth value; what is longer is text
TAGS = "tag:yaml.org,2002:"
SCALAR_TAGS = tuple(TAGS + name for name in ("null", "bool", "int", "float", "timestamp", "str"))
MERGE_TAG, TEXT_TAG = TAGS + "merge", TAGS + "str"


def file_exists(path: str) -> bool:
    """Whether there is something to read. Raises ConfigurationFileInvalid for what is no regular file."""
    try:
        mode = os.stat(path).st_mode
    except (FileNotFoundError, NotADirectoryError):
        if os.path.islink(path):
            target = os.readlink(path)
            raise _whole(path, f"the symbolic link leads to {target!r:.200}, which does not exist") from None
        return False
    except OSError as exc:
        raise _unreadable(path, exc) from exc
    if not stat.S_ISREG(mode):
        what = "a directory" if stat.S_ISDIR(mode) else "no regular file"
        raise _whole(path, f"this is {what}, where a YAML file is expected", "Move it away.")
    return True


def read_yaml(path: str) -> Node | None:
    """Return the content of a file; None when it holds nothing. Raises ConfigurationFileInvalid."""
    try:
        with open(path, "rb") as file:
            content = file.read(MAX_BYTES + 1)
    except OSError as exc:
        raise _unreadable(path, exc) from exc
    if len(content) > MAX_BYTES:
        raise _whole(path, f"the file is larger than {MAX_BYTES >> 20} MiB")
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as exc:
        line = content.count(b"\n", 0, exc.start) + 1
        raise ConfigurationFileInvalid(
            f"the file is not UTF-8 text (byte {exc.start}).",
            place=Place(path, line, 1),
            remedy="Save it as UTF-8.",
        ) from exc
    return _Reader(path, text).read()


def _whole(path: str, cause: str, remedy: str = "") -> ConfigurationFileInvalid:
    return ConfigurationFileInvalid(f"{cause}.", place=Place(path), remedy=remedy)


def _unreadable(path: str, exc: OSError) -> ConfigurationFileInvalid:
    remedy = "Check it with: ls -ld " + path if isinstance(exc, PermissionError) else ""
    return _whole(path, f"the file cannot be read: {exc.strerror}", remedy)


class _Reader:
    def __init__(self, path: str, text: str) -> None:
        import yaml

        self.path = path
        self.text = text
        self.yaml = yaml
        self.loader_class: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
        self.loader: Any = None
        self.lines: list[str] | None = None
        self.n_nodes = 0
        self.anchors: dict[str, tuple[Node, int, int]] = {}
        self.open: set[str] = set()

    def read(self) -> Node | None:
        try:
            self.loader = self.loader_class(self.text)
            try:
                return self._document()
            finally:
                self.loader.dispose()
        except self.yaml.YAMLError as exc:
            raise self._error_of(exc) from exc

    def _document(self) -> Node | None:
        yaml = self.yaml
        self.loader.get_event()  # the start of the stream
        event = self.loader.get_event()
        if isinstance(event, yaml.StreamEndEvent):
            return None
        root = self._node(self.loader.get_event(), 0)[0]
        self.loader.get_event()  # the end of the document
        event = self.loader.get_event()
        if not isinstance(event, yaml.StreamEndEvent):
            raise self._invalid(
                "here a second document begins; a file holds one.", event, "Remove the line '---'."
            )
        is_empty = isinstance(root, ScalarNode) and root.value is None and not root.raw
        return None if is_empty else root

    def _node(self, event: Any, depth: int) -> tuple[Node, int, int]:
        """Return the node that begins with the event, how many values it holds, and how deep they are nested."""
        yaml = self.yaml
        if isinstance(event, yaml.AliasEvent):
            return self._alias(event, depth)
        self._count(1, event)
        if depth > MAX_DEPTH:
            raise self._invalid(f"values are nested deeper than {MAX_DEPTH}.", event)
        anchor = event.anchor
        if anchor is not None:
            self.open.add(anchor)
        if isinstance(event, yaml.ScalarEvent):
            found: tuple[Node, int, int] = self._scalar(event), 1, 0
        elif isinstance(event, yaml.SequenceStartEvent):
            found = self._list(event, depth)
        else:
            found = self._mapping(event, depth)
        if anchor is not None:
            self.open.discard(anchor)
            self.anchors[anchor] = found
        return found

    def _alias(self, event: Any, depth: int) -> tuple[Node, int, int]:
        if event.anchor in self.open:
            raise self._invalid("this alias contains itself.", event)
        found = self.anchors.get(event.anchor)
        if found is None:
            raise self._invalid(
                f"the alias '*{event.anchor:.80}' has no anchor '&{event.anchor:.80}' above.", event
            )
        _, size, height = found
        self._count(size, event)
        if depth + height > MAX_DEPTH:
            raise self._invalid(f"values are nested deeper than {MAX_DEPTH}.", event)
        return found

    def _count(self, more: int, event: Any) -> None:
        self.n_nodes += more
        if self.n_nodes > MAX_NODES:
            raise self._invalid(f"the file holds more than {MAX_NODES} values.", event)

    def _list(self, event: Any, depth: int) -> tuple[Node, int, int]:
        self._check_tag(event, "seq")
        items: list[Node] = []
        size, height = 1, 0
        while not isinstance(inner := self.loader.get_event(), self.yaml.SequenceEndEvent):
            item, more, below = self._node(inner, depth + 1)
            items.append(item)
            size, height = size + more, max(height, below + 1)
        return ListNode(items, self._place(event.start_mark)), size, height

    def _mapping(self, event: Any, depth: int) -> tuple[Node, int, int]:
        self._check_tag(event, "map")
        own: dict[Any, tuple[ScalarNode, Node]] = {}
        merged: dict[Any, tuple[ScalarNode, Node]] = {}
        size, height = 1, 0
        while not isinstance(inner := self.loader.get_event(), self.yaml.MappingEndEvent):
            is_merge = isinstance(inner, self.yaml.ScalarEvent) and self._tag(inner) == MERGE_TAG
            key, key_size, _ = self._node(inner, depth + 1)
            value_event = self.loader.get_event()
            value, value_size, below = self._node(value_event, depth + 1)
            size, height = size + key_size + value_size, max(height, below + 1)
            if not isinstance(key, ScalarNode):
                raise self._invalid("a key must be text, not a list or a mapping.", inner)
            if is_merge:
                for entry in self._merged(value, value_event):
                    merged.setdefault(entry[0].value, entry)
            elif key.value in own:
                first = own[key.value][0].place
                where = "" if first is None else f"; first in line {first.line}"
                raise self._invalid(f"the key {key.value!r:.80} is there twice{where}.", inner)
            else:
                own[key.value] = key, value
        entries = [own.pop(name, entry) for name, entry in merged.items()] + list(own.values())
        return MappingNode(entries, self._place(event.start_mark)), size, height

    def _merged(self, value: Node, event: Any) -> Iterator[tuple[ScalarNode, Node]]:
        for node in value.items if isinstance(value, ListNode) else [value]:
            if not isinstance(node, MappingNode):
                raise self._invalid(f"'<<' merges mappings, not {node.describe()}.", event)
            yield from node.entries

    def _tag(self, event: Any) -> str:
        if event.tag is not None and event.tag != "!":
            return str(event.tag)
        if len(event.value) > MAX_SCALAR:
            return TEXT_TAG
        return str(self.loader.resolve(self.yaml.ScalarNode, event.value, event.implicit))

    def _scalar(self, event: Any) -> ScalarNode:
        tag, raw = self._tag(event), event.value
        place = self._place(event.start_mark)
        if tag in (TEXT_TAG, MERGE_TAG) or (
            tag == TAGS + "value" and event.tag is None
        ):  # `=` stands for itself
            return ScalarNode(raw, place, raw)
        if tag not in SCALAR_TAGS:
            raise self._tag_error(tag, event)
        if len(raw) > MAX_SCALAR:
            raise self._invalid(
                f"{tag.removeprefix(TAGS)} values have at most {MAX_SCALAR} characters.", event
            )
        try:
            value = self.loader.construct_object(self.yaml.ScalarNode(tag, raw))
        except (ValueError, ArithmeticError, LookupError, AttributeError, self.yaml.YAMLError) as exc:
            raise self._invalid(  # a date such as 2026-99-99; a tag that does not fit, such as !!int x
                f"{raw!r:.80} cannot be read as {tag.removeprefix(TAGS)}.",
                event,
                f'Put it in quotes if it is text: "{raw:.80}".',
            ) from exc
        return ScalarNode(value, place, raw)

    def _check_tag(self, event: Any, kind: str) -> None:
        if event.tag not in (None, "!", TAGS + kind):
            raise self._tag_error(event.tag, event)

    def _tag_error(self, tag: str, event: Any) -> ConfigurationFileInvalid:
        shown = "!!" + tag.removeprefix(TAGS) if tag.startswith(TAGS) else tag
        return self._invalid(f"the YAML tag {shown!r:.80} is not allowed here.", event, "Remove it.")

    def _invalid(self, cause: str, event: Any, remedy: str = "") -> ConfigurationFileInvalid:
        return ConfigurationFileInvalid(cause, place=self._place(event.start_mark), remedy=remedy)

    def _place(self, mark: Any) -> Place:
        return self._place_at(mark.line, mark.column)

    def _place_at(self, line: int, column: int) -> Place:
        return Place(self.path, line + 1, column + 1, self._line(line))

    def _line(self, number: int) -> str:
        if self.lines is None:
            import re

            self.lines = re.split("\r\n|[\n\r\x85\u2028\u2029]", self.text)  # as YAML 1.1 counts lines
        return self.lines[number] if number < len(self.lines) else ""

    def _error_of(self, exc: Any) -> ConfigurationFileInvalid:
        mark = getattr(exc, "problem_mark", None) or getattr(exc, "context_mark", None)
        if mark is not None:
            place = self._place(mark)
            if (
                not place.text.strip() and exc.context_mark is not None
            ):  # the end of the file: show what is open
                place = self._place(exc.context_mark)
            line = place.line - 1
            while not place.text.strip() and line > 0:  # or the last line that says something
                line -= 1
                place = self._place_at(line, len(self._line(line).rstrip()))
            problem = str(exc.problem or exc.context)
        else:  # a forbidden character: the library gives its position only
            place = self._place_of_character(exc)
            character = exc.character if isinstance(exc.character, int) else ord(exc.character[:1])
            problem = f"the character U+{character:04X} is not allowed in YAML"
        return ConfigurationFileInvalid(
            f"this is not valid YAML: {problem}.", place=place, remedy=yaml_hint(problem, place.text)
        )

    def _place_of_character(self, exc: Any) -> Place:
        """Return the place of a character: libyaml counts bytes, the library's own reader characters."""
        position = int(exc.position)
        if self.loader_class is not self.yaml.SafeLoader:
            position = len(self.text.encode()[:position].decode(errors="ignore"))
        import re

        before = re.split("\r\n|[\n\r\x85\u2028\u2029]", self.text[:position])
        return self._place_at(len(before) - 1, len(before[-1]))

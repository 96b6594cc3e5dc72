"""Read YAML into nodes that know their place, so that every error can show the line.

Safe YAML 1.1 (the library's safe types only). Refused: files above MAX_BYTES, more than MAX_NODES values after
aliases are expanded, nesting above MAX_DEPTH, aliases that contain themselves, keys that occur twice.
"""

from __future__ import annotations

from .errors import ConfigurationFileInvalid
from .places import Place

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Any

__all__ = ("ListNode", "MappingNode", "Node", "ScalarNode", "node_of", "read_yaml")

MAX_BYTES = 4 << 20
MAX_NODES = 100_000
MAX_DEPTH = 50


class Node:
    """A value with its place (None: it was not written in a file)."""

    __slots__ = ("place",)
    kind = "value"

    def __init__(self, place: Place | None) -> None:
        self.place = place

    def plain(self) -> Any:
        """Return the value as Python data."""
        raise NotImplementedError

    def describe(self) -> str:
        """Return the value in words for a message."""
        raise NotImplementedError


class ScalarNode(Node):
    """Text, a number, a truth value, a date or null."""

    __slots__ = ("value",)
    kind = "scalar"

    def __init__(self, value: Any, place: Place | None) -> None:
        super().__init__(place)
        self.value = value

    def plain(self) -> Any:
        return self.value

    def describe(self) -> str:
        return "nothing (null)" if self.value is None else f"{self.value!r:.80}"


class ListNode(Node):
    """A list."""

    __slots__ = ("items",)
    kind = "list"

    def __init__(self, items: list[Node], place: Place | None) -> None:
        super().__init__(place)
        self.items = items

    def plain(self) -> list[Any]:
        return [item.plain() for item in self.items]

    def describe(self) -> str:
        return f"a list of {len(self.items)}"


class MappingNode(Node):
    """A mapping; `entries` keeps the order in which it was written."""

    __slots__ = ("entries",)
    kind = "mapping"

    def __init__(self, entries: list[tuple[ScalarNode, Node]], place: Place | None) -> None:
        super().__init__(place)
        self.entries = entries

    def plain(self) -> dict[Any, Any]:
        return {key.value: value.plain() for key, value in self.entries}

    def describe(self) -> str:
        return (
            f"a mapping with the keys {', '.join(str(key.value) for key, _ in self.entries)[:80] or '(none)'}"
        )


def read_yaml(path: str) -> Node | None:
    """Return the content of a file; None when it holds nothing. Raises ConfigurationFileInvalid."""
    try:
        with open(path, "rb") as file:
            content = file.read(MAX_BYTES + 1)
    except OSError as exc:
        raise ConfigurationFileInvalid(
            f"the file cannot be read: {exc.strerror}.", place=Place(path)
        ) from exc
    if len(content) > MAX_BYTES:
        raise ConfigurationFileInvalid(f"the file is larger than {MAX_BYTES >> 20} MiB.", place=Place(path))
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as exc:
        line = content.count(b"\n", 0, exc.start) + 1
        raise ConfigurationFileInvalid(
            f"the file is not UTF-8 text (byte {exc.start}).", place=Place(path, line, 1)
        ) from exc
    return _Reader(path, text).read()


def node_of(value: object, place: Place | None = None) -> Node:
    """Return plain Python data as nodes, all with one place. Raises ConfigurationFileInvalid for other data."""
    if isinstance(value, dict):
        return MappingNode(
            [(ScalarNode(key, place), node_of(item, place)) for key, item in value.items()], place
        )
    if isinstance(value, (list, tuple)):
        return ListNode([node_of(item, place) for item in value], place)
    return ScalarNode(value, place)


class _Reader:
    def __init__(self, path: str, text: str) -> None:
        self.path = path
        self.text = text
        self.lines = text.splitlines()
        self.n_nodes = 0

    def read(self) -> Node | None:
        import yaml

        loader_class: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
        try:
            loader = loader_class(self.text)
        except yaml.YAMLError as exc:  # characters that YAML does not allow
            raise self._error_of(exc) from exc
        try:
            root = loader.get_single_node()
            return None if root is None else self._node(loader, root, 0, ())
        except yaml.YAMLError as exc:
            raise self._error_of(exc) from exc
        except RecursionError as exc:
            raise ConfigurationFileInvalid("the file is nested too deeply.", place=Place(self.path)) from exc
        finally:
            loader.dispose()

    def _place(self, mark: Any) -> Place:
        line = mark.line
        return Place(self.path, line + 1, mark.column + 1, self.lines[line] if line < len(self.lines) else "")

    def _error_of(self, exc: Any) -> ConfigurationFileInvalid:
        mark = getattr(exc, "problem_mark", None) or getattr(exc, "context_mark", None)
        if mark is not None:
            place = self._place(mark)
        else:  # a forbidden character: the library gives its position only
            position = getattr(exc, "position", None)
            line = 0 if not isinstance(position, int) else self.text.count("\n", 0, position) + 1
            place = Place(self.path, line, 1 if line else 0)
        problem = getattr(exc, "problem", None) or getattr(exc, "reason", None) or "it cannot be read"
        return ConfigurationFileInvalid(f"this is not valid YAML: {problem}.", place=place)

    def _node(self, loader: Any, node: Any, depth: int, above: tuple[int, ...]) -> Node:
        import yaml

        place = self._place(node.start_mark)
        self.n_nodes += 1
        if self.n_nodes > MAX_NODES:
            raise ConfigurationFileInvalid(f"the file holds more than {MAX_NODES} values.", place=place)
        if depth > MAX_DEPTH:
            raise ConfigurationFileInvalid(f"values are nested deeper than {MAX_DEPTH}.", place=place)
        if id(node) in above:
            raise ConfigurationFileInvalid("this alias contains itself.", place=place)
        above = (*above, id(node))
        if isinstance(node, yaml.MappingNode):
            if any(key.tag == "tag:yaml.org,2002:merge" for key, _ in node.value):
                loader.flatten_mapping(node)
                return MappingNode(list(self._merged(loader, node, depth, above)), place)
            return MappingNode(list(self._entries(loader, node, depth, above)), place)
        if isinstance(node, yaml.SequenceNode):
            if node.tag != "tag:yaml.org,2002:seq":
                raise self._tag_error(node, place)
            return ListNode([self._node(loader, item, depth + 1, above) for item in node.value], place)
        try:
            return ScalarNode(loader.construct_object(node), place)
        except yaml.YAMLError:
            raise self._tag_error(node, place) from None
        except (ValueError, OverflowError) as exc:  # a date such as 2026-99-99, a number without end
            raise ConfigurationFileInvalid(f"this value cannot be read: {exc}.", place=place) from exc

    def _tag_error(self, node: Any, place: Place) -> ConfigurationFileInvalid:
        return ConfigurationFileInvalid(
            f"the YAML tag {node.tag.removeprefix('tag:yaml.org,2002:')!r:.80} is not allowed.", place=place
        )

    def _entries(
        self, loader: Any, node: Any, depth: int, above: tuple[int, ...]
    ) -> Iterator[tuple[ScalarNode, Node]]:
        import yaml

        if node.tag != "tag:yaml.org,2002:map":
            raise self._tag_error(node, self._place(node.start_mark))
        seen: dict[Any, Place] = {}
        for key_node, value_node in node.value:
            place = self._place(key_node.start_mark)
            if not isinstance(key_node, yaml.ScalarNode):
                raise ConfigurationFileInvalid("a key must be text, not a list or a mapping.", place=place)
            key = self._node(loader, key_node, depth + 1, above)
            assert isinstance(key, ScalarNode)
            if key.value in seen:
                raise ConfigurationFileInvalid(
                    f"the key {key.value!r:.80} is there twice; first in line {seen[key.value].line}.",
                    place=place,
                )
            seen[key.value] = place
            yield key, self._node(loader, value_node, depth + 1, above)

    def _merged(
        self, loader: Any, node: Any, depth: int, above: tuple[int, ...]
    ) -> Iterator[tuple[ScalarNode, Node]]:
        """Yield the entries of a mapping with merge keys (`<<`); what is written last counts."""
        last: dict[Any, tuple[ScalarNode, Node]] = {}
        for key_node, value_node in node.value:
            key = self._node(loader, key_node, depth + 1, above)
            if not isinstance(key, ScalarNode):
                raise ConfigurationFileInvalid(
                    "a key must be text, not a list or a mapping.", place=key.place
                )
            last[key.value] = (key, self._node(loader, value_node, depth + 1, above))
        yield from last.values()

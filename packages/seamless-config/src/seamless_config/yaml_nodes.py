"""Values that know the place where they were written, so that every error can show the line."""

from __future__ import annotations

from .errors import ConfigurationFileInvalid

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from .places import Place

__all__ = ("ListNode", "MappingNode", "Node", "ScalarNode", "node_of")

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
    """Text, a number, a truth value, a date or null. raw: as it was written, None when it was not in a file."""

    __slots__ = ("raw", "value")
    kind = "scalar"

    def __init__(self, value: Any, place: Place | None, raw: str | None = None) -> None:
        super().__init__(place)
        self.value = value
        self.raw = raw

    def plain(self) -> Any:
        return self.value

    def describe(self) -> str:
        value, raw = self.value, self.raw
        if value is None:
            return "nothing (null)"
        if isinstance(value, str):
            return f"{value!r:.80}"
        shown = str(value).lower() if isinstance(value, bool) else f"{value!r:.80}"
        if raw is None or raw.lower() == shown.lower():
            return shown
        if not isinstance(value, (bool, int, float)):
            return f"{raw!r:.80}, which YAML reads as a {type(value).__name__}"
        return f"{shown} (which is how YAML reads {raw:.80})"

    def quoted(self) -> str:
        """Return how to write the value as text; "" when it is text or was not written in a file."""
        if self.raw is None or self.value is None or isinstance(self.value, str):
            return ""
        return f'"{self.raw:.80}"'


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


def node_of(value: object, place: Place | None = None, depth: int = 0) -> Node:
    """Return plain Python data as nodes, all with one place. Raises ConfigurationFileInvalid above MAX_DEPTH."""
    if depth > MAX_DEPTH:
        raise ConfigurationFileInvalid(f"values are nested deeper than {MAX_DEPTH}.", place=place)
    if isinstance(value, dict):
        return MappingNode(
            [(ScalarNode(key, place), node_of(item, place, depth + 1)) for key, item in value.items()], place
        )
    if isinstance(value, (list, tuple)):
        return ListNode([node_of(item, place, depth + 1) for item in value], place)
    return ScalarNode(value, place)

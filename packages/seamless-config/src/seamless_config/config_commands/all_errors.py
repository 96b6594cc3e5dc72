"""Find more than the first error: read every entry by itself, and what is left of a definition without its errors."""

from __future__ import annotations

from seamless_config.cluster import parse_clusters
from seamless_config.errors import ConfigurationError
from seamless_config.yaml_nodes import ListNode, MappingNode, Node, ScalarNode

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ("errors_of_cluster", "idle_blocks", "single_entries", "stage_block", "stage_names")

MAX_ERRORS = 20  # of one definition
DECISIVE = ("type", "TEMPLATE")  # without them nothing more can be said


def stage_block(item: Node) -> tuple[ScalarNode, ListNode] | None:
    """Return key and block of an entry `stage NAME: [...]`, None for others."""
    if isinstance(item, MappingNode) and len(item.entries) == 1:
        key, block = item.entries[0]
        if isinstance(key.value, str) and key.value.startswith("stage ") and isinstance(block, ListNode):
            return key, block
    return None


def stage_names(root: Node | None) -> set[str]:
    """Return the names of all stage blocks, nested ones too."""
    found: set[str] = set()
    for item in root.items if isinstance(root, ListNode) else ():
        block = stage_block(item)
        if block is not None:
            found |= {block[0].value[len("stage ") :].strip(), *stage_names(block[1])}
    return found


def idle_blocks(root: Node | None, outer: str | None = None) -> Iterator[tuple[ScalarNode, str]]:
    """Yield (key, stage around it) of each block that stands in the block of another stage: it can never count."""
    for item in root.items if isinstance(root, ListNode) else ():
        block = stage_block(item)
        if block is not None:
            name = block[0].value[len("stage ") :].strip()
            if outer not in (None, name):
                yield block[0], str(outer)
            else:
                yield from idle_blocks(block[1], name)


def single_entries(root: ListNode) -> Iterator[ListNode]:
    """Yield each entry as a list of its own, inside the stage blocks that it stands in."""
    for item in root.items:
        block = stage_block(item)
        if block is None or not block[1].items:
            yield ListNode([item], item.place)
            continue
        key, inner = block
        for single in single_entries(inner):
            yield ListNode([MappingNode([(key, single)], item.place)], item.place)


def errors_of_cluster(key: ScalarNode, node: Node) -> list[ConfigurationError]:
    """Return what is wrong with a definition: each time without what was wrong before, while that tells something."""
    errors: list[ConfigurationError] = []
    left_out: list[str] = []
    found: Node | None = node
    while found is not None and len(left_out) < MAX_ERRORS:
        try:
            parse_clusters([MappingNode([(key, found)], key.place)])
        except ConfigurationError as exc:
            if not any(name in exc.cause for name in left_out):  # else it follows from what was left out
                errors.append(exc)
            names: list[str] = []
            found = _without(found, exc, names)
            if not names or names[0] in DECISIVE:
                break
            left_out += names
        else:
            break
    return errors


def _without(node: Node, error: ConfigurationError, names: list[str]) -> Node | None:
    """Return the node without the innermost entry that the error is about; `names` gets its key."""
    if isinstance(node, MappingNode):
        entries: list[tuple[ScalarNode, Node]] = []
        for key, value in node.entries:
            rest = value if names else _without(value, error, names)
            is_there = not names and error.place is not None and error.place in (key.place, value.place)
            if is_there and str(key.value) in error.cause:
                names.append(str(key.value))
            elif rest is not None:
                entries.append((key, rest))
        return MappingNode(entries, node.place)
    if isinstance(node, ListNode):
        return ListNode(
            [item if names else _without(item, error, names) or item for item in node.items], node.place
        )
    return node

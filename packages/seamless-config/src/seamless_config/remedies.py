"""What to write instead: remedies for what people write by mistake, and for what YAML 1.1 makes of it."""

from __future__ import annotations

from .spelling import meant
from .yaml_nodes import ListNode, MappingNode, Node, ScalarNode

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable

__all__ = ("entry_remedy", "name_remedy", "root_remedy", "spelled_remedy", "unknown_command_remedy")

TEXT_TYPES = ("text", "host", "directory", "name", "choice")
UNITS = {  # what a bare number of a field may have been meant as
    "memory": "GB",
    "unknown_task_duration": "s",
    "target_duration": "s",
    "lifetime": "s",
    "lifetime_stagger": "s",
}
TRUE, FALSE = ("true", "yes", "on", "y", "1"), ("false", "no", "off", "n", "0")


def spelled_remedy(kind: str, name: str, node: Node) -> str:
    """Return how to spell a value of the wrong type, "" when that is not clear. kind: the type that is expected."""
    if not isinstance(node, ScalarNode):
        return ""
    value = node.value
    if kind in TEXT_TYPES:
        if isinstance(value, (int, float)) and name in UNITS and str(node.raw).isdecimal():
            return f"Write it with its unit: '{name}: {value!s:.80}{UNITS[name]}'."
        quoted = node.quoted()
        return f"Put it in quotes if it is meant so: '{name}: {quoted}'." if quoted else ""
    if kind == "bool" and not isinstance(value, bool):
        word = str(value).strip().lower()
        meaning = "true" if word in TRUE else "false" if word in FALSE else ""
        return f"Write it without quotes: '{name}: {meaning}'." if meaning else ""
    if kind in ("count", "port") and isinstance(value, str) and value.strip().isdecimal():
        return f"Write it without quotes: '{name}: {value.strip():.80}'."
    if kind in ("count", "port") and isinstance(value, float) and value.is_integer():
        return f"Write it without a point: '{name}: {int(value)}'."
    if kind == "list of text" and value is not None:
        return f"Write it as a list: '{name}: [\"{node.raw or value!s:.80}\"]'."
    return ""


def name_remedy(key: ScalarNode) -> str:
    """Return how to write a name that YAML takes for something else."""
    quoted = key.quoted()
    return f"Put it in quotes: '{quoted}: ...'." if quoted else ""


def root_remedy(root: Node, commands: Iterable[str]) -> str:
    """Return what to do about a project file that holds no list."""
    if isinstance(root, MappingNode) and root.entries:
        first = str(root.entries[0][0].value)
        if first.startswith("-"):
            return f"Put a blank after the dash: '- {first.lstrip('- '):.80}: ...'."
        if first in commands or first.startswith("stage "):
            return f"Begin each command with '- ': '- {first:.80}: ...'."
        if any(_looks_like_cluster(value) for _, value in root.entries):
            return "These are definitions of clusters: put them into ~/.seamless/clusters.yaml, or below '- clusters:'."
    return "Write each command as an entry of a list, for example '- project: my-project'."


def _looks_like_cluster(node: Node) -> bool:
    return isinstance(node, MappingNode) and any(key.value == "frontends" for key, _ in node.entries)


def entry_remedy(item: Node) -> str:
    """Return what to do about an entry of a project file that is no command, "" when that is not clear."""
    if isinstance(item, ListNode):
        return "Remove one of the two dashes."
    if isinstance(item, ScalarNode) and item.value is None:
        return "Remove the dash, or write a command after it."
    return ""


def unknown_command_remedy(name: str, known: Iterable[str]) -> str:
    """Return what to write instead of a name that is no command, "" when none is near."""
    known = list(known)
    before, colon, after = name.partition(":")
    if colon and before.strip() in known:
        return f"Write '- {before.strip()}: {after.strip():.80}', with a blank after the colon and no quotes around it."
    if name.startswith("stage") and name[len("stage") :].strip():
        return f"Did you mean 'stage {name[len('stage') :].strip():.80}:', with a list of commands below?"
    if name.startswith("substage"):
        return "There are no blocks of substages: select one with set_stage(stage, substage) or --stage STAGE:SUBSTAGE."
    return meant(name, known)

"""The tables of the configuration pages, made from what the parser reads; a test finds every row in its page.

`python -m tools.config_tables` prints them.
"""

from __future__ import annotations

from collections.abc import Mapping

from seamless_config.cluster_fields import (
    CLUSTER_FIELDS,
    FRONTEND_FIELDS,
    PURE_QUEUE_NEEDS,
    QUEUE_FIELDS,
    QUEUE_NEEDS,
    SERVICE_FIELDS,
    Field,
)
from seamless_config.commands import COMMANDS, CommandKind

__all__ = ("command_rows", "field_rows", "main")

ARGUMENTS = {
    "name": "name",
    "bool": "true or false",
    "count": "whole number from 1 on",
    "text": "text",
    "mapping": "mapping of definitions",
    "auth": "mode, or mapping of modes",
}
TABLES: dict[str, Mapping[str, Field]] = {
    "cluster": CLUSTER_FIELDS,
    "frontend": FRONTEND_FIELDS,
    **SERVICE_FIELDS,
    "queue": QUEUE_FIELDS,
}
KINDS = {"bool": "true or false", "count": "whole number from 1 on", "port": "port", "nested": "see below"}


def command_rows() -> list[str]:
    """Return a row for each command: name, argument, what it does."""
    return [f"| `{kind.name}` | {_argument(kind)} | {kind.summary} |" for kind in COMMANDS.values()]


def _argument(kind: CommandKind) -> str:
    choices = ", ".join(f"`{choice}`" for choice in kind.choices)
    words = f"mapping of cluster to mode, or mode: {choices}" if kind.type == "auth" else choices
    return (words or ARGUMENTS[kind.type]) + (", or null" if kind.null else "")


def field_rows(structure: str) -> list[str]:
    """Return a row for each field of a structure: name, type, what it means."""
    rows = []
    for field in TABLES[structure].values():
        kind = ", ".join(f"`{choice}`" for choice in field.choices) or KINDS.get(field.type, field.type)
        needs = " (needed)" if field.required else ""
        if structure == "queue" and field.name in QUEUE_NEEDS:
            needs = " (for Dask)" if field.name in PURE_QUEUE_NEEDS else " (for Dask with storage)"
        rows.append(
            f"| `{field.name}` | {kind}{', or null' if field.null else ''}{needs} | {field.summary} |"
        )
    return rows


def main() -> None:
    """Print all tables."""
    print("\n".join(command_rows()))
    for structure in TABLES:
        print(f"\n{structure}\n" + "\n".join(field_rows(structure)))


if __name__ == "__main__":
    main()

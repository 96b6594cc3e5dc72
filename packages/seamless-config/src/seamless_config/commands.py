"""The command language of `seamless.yaml` and `seamless.profile.yaml`.

A file is a list of entries; an entry is a command without argument (`- inherit_from_parent`) or a mapping with one
key, the command, and its argument (`- project: mine`). `stage NAME` is a block: its entries count when that stage is
selected. Pure: from nodes to commands; nothing is looked up, nothing is carried out.
"""

from __future__ import annotations

from .cluster_fields import AUTH_MODES
from .errors import ConfigurationFileInvalid
from .names import name_problem
from .remedies import entry_remedy, name_remedy, root_remedy, spelled_remedy, unknown_command_remedy
from .spelling import meant, one_of
from .yaml_nodes import ListNode, MappingNode, Node, ScalarNode

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Any

    from .places import Place

__all__ = (
    "COMMANDS",
    "EXECUTIONS",
    "REMOTES",
    "Command",
    "CommandKind",
    "check_argument",
    "commands_of",
    "inherits",
)

EXECUTIONS = ("process", "spawn", "remote")
REMOTES = ("daskserver", "jobserver")
INHERIT = "inherit_from_parent"


class CommandKind:
    """What a command takes. type: "name", "choice", "bool", "count", "text", "mapping" or "auth" (a choice,
    or a mapping from clusters to choices); null: it is allowed."""

    __slots__ = ("choices", "example", "name", "null", "summary", "type")

    def __init__(
        self,
        name: str,
        type_: str,
        example: str,
        summary: str,
        *,
        null: bool = False,
        choices: tuple[str, ...] = (),
    ) -> None:
        self.name = name
        self.type = type_
        self.null = null
        self.choices = choices
        self.example = example
        self.summary = summary


COMMANDS = {
    kind.name: kind
    for kind in (
        CommandKind(
            "project", "name", "project: my-project", "name of the project; part of every storage path"
        ),
        CommandKind(
            "subproject", "name", "subproject: part/one", "path inside the project, with storage of its own"
        ),
        CommandKind(
            "cluster", "name", "cluster: mycluster", "the cluster whose services are used", null=True
        ),
        CommandKind("execution", "choice", "execution: process", "where steps run", choices=EXECUTIONS),
        CommandKind("queue", "text", "queue: highmem", "the queue of the selected cluster"),
        CommandKind(
            "remote",
            "choice",
            "remote: daskserver",
            "which job back end, when a cluster has both",
            null=True,
            choices=REMOTES,
        ),
        CommandKind("persistent", "bool", "persistent: false", "whether results are kept by services"),
        CommandKind(
            "clusters",
            "mapping",
            "clusters: {mycluster: {...}}",
            "define clusters here, before all other commands",
        ),
        CommandKind(
            "auth",
            "auth",
            "auth: {mycluster: group}",
            "who may use the services of the selected cluster, or of each named one",
            choices=AUTH_MODES,
        ),
        CommandKind("record", "bool", "record: true", "whether execution records are full"),
        CommandKind("node", "text", "node: node17", "run jobs on this node of the cluster", null=True),
        CommandKind(
            "nparallel", "count", "nparallel: 8", "how many steps the parallel-map helpers run at once"
        ),
    )
}


class Command:
    """A command as it was written. argument: checked plain data; for `clusters` the node."""

    __slots__ = ("argument", "argument_place", "name", "place")

    def __init__(self, name: str, argument: Any, place: Place | None, argument_place: Place | None) -> None:
        self.name = name
        self.argument = argument
        self.place = place
        self.argument_place = argument_place

    def __repr__(self) -> str:
        return f"Command({self.name!r}, {self.argument!r})"


def inherits(root: Node | None) -> bool:
    """Whether a file has `inherit_from_parent` at its top level, with any argument but false."""
    if not isinstance(root, ListNode):
        return False
    for item in root.items:
        if isinstance(item, ScalarNode) and item.value == INHERIT:
            return True
        if isinstance(item, MappingNode) and len(item.entries) == 1:
            key, value = item.entries[0]
            if key.value == INHERIT:
                return not (isinstance(value, ScalarNode) and value.value is False)
    return False


def commands_of(root: Node | None, stage: str | None, hints: list[str] | None = None) -> list[Command]:
    """Return the commands that count, those of blocks of the selected stage in place of the block.

    Blocks of other stages are not looked into. hints: gets what is allowed and cannot be meant so.
    Raises ConfigurationFileInvalid.
    """
    if root is None:
        return []  # an empty file, or comments only: nothing is asked for
    if not isinstance(root, ListNode):
        raise ConfigurationFileInvalid(
            f"the file must hold a list of commands, not {root.describe()}.",
            place=root.place,
            remedy=root_remedy(root, COMMANDS),
        )
    return list(_commands(root, stage, [] if hints is None else hints, is_top=True))


def _commands(block: ListNode, stage: str | None, hints: list[str], *, is_top: bool) -> Iterator[Command]:
    for item in block.items:
        key, argument = _entry(item)
        name = key.value
        if name == "stage" or (name.startswith("stage ") and not isinstance(item, ScalarNode)):
            yield from _stage_block(key, argument, stage, hints)
        elif name == INHERIT:
            if not is_top:
                raise ConfigurationFileInvalid(
                    f"{INHERIT} has no effect inside a stage block.",
                    place=key.place,
                    remedy="Write it at the top level of the file: parents count for all stages, and may hold blocks.",
                )
            if (
                isinstance(argument, ScalarNode)
                and argument.value is not None
                and not isinstance(argument.value, bool)
            ):
                raise ConfigurationFileInvalid(
                    f"{INHERIT} takes no argument, or true or false, not {argument.describe()}.",
                    place=argument.place,
                )
        else:
            yield _command(key, argument)


def _entry(item: Node) -> tuple[ScalarNode, Node]:
    if isinstance(item, ScalarNode) and isinstance(item.value, str):
        return item, ScalarNode(None, item.place)
    if isinstance(item, MappingNode):
        if len(item.entries) == 1:
            key, argument = item.entries[0]
            if isinstance(key.value, str):
                return key, argument
            raise ConfigurationFileInvalid(
                f"a command is a word, not {key.describe()}.", place=key.place, remedy=_expected()
            )
        raise ConfigurationFileInvalid(
            f"an entry holds one command; this is {item.describe()}.",
            place=item.entries[1][0].place if item.entries else item.place,
            remedy="Begin each command with '- ' on a line of its own.",
        )
    raise ConfigurationFileInvalid(
        f"an entry must be a command, not {item.describe()}.",
        place=item.place,
        remedy=entry_remedy(item) or _expected(),
    )


def _expected() -> str:
    return "An entry is a command, for example '- project: my-project'."


def _stage_block(key: ScalarNode, argument: Node, stage: str | None, hints: list[str]) -> Iterator[Command]:
    name = key.value[len("stage") :].strip()
    if not name:
        given = argument.value if isinstance(argument, ScalarNode) else None
        example = given if isinstance(given, str) and given else "NAME"
        raise ConfigurationFileInvalid(
            "a stage block needs the name of the stage.",
            place=key.place,
            remedy=f"Write '- stage {example:.80}:' with commands below.",
        )
    if not isinstance(argument, ListNode):
        raise ConfigurationFileInvalid(
            f"the block of stage {name!r:.120} must hold a list of commands, not {argument.describe()}.",
            place=argument.place or key.place,
            remedy="Write each command of the block as '- command: argument', indented below 'stage NAME:'.",
        )
    if problem := name_problem("stage", name):
        more = ""
        if ":" in name:
            more = f" There are no blocks of substages: write 'stage {name.partition(':')[0]}:'."
        hints.append(f"{key.place}: this block never counts, for {problem}.{more}")
        return
    if name == stage:
        yield from _commands(argument, stage, hints, is_top=False)


def _command(key: ScalarNode, argument: Node) -> Command:
    name = key.value
    kind = COMMANDS.get(name)
    if kind is None:
        known = [*COMMANDS, INHERIT, "stage"]
        raise ConfigurationFileInvalid(
            f"{name!r:.80} is no command.",
            place=key.place,
            remedy=unknown_command_remedy(name, known)
            or f"The commands are {', '.join([*COMMANDS, INHERIT, 'stage NAME'])}.",
        )
    if kind.type == "mapping":
        if not isinstance(argument, MappingNode):
            raise ConfigurationFileInvalid(
                f"{name} must be a mapping from names to definitions, not {argument.describe()}.",
                place=argument.place or key.place,
                remedy=f"Write '{kind.example}'.",
            )
        return Command(name, argument, key.place, argument.place or key.place)
    if kind.type == "auth" and isinstance(argument, MappingNode):
        return Command(name, _auth_by_cluster(argument), key.place, argument.place or key.place)
    value = argument.plain() if isinstance(argument, ScalarNode) else argument
    described = argument.describe()
    if problem := check_argument(kind, value, described):
        choice = meant(value, kind.choices) if kind.choices and isinstance(value, str) else ""
        raise ConfigurationFileInvalid(
            f"{problem}.",
            place=argument.place or key.place,
            remedy=choice or spelled_remedy(kind.type, name, argument) or f"For example '- {kind.example}'.",
        )
    return Command(name, value, key.place, argument.place)


def _auth_by_cluster(argument: MappingNode) -> dict[str, str]:
    for cluster, mode in argument.entries:
        problem = (
            name_problem("cluster", cluster.value)
            if isinstance(cluster.value, str)
            else f"the name of a cluster must be text, not {cluster.describe()}"
        )
        if problem:
            raise ConfigurationFileInvalid(f"{problem}.", place=cluster.place, remedy=name_remedy(cluster))
        value = mode.value if isinstance(mode, ScalarNode) else None
        if value not in AUTH_MODES:
            raise ConfigurationFileInvalid(
                f"auth of cluster {cluster.value!r} must be {one_of(AUTH_MODES)}, not {mode.describe()}.",
                place=mode.place or cluster.place,
                remedy=meant(value, AUTH_MODES) if isinstance(value, str) else "",
            )
    return dict(argument.plain())


def check_argument(kind: CommandKind, value: object, described: str) -> str:
    """Return what is wrong with an argument, "" if nothing is. described: the argument in words."""
    name = kind.name
    if value is None and kind.null:
        return ""
    if kind.type == "bool":
        return "" if isinstance(value, bool) else f"{name} must be true or false, not {described}"
    if kind.type == "count":
        if isinstance(value, bool) or not isinstance(value, int) or value < 1:
            return f"{name} must be a positive whole number, not {described}"
        return ""
    if not isinstance(value, str):
        return f"{name} must be text{' or null' if kind.null else ''}, not {described}"
    if kind.type in ("choice", "auth"):
        return "" if value in kind.choices else f"{name} must be {one_of(kind.choices)}, not {described}"
    if kind.type == "name":
        return name_problem(name, value)
    return "" if value.strip() else f"{name} is blank"

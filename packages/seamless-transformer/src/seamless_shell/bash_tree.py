"""What bash command text consists of: words, redirects, simple commands, and what they are inside.

All positions are offsets into the text; ends are exclusive. `bash_syntax.parse_bash` makes these.
"""

from __future__ import annotations

TYPE_CHECKING = False  # importing typing costs a command 6 ms
if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

__all__ = ("Compound", "ParsedCommand", "Redirect", "SimpleCommand", "Word")


class Word:
    """One word of a command.

    literal: the word after quote removal; None when it holds an expansion (`$x`, `$(..)`, `` `..` ``, `<(..)`)
        or an array, so that only bash knows what becomes of it.
    globs: it holds an unquoted `*`, `?`, `[..]` or extended pattern, or an unquoted brace expansion `{a,b}`.
    tilde: it begins with an unquoted `~`.
    """

    __slots__ = ("end", "globs", "literal", "start", "tilde")

    def __init__(
        self, start: int, end: int, literal: str | None, *, globs: bool = False, tilde: bool = False
    ) -> None:
        self.start = start
        self.end = end
        self.literal = literal
        self.globs = globs
        self.tilde = tilde

    def __repr__(self) -> str:
        return f"Word({self.start}, {self.end}, {self.literal!r}, globs={self.globs}, tilde={self.tilde})"


class Redirect:
    """One redirect.

    operator: `<` `>` `>>` `>|` `<>` `&>` `&>>` `>&` `<&` `<<` `<<-` `<<<`.
    fd: the text before the operator (`2`, `{name}`), or None.
    target: the word after it; of a here-document the delimiter, whose literal is never None.
    """

    __slots__ = ("end", "fd", "operator", "start", "target")

    def __init__(self, start: int, end: int, operator: str, fd: str | None, target: Word) -> None:
        self.start = start
        self.end = end
        self.operator = operator
        self.fd = fd
        self.target = target

    def __repr__(self) -> str:
        return f"Redirect({self.start}, {self.end}, {self.operator!r}, {self.fd!r}, {self.target!r})"

    @property
    def is_input(self) -> bool:
        """Whether it reads a named file."""
        return self.operator in ("<", "<>")

    @property
    def is_output(self) -> bool:
        """Whether it writes a named file; `>&$x` counts as the copy of a descriptor, which it nearly always is."""
        if self.operator != ">&":
            return self.operator in (">", ">>", ">|", "&>", "&>>", "<>")
        target = self.target.literal
        return target is not None and self.fd in (None, "1") and not _names_descriptor(target)

    @property
    def output_fd(self) -> int | None:
        """The descriptor that a file is written through; None for `{name}>` and for what is no output.

        `<>` without a number opens descriptor 0.
        """
        if not self.is_output:
            return None
        if self.fd is None:
            return 0 if self.operator == "<>" else 1
        return None if self.fd.startswith("{") else int(self.fd)


class Compound:
    """What commands are inside of: a pipeline (also of one command), a loop, a group, a function...

    kind: text, pipeline, subshell, group, if, while, until, for, select, case, function, coproc, `[[`, `((`.
    elements: what it consists of, in order: pipelines, or the commands of a pipeline.
    redirects: those after its end.
    """

    __slots__ = ("elements", "end", "kind", "redirects", "start")

    def __init__(self, kind: str, start: int) -> None:
        self.kind = kind
        self.start = start
        self.end = start
        self.elements: list[Compound | SimpleCommand] = []
        self.redirects: Sequence[Redirect] = ()

    def __repr__(self) -> str:
        return f"Compound({self.kind!r}, {self.start}, {self.end}, {len(self.elements)} elements)"


class SimpleCommand:
    """Words with the assignments before them and the redirects among them; each of the three may be missing.

    parents: what it is inside of, the outermost first.
    """

    __slots__ = ("assignments", "end", "parents", "redirects", "start", "words")

    def __init__(
        self,
        start: int,
        end: int,
        assignments: tuple[Word, ...],
        words: tuple[Word, ...],
        redirects: tuple[Redirect, ...],
        parents: tuple[Compound, ...],
    ) -> None:
        self.start = start
        self.end = end
        self.assignments = assignments
        self.words = words
        self.redirects = redirects
        self.parents = parents

    def __repr__(self) -> str:
        return f"SimpleCommand({self.start}, {self.end}, {len(self.words)} words)"


class ParsedCommand:
    """A command text and what is in it.

    commands: all simple commands in order of position, those in functions too; not those in `$(..)` and the like.
    root: the whole text; its elements are the pipelines at top level.
    """

    __slots__ = ("commands", "root", "text")

    def __init__(self, text: str, commands: tuple[SimpleCommand, ...], root: Compound) -> None:
        self.text = text
        self.commands = commands
        self.root = root

    @property
    def named_commands(self) -> tuple[SimpleCommand, ...]:
        """The commands that have words: more than assignments and redirects."""
        return tuple(command for command in self.commands if command.words)

    def primary_pipeline(self, n: int = 1) -> tuple[SimpleCommand, ...]:
        """Return the named commands of the outermost real pipeline around the n-th named command.

        A real pipeline has two elements or more; without one, the command is alone. Everything inside the
        elements is included, in order of position. Raises IndexError when there is no n-th command.
        """
        primary = self._primary(n)
        pipeline = _outermost_pipeline(primary)
        if pipeline is None:
            return (primary,)
        return tuple(command for command in self.named_commands if pipeline in command.parents)

    def result_redirects(self) -> tuple[Redirect, ...]:
        """Return the output redirects of the last command.

        Of a compound command that has none itself, those of the last command in it; of a function definition none.
        """
        last: Compound | SimpleCommand = self.root
        while isinstance(last, Compound) and last.kind != "function":
            outputs = tuple(redirect for redirect in last.redirects if redirect.is_output)
            if outputs or not last.elements:
                return outputs
            last = last.elements[-1]
        return tuple(redirect for redirect in last.redirects if redirect.is_output)

    def input_redirects(self, n: int = 1) -> tuple[Redirect, ...]:
        """Return what reads named files for the primary pipeline, in order of position.

        These are the input redirects of all that is in the pipeline, and of the compound commands around the
        primary command. Raises IndexError when there is no n-th command.
        """
        primary = self._primary(n)
        pipeline = _outermost_pipeline(primary)
        found = [redirect for parent in primary.parents for redirect in parent.redirects]
        if pipeline is None:
            found += primary.redirects
        else:
            around = set(map(id, found))
            found += [redirect for redirect in _redirects_inside(pipeline) if id(redirect) not in around]
        return tuple(sorted((one for one in found if one.is_input), key=lambda one: one.start))

    def before_last(self) -> tuple[SimpleCommand, ...]:
        """Return the named commands before the last pipeline at top level."""
        if not self.root.elements:
            return ()
        start = self.root.elements[-1].start
        return tuple(command for command in self.named_commands if command.start < start)

    def _primary(self, n: int) -> SimpleCommand:
        named = self.named_commands
        if not 1 <= n <= len(named):
            raise IndexError(f"there is no command {n}: the text has {len(named)}")
        return named[n - 1]


def _outermost_pipeline(command: SimpleCommand) -> Compound | None:
    for parent in command.parents:
        if parent.kind == "pipeline" and len(parent.elements) > 1:
            return parent
    return None


def _redirects_inside(node: Compound | SimpleCommand) -> Iterator[Redirect]:
    yield from node.redirects
    if isinstance(node, Compound):
        for element in node.elements:
            yield from _redirects_inside(element)


def _names_descriptor(target: str) -> bool:
    """Whether `>&target` copies, moves or closes a descriptor: `1`, `1-`, `-`."""
    digits = target[:-1] if target.endswith("-") else target
    return target == "-" or (digits.isascii() and digits.isdigit())

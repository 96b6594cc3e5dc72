"""Find the simple commands in bash command text, with their words, pipelines and redirects, all with positions.

Which words of a command are inputs decides the identity of its step, so this is a fixed rule of ours and quick to
import; bashlex does not know `[[`, `case`, `time` and `((`, tree-sitter-bash attaches words after redirects wrongly.

Invariant: the text is accepted exactly if `bash -n` accepts it (extended patterns are always on, where they would
be errors otherwise). What is inside `$(..)`, backquotes, `<(..)`, `${..}` and here-documents is part of a word:
its end is found, its commands are not listed. The parser follows the grammar in bash's own manual.
"""

from __future__ import annotations

from .bash_conditions import ConditionScanner
from .bash_quotes import quote_word, quote_words
from .bash_tokens import REDIRECTS, SEPARATORS
from .bash_tree import Compound, ParsedCommand, Redirect, SimpleCommand, Word
from .bash_words import BashSyntaxError, Place

TYPE_CHECKING = False  # importing typing costs a command 6 ms
if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = (
    "BashSyntaxError",
    "Compound",
    "ParsedCommand",
    "Redirect",
    "SimpleCommand",
    "Word",
    "parse_bash",
    "quote_word",
    "quote_words",
)

_CASE_ENDS = frozenset((";;", ";&", ";;&"))
_FLAT_KINDS = ("text", "pipeline")  # what is no nesting
_CLOSING_WORDS = frozenset(("then", "do", "done", "fi", "else", "elif", "esac", "}"))
_DECLARATIONS = frozenset(("alias", "declare", "eval", "export", "let", "local", "readonly", "typeset"))


def parse_bash(text: str) -> ParsedCommand:
    """Return the simple commands of the text, and how they hang together. Raises BashSyntaxError.

    >>> parsed = parse_bash("X=1 sort 'my file' > out | head -3")
    >>> [[word.literal for word in command.words] for command in parsed.commands]
    [['sort', 'my file'], ['head', '-3']]
    """
    return _Parser(text).parse()


class _Parser(ConditionScanner):
    """Recursive descent over tokens that are read where they are wanted."""

    __slots__ = ("_arithmetic_ends", "_substituted_ends")

    def __init__(self, text: str) -> None:
        super().__init__(text)
        # What was scanned once is not scanned again when `((` turns out to be two subshells:
        self._arithmetic_ends: dict[int, int] = {}
        self._substituted_ends: dict[int, int] = {}

    def parse(self) -> ParsedCommand:
        nul = self.text.find("\0")
        if nul >= 0:
            self.fail("a NUL character cannot be part of a command", nul)
        root = self._open("text")
        self._list(root, may_be_empty=True)
        if self.pos < len(self.text):
            self.unexpected()
        self._close(root)
        return ParsedCommand(self.text, tuple(self.commands), root)

    def substituted_end(self, start: int) -> int:
        if start not in self._substituted_ends:
            outside = self.pos, self.last, self.commands, self.parents, self.heredocs
            self.pos, self.commands, self.parents, self.heredocs = start, [], [], []
            node = self._open("substitution")
            node.start = start - 1  # for messages: the parenthesis
            self._list(node, may_be_empty=True)
            self.demand_operator(")")
            self.depth -= 1
            self._substituted_ends[start] = self.pos
            self.carried += self.heredocs
            self.pos, self.last, self.commands, self.parents, self.heredocs = outside
        return self._substituted_ends[start]

    def array_end(self, start: int) -> int:
        outside = self.pos
        self.enter(start)
        self.pos = start + 1
        self.skip(newlines=True)
        while not self.text.startswith(")", self.pos):
            self.demand_word(Place.ELEMENT)
            self.skip(newlines=True)
        self.depth -= 1
        end = self.pos + 1
        self.pos = outside
        return end

    # What commands are made of

    def _open(self, kind: str) -> Compound:
        if kind not in _FLAT_KINDS:
            self.enter(self.pos)
        node = Compound(kind, self.pos)
        self.parents.append(node)
        return node

    def _close(self, node: Compound) -> Compound:
        self.parents.pop()
        self.depth -= node.kind not in _FLAT_KINDS
        node.end = self.last
        return node

    def _end(self, node: Compound) -> Compound:
        """Take the redirects behind a compound command, and close it."""
        redirects = self.redirects()
        if redirects and not self.operator() and self.pos < len(self.text):
            self.unexpected()  # behind a redirect, a reserved word is a word
        node.redirects = redirects
        return self._close(node)

    def _list(self, node: Compound, *, may_be_empty: bool = False) -> None:
        """Take pipelines up to what can only close a compound command; they become elements of the node."""
        self.skip(newlines=True)
        wanted = not may_be_empty
        while wanted or not self._at_closing():
            node.elements.append(self._pipeline())
            self.skip()
            operator = self.operator()
            wanted = operator in ("&&", "||")
            if not wanted and operator not in SEPARATORS:
                return
            if operator != "\n":
                self.take()
            self.skip(newlines=True)

    def _at_closing(self) -> bool:
        operator = self.operator()
        if operator:
            return operator == ")" or operator in _CASE_ENDS
        return self.pos == len(self.text) or self.reserved() in _CLOSING_WORDS

    def _pipeline(self) -> Compound:
        node = self._open("pipeline")
        if not self._prefixes():
            while True:
                node.elements.append(self._command())
                self.skip()
                if self.operator() not in ("|", "|&"):
                    break
                self.take()
                self.skip(newlines=True)
        return self._close(node)

    def _prefixes(self) -> bool:
        """Take `!` and `time [-p] [--]`; return whether nothing follows them, which is allowed."""
        word = ""
        while (following := self.reserved()) in ("!", "time"):
            word = following
            self.take()
            self.skip()
            if word == "time":
                self.skip_option("-p")
                self.skip_option("--")
        if not word:
            return False
        operator = self.operator()
        around = self.parents[-2]
        if operator == ")" and word == "time" and around.kind == "substitution":
            return len(around.elements) == 0
        return operator in (";", "\n") or self.pos == len(self.text)

    def _command(self) -> Compound | SimpleCommand:
        operator = self.operator()
        if operator == "(":
            return self._parenthesis()
        if operator and operator not in REDIRECTS:
            self.unexpected()
        word = self.reserved()
        if not word:
            return self._simple()
        if word not in _COMPOUND_COMMANDS:
            # `time` behind `|` is an ordinary command
            return self._simple() if word == "time" else self.unexpected()
        return self._compound(word)

    def _compound(self, word: str) -> Compound:
        node = self._open(word)
        self.take()
        _COMPOUND_COMMANDS[word](self, node)
        return self._close(node) if word in ("function", "coproc") else self._end(node)

    def _simple(self) -> SimpleCommand | Compound:
        start = self.pos
        assignments: list[Word] = []
        words: list[Word] = []
        redirects: list[Redirect] = []
        place = Place.COMMAND
        while True:
            if redirect := self.redirect():
                redirects.append(redirect)
                if words or assignments:  # no more arrays, neither behind `declare` nor behind NAME=VALUE
                    place = Place.ARGUMENT if words else Place.LATE
                self.skip()
                continue
            word = self.word(place)
            if word is None:
                break
            self.last = self.pos
            self.skip()
            if self.is_assignment:
                assignments.append(word)
                continue
            words.append(word)
            if len(words) == 1:
                place = (
                    Place.DECLARED
                    if self.raw(word) in _DECLARATIONS and place == Place.COMMAND
                    else Place.ARGUMENT
                )
                if word.start == start and self.operator() == "(":
                    return self._function(start)
        if self.last <= start:
            self.unexpected()
        command = SimpleCommand(
            start, self.last, tuple(assignments), tuple(words), tuple(redirects), tuple(self.parents)
        )
        self.commands.append(command)
        return command

    # Compound commands; each begins behind its first word

    def _parenthesis(self) -> Compound:
        end = self._arithmetic_end() if self.text.startswith("(", self.pos + 1) else -1
        node = self._open("subshell" if end < 0 else "((")
        if end < 0:
            self.demand_operator("(")
            self._list(node)
            self.demand_operator(")")
        else:
            self.pos = self.last = end
        return self._end(node)

    def _arithmetic_end(self) -> int:
        """Return the end of `((..))` here; -1 if the parentheses do not close together: then they are subshells."""
        start = self.pos
        if start not in self._arithmetic_ends:
            end = self.brackets_end(start + 1, ")", arithmetic=True)
            self._arithmetic_ends[start] = end + 1 if self.text.startswith(")", end) else -1
        return self._arithmetic_ends[start]

    def _conditional(self, node: Compound) -> None:
        self.conditions()
        self.demand_reserved("]]")

    def _group(self, node: Compound) -> None:
        self._list(node)
        self.demand_reserved("}")

    def _if(self, node: Compound) -> None:
        word = "if"
        while word in ("if", "elif"):
            self._list(node)
            self.demand_reserved("then")
            self._list(node)
            word = self.demand_reserved("elif", "else", "fi")
        if word == "else":
            self._list(node)
            self.demand_reserved("fi")

    def _while(self, node: Compound) -> None:
        self._list(node)
        self._body(node)

    def _body(self, node: Compound, *openers: str) -> None:
        """Take `do` LIST `done`; with "{" among the openers, also { LIST }."""
        word = self.demand_reserved("do", *openers)
        self._list(node)
        self.demand_reserved("done" if word == "do" else "}")

    def _for(self, node: Compound) -> None:
        self.skip()
        if self.operator() == "(" and node.kind == "for" and self.text.startswith("(", self.pos + 1):
            self._arithmetic_for(node)
            return
        self.demand_word()
        self.skip()
        braces_allowed = self.operator() == "\n"
        self.skip(newlines=True)
        if self.reserved() == "in":
            self.take()
            self.skip()
            while self.word():
                self.skip()
            self.demand_separator()
            braces_allowed = True
        elif not braces_allowed and self.operator() == ";":
            self.demand_separator()
            braces_allowed = True
        self._body(node, *(("{",) if braces_allowed else ()))

    def _arithmetic_for(self, node: Compound) -> None:
        start = self.pos
        end = self._arithmetic_end()
        if end < 0:
            self.fail("no )) closes this ((", start)
        if self.n_semicolons != 2:
            self.fail("between (( and )) must be three expressions, with semicolons between", start)
        self.pos = self.last = end
        self.skip()
        if self.operator() == ";":
            self.take()
        self.skip(newlines=True)
        self._body(node, "{")

    def _case(self, node: Compound) -> None:
        self.skip()
        self.demand_word()
        self.skip(newlines=True)
        self.demand_reserved("in")
        self.skip(newlines=True)
        while self.reserved() != "esac":
            if self.operator() == "(":
                self.take()
            operator = "|"
            while operator == "|":
                self.skip()
                self.demand_word()
                operator = self.demand_operator("|", ")")
            self._list(node, may_be_empty=True)
            self.skip()
            if self.operator() not in _CASE_ENDS:
                break
            self.take()
            self.skip(newlines=True)
        self.demand_reserved("esac")

    def _function(self, start: int) -> Compound:
        """Take the rest of `NAME () BODY`; the parenthesis is here."""
        node = self._open("function")
        node.start = start
        self.demand_operator("(")
        self.demand_operator(")")
        self._function_body(node)
        return self._close(node)

    def _function_word(self, node: Compound) -> None:
        self.skip()
        self.demand_word(Place.COMMAND)
        self.skip()
        start = self.pos
        if self.operator() == "(":
            self.take()
            self.skip()
            if self.operator() == ")":
                self.take()
            else:
                self.pos = start  # the body is a subshell
        self._function_body(node)

    def _function_body(self, node: Compound) -> None:
        self.skip(newlines=True)
        node.elements.append(self._shell_command())

    def _shell_command(self) -> Compound:
        if self.operator() == "(":
            return self._parenthesis()
        word = self.reserved()
        if word not in _COMPOUND_COMMANDS or word in ("function", "coproc"):
            self.unexpected()
        return self._compound(word)

    def _coproc(self, node: Compound) -> None:
        self.skip()
        start = self.pos
        if self.operator() != "(" and self.reserved() in ("", "time"):
            name = self.word(Place.COMMAND)
            is_name = name is not None and not self.is_assignment
            self.skip()
            if not is_name or (self.operator() != "(" and self.reserved() in ("", "time")):
                self.pos = start
                node.elements.append(self._simple())
                return
        node.elements.append(self._shell_command())


_COMPOUND_COMMANDS: dict[str, Callable[[_Parser, Compound], None]] = {
    "[[": _Parser._conditional,
    "{": _Parser._group,
    "case": _Parser._case,
    "coproc": _Parser._coproc,
    "for": _Parser._for,
    "function": _Parser._function_word,
    "if": _Parser._if,
    "select": _Parser._for,
    "until": _Parser._while,
    "while": _Parser._while,
}

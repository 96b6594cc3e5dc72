"""Find the end of `[[ .. ]]`, which has a grammar of its own.

Its operands are no words of a command, so nothing is kept of them.
"""

from __future__ import annotations

from .bash_tokens import TokenScanner
from .bash_words import Place

TYPE_CHECKING = False  # importing typing costs a command 6 ms
if TYPE_CHECKING:
    from .bash_tree import Word

__all__ = ("ConditionScanner",)

_UNARY_TESTS = frozenset("-" + letter for letter in "abcdefghknoprstuvwxzGLNORS")
_BINARY_TESTS = frozenset(
    ("=", "==", "!=", "=~", "-eq", "-ne", "-lt", "-le", "-gt", "-ge", "-nt", "-ot", "-ef")
)


class ConditionScanner(TokenScanner):
    """A position in a text, and how to move it over conditions."""

    __slots__ = ()

    def conditions(self) -> None:
        """Take conditions up to the `]]` or `)` behind them."""
        operator = "&&"
        while operator in ("&&", "||"):
            self._condition()
            self.skip()
            operator = self.operator()
            if operator in ("&&", "||"):
                self.take()

    def _condition(self) -> None:
        self.skip(newlines=True)
        while self.reserved() == "!":
            self.take()
            self.skip(newlines=True)
        if self.operator() == "(":
            self.enter(self.pos)
            self.take()
            self.conditions()
            self.demand_operator(")")
            self.depth -= 1
            self.skip(newlines=True)
            return
        first = self.raw(self._operand())
        self.skip()
        if first in _UNARY_TESTS:
            self._operand()
        else:
            if self.operator() in ("&&", "||", ")") or self.reserved() == "]]":
                return
            operator = self.operator()
            if operator in ("<", ">"):
                self.take()
            else:
                operator = self.raw(self._operand())
                if operator not in _BINARY_TESTS:
                    self.fail(f"{operator!r} does not compare two words", self.last - len(operator))
            self.skip()
            self._operand(Place.REGEX if operator == "=~" else Place.ARGUMENT)
        self.skip(newlines=True)

    def _operand(self, place: str = Place.ARGUMENT) -> Word:
        if self.reserved() == "]]" or self.at_descriptor():
            self.unexpected()
        return self.demand_word(place)

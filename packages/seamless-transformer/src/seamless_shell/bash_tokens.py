"""Find the tokens of bash text between the words: operators, reserved words, redirects, here-documents.

Reserved words and numbers are tokens in some places and words in others, so the parser asks for what it wants.
A backslash at the end of a line joins it to the next one anywhere, also within a token.
"""

from __future__ import annotations

import re

from .bash_quotes import RESERVED_WORDS
from .bash_tree import Compound, Redirect, SimpleCommand, Word
from .bash_words import Place, WordScanner

TYPE_CHECKING = False  # importing typing costs a command 6 ms
if TYPE_CHECKING:
    from typing import NoReturn

__all__ = ("REDIRECTS", "SEPARATORS", "TokenScanner")

REDIRECTS = frozenset(("<", ">", ">>", ">|", "<>", "&>", "&>>", ">&", "<&", "<<", "<<-", "<<<"))
SEPARATORS = frozenset((";", "&", "\n"))
LARGEST_DESCRIPTOR = 2**31 - 1

_OPERATORS = REDIRECTS | SEPARATORS | {"&&", "||", "|", "|&", "(", ")", ";;", ";&", ";;&"}
_REDIRECT_STARTS = frozenset("<>&{0123456789")
_SPACE = re.compile(r"(?:[ \t]|\\\n)+")
_RESERVED = re.compile(r"((?:[a-z{}!\[\]]|\\\n)+)(?=[ \t\n;&|()]|[<>](?!\()|\Z)")
_DESCRIPTOR = re.compile(
    r"(?:[0-9]+|\{[A-Za-z_][A-Za-z0-9_]*(?:\[[^]<> \t\n;&|()'\"`$\\]*\])?\})(?=[<>](?!\())"
)


class TokenScanner(WordScanner):
    """A position in a text, and the tokens there.

    last: the end of the token that was taken last.
    ahead: the end of the operator or reserved word that was found last; `take()` moves there.
    commands: the simple commands so far. parents: the compound commands that are open here, the outermost first.
    """

    __slots__ = ("ahead", "carried", "commands", "heredocs", "last", "parents")

    def __init__(self, text: str) -> None:
        super().__init__(text)
        self.last = 0
        self.ahead = 0
        self.commands: list[SimpleCommand] = []
        self.parents: list[Compound] = []
        self.heredocs: list[
            tuple[str, bool, bool]
        ] = []  # announced in this line: delimiter, quoted, with `<<-`
        self.carried: list[
            tuple[str, bool, bool]
        ] = []  # those announced in a `$(..)` that ended on this line

    def skip(self, *, newlines: bool = False) -> None:
        """Move over blanks and comments; with `newlines` also over these, and the here-documents behind them."""
        text = self.text
        while True:
            if match := _SPACE.match(text, self.pos):
                self.pos = match.end()
            char = text[self.pos : self.pos + 1]
            if char == "#":
                end = text.find("\n", self.pos)
                self.pos = end if end >= 0 else len(text)
            elif char == "\n" and newlines:
                self.pos += 1
                for heredoc in (*self.carried, *self.heredocs):
                    self._skip_body(*heredoc)
                self.carried.clear()
                self.heredocs.clear()
            else:
                return

    def take(self) -> None:
        """Move behind the operator or reserved word that was found last."""
        self.pos = self.last = self.ahead

    def operator(self) -> str:
        """Return the operator that begins here; "" at the end and where a word begins."""
        text = self.text
        pos = self.pos
        found = ""
        while (char := text[pos : pos + 1]) and found + char in _OPERATORS:
            found += char
            pos += 1
            self.ahead = pos
            while text.startswith("\\\n", pos):
                pos += 2
        if found in ("<", ">") and text.startswith("(", self.ahead):
            return ""  # a process substitution
        return found

    def reserved(self) -> str:
        """Return the reserved word that is here, or ""."""
        match = _RESERVED.match(self.text, self.pos)
        if match is None:
            return ""
        word = match[1].replace("\\\n", "")
        if word not in RESERVED_WORDS:
            return ""
        self.ahead = match.end()
        return word

    def demand_word(self, place: str = Place.ARGUMENT) -> Word:
        """Take the word that must be here. Raises BashSyntaxError if there is none."""
        word = self.word(place)
        if word is None:
            self.unexpected()
        self.last = self.pos
        return word

    def skip_option(self, option: str) -> None:
        """Take this word, if it is here."""
        start = self.pos
        word = self.word()
        if word is not None and self.raw(word) == option:
            self.last = self.pos
            self.skip()
        else:
            self.pos = start

    def raw(self, word: Word) -> str:
        """Return the word as it is written, quotes included."""
        return self.text[word.start : word.end].replace("\\\n", "")

    def redirect(self) -> Redirect | None:
        """Take the redirect that begins here; None when none does."""
        start = self.pos
        if self.text[start : start + 1] not in _REDIRECT_STARTS:  # saves a third of the time
            return None
        fd = self._descriptor()
        if fd is not None:
            self.pos += len(fd)
        operator = self.operator()
        if operator not in REDIRECTS:
            return None
        self.take()
        self.skip()
        target = self._target(operator)
        self.last = self.pos
        return Redirect(start, self.pos, operator, fd, target)

    def demand_reserved(self, *words: str) -> str:
        """Take one of these reserved words, which must be here."""
        self.skip()
        word = self.reserved()
        if word not in words:
            self.unexpected()
        self.take()
        return word

    def demand_operator(self, *operators: str) -> str:
        """Take one of these operators, which must be here."""
        self.skip()
        operator = self.operator()
        if operator not in operators:
            self.unexpected()
        self.take()
        return operator

    def demand_separator(self) -> None:
        """Take `;` or the end of the line, and the newlines behind."""
        if self.operator() not in (";", "\n"):
            self.unexpected()
        if self.operator() == ";":
            self.take()
        self.skip(newlines=True)

    def redirects(self) -> tuple[Redirect, ...]:
        """Take all redirects that are here."""
        redirects = []
        self.skip()
        while redirect := self.redirect():
            redirects.append(redirect)
            self.skip()
        return tuple(redirects)

    def at_descriptor(self) -> bool:
        """Whether the number or `{name}` of a redirect is here."""
        return self._descriptor() is not None

    def unexpected(self) -> NoReturn:
        """Raise the BashSyntaxError for what is here."""
        self.skip()
        start = self.pos
        operator = self.operator()
        if operator:
            token = "end of line" if operator == "\n" else repr(operator)
            self.fail(f"unexpected {token}", start)
        if start == len(self.text):
            opened = [parent for parent in self.parents if parent.kind not in ("text", "pipeline")]
            if opened:
                self.fail(f"this {opened[-1].kind} has no end", opened[-1].start)
            self.fail("unexpected end of the command", start)
        word = self.word()
        self.fail(f"unexpected {self.raw(word) if word else self.text[start]!r}", start)

    def _target(self, operator: str) -> Word:
        duplicates = operator in (">&", "<&")
        if duplicates and self.text.startswith("-", self.pos):
            self.pos += 1
            return Word(self.pos - 1, self.pos, "-")
        following = self._descriptor()
        if following is not None and not (duplicates and following.isdigit()):
            self.unexpected()  # the number belongs to the next redirect
        target = self.demand_word()
        if operator in ("<<", "<<-"):
            delimiter, quoted = _delimiter(self.raw(target), target.literal)
            self.heredocs.append((delimiter, quoted, operator == "<<-"))
            return Word(target.start, target.end, delimiter)
        return target

    def _descriptor(self) -> str | None:
        match = _DESCRIPTOR.match(self.text, self.pos)
        if match is None or (match[0].isdigit() and int(match[0][:20]) > LARGEST_DESCRIPTOR):
            return None
        return match[0]

    def _skip_body(self, delimiter: str, quoted: bool, strips_tabs: bool) -> None:
        """Move behind the line that ends a here-document; to the end of the text if there is none, as bash does."""
        text = self.text
        size = len(text)
        in_substitution = self.parents[0].kind == "substitution"
        while self.pos < size:
            start = self.pos
            parts: list[str] = []
            while True:
                end = text.find("\n", self.pos)
                part = text[self.pos : end if end >= 0 else size]
                self.pos = end + 1 if end >= 0 else size
                continues = not quoted and end >= 0 and (len(part) - len(part.rstrip("\\"))) % 2 == 1
                parts.append(part[:-1] if continues else part)
                if not continues:
                    break
            line = "".join(parts)
            n_tabs = len(line) - len(line.lstrip("\t")) if strips_tabs else 0
            line = line[n_tabs:]
            if line == delimiter:
                return
            if (
                in_substitution
                and len(parts) == 1
                and line.startswith(delimiter)
                and ")" in line[len(delimiter) :]
            ):
                self.pos = start + n_tabs + len(delimiter)  # bash lets `EOF)` end both
                return


def _delimiter(raw: str, literal: str | None) -> tuple[str, bool]:
    """Return what ends a here-document, and whether its body is taken as it is."""
    quoted = any(char in raw for char in "\\'\"")
    if literal is None:  # bash removes quotes here, but expands nothing
        literal = re.sub(r"""\\(.)|'([^']*)'|"([^"]*)\"""", r"\1\2\3", raw, flags=re.DOTALL)
    return literal, quoted

"""Find where a word of bash text ends, and what it says.

A word holds quotes, expansions and brackets, one inside the other; each kind has its own rule for what ends it.
What is inside `$(..)` is a whole command text, so the parser of commands builds on this class and is called back.

Every loop moves forward and nothing is scanned twice: the time is linear in the length of the text.
"""

from __future__ import annotations

import re

from seamless_command.errors import ShellError

from .bash_quotes import decode_ansi_c
from .bash_tree import Word

TYPE_CHECKING = False  # importing typing costs a command 6 ms
if TYPE_CHECKING:
    from typing import NoReturn

__all__ = ("MAX_DEPTH", "BashSyntaxError", "Place", "WordScanner")

MAX_DEPTH = 60  # of nesting; each level takes at most ten frames of Python's thousand
SHOWN_COLUMNS = 76  # of the line in an error message
LONGEST_SEQUENCE = 100  # characters of {1..9}: three 64-bit numbers; keeps the search linear

_BARE = re.compile(r"""[^ \t\n;&|()<>\\'"`$]+""")
_BARE_IN_DOUBLE_QUOTES = re.compile(r'[^"\\`$]+')
_BARE_IN_BRACKETS = re.compile(r"""[^\\'"`$<>(){}\[\];]+""")
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_MASK = "\0"  # what stands for something quoted or expanded, where unquoted characters are looked for
_PATTERN_PREFIXES = ("?", "*", "+", "@", "!")
_PARAMETERS = frozenset("*@#?!$-0123456789_abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ")


class BashSyntaxError(ShellError):
    """A command text is not valid bash, as far as can be told without running it.

    position: offset of the place into the text; line and column: the same, both counted from 1.

    Remedy: look at the marked place; mostly a quote or bracket has no partner, or a character that is special in
    bash needs quotes. With `seamless-run -c`, the whole command text is one argument, so quote it as a whole.
    """

    def __init__(self, problem: str, text: str, position: int) -> None:
        self.position = position
        self.line = text.count("\n", 0, position) + 1
        begin = text.rfind("\n", 0, position) + 1
        self.column = position - begin + 1
        end = text.find("\n", position)
        excerpt, caret = _excerpt(text[begin : end if end >= 0 else len(text)], position - begin)
        super().__init__(
            f"bash syntax error at line {self.line}, column {self.column}: {problem}\n"
            f"    {excerpt}\n    {' ' * caret}^",
            hint="check the quotes, brackets and reserved words there",
        )


class Place:
    """Where a word stands; some characters mean more in one place than in another."""

    ARGUMENT = "argument"
    COMMAND = "command"  # NAME[..]=VALUE and NAME=(..) are assignments, WORD() begins a function
    LATE = "late"  # as COMMAND, but behind assignments and a redirect: only NAME=VALUE is special
    DECLARED = "declared"  # argument of `declare` and the like: NAME=(..) is an array
    ELEMENT = "element"  # of an array: [..]=VALUE
    REGEX = "regex"  # after =~ in [[ ]]: ( ) and | are ordinary


class WordScanner:
    """A position in a text, and how to move it over a word.

    is_assignment: whether the last word that was read in the place COMMAND has the form NAME=VALUE.
    """

    __slots__ = ("depth", "is_assignment", "n_semicolons", "pos", "text")

    def __init__(self, text: str) -> None:
        self.text = text
        self.pos = 0
        self.depth = 0
        self.is_assignment = False
        self.n_semicolons = 0  # in the brackets that were scanned last, those in quotes left out

    def fail(self, problem: str, position: int) -> NoReturn:
        """Raise the BashSyntaxError."""
        raise BashSyntaxError(problem, self.text, position)

    def enter(self, position: int) -> None:
        """Go one level deeper. Raises BashSyntaxError where nobody nests on purpose."""
        self.depth += 1
        if self.depth > MAX_DEPTH:
            self.fail(f"nested more than {MAX_DEPTH} levels deep", position)

    def substituted_end(self, start: int) -> int:
        """Return the end of the command text that begins at `start`, behind the `)` that closes it."""
        raise NotImplementedError

    def array_end(self, start: int) -> int:
        """Return the end of the array whose `(` is at `start`, behind its `)`."""
        raise NotImplementedError

    def word(self, place: str = Place.ARGUMENT) -> Word | None:
        """Read the word that begins here and move behind it; None when none begins here."""
        text = self.text
        size = len(text)
        start = pos = self.pos
        literal: list[str] = []
        bare: list[str] = []  # the same, with masks
        known = True
        globs = False
        value_start = -1  # where the value of an assignment begins
        if place != Place.ARGUMENT:
            pos, value_start, known = self._prefix(place)
            literal.append(text[start:pos])
            bare.append(_MASK * (value_start >= 0) or text[start:pos])
        while pos < size:
            if match := _BARE.match(text, pos):
                literal.append(match[0])
                bare.append(match[0])
                pos = match.end()
                continue
            char = text[pos]
            piece: str | None
            if char == "\\":
                piece = text[pos + 1 : pos + 2] or "\\"
                pos = min(pos + 2, size)
                if piece == "\n":
                    continue
            elif char == "'":
                end = self._closing(pos)
                piece, pos = text[pos + 1 : end], end + 1
            elif char == '"':
                piece, pos = self._double_quoted(pos)
            elif char == "`":
                piece, pos = None, self._backquoted(pos)
            elif char == "$":
                piece, pos = self._dollar(pos, quoted=False)
            elif char in "<>" and text.startswith("(", pos + 1):
                piece, pos = None, self._substitution(pos + 1)
            elif char == "(" and pos == value_start and place != Place.LATE:
                piece, pos = None, self.array_end(pos)
            elif char == "(" and (place == Place.REGEX or self._begins_pattern(pos, bare, place)):
                piece, pos = self._pattern(pos)
                globs = True
            elif char == "|" and place == Place.REGEX:
                piece, pos = char, pos + 1
            else:
                break
            bare.append(_MASK)
            if piece is None:
                known = False
            else:
                literal.append(piece)
        while text.endswith("\\\n", start, pos):
            pos -= 2  # the end of a line is no part of the word
        self.pos = pos
        self.is_assignment = place in (Place.COMMAND, Place.LATE) and value_start >= 0
        if pos == start:
            return None
        shape = "".join(bare)
        return Word(
            start,
            pos,
            "".join(literal) if known else None,
            globs=globs or _globs(shape),
            tilde=shape.startswith("~"),
        )

    def brackets_end(self, start: int, closer: str, *, arithmetic: bool = False) -> int:
        """Return the end of the brackets whose opening character is at `start`, behind the one that closes them.

        In `${..}` the first closing brace counts; others nest. In arithmetic and patterns, bash counts only
        brackets of one kind: of expansions, only `$(..)` is taken as a whole.
        """
        text = self.text
        opener = text[start]
        level = 1
        n_semicolons = 0
        pos = start + 1
        self.enter(start)
        while level:
            if match := _BARE_IN_BRACKETS.match(text, pos):
                pos = match.end()
            char = text[pos : pos + 1]
            if not char:
                self.fail(f"no {closer} closes this {opener}", start)
            elif char == closer:
                level -= 1
                pos += 1
            elif char == opener and opener != "{":
                level += 1
                pos += 1
            elif char == "\\":
                pos += 2
            elif char == "'":
                pos = self._closing(pos) + 1
            elif char == '"':
                pos = self._double_quoted(pos)[1]
            elif char == "`":
                pos = self._backquoted(pos)
            elif char == "$":
                pos = self._dollar_in_brackets(pos, ("(",) if arithmetic else ("(", "{", "["))
            elif char in "<>" and not arithmetic and text.startswith("(", pos + 1):
                pos = self._substitution(pos + 1)
            else:
                n_semicolons += char == ";"
                pos += 1
        self.depth -= 1
        self.n_semicolons = n_semicolons
        return pos

    def _prefix(self, place: str) -> tuple[int, int, bool]:
        """Return the end of `NAME=` or `NAME[..]` here, where its value begins or -1, and whether it is plain."""
        text = self.text
        pos = self.pos
        if place == Place.ELEMENT and text.startswith("[", pos):
            return self.brackets_end(pos, "]"), -1, False
        name = _NAME.match(text, pos)
        if name is None or place in (Place.ELEMENT, Place.REGEX):
            return pos, -1, True
        end = name.end()
        if place == Place.COMMAND and text.startswith("[", end):
            end = self.brackets_end(end, "]")
        known = not any(char in "\\'\"`$" for char in text[name.end() : end])
        for sign in ("=", "+="):
            if text.startswith(sign, end):
                return end + len(sign), end + len(sign), known
        return end, -1, known

    def _begins_pattern(self, pos: int, bare: list[str], place: str) -> bool:
        """Whether the parenthesis at `pos` is that of an extended pattern as `@(a|b)`.

        Where a command begins, `!(` negates a subshell, and `x@()` begins a function, as without `extglob`.
        """
        if not bare or not bare[-1].endswith(_PATTERN_PREFIXES):
            return False
        if place == Place.COMMAND:
            return not self.text.startswith(")", pos + 1) and bare != ["", "!"]
        return True

    def _pattern(self, start: int) -> tuple[str | None, int]:
        end = self.brackets_end(start, ")", arithmetic=True)
        inside = self.text[start:end]
        return (None if any(char in "\\'\"`$" for char in inside) else inside), end

    def _double_quoted(self, start: int) -> tuple[str | None, int]:
        """Return what the string that begins at `start` says, None if that is unknown, and its end."""
        text = self.text
        parts: list[str] = []
        known = True
        pos = start + 1
        self.enter(start)
        while True:
            if match := _BARE_IN_DOUBLE_QUOTES.match(text, pos):
                parts.append(match[0])
                pos = match.end()
            char = text[pos : pos + 1]
            if char == '"':
                break
            if not char:
                self.fail('no " closes this "', start)
            piece: str | None
            if char == "\\":
                piece = text[pos : pos + 2]
                pos += 2
                if piece[1:] in ("$", "`", '"', "\\", "\n"):
                    piece = piece[1:].replace("\n", "")
            elif char == "`":
                piece, pos = None, self._backquoted(pos)
            else:
                piece, pos = self._dollar(pos, quoted=True)
            if piece is None:
                known = False
            else:
                parts.append(piece)
        self.depth -= 1
        return ("".join(parts) if known else None), pos + 1

    def _dollar(self, start: int, *, quoted: bool) -> tuple[str | None, int]:
        """Return what the dollar at `start` begins: its text, None if that is unknown, and its end."""
        text = self.text
        pos = start + 1
        while text.startswith("\\\n", pos):
            pos += 2
        char = text[pos : pos + 1]
        if char == "(":
            return None, self._substitution(pos)
        if char == "{":
            return None, self.brackets_end(pos, "}")
        if char == "[":
            return None, self.brackets_end(pos, "]", arithmetic=True)
        if char == "'" and not quoted:
            end = self._closing(pos, escapes=True)
            return decode_ansi_c(text[pos + 1 : end]), end + 1
        if char == '"' and not quoted:
            return self._double_quoted(pos)
        if char in _PARAMETERS:
            return None, pos + 1
        return "$", start + 1

    def _dollar_in_brackets(self, pos: int, openers: tuple[str, ...]) -> int:
        following = self.text[pos + 1 : pos + 2]
        if following == "'":
            return self._closing(pos + 1, escapes=True) + 1
        if following in openers:
            return self._dollar(pos, quoted=True)[1]
        return pos + (2 if following == "$" else 1)

    def _substitution(self, start: int) -> int:
        """Return the end of `(..)` at `start`, which holds commands or, with two parentheses, arithmetic."""
        if self.text.startswith("(", start + 1):
            return self.brackets_end(start, ")", arithmetic=True)
        return self.substituted_end(start + 1)

    def _backquoted(self, start: int) -> int:
        return self._closing(start, escapes=True) + 1

    def _closing(self, start: int, *, escapes: bool = False) -> int:
        """Return where the quote that is at `start` comes again; with `escapes`, not behind a backslash."""
        text = self.text
        quote = text[start]
        pos = start + 1
        end = text.find(quote, pos)
        while escapes and end >= 0:
            backslash = text.find("\\", pos, end)
            if backslash < 0:
                break
            pos = backslash + 2
            if pos > end:
                end = text.find(quote, pos)
        if end < 0:
            self.fail(f"no {quote} closes this {quote}", start)
        return end


def _globs(shape: str) -> bool:
    """Whether a word would be taken for a pattern or a brace expansion; `shape` has masks for what is quoted."""
    if "*" in shape or "?" in shape:
        return True
    if "[" in shape and re.search(r"\[(?:[!^].|[^!^])[^]]*\]", shape[: shape.rfind("]") + 1], re.DOTALL):
        return True
    return "{" in shape and _has_brace_expansion(shape)


def _has_brace_expansion(shape: str) -> bool:
    opened: list[int] = []  # for each brace, where it is; -1 once a comma has come
    for pos, char in enumerate(shape):
        if char == "{":
            opened.append(pos)
        elif char == "," and opened:
            opened[-1] = -1
        elif char == "}" and opened:
            begin = opened.pop()
            if begin < 0 or _is_sequence(shape[begin + 1 : min(pos, begin + LONGEST_SEQUENCE)]):
                return True
    return False


def _is_sequence(inside: str) -> bool:
    number = "[+-]?[0-9]+"
    return bool(re.fullmatch(rf"(?:{number}\.\.{number}|[A-Za-z]\.\.[A-Za-z])(?:\.\.{number})?", inside))


def _excerpt(line: str, column: int) -> tuple[str, int]:
    """Return the part of the line around the column, and the column in it."""
    begin = (
        0
        if len(line) <= SHOWN_COLUMNS
        else max(0, min(column - SHOWN_COLUMNS // 2, len(line) - SHOWN_COLUMNS))
    )
    shown = line[begin : begin + SHOWN_COLUMNS]
    return "".join(char if char.isprintable() else " " for char in shown), column - begin

"""Read a line of bash as it was typed, and put the values of the shell's variables into it.

Not a grammar: it knows what is quoted, what is a comment, a here-document, an arithmetic expression, and where
words begin and end. That is enough to do to a line what bash would do to its variables before running it, while
everything else stays as it was typed, character for character.

- `$NAME` and `${NAME}` are replaced; other expansions (`${NAME%.txt}`, `$?`, `$(...)`) are left to whoever runs
  the line. So is a name without a value, and a name that the line itself sets (`for NAME in`, `NAME=`, `read NAME`):
  the value of before would be the wrong one.
- A value is text, never syntax: outside quotes it is split into words and its special characters are escaped,
  inside double quotes they are escaped, inside single quotes nothing is replaced.

The standard library's shlex and re are not used: they cost more time than everything here.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:  # importing typing or collections.abc would cost more than the rest
    from collections.abc import Collection, Mapping

__all__ = ("TypedLine", "quoted_word", "read_line")

STORED_SUFFIXES = (".CHECKSUM", ".INDEX")  # of the files that stand for a file or directory in the store
OPERATORS = " \t\n;&|<>()"
SPECIAL_IN_WORD = (
    "|&;<>()$`\\\"'#~!{}"  # wildcards are not among them: bash expands those after the variables
)
SPECIAL_PARAMETERS = "$?!#@*-0123456789"
SPECIAL_IN_QUOTES = '$`\\"'
SPECIAL_IN_DOCUMENT = "$`\\"
SETTING_COMMANDS = (
    "declare", "export", "for", "getopts", "let", "local", "mapfile", "read", "readarray", "readonly",
    "select", "typeset", "unset",
)  # fmt: skip


class TypedLine:
    """What `read_line` found.

    text: the line with its variables replaced, and the suffixes of `STORED_SUFFIXES` taken off its words.
    in_background: whether the line ended in `&`, which `text` then lacks.
    sets_only: whether there is nothing but assignments and comments.
    """

    __slots__ = ("in_background", "sets_only", "text")

    def __init__(self, text: str, *, in_background: bool, sets_only: bool) -> None:
        self.text = text
        self.in_background = in_background
        self.sets_only = sets_only


def read_line(line: str, values: Mapping[str, str], protected: Collection[str] = ()) -> TypedLine:
    """Return the line with its variables replaced.

    values: of the shell's variables, by name. protected: names to leave as they are, whatever their value.
    """
    survey = _Reader(line, {})
    survey.code("")
    kept = survey.names_set.union(protected)
    reader = _Reader(line, {name: value for name, value in values.items() if name not in kept})
    reader.code("")
    return TypedLine(
        reader.text(),
        in_background=reader.background_at is not None,
        sets_only=survey.n_words == survey.n_assignments,
    )


def quoted_word(text: str) -> str:
    """Return the text as one word of bash: in single quotes, each single quote as `'\\''`."""
    return "'" + text.replace("'", "'\\''") + "'"


class _Reader:
    """One pass over a line. Each method takes what stands at `at`, and appends to `out` what it becomes."""

    __slots__ = (
        "at", "background_at", "depth", "documents", "in_backticks", "line", "n_assignments", "n_bare", "n_words",
        "names_set", "out", "values", "word_start",
    )  # fmt: skip

    def __init__(self, line: str, values: Mapping[str, str]) -> None:
        self.line = line
        self.values = values
        self.at = 0
        self.out: list[str] = []
        self.word_start = 0  # index in `out` where the current word begins
        self.n_bare = 0  # how many of the last pieces of `out` are unquoted characters of this word
        self.depth = 0  # of parentheses and command substitutions
        self.in_backticks = False
        self.documents: list[tuple[str, bool, bool]] = []  # here-documents that begin at the end of this line
        self.background_at: int | None = None  # index in `out` of an `&` with nothing after it so far
        self.names_set: set[str] = set()
        self.n_words = 0  # of the line itself, not those in parentheses
        self.n_assignments = 0

    def text(self) -> str:
        """Return the line; without the space around it, and without the `&` at its end."""
        out = self.out if self.background_at is None else self.out[: self.background_at]
        text = "".join(out)
        stripped = text.strip()
        return text.lstrip() if stripped.endswith("\\") else stripped

    def code(self, closer: str, *, arithmetic: bool = False) -> None:
        """Read commands up to `closer`, or to the end; the closer itself is left."""
        word_start, self.word_start, self.n_bare = self.word_start, len(self.out), 0
        self.depth += 1
        in_word = setting = False
        while self.at < len(self.line) and (character := self.line[self.at]) != closer:
            if character in OPERATORS:
                self._end_word(arithmetic)
                in_word = False
                setting = setting and character in " \t"
                self._operator(character, arithmetic)
                self.word_start, self.n_bare = len(self.out), 0
                continue
            if character == "#" and not in_word and not arithmetic:
                self._copy_until("\n")
                continue
            self.background_at = None
            if not in_word:
                setting = self._begin_word(setting)
                in_word = True
            self._piece(character, arithmetic)
        self._end_word(arithmetic)
        self.depth -= 1
        self.word_start, self.n_bare = word_start, 0

    def _operator(self, character: str, arithmetic: bool) -> None:
        line, at = self.line, self.at
        if character == "&" and self.depth == 1:
            alone = line[at - 1 : at] not in ("&", "|", "<", ">", ";") and line[at + 1 : at + 2] not in (
                "&",
                ">",
            )
            self.background_at = len(self.out) if alone else None
        elif not character.isspace():
            self.background_at = None
        if line.startswith("<<<", at):
            self._copy(3)
        elif line.startswith("<<", at) and not arithmetic:
            self._begin_document()
        elif character == "(":
            self.n_words += self.depth == 1 and line[at - 1 : at] != "="
            self._nested(1, ")", arithmetic=arithmetic or line.startswith("((", at))
        else:
            self._copy(1)
            if character == "\n":
                self._documents()

    def _begin_word(self, setting: bool) -> bool:
        """Note which variable this word sets, and return whether the words after it name variables."""
        name = self._name(self.at)
        after = self.at + len(name)
        end = after
        while end < len(self.line) and self.line[end] not in OPERATORS:
            end += 1
        rest = self.line[after:end]
        is_assignment = bool(name) and (rest.startswith(("=", "+=")) or (rest[:1] == "[" and "]=" in rest))
        if name and (is_assignment or setting):
            self.names_set.add(name)
        if self.depth == 1:
            self.n_words += 1
            self.n_assignments += is_assignment
        word = self.line[self.at : end]
        if setting and word in ("in", "do"):  # of a loop; what follows are its values
            return False
        return setting or word in SETTING_COMMANDS

    def _end_word(self, arithmetic: bool) -> None:
        for suffix in STORED_SUFFIXES:
            size = len(suffix)
            if (
                self.n_bare >= size
                and len(self.out) - self.word_start > size
                and "".join(self.out[-size:]) == suffix
                and not arithmetic
            ):
                del self.out[-size:]
        self.n_bare = 0

    def _piece(self, character: str, arithmetic: bool) -> None:
        """Read one part of a word."""
        if character == "\\":
            self._copy(2)
            self.n_bare += 1
        elif character == "'":
            self._copy(1)
            self._copy_until("'", itself=True)
        elif character == '"':
            self._quoted()
        elif character == "`":
            self._backticks()
        elif character == "$":
            self._dollar(SPECIAL_IN_QUOTES if arithmetic else SPECIAL_IN_WORD)
        else:
            self._copy(1)
            self.n_bare += 1
            return
        if character in "'\"`":
            self.n_bare = 0

    def _quoted(self) -> None:
        self._copy(1)
        while self.at < len(self.line) and self.line[self.at] != '"':
            self._text_piece(SPECIAL_IN_QUOTES)
        self._copy(1)
        self.n_bare = 0

    def _text_piece(self, special: str) -> None:
        """Read one part of a text in which only `$`, backslash and backtick mean something."""
        character = self.line[self.at]
        if character == "\\":
            self._copy(2)
        elif character == "`":
            self._backticks()
        elif character == "$":
            self._dollar(special)
        else:
            self._copy(1)

    def _backticks(self) -> None:
        if self.in_backticks:  # the second one of a pair that a quote stands between
            self._copy(1)
            return
        self.in_backticks = True
        self._nested(1, "`")
        self.in_backticks = False

    def _nested(self, n_opening: int, closer: str, *, arithmetic: bool = False) -> None:
        """Read the opening characters, the commands after them, and the closer."""
        self._copy(n_opening)
        self.code(closer, arithmetic=arithmetic)
        self._copy(1)
        self.n_bare = 0

    def _dollar(self, special: str) -> None:
        following = self.line[self.at + 1 : self.at + 2]
        name = self._name(self.at + 1)
        if name:
            self._variable(name, 1 + len(name), special)
        elif following == "{":
            name = self._name(self.at + 2)
            closed = self.line.startswith("}", self.at + 2 + len(name))
            if name and closed:
                self._variable(name, 3 + len(name), special)
            else:
                self._copy(2)
                self._braces()
        elif following == "(":
            self._nested(2, ")", arithmetic=self.line.startswith("$((", self.at))
        elif following and following in SPECIAL_PARAMETERS:
            self._copy(2)
            self.n_bare = 0
        elif following == "'" and special == SPECIAL_IN_WORD:
            self._copy(2)
            while self.at < len(self.line) and self.line[self.at] != "'":
                self._copy(2 if self.line[self.at] == "\\" else 1)
            self._copy(1)
            self.n_bare = 0
        else:
            self._copy(1)
            self.n_bare = 0

    def _braces(self) -> None:
        """Copy the rest of `${...}` as it is."""
        while self.at < len(self.line) and (character := self.line[self.at]) != "}":
            if character == "\\":
                self._copy(2)
            elif self.line.startswith("${", self.at):
                self._copy(2)
                self._braces()
            elif character == "'":
                self._copy(1)
                self._copy_until("'", itself=True)
            else:
                self._copy(1)
        self._copy(1)
        self.n_bare = 0

    def _variable(self, name: str, size: int, special: str) -> None:
        value = self.values.get(name)
        if value is None or (self.in_backticks and any(c in SPECIAL_IN_WORD for c in value)):
            if self.line.startswith("$", self.at + size) and size == len(name) + 1:
                self.out.append(f"${{{name}}}")  # lest the value of what follows become part of the name
                self.at += size
            else:
                self._copy(size)
            self.n_bare = 0
            return
        self.at += size
        in_word = special == SPECIAL_IN_WORD
        if in_word and self.out[self.word_start :] == ["~"]:
            self.out[-1] = "\\~"  # before a variable it means itself
        for character in value:
            if in_word and character.isspace():
                self._end_word(False)
                self.out.append(" ")
                self.word_start, self.n_bare = len(self.out), 0
            else:
                self.out.append("\\" + character if character in special else character)
                self.n_bare += in_word
        if in_word and len(self.out) == self.word_start and self.line.startswith(("#", "~"), self.at):
            self.out.append("\\")  # what did not begin a word would now
            self._copy(1)

    def _begin_document(self) -> None:
        """Read `<<WORD` or `<<-WORD`; its text comes after the end of the line."""
        start = self.at + (3 if self.line.startswith("<<-", self.at) else 2)
        while self.line[start : start + 1] in (" ", "\t"):
            start += 1
        end = start
        quote = ""
        while end < len(self.line) and (quote or self.line[end] not in OPERATORS):
            character = self.line[end]
            if character in "'\"" and quote in ("", character):
                quote = "" if quote else character
            end += 1
        word = self.line[start:end]
        plain = word.replace("'", "").replace('"', "").replace("\\", "")
        self.documents.append((plain, word == plain, self.line.startswith("<<-", self.at)))
        self._copy(end - self.at)

    def _documents(self) -> None:
        """Read the texts of the here-documents that the line before has announced."""
        for end_word, is_expanded, is_indented in self.documents:
            while self.at < len(self.line):
                end = self.line.find("\n", self.at)
                end = len(self.line) if end < 0 else end
                text = self.line[self.at : end]
                if not is_expanded or (text.lstrip("\t") if is_indented else text) == end_word:
                    self._copy(end + 1 - self.at)
                else:
                    while self.at <= end and self.at < len(self.line):
                        self._text_piece(SPECIAL_IN_DOCUMENT)
                if (text.lstrip("\t") if is_indented else text) == end_word:
                    break
        self.documents.clear()

    def _name(self, start: int) -> str:
        """Return the name of a variable that begins there; empty if none does."""
        end = start
        while end < len(self.line) and _is_of_name(self.line[end], first=end == start):
            end += 1
        return self.line[start:end]

    def _copy(self, n_characters: int) -> None:
        piece = self.line[self.at : self.at + n_characters]
        if piece:
            self.out.append(piece)
        self.at += len(piece)

    def _copy_until(self, character: str, *, itself: bool = False) -> None:
        end = self.line.find(character, self.at)
        self._copy((len(self.line) if end < 0 else end + itself) - self.at)


def _is_of_name(character: str, *, first: bool) -> bool:
    return character == "_" or (
        character.isascii() and (character.isalpha() if first else character.isalnum())
    )

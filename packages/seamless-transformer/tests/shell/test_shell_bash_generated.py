"""Random command texts, of which it is known what they consist of: the scanner finds exactly that.

Strategies make functions that write a part of a text; the writer notes what it is told and where.
"""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from typing import NamedTuple

from hypothesis import given, settings
from hypothesis import strategies as st
from seamless_shell.bash_quotes import quote_word
from seamless_shell.bash_syntax import Redirect, Word, parse_bash


class Written(NamedTuple):
    """A command as it was written: spans with literals, and redirects as (start, end, operator, target)."""

    start: int
    end: int
    assignments: list[tuple[int, int, str | None]]
    words: list[tuple[int, int, str | None]]
    redirects: list[tuple[int, int, str, str | None]]


class Writer:
    def __init__(self) -> None:
        self.text = ""
        self.commands: list[Written] = []
        self.bodies: list[str] = []

    def write(self, text: str) -> tuple[int, int]:
        start = len(self.text)
        self.text += text
        return start, len(self.text)

    def newline(self) -> None:
        self.write("\n" + "".join(self.bodies))
        self.bodies.clear()

    def separate(self, separator: str) -> None:
        """Write what may hold newlines; here-documents follow the first of them."""
        first, *others = separator.split("\n")
        self.write(first)
        for other in others:
            self.newline()
            self.write(other)


Part = Callable[[Writer], None]

NAMES = st.sampled_from(["cat", "./a.sh", "x1", "[", "test", "export", "ifx", "a@b", "7z", "_", "é"])
BARE = st.sampled_from(
    ["a.txt", "if", "done", "}", "!", "time", "in", "+x=y", "2", "a#b", "%", "a{}", "x=1", "[["]
)
NASTY = [
    "",
    " ",
    "a b",
    "it's",
    '"',
    "\\",
    "$x",
    "`a`",
    ";",
    "a&&b",
    "(",
    ")",
    "<<E",
    ">",
    "#",
    "a\nb",
    "{a,b}",
    "*?[a]",
    "~",
    "é!",
]
QUOTED = st.sampled_from(NASTY).map(lambda text: (quote_word(text), text))
ESCAPED = st.sampled_from(" ;&|()<>#'\"\\$`*~").map(lambda char: (f"a\\{char}b", f"a{char}b"))
DOUBLE_QUOTED = st.sampled_from([text for text in NASTY if not set(text) & set('"\\$`')]).map(
    lambda text: (f'"{text}"', text)
)
EXPANSION = st.sampled_from(
    [
        *(
            "$x",
            '"$x"',
            "${x:-a b}",
            "${x%'}'}",
            "$(ls; ls)",
            '"$(ls ")" | wc)"',
            "`ls | wc`",
            "$((1 << 2))",
            "$[1]",
        ),
        *(
            "<(ls a)",
            "$(case a in b) ls;; esac)",
            "${x:-$(ls '}')}",
            '"a${x:+"b"}c"',
            "$(ls # )\n)",
            "$(ls <<E\n)\nE\n)",
        ),
    ]
).map(lambda text: (text, None))
WORD = BARE.map(lambda text: (text, text)) | QUOTED | ESCAPED | DOUBLE_QUOTED | EXPANSION
COMMAND_WORD = NAMES.map(lambda name: (name, name)) | QUOTED | ESCAPED | EXPANSION
FEW_WORDS = st.lists(WORD, max_size=2)
BLANK = st.sampled_from([" ", "  ", "\t", " \\\n", "\\\n "])


REDIRECTS = st.tuples(
    st.sampled_from(["<", ">", "2>", ">>", "10>|", "{fd}>", "<>", "<<<", "&>", "&>>", "1>&", "<&"]),
    st.sampled_from(["", " "]),
    WORD,
    st.none(),
)
HERE_DOCUMENTS = st.tuples(
    st.sampled_from(["<<", "3<<", "<<-"]),
    st.sampled_from(["", " "]),
    st.sampled_from([("E", "E"), ("'E F'", "E F"), ("\\E", "E"), ('"$E"', "$E")]),
    st.sampled_from(["", "it's\n", " E\n$(\n", "E E\n", "\nfi\n#\n"]),
)


@st.composite
def simple_commands(draw) -> Part:
    assignments = [
        ("X=" + text, None if literal is None else "X=" + literal) for text, literal in draw(FEW_WORDS)
    ]
    words = [draw(COMMAND_WORD), *draw(FEW_WORDS)]
    parts = [("assignments", word) for word in assignments] + [("words", word) for word in words]
    for redirect in draw(st.lists(REDIRECTS | HERE_DOCUMENTS, max_size=2)):
        parts.insert(draw(st.integers(0, len(parts))), ("redirects", redirect))
    blank = draw(BLANK)

    def write(writer: Writer) -> None:
        written = Written(len(writer.text), 0, [], [], [])
        for number, (kind, part) in enumerate(parts):
            writer.write(blank * (number > 0))
            if kind == "redirects":
                operator, gap, (text, literal), body = part
                gap = gap or " " * (text.startswith(("(", "<", ">", "-")) or operator.endswith("&"))
                span = writer.write(operator + gap + text)
                writer.bodies += [f"{body}{literal}\n"] if body is not None else []
                written.redirects.append((*span, operator, literal))
            else:
                text, literal = part
                getattr(written, kind).append((*writer.write(text), literal))
        writer.commands.append(written._replace(end=len(writer.text)))

    return write


def _sequence(*parts: Part | str) -> Part:
    """Return what writes the parts one after the other; strings are written as they are."""

    def write(writer: Writer) -> None:
        for part in parts:
            if isinstance(part, str):
                writer.separate(part)
            else:
                part(writer)

    return write


@st.composite
def pipelines(draw, commands) -> Part:
    elements = draw(st.lists(commands, min_size=1, max_size=2))
    parts: list[Part | str] = [draw(st.sampled_from(["", "", "! ", "time -p ", "time -- ! "]))]
    for element in elements:
        parts += [element, draw(st.sampled_from([" | ", " |& ", " |\n", "| "]))]
    return _sequence(*parts[:-1])


@st.composite
def lists(draw, commands) -> Part:
    """A list with its terminator."""
    parts: list[Part | str] = []
    for pipeline in draw(st.lists(pipelines(commands), min_size=1, max_size=2)):
        parts += [
            pipeline,
            draw(st.sampled_from([" ; ", " & ", " && ", " || ", " &&\n", "\n", "\n\n", " # it's (\n"])),
        ]
    return _sequence(*parts[:-1], draw(st.sampled_from([";", "\n", " &", " ;\n", " & # '\n"])))


FORMS = [
    ("( ", "@", ")"),  # not "((": bash takes that for arithmetic first, with surprises
    ("( ", "@", "\n)"),
    ("{ ", "@", " }"),
    ("if ", "@", "then ", "@", " fi"),
    ("if\n", "@", "then\n", "@", "elif ", "@", "then ", "@", "else ", "@", "\nfi"),
    ("while ", "@", "do ", "@", " done"),
    ("until ", "@", "do\n", "@", " done"),
    ("for x in a 'b c' $(d); do ", "@", " done"),
    ("for x\ndo ", "@", " done"),
    ("for ((i = 0; i < (3); i++)); do ", "@", " done"),
    ("select x in a b\ndo ", "@", " done"),
    ("case $x in\n(a|'b c') ", "@", "\n;;\n c*) ;; *) ", "@", "\nesac"),
    ("f() {\n", "@", " }"),
    ("function g { ", "@", " }"),
    ("[[ -f 'a)' && ( b < c || d =~ ^(e|f )$ ) ]]",),
    ("(( 1 + (2) ))",),
]


@st.composite
def compound_commands(draw, commands) -> Part:
    form = draw(st.sampled_from(FORMS))
    parts = [draw(lists(commands)) if part == "@" else part for part in form]
    return _sequence(*parts, draw(st.sampled_from(["", "", " > o", " 2>&1 < in", " <<< 'a b'"])))


INNER_COMMANDS = simple_commands() | compound_commands(simple_commands())
TEXTS = lists(simple_commands() | compound_commands(INNER_COMMANDS))


def _written(part: Part) -> Writer:
    writer = Writer()
    part(writer)
    writer.newline()
    return writer


def _span(word: Word) -> tuple[int, int, str | None]:
    return word.start, word.end, word.literal


def _redirect(found: Redirect) -> tuple[int, int, str, str | None]:
    return found.start, found.end, (found.fd or "") + found.operator, found.target.literal


@settings(deadline=None)
@given(TEXTS)
def test_commands_are_found_where_they_were_written(part: Part):
    writer = _written(part)
    found = [
        Written(
            command.start,
            command.end,
            [_span(word) for word in command.assignments],
            [_span(word) for word in command.words],
            [_redirect(redirect) for redirect in command.redirects],
        )
        for command in parse_bash(writer.text).commands
    ]
    assert found == writer.commands, writer.text


@settings(deadline=None, max_examples=30)
@given(TEXTS)
def test_what_was_written_is_valid(part: Part):
    text = _written(part).text
    bash = subprocess.run(
        ["bash", "-n", "-c", text],
        capture_output=True,
        env={"LC_ALL": "C.UTF-8"},
        timeout=20,
        check=False,
    )
    assert (bash.returncode, bash.stderr) == (0, b""), text


@settings(deadline=None, max_examples=50)
@given(TEXTS)
def test_commands_stand_in_order_of_position_within_their_parents(part: Part):
    parsed = parse_bash(_written(part).text)
    starts = [command.start for command in parsed.commands]
    assert starts == sorted(starts)
    assert all(
        parent.start <= command.start and command.end <= parent.end
        for command in parsed.commands
        for parent in command.parents
    )

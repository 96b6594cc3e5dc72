"""The bash scanner accepts what bash accepts, and refuses what bash refuses."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest
from seamless_shell.bash_syntax import BashSyntaxError, parse_bash

SYMBOLS = str.maketrans({"⏎": "\n", "⇥": "\t", "␍": "\r", "␠": " "})
EXTENDED = "## only with extglob"
BASH = shutil.which("bash") or "bash"

# Where we differ from bash 5.2 on purpose: text -> whether we accept it, and why.
DIFFERENCES = {
    "[[ ]]": (False, "bash says nothing and ends, here and in the next three"),
    "[[ ! ]]": (False, "as above"),
    "[[ a && ]]": (False, "as above"),
    "for ((;;) ) do a; done": (False, "as above"),
    "a $(time && b)": (False, "`bash -n` accepts it, but bash cannot run it"),
    "a $(time { b; })": (True, "at the begin of $(..), bash 5.2 does not know `time`, which is a defect"),
    "((a)\n)": (True, "bash takes no newline at this place, although it does at others"),
    "((a <<E) )\nx\nE\n": (True, "bash loses here-documents in (( that turn out to be subshells"),
    "case x in a) for y\nin b; do c; done;; esac": (True, "in a case, bash does not take `in` in a new line"),
    "coproc a b=(1)": (False, "bash takes the word behind the name of a coprocess for the command"),
    "coproc a b[ c": (True, "as above"),
    "a @(b)": (True, "extended patterns are always on: a text may switch them on itself"),
    "!(a) b": (False, "... but where a command begins, !( ) negates a subshell, as it does by default"),
    "+() { a; }": (True, "... and the name of a function may look like one"),
    "a \0": (False, "no command line can hold a NUL character"),
}


def _snippets() -> tuple[list[str], list[str]]:
    lines = Path(__file__).with_name("bash_snippets.txt").read_text("utf-8").splitlines()
    split = lines.index(EXTENDED)
    return (
        [line.translate(SYMBOLS) for line in lines[:split] if not line.startswith(("# ", "## "))],
        [line.translate(SYMBOLS) for line in lines[split + 1 :]],
    )


PLAIN, WITH_EXTENDED_PATTERNS = _snippets()


def _bash_complains(text: str, *options: str) -> str:
    """Return what `bash -n` says about the text; it exits with 0 for an error in [[ ]]."""
    process = subprocess.run(
        [BASH, *options, "-n", "-c", "--", text],
        capture_output=True,
        env={"LC_ALL": "C.UTF-8"},
        timeout=20,
        check=False,
    )
    lines = process.stderr.decode("utf-8", "replace").splitlines()
    return "\n".join(line for line in lines if "warning:" not in line)


def _we_complain(text: str) -> str:
    try:
        parse_bash(text)
    except BashSyntaxError as exc:
        return exc.message
    return ""


def _bash_version() -> tuple[int, ...]:
    command = [BASH, "-c", "echo ${BASH_VERSINFO[0]} ${BASH_VERSINFO[1]}"]
    output = subprocess.run(command, capture_output=True, timeout=20, check=True).stdout
    return tuple(int(number) for number in output.split())


# Before 5.2, bash looked for the end of $(..) without parsing what is inside.
needs_modern_bash = pytest.mark.skipif(_bash_version() < (5, 2), reason="needs bash 5.2")


@needs_modern_bash
@pytest.mark.parametrize("text", ["", *PLAIN])
def test_verdict_is_that_of_bash(text: str):
    ours, theirs = _we_complain(text), _bash_complains(text)
    assert bool(ours) == bool(theirs), f"we say {ours!r}, bash says {theirs!r}"


@needs_modern_bash
@pytest.mark.parametrize("text", WITH_EXTENDED_PATTERNS)
def test_verdict_is_that_of_bash_with_extended_patterns(text: str):
    ours, theirs = _we_complain(text), _bash_complains(text, "-O", "extglob")
    assert bool(ours) == bool(theirs), f"we say {ours!r}, bash says {theirs!r}"


def test_snippets_are_many_and_of_both_kinds():
    complaints = [bool(_we_complain(text)) for text in PLAIN]
    assert complaints.count(True) > 200
    assert complaints.count(False) > 350


@pytest.mark.parametrize("text", DIFFERENCES)
def test_difference_from_bash_is_as_listed(text: str):
    accepted, _ = DIFFERENCES[text]
    assert (_we_complain(text) == "") == accepted


@pytest.mark.provokes("BashSyntaxError")
@pytest.mark.parametrize(
    ("text", "line", "column", "problem"),
    [
        ("cat a; fi", 1, 8, "unexpected 'fi'"),
        ("cat 'a", 1, 5, "no ' closes this '"),
        ('cat a\n  | wc "b', 2, 3, "unexpected '|'"),
        ('cat a |\n  wc "b', 2, 6, 'no " closes this "'),
        ("echo $(cat a", 1, 7, "this substitution has no end"),
        ("echo ${a", 1, 7, "no } closes this {"),
        ("cat `a", 1, 5, "no ` closes this `"),
        ("cat a\nif b; then\n c\n", 2, 1, "this if has no end"),
        ("cat <\n", 1, 6, "unexpected end of line"),
        ("cat &&", 1, 7, "unexpected end of the command"),
        ("a ; ; b", 1, 5, "unexpected ';'"),
        ("for ((a;b)); do c; done", 1, 5, "between (( and )) must be three expressions"),
        ("[[ a b c ]]", 1, 6, "'b' does not compare two words"),
        ("a\0b", 1, 2, "a NUL character"),
        ("( " * 500, 1, 121, "nested more than 60 levels deep"),
    ],
)
def test_error_names_place_and_cause(text: str, line: int, column: int, problem: str):
    with pytest.raises(BashSyntaxError) as caught:
        parse_bash(text)
    error = caught.value
    assert (error.line, error.column) == (line, column)
    assert error.position == len("".join(text.splitlines(keepends=True)[: line - 1])) + column - 1
    assert error.message.startswith(f"bash syntax error at line {line}, column {column}: {problem}")
    assert error.exit_code == 1


def test_error_shows_the_line_with_a_caret():
    with pytest.raises(BashSyntaxError) as caught:
        parse_bash("cat a |\n\tgrep x; fi | wc\nls")
    assert caught.value.message.splitlines()[1:] == ["     grep x; fi | wc", "             ^"]


def test_error_in_a_long_line_shows_the_part_around_it():
    with pytest.raises(BashSyntaxError) as caught:
        parse_bash("echo " + "a" * 5000 + " ) " + "b" * 5000)
    _, excerpt, caret = caught.value.message.splitlines()
    assert len(excerpt) == 80
    assert excerpt[caret.index("^")] == ")"

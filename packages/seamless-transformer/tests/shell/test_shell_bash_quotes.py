"""Quoting an argument list, and the escapes of $'...': bash itself is asked what it makes of them."""

from __future__ import annotations

import os
import shlex
import subprocess

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from seamless_shell.bash_quotes import RESERVED_WORDS, decode_ansi_c, quote_word, quote_words
from seamless_shell.bash_syntax import parse_bash

WORD = st.text(st.characters(exclude_categories=("Cs",), exclude_characters="\0"), max_size=12)
NASTY_WORD = st.text(st.sampled_from(" \t\n'\"\\$`;&|()<>{}[]*?~#!=+-a1é\x7f"), max_size=12)
WORDS = st.lists(WORD | NASTY_WORD | st.sampled_from(sorted(RESERVED_WORDS)), min_size=1, max_size=6)


def _run(text: str) -> list[str]:
    """Return the NUL-terminated strings that bash prints for the command text."""
    process = subprocess.run(
        ["/bin/bash", "-c", os.fsencode(text)],
        capture_output=True,
        env={"LC_ALL": "C.UTF-8"},
        timeout=20,
        check=True,
    )
    assert process.stderr == b""
    return [os.fsdecode(part) for part in process.stdout.split(b"\0")[:-1]]


def _literals(text: str) -> list[str | None]:
    """Return assignments and words of the one command in the text."""
    (command,) = parse_bash(text).commands
    return [word.literal for word in (*command.assignments, *command.words)]


@settings(deadline=None)
@given(WORDS)
@example(["\udcff not UTF-8"])
@example([""])
def test_bash_gets_the_words_that_were_quoted(words: list[str]):
    text = quote_words(["printf", r"%s\0", *words])
    assert _literals(text) == ["printf", r"%s\0", *words]
    assert _run(text) == words


@given(WORDS.filter(lambda words: "time" not in words))
def test_quoted_words_are_one_command(words: list[str]):
    assert _literals(quote_words(words)) == words


@given(WORD | NASTY_WORD)
def test_word_is_quoted_as_the_standard_library_does(word: str):
    assert quote_word(word) == shlex.quote(word)


@pytest.mark.parametrize(
    ("words", "text"),
    [
        (["cat", "a.txt"], "cat a.txt"),
        (["cat", "a b", "it's"], "cat 'a b' 'it'\"'\"'s'"),
        (["X=1", "cat"], "X=1 cat"),
        (["X=a b", "Y=", "cat", "Z=c d"], "X='a b' Y= cat 'Z=c d'"),
        (["X+=a b", "cat"], "X+='a b' cat"),
        (["X=$y"], "X='$y'"),
        (["1X=a b"], "'1X=a b'"),
        (["=a b"], "'=a b'"),
        (["if", "then"], "'if' then"),
        (["X=1", "while"], "X=1 'while'"),
        (["coproc", "coproc"], "'coproc' coproc"),
        (["{", "a", "}"], "'{' a '}'"),
        (["time", "-p", "cat"], "time -p cat"),
        (["!", "cat"], "'!' cat"),
        (["cat", ""], "cat ''"),
        ([], ""),
    ],
)
def test_command_text_of_words(words: list[str], text: str):
    assert quote_words(words) == text


def test_a_quoted_value_stays_an_assignment():
    (command,) = parse_bash(quote_words(["X=a b", "cat", "Y=c d"])).commands
    assert [word.literal for word in command.assignments] == ["X=a b"]
    assert [word.literal for word in command.words] == ["cat", "Y=c d"]


def test_time_is_left_to_bash():
    (command,) = parse_bash(quote_words(["time", "-p", "cat", "a.txt"])).commands
    assert [word.literal for word in command.words] == ["cat", "a.txt"]


@pytest.mark.parametrize("word", sorted(RESERVED_WORDS - {"time"}))
def test_reserved_word_becomes_an_ordinary_command(word: str):
    assert _literals(quote_words([word, word])) == [word, word]


ESCAPES = st.sampled_from(
    r"\a \b \e \E \f \n \r \t \v \\ \' \" \? \q \8 \1 \18 \177 \400 \0 \x \x4 \x41 \x411 \xe9 \xc3\xa9 \x{41} \x{e9}z"
    r" \u \ué \u41 \u00e9 \u20ac0 \ud800 \uffff \U \U0001f600 \U0010ffff \cA \ca \c? \c[ \c\\ \c1 \ce a é $x `".split()
)


@settings(deadline=None)
@given(st.lists(ESCAPES, max_size=6).map("".join))
def test_escapes_are_those_of_bash(text: str):
    assert [decode_ansi_c(text)] == _run(rf"printf '%s\0' $'{text}'")


def test_code_point_beyond_unicode_is_not_decoded():
    assert decode_ansi_c(r"a\U00110000") is None
    assert parse_bash(r"a $'\U00110000'").commands[0].words[1].literal is None

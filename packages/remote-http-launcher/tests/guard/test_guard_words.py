"""Words are split as a POSIX shell does; nothing is expanded."""

from __future__ import annotations

import shlex

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from remote_http_launcher.guard.refusal import Refused
from remote_http_launcher.guard.words import SIZE_MAX, drop_assignments, split_words

TEXTS = st.text(
    st.sampled_from("ab=/-~$;|&>`#'\"\\ \t\n\r") | st.characters(max_codepoint=0x2FF), max_size=30
)


def _by_the_standard_library(text: str) -> list[str] | None:
    try:
        return shlex.split(text)
    except ValueError:
        return None


def _by_the_guard(text: str) -> list[str] | None:
    try:
        return split_words(text)
    except Refused:
        return None


@settings(max_examples=2000)
@given(TEXTS)
def test_words_are_those_of_the_standard_library(text: str):
    assert _by_the_guard(text) == _by_the_standard_library(text)


@given(st.lists(st.text(st.characters(exclude_characters="\0"), max_size=20), max_size=5))
def test_what_was_quoted_comes_back(words: list[str]):
    assert split_words(shlex.join(words)) == words


@pytest.mark.parametrize("text", ["rhl-ps 'open", 'rhl-ps "open', "rhl-ps \\", "x" * (SIZE_MAX + 1)])
def test_text_that_is_no_command_is_refused(text: str):
    with pytest.raises(Refused):
        split_words(text)


@pytest.mark.parametrize(
    ("words", "left"),
    [
        (["PATH=$HOME/x:$PATH", "rhl-ps"], ["rhl-ps"]),
        (["A=1", "_c9=", "rhl-ps", "B=2"], ["rhl-ps", "B=2"]),
        (["9A=1", "rhl-ps"], ["9A=1", "rhl-ps"]),
        (["A+=1", "rhl-ps"], ["A+=1", "rhl-ps"]),
        (["=1", "rhl-ps"], ["=1", "rhl-ps"]),
        (["\N{LATIN SMALL LETTER E WITH ACUTE}=1", "x"], ["\N{LATIN SMALL LETTER E WITH ACUTE}=1", "x"]),
        (["A=1"], []),
    ],
)
def test_leading_assignments_are_dropped(words: list[str], left: list[str]):
    assert drop_assignments(words) == left

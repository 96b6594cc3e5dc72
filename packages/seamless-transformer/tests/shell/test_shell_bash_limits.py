"""Hostile command texts: deep nesting, and lengths that punish whoever scans twice."""

from __future__ import annotations

import contextlib
import sys
import time
from collections.abc import Callable

import pytest
from seamless_shell.bash_syntax import BashSyntaxError, parse_bash


def _outcome(text: str) -> str:
    """Return "accepted" or "refused"; nothing else may happen."""
    with contextlib.suppress(BashSyntaxError):
        parse_bash(text)
        return "accepted"
    return "refused"


def _far_down(levels: int, function: Callable[[], str]) -> str:
    return _far_down(levels - 1, function) if levels else function()


NESTED = [
    ("( ", " )"),
    ("a $(", ")"),
    ("a > $(", ")"),
    ('a "$(', ')"'),
    ('a "${x:-', '}"'),
    ("a <(", ")"),
    ("x=($(", "))"),
    ("x[$(", ")]=b"),
    ("{ ", "; }"),
    ("if ", "; then b; fi"),
    ("while b; do ", "; done"),
    ("case x in b) ", ";; esac"),
    ("f() { ", "; }"),
    ("coproc { ", "; }"),
]


@pytest.mark.parametrize(("opener", "closer"), NESTED)
def test_thirty_levels_are_accepted_anywhere(opener: str, closer: str):
    text = opener * 30 + "a" + closer * 30
    assert sys.getrecursionlimit() == 1000
    assert _far_down(300, lambda: _outcome(text)) == "accepted"


@pytest.mark.parametrize(("opener", "closer"), NESTED)
def test_hundreds_of_levels_are_refused(opener: str, closer: str):
    with pytest.raises(BashSyntaxError, match="nested more than 60 levels deep"):
        parse_bash(opener * 500 + "a" + closer * 500)


@pytest.mark.parametrize(
    "text", ["(" * 500 + ")" * 500, "a @(" * 500, "[[ ! " * 500, "[[ " + "( " * 500, "a `" * 500]
)
def test_hundreds_of_brackets_have_an_outcome(text: str):
    assert _outcome(text) in ("accepted", "refused")


def _seconds(text: str) -> float:
    """Return the processor time that the outcome takes; other programs on the machine do not count."""
    start = time.process_time()
    _outcome(text)
    return time.process_time() - start


def test_thousands_of_commands_take_linear_time():
    line = "cat 'file number one' \"$x\" ${y:-z} < in 2>> log > out; X=1 sort -k 3 ; "
    assert len(line * 1400) > 98_000
    assert len(parse_bash(line * 1400).commands) == 2800
    least = min(_seconds(line * 175) for _ in range(3))
    assert min(_seconds(line * 1400) for _ in range(3)) < 24 * least  # linear: 8 times; quadratic: 64 times


UNITS = r"""
    a 1 [ [] { {a, } \ ' " $ ` (( ((a)_ $( !(a) a@(b) ~ # _ ; & < > <<E_ <<E~ 1>f_ a~ ! !_ time_ a= x[1]= ${ $'\' $(( $[
    \` * a|| a| f() f()_{ case_x_in_ elif_ {1.. $(a) "$x" $(a ((b)_) ((b)_)_ [[_a_&&_ {_a;_}_ (_(a) <(a) x+=(1) \~ ~
""".split()


@pytest.mark.parametrize("unit", UNITS)
@pytest.mark.parametrize("frame", ["{}", "a {}", "a <<E\n{}", 'a "{}"', "(({}) )", "a ${{{}"])
def test_repetition_takes_linear_time(frame: str, unit: str):
    text = frame.format(unit.replace("_", " ").replace("~", "\n") * (15_000 // len(unit)))
    assert _seconds(text) < 6  # a step for each pair of characters would take three times that

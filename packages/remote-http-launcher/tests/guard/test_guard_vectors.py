"""The guard allows what the recorded cases show as allowed, and refuses what they show as refused."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

CASES = json.loads((Path(__file__).parents[4] / "contracts" / "vectors" / "launcher_cases.json").read_text())[
    "guard_cases"
]


def _in_two_words(argv: list[str]) -> list[str]:
    """Return the words with `--option=value` written as two: helpers are handed that form."""
    made: list[str] = []
    for word in argv:
        option, equals, value = word.partition("=")
        made += [option, value] if equals and option.startswith("--") else [word]
    return made


def _at_workdir(argv: list[str]) -> list[str]:
    """Return the words as handed on: a relative directory of a service is looked up below its workdir."""
    if "--" not in argv or len(argv) < argv.index("--") + 3 or argv[-1] != "x":
        return argv
    return [*argv[:-1], f"{argv[argv.index('--workdir') + 1]}/x"]  # no case has ~ there


@pytest.mark.parametrize("case", [case for case in CASES if case["allowed"]], ids=lambda case: case["id"])
@pytest.mark.invariant("I-210")
def test_recorded_command_is_allowed_and_handed_on(case: dict[str, Any], recorded, monkeypatch):
    for name, value in case.get("env", {}).items():
        monkeypatch.setenv(name, value)
    assert recorded.ask(case["original_command"], *case["guard_args"]) == case["exit_code"]
    expected = _at_workdir(_in_two_words(recorded.filled(case["dispatched_argv"])))
    assert [[helper, *words] for helper, words in recorded.calls] == [expected]


@pytest.mark.parametrize("case", [case for case in CASES if not case["allowed"]], ids=lambda case: case["id"])
@pytest.mark.invariant("I-210")
def test_recorded_command_is_refused_in_one_line(case: dict[str, Any], recorded, monkeypatch, capsys):
    for name, value in case.get("env", {}).items():
        monkeypatch.setenv(name, value)
    assert recorded.ask(case["original_command"], *case["guard_args"]) == case["exit_code"]
    assert recorded.calls == []
    captured = capsys.readouterr()
    assert captured.out == ""
    kind = {"rejected": "rejected", "config-error": "configuration error", "usage": "this program"}
    assert captured.err.startswith(f"rhl-guard: {kind[case['outcome']]}")


def test_all_recorded_cases_are_here():
    assert len(CASES) == 117

"""Which lines Seamless mode turns into seamless-run, and how."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from seamless_shell import seamlessify as module
from seamless_shell.seamlessify import main, seamlessify

VECTORS = json.loads(
    (Path(__file__).parents[4] / "contracts" / "vectors" / "seamless_run_cases.json").read_text()
)
CASES = [case for case in VECTORS["cases"] if case["argv"][0] == "_seamlessify"]
SCRIPT = Path(sys.executable).parent / "_seamlessify"


def test_there_are_vectors():
    assert len(CASES) == 3


@pytest.mark.parametrize("case", CASES, ids=lambda case: case["id"])
def test_vectors_hold(case: dict[str, object]):
    argv = case["argv"]
    done = subprocess.run([SCRIPT, *argv[1:]], capture_output=True, text=True, check=False)
    assert (done.stdout, done.returncode, done.stderr) == (case["stdout"], case["exit_code"], "")


def test_whole_line_as_one_word_is_kept_as_typed():
    line = """awk  '{ print "$1  it" }'   a.txt"""
    assert seamlessify([line, "@@@"]) == "seamless-run -c '" + line.replace("'", "'\\''") + "'"


@pytest.mark.parametrize(
    "line",
    [
        "",
        "cd data",
        "cd;pwd",
        r"\ls -l",
        "seamless-download x",
        "seamless_thing",
        "ab x",
        "a_b=1",
        "pushd x",
        "alias a=b",
        "[[ -f a.txt ]]",
        "((i++))",
        "> new.txt",
        "# a comment",
        "x",
    ],
)
def test_line_is_left_alone(line: str):
    assert seamlessify([line, "@@@", "-v"]) == line


@pytest.mark.parametrize(
    "line", ["r x", "R x", "cat", "cdx", "for f in a; do cat $f; done", "(cd x; cat y)", "A=1 cat"]
)
def test_line_is_run_as_a_step(line: str):
    assert seamlessify([line, "@@@"]) == f"seamless-run -c '{line}'"


def test_line_that_is_left_alone_keeps_its_variables():
    assert seamlessify(["cd  $x", "@@@"], {"x": "data"}) == "cd  $x"


def test_variable_may_hold_the_command():
    assert seamlessify(["$tool a.txt", "@@@"], {"tool": "nano"}) == "$tool a.txt"
    assert seamlessify(["$tool a.txt", "@@@"], {"tool": "cat -n"}) == "seamless-run -c 'cat -n a.txt'"


@pytest.mark.parametrize("options", [["--var", "x=1"], ["--metavar=x=1"]])
def test_variable_of_the_options_is_left_to_seamless_run(options: list[str]):
    assert seamlessify(["cat $x", "@@@", *options], {"x": "2"}).endswith("-c 'cat $x'")


def test_options_are_quoted_when_need_be():
    assert seamlessify(["cat", "@@@", "-w", "my dir", "-v"]) == "seamless-run -w 'my dir' -v -c 'cat'"


def test_background_command_is_put_into_the_background_as_a_whole():
    assert seamlessify(["cat a.txt > b.txt &", "@@@"]) == "seamless-run -c 'cat a.txt > b.txt' &"


def test_last_separator_counts():
    assert seamlessify(["cat", "@@@", "x", "@@@", "-v"]) == "seamless-run -v -c 'cat @@@ x'"


@pytest.mark.parametrize("words", [[], ["cat", "a.txt"]])
def test_without_separator_nothing_changes(words: list[str]):
    assert seamlessify(words) == " ".join(words)


def test_values_come_from_the_environment(monkeypatch, capfd):
    monkeypatch.setenv("_SEAMLESSIFY_VALUE_x", "a b")
    monkeypatch.setenv("y", "c")
    assert main(['cat "$x" $y', "@@@"]) == 0
    assert capfd.readouterr().out == "seamless-run -c 'cat \"a b\" $y'\n"


def test_bytes_that_are_no_text_pass():
    done = subprocess.run([os.fsencode(SCRIPT), b"cat \xff", b"@@@"], capture_output=True, check=True)
    assert done.stdout == b"seamless-run -c 'cat \xff'\n"


def test_help_names_the_separator(capsys):
    assert main(["--help"]) == 0
    assert "@@@" in capsys.readouterr().out


def test_start_up_imports_nothing_but_itself():
    code = f"import sys; before = set(sys.modules); import {module.__name__}; print(*sorted(set(sys.modules) - before))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == [
        "__future__",
        "seamless_shell",
        "seamless_shell.seamlessify",
        "seamless_shell.typed_line",
    ]

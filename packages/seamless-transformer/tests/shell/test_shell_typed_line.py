"""A typed line gets the values of its variables as bash would give them, and is otherwise untouched."""

from __future__ import annotations

import os
import subprocess

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from seamless_shell.typed_line import quoted_word, read_line

VALUES = {
    "x": "a.txt",
    "two": "first second",
    "quotes": """it's "so" `id` $HOME \\n""",
    "syntax": "a; id | cat > b & (c) #d ~ {e,f} !g",
    "wild": "*.txt",
    "empty": "",
    "stored": "b.txt.CHECKSUM",
    "lines": "one\ntwo",
}


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("cat $x", "cat a.txt"),
        ("cat ${x}.gz d/$x", "cat a.txt.gz d/a.txt"),
        ("cat $two", "cat first second"),
        ('cat "$two"', 'cat "first second"'),
        ("cat '$two' \"'$two'\"", "cat '$two' \"'first second'\""),
        (r"cat \$x \\$x", r"cat \$x \\a.txt"),
        ("cat $'\\'$x' $x", "cat $'\\'$x' a.txt"),
        ('cat "$quotes"', r'''cat "it's \"so\" \`id\` \$HOME \\n"'''),
        ("cat $wild", "cat *.txt"),
        ("cat $syntax", r"cat a\; id \| cat \> b \& \(c\) \#d \~ \{e,f\} \!g"),
        ("cat $empty$x", "cat a.txt"),
        ("cat $lines", "cat one two"),
        ('cat "$lines"', 'cat "one\ntwo"'),
        ('cat "$(cat "$two" | wc)" $(cat $x)', 'cat "$(cat "first second" | wc)" $(cat a.txt)'),
        ("cat `cat $x` `cat $quotes`", "cat `cat a.txt` `cat $quotes`"),
        ("head -n $((1 << 2 + $n))", "head -n $((1 << 2 + $n))"),
        ("cat $x # don't $x", "cat a.txt # don't $x"),
        ("cat a#$x", "cat a#a.txt"),
        ("cat <<< $x", "cat <<< a.txt"),
        ("cat <<E\nit's $x \\$x\nE\ncat $x", "cat <<E\nit's a.txt \\$x\nE\ncat a.txt"),
        ("cat <<'E' $x\nit's $x\nE\ncat $x", "cat <<'E' a.txt\nit's $x\nE\ncat a.txt"),
        ("cat <<-E\n\t$x\n\tE\ncat '$x'", "cat <<-E\n\ta.txt\n\tE\ncat '$x'"),
    ],
)
def test_variables_are_replaced_where_bash_would_replace_them(line: str, expected: str):
    assert read_line(line, VALUES).text == expected


@pytest.mark.parametrize(
    "text",
    ["${x%.txt}", "${x:-$two}", "${#x}", "${x", "$1", "$?", "$$", "$@", "$", "$nothing", "${nothing}", "é$"],
)
def test_other_expansions_and_unknown_names_stay(text: str):
    assert read_line(f"cat {text}", VALUES).text == f"cat {text}"


@pytest.mark.parametrize(
    "line",
    [
        "for x in 1 2; do cat $x; done",
        "for ((x=0; $x<2; x++)); do cat $x; done",
        "x=b.txt; cat $x",
        "x+=.gz && cat $x",
        "while read -r first x; do cat $x; done",
        "while [ $x -lt 5 ]; do x=$(($x + 1)); done",
        "x[0]=b; cat $x",
    ],
)
def test_variables_that_the_line_sets_are_left_to_it(line: str):
    assert read_line(line, VALUES).text == line


def test_values_of_a_loop_are_replaced():
    assert (
        read_line("for f in $two; do cat $f; done", VALUES).text == "for f in first second; do cat $f; done"
    )


def test_protected_names_stay():
    assert read_line("cat $x $wild", VALUES, ["x"]).text == "cat $x *.txt"


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("cat a.txt.CHECKSUM", "cat a.txt"),
        ("cat a.CHECKSUM;ls d.INDEX|wc", "cat a;ls d|wc"),
        ("cat < a.CHECKSUM > b.CHECKSUM", "cat < a > b"),
        (r"cat my\ file.CHECKSUM", r"cat my\ file"),
        ('cat "my file".CHECKSUM', 'cat "my file"'),
        ("cat $stored", "cat b.txt"),
        ("cat $x.CHECKSUM", "cat a.txt"),
    ],
)
def test_suffixes_of_stored_files_are_taken_off(line: str, expected: str):
    assert read_line(line, VALUES).text == expected


@pytest.mark.parametrize(
    "line",
    [
        "cat 'a.CHECKSUM'",
        'grep "see a.CHECKSUM"',
        "cat a.CHECKSUM.gz",
        "ls .CHECKSUM",
        "cat x # a.CHECKSUM",
        "cat <<E\na.CHECKSUM\nE",
    ],
)
def test_other_words_keep_their_suffix(line: str):
    assert read_line(line, VALUES).text == line


@pytest.mark.parametrize(
    ("line", "text", "in_background"),
    [
        ("sleep 1 &", "sleep 1", True),
        ("sleep 1 & ", "sleep 1", True),
        ("sleep 1 & # soon", "sleep 1", True),
        ("a & b", "a & b", False),
        ("a && b", "a && b", False),
        ("a 2>&1", "a 2>&1", False),
        ("a '&'", "a '&'", False),
        (r"a \&", r"a \&", False),
        ("(a &)", "(a &)", False),
    ],
)
def test_ampersand_at_the_end_is_told_apart(line: str, text: str, in_background: bool):
    typed = read_line(line, {})
    assert (typed.text, typed.in_background) == (text, in_background)


@pytest.mark.parametrize(
    "line", ["", " \t", "a=1", "a_b=1 c='x y'", "a=(1 2)", "a=$(id)", "a+=1 # b", "# cat", "a=1; b=2"]
)
def test_lines_that_only_set_variables_are_told_apart(line: str):
    assert read_line(line, {}).sets_only


@pytest.mark.parametrize("line", ["a=1 cat", "cat", "(a=1)", "dd if=x", "a=1; cat"])
def test_lines_that_do_more_are_told_apart(line: str):
    assert not read_line(line, {}).sets_only


@pytest.mark.parametrize("line", ["  cat a  b ", "\tcat a  b\n"])
def test_space_around_the_line_goes_and_space_within_stays(line: str):
    assert read_line(line, {}).text == "cat a  b"


def test_escaped_space_at_the_end_stays():
    assert read_line("cat a\\ ", {}).text == "cat a\\ "


PIECES = ["x", "two", "quotes", "syntax", "empty", "lines", "nothing"]
WORDS = st.one_of(
    st.sampled_from([f"${name}" for name in PIECES] + [f"${{{name}}}" for name in PIECES]),
    st.sampled_from(["a", "b.c", "\\$x", "\\\\", "\\'", '\\"', "=", "$?", "$#", "é", "#", "~", "-", ":"]),
    st.sampled_from(["'", '"', "`printf %s A`"]).flatmap(
        lambda quote: st.sampled_from([f"${name}" for name in PIECES]).map(
            lambda inside: quote if len(quote) > 1 else f"{quote}B {inside} C{quote}"
        )
    ),
    st.sampled_from(
        ['"$(printf %s "$two" \'$x\')"', "$(printf %s $two)", '"\\"$quotes\\$x"', "$'\\'$x'", " ", "  "]
    ),
)


@given(st.lists(WORDS, max_size=8).map("".join))
@example('"$quotes"$syntax')
@example("$nothing$x")
@example("$empty# $empty~ ~$empty")
@example("$?$x$#$x")
def test_replaced_line_means_in_an_empty_shell_what_the_typed_one_meant(line: str):
    replaced = read_line(line, VALUES).text
    assert _words(replaced, {}) == _words(line, VALUES)


@given(st.text(max_size=40))
def test_no_line_is_too_odd_to_be_read(line: str):
    read_line(line, VALUES)


@given(st.text(st.sampled_from("ab '\"\\$x`(){}<#&;=\n"), max_size=30))
def test_without_values_only_the_ends_of_a_line_change(line: str):
    typed = read_line(line, {})
    assert typed.text in line
    assert line[line.find(typed.text) + len(typed.text) :].strip(" \n")[:1] in ("", "&", "#")


@given(st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), max_size=30))
def test_quoted_word_is_that_word(text: str):
    assert _words(quoted_word(text), {}) == [text]


def _words(line: str, values: dict[str, str]) -> list[str]:
    """Return what bash makes of the words."""
    done = subprocess.run(
        ["bash", "-fc", f"printf '%s\\0' begin {line}"],
        env={"PATH": os.environ["PATH"], "LC_ALL": "C.UTF-8", "HOME": "/nowhere", **values},
        capture_output=True,
        check=True,
    )
    return done.stdout.decode().split("\0")[1:-1]

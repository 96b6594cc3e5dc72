"""What is found in command texts: commands, pipelines, and the redirects that matter."""

from __future__ import annotations

import subprocess

import pytest
from seamless_shell.bash_syntax import ParsedCommand, Redirect, parse_bash


def words(text: str) -> list[str]:
    """Return the words of all commands, as written; commands apart by "|"."""
    parsed = parse_bash(text)
    return _shown(parsed, parsed.commands)


def _shown(parsed: ParsedCommand, commands) -> list[str]:
    return [" ".join(parsed.text[word.start : word.end] for word in command.words) for command in commands]


def primary(text: str, n: int = 1) -> list[str]:
    parsed = parse_bash(text)
    return _shown(parsed, parsed.primary_pipeline(n))


def targets(redirects: tuple[Redirect, ...]) -> list[str | None]:
    return [redirect.target.literal for redirect in redirects]


def results(text: str) -> list[str | None]:
    return targets(parse_bash(text).result_redirects())


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", []),
        ("cat a.txt b.txt", ["cat a.txt b.txt"]),
        ("  cat\ta.txt # b.txt", ["cat a.txt"]),
        ("X=1 cat a.txt", ["cat a.txt"]),
        ("X=1 Y[2]='a b' cat Z=3", ["cat Z=3"]),
        ("X=1", [""]),
        ("> o", [""]),
        ("> o x y", ["x y"]),
        ("cat a > o b 2>&1 c", ["cat a b c"]),
        ("cat <<< x a", ["cat a"]),
        ("cat <<E b | wc -l\nhere cat\nE\nls", ["cat b", "wc -l", "ls"]),
        ("cat a;ls&wc b&&sort||uniq\nhead", ["cat a", "ls", "wc b", "sort", "uniq", "head"]),
        ("cat a|&wc", ["cat a", "wc"]),
        ("cat \\\na", ["cat a"]),
        ("! cat a", ["cat a"]),
        ("time -p cat a", ["cat a"]),
        ("time -- ! cat a", ["cat a"]),
        ("cat a | time wc", ["cat a", "time wc"]),
        ("echo if then ! time { }", ["echo if then ! time { }"]),
        ("'if' x", ["'if' x"]),
        (r"\while x", [r"\while x"]),
        ("X=1 if x", ["if x"]),
        ("[ -f a.txt ] && cat b.txt", ["[ -f a.txt ]", "cat b.txt"]),
        ("test a -nt b", ["test a -nt b"]),
        ("[[ -f a.txt ]] && cat b.txt", ["cat b.txt"]),
        ("[[ a =~ ^(b|c)+ && ( d > e ) ]] || cat b", ["cat b"]),
        ("(( x > 1 )) && cat b", ["cat b"]),
        ("((cat a); (cat b))", ["cat a", "cat b"]),
        ("(cat a)", ["cat a"]),
        ("{ cat a; }", ["cat a"]),
        ("if cat a; then cat b; elif cat c; then cat d; else cat e; fi", [f"cat {x}" for x in "abcde"]),
        ("while cat a; do cat b; done", ["cat a", "cat b"]),
        ("until cat a\ndo\ncat b\ndone", ["cat a", "cat b"]),
        ("for x in a b; do cat c; done", ["cat c"]),
        ("for x do cat c; done", ["cat c"]),
        ("for ((i=0; i<3; i++)); do cat c; done", ["cat c"]),
        ("select x in a b; do cat c; done", ["cat c"]),
        ("case $x in (a|b) cat c;; d) cat e;& *) ;; esac", ["cat c", "cat e"]),
        ("f() { cat a; }; f b", ["cat a", "f b"]),
        ("function f { cat a; }\nfunction g() (cat b)", ["cat a", "cat b"]),
        ("coproc cat a", ["cat a"]),
        ("coproc NAME { cat a; }", ["cat a"]),
        ("coproc NAME", ["NAME"]),
        ("cat $(ls a | wc) `ls b` <(ls c) ${x:-$(ls d)}", ["cat $(ls a | wc) `ls b` <(ls c) ${x:-$(ls d)}"]),
        ('cat "$(case a in b) ls;; esac)" c', ['cat "$(case a in b) ls;; esac)" c']),
        ("cat $(ls # it's )\n) a", ["cat $(ls # it's )\n) a"]),
        ("cat $(wc <<E\nit's )\nE\n) a", ["cat $(wc <<E\nit's )\nE\n) a"]),
        ("cat $(wc <<E\nit's )\nE) a", ["cat $(wc <<E\nit's )\nE) a"]),
        ("cat $(wc <<E) a\nit's )\nE\nls", ["cat $(wc <<E) a", "ls"]),
        ("cat \"${x:-'}'}\" b", ["cat \"${x:-'}'}\" b"]),
        ("a=(1 'b c' # d)\n) cat e", ["cat e"]),
        ("declare -a x=(1 2) y", ["declare -a x=(1 2) y"]),
        ("cat @(a|b) !(c)d", ["cat @(a|b) !(c)d"]),
        ("!(cat a)", ["cat a"]),
        ("cat a\r\nls", ["cat a\r", "ls"]),
    ],
)
def test_words_of_all_commands(text: str, expected: list[str]):
    assert words(text) == expected


def test_commands_without_words_are_commands_but_not_named():
    parsed = parse_bash("X=1; < f; cat a")
    assert len(parsed.commands) == 3
    assert _shown(parsed, parsed.named_commands) == ["cat a"]


@pytest.mark.parametrize(
    ("text", "n", "expected"),
    [
        ("cat a.txt b.txt", 1, ["cat a.txt b.txt"]),
        ("cat a.txt | (cat; cat b.txt)", 1, ["cat a.txt", "cat", "cat b.txt"]),
        ("(cat a.txt; cat b.txt) | wc", 1, ["cat a.txt", "cat b.txt", "wc"]),
        ("(cat a.txt | wc; cat b.txt) | wc", 1, ["cat a.txt", "wc", "cat b.txt", "wc"]),
        ("(cat a.txt | wc; cat b.txt) | wc", 3, ["cat a.txt", "wc", "cat b.txt", "wc"]),
        ("(cat a.txt | wc; cat b.txt); wc", 1, ["cat a.txt", "wc"]),
        ("(cat a.txt | wc; cat b.txt); wc", 3, ["cat b.txt"]),
        ("while true; do cat a.txt | cat b.txt; done", 1, ["true"]),
        ("while true; do cat a.txt | cat b.txt; done", 2, ["cat a.txt", "cat b.txt"]),
        ("while true; do cat a.txt; done | wc", 2, ["true", "cat a.txt", "wc"]),
        ("if cat a.txt | cat b.txt; then cat c; fi", 1, ["cat a.txt", "cat b.txt"]),
        ("cat a.txt | if true; then cat b.txt; fi", 1, ["cat a.txt", "true", "cat b.txt"]),
        ("[[ -f a ]] && cat b", 1, ["cat b"]),
        ("[[ -f a ]] | cat b", 1, ["cat b"]),
        ("[ -f a.txt ] && cat b.txt", 1, ["[ -f a.txt ]"]),
        ("X=1 cat a.txt", 1, ["cat a.txt"]),
        ("X=1; cat a.txt", 1, ["cat a.txt"]),
        ("< a.txt | cat b.txt", 1, ["cat b.txt"]),
        ("cat a; cat b | wc && cat c", 2, ["cat b", "wc"]),
        ("cat a; cat b | wc && cat c", 4, ["cat c"]),
        ("! cat a |& wc", 1, ["cat a", "wc"]),
        ("time cat a | wc", 2, ["cat a", "wc"]),
        ("f() { cat a | wc; }; f", 1, ["cat a", "wc"]),
        ("cat <<E | wc b\nx | y\nE", 1, ["cat", "wc b"]),
    ],
)
def test_primary_pipeline_is_the_outermost_around_the_command(text: str, n: int, expected: list[str]):
    assert primary(text, n) == expected


@pytest.mark.parametrize(("text", "n"), [("", 1), ("X=1", 1), ("cat a", 2), ("cat a", 0), ("cat a", -1)])
def test_command_that_does_not_exist_has_no_pipeline(text: str, n: int):
    with pytest.raises(IndexError, match=f"no command {n}"):
        parse_bash(text).primary_pipeline(n)
    with pytest.raises(IndexError, match=f"no command {n}"):
        parse_bash(text).input_redirects(n)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("cat a", []),
        ("", []),
        ("X=1", []),
        ("cat a > o", ["o"]),
        ("> o", ["o"]),
        ("cat a > o &", ["o"]),
        ("cat a > o; # done", ["o"]),
        ("cat a > o; cat b > o2", ["o2"]),
        ("cat a > o\ncat b > o2\n", ["o2"]),
        ("cat a > o && true", []),
        ("(cat a) > o && cat b > p", ["p"]),
        ("cat a > o | cat", []),
        ("cat a > o | cat > p", ["p"]),
        ("(cat a) > o | wc", []),
        ("(cat a > o); cat b", []),
        ("(a; b) > o", ["o"]),
        ("{ a; b; } > o", ["o"]),
        ("for x in 1 2; do cat a; done > o", ["o"]),
        ("while read x; do cat a; done < in > o", ["o"]),
        ("[[ -f a ]] > o", ["o"]),
        ("(( 1 )) > o", ["o"]),
        ("(cat a > o)", ["o"]),
        ("{ cat a > o; }", ["o"]),
        ("for i in 1; do cat a > o; done", ["o"]),
        ("if true; then cat a > o; fi", ["o"]),
        ("if true; then cat a > o; else cat b > p; fi", ["p"]),
        ("case x in a) cat a > o;; b) ;; esac", ["o"]),
        ("case x in a) ;; esac", []),
        ("((cat a > o) | (cat > p))", ["p"]),
        ("(cat a > p) > o", ["o"]),
        ("! cat a > o", ["o"]),
        ("time cat a > o", ["o"]),
        ("coproc cat a > o", ["o"]),
        ("f() { cat a; } > o", []),
        ("f() { cat a > o; }", []),
        ("f() { cat a > o; }; f > p", ["p"]),
        ("cat a > o 2> e", ["o", "e"]),
        ("cat a 2> e", ["e"]),
        ("cat a > o > p", ["o", "p"]),
        ("cat a < in 2>&1 <<< x &> o", ["o"]),
        ("cat $(ls > p) > o", ["o"]),
        ("cat <<E > o\n> p\nE", ["o"]),
        ("(cat a) 2>&1", []),
        ("(cat a > o) 2>&1", ["o"]),
        ("cat > 'a b'", ["a b"]),
        ("cat > $o", [None]),
    ],
)
def test_result_redirects_are_those_of_the_last_command(text: str, expected: list[str | None]):
    assert results(text) == expected


@pytest.mark.parametrize(
    ("text", "n", "expected"),
    [
        ("cat", 1, []),
        ("cat < a", 1, ["a"]),
        ("< a cat 0< b <> c", 1, ["a", "b", "c"]),
        ("cat <<E <<< x <&0 > o\nE", 1, []),
        ("cat < a | wc < b", 1, ["a", "b"]),
        ("< a | wc < b", 1, ["a", "b"]),
        ("cat < a; wc < b", 1, ["a"]),
        ("cat < a; wc < b", 2, ["b"]),
        ("while read x; do cat < a; done < b", 1, ["b"]),
        ("while read x; do cat < a; done < b", 2, ["a", "b"]),
        ("while read x; do cat < a | wc; done < b", 2, ["a", "b"]),
        ("while read x; do cat < a; done < b | wc < c", 1, ["a", "b", "c"]),
        ("wc | while read x; do cat; done < b", 1, ["b"]),
        ("{ (cat < a) < b | [[ c ]] < d; } < e; wc < f", 1, ["a", "b", "d", "e"]),
        ("cat < $x", 1, [None]),
    ],
)
def test_input_redirects_are_those_in_and_around_the_pipeline(text: str, n: int, expected: list[str | None]):
    assert targets(parse_bash(text).input_redirects(n)) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", []),
        ("cat a", []),
        ("cat a | wc", []),
        ("cat a && cat b | wc", ["cat a"]),
        ("cat a; X=1; (cat b; cat c)", ["cat a"]),
        ("(cat a | wc); cat b &", ["cat a", "wc"]),
        ("cat a\ncat b\n", ["cat a"]),
    ],
)
def test_what_comes_before_the_last_pipeline(text: str, expected: list[str]):
    parsed = parse_bash(text)
    assert _shown(parsed, parsed.before_last()) == expected


def test_command_reaches_from_its_first_part_to_its_last():
    text = " ! X=1 cat a 2> e ; ( >f wc ) "
    parsed = parse_bash(text)
    assert [text[command.start : command.end] for command in parsed.commands] == ["X=1 cat a 2> e", ">f wc"]
    assert [text[node.start : node.end] for node in parsed.root.elements] == ["! X=1 cat a 2> e", "( >f wc )"]


def test_command_knows_what_it_is_inside_of():
    (command,) = parse_bash("f() { if (cat); then a; fi; }").commands[:1]
    assert [parent.kind for parent in command.parents] == [
        *("text", "pipeline", "function", "{", "pipeline", "if", "pipeline", "subshell", "pipeline"),
    ]


SCRIPT = r"""#!/bin/bash
# it's a comment with "quotes
set -e; usage() { cat >&2 <<-'EOF' ; exit "${1:-2}"
	it's $(not a command
	EOF
}
while getopts ":ab:" opt "${args[@]}"; do case $opt in
  (a) all=1 ;;
  b) IFS=',' read -r -a list <<< "$OPTARG" ;&
  [?:]) usage ;; *) ;;
esac done
for f in "$@" *.[ch] {a..c}.txt; do
  n=$(( n + ${#f} << 2 )); m=$(case $f in (x|y) echo "a)";; *) wc -l < "$f" # a ) here
    ;; esac)
  [[ $f =~ ^([a-z]+)\.(c|h)$ && ! ( -d "$f" || $f == *\ * ) ]] || { echo "bad: $f"; continue; }
  sort -t$'\t' -k1,1 "$f" 2>/dev/null | awk '{ print $1 "|" $2 }' |
    # in the middle
    sed -e "s/\"/'/g" -e 's/`/'\''/' > "out/${f##*/}" &
done
wait; trap 'rm -rf "$tmp"' EXIT
eval "$(cat <<A; cat <<B
)'
A
"`
B
)"
diff <(sort "$a") <(sort "$b" | uniq) && echo `echo \`date\` "a b"` >> log || exit $?
"""


def test_script_with_nearly_everything():
    found = words(SCRIPT)
    names = [line.split()[0] for line in found if line]
    assert names == [
        *("set", "cat", "exit", "getopts", "read", "usage", "echo", "continue", "sort", "awk", "sed"),
        *("wait", "trap", "eval", "diff", "echo", "exit"),
    ]
    assert primary(SCRIPT, 9) == [r"sort -t$'\t' -k1,1 " + '"$f"', "awk '{ print $1 \"|\" $2 }'", found[13]]
    bash = subprocess.run(["bash", "-n", "-c", SCRIPT], capture_output=True, timeout=20, check=False)
    assert (bash.returncode, bash.stderr) == (0, b"")

"""What words, assignments and redirects in command texts say."""

from __future__ import annotations

import pytest
from seamless_shell.bash_syntax import Redirect, Word, parse_bash


def word(text: str) -> Word:
    """Return the word that the text, as the second word of a command, is; it must be one."""
    (command,) = parse_bash(f"cat {text}").commands
    (found,) = command.words[1:]
    assert (found.start, found.end) == (4, 4 + len(text))
    return found


def redirect(text: str) -> Redirect:
    (command,) = parse_bash(text).commands
    (found,) = command.redirects
    return found


def test_assignments_stand_before_the_words():
    (command,) = parse_bash("X='a b' Y[$i + 1]=c > f Z+=d cat B=e").commands
    assert [found.literal for found in command.assignments] == ["X=a b", None, "Z+=d"]
    assert [found.literal for found in command.words] == ["cat", "B=e"]


def test_array_is_an_assignment_without_literal():
    (command,) = parse_bash("A=(1 2) cat").commands
    assert [found.literal for found in command.assignments] == [None]


@pytest.mark.parametrize(
    ("text", "literal"),
    [
        ("a", "a"),
        ("'a b'", "a b"),
        ('"a b"', "a b"),
        (r"a\ b", "a b"),
        ('"a"".txt"', "a.txt"),
        ("a'b'\"c\"d", "abcd"),
        ("''", ""),
        (r"$'a\tb\u00e9'", "a\tbé"),
        ('$"a"', "a"),
        (r'"\a\$\"\`\\"', r"\a$\"`\\".replace('\\"', '"').replace("\\\\", "\\")),
        (r"'a\'", "a\\"),
        ("a\\\nb", "ab"),
        ('"a\\\nb"', "ab"),
        ("'a\\\nb'", "a\\\nb"),
        ("'a\nb'", "a\nb"),
        ("a#b", "a#b"),
        ("a$", "a$"),
        ("$", "$"),
        ('"$"', "$"),
        ("$%", "$%"),
        ("\"$'a'\"", "$'a'"),
        ("a=b", "a=b"),
        ("a[1", "a[1"),
        ("{a}", "{a}"),
        ("é", "é"),
        ("\udcff", "\udcff"),
        ("$x", None),
        ("a$1", None),
        ("$$", None),
        ('"$x"', None),
        ("${x:-a b}", None),
        ("$(a b)", None),
        ("`a b`", None),
        ('"`a \\`b\\``"', None),
        ("$((1 + 2))", None),
        ("$[1 + 2]", None),
        ("<(a b)", None),
        ("a>(b)c", None),
        ("\"a${x}\"'b'", None),
    ],
)
def test_literal_is_the_word_after_quote_removal(text: str, literal: str | None):
    assert word(text).literal == literal


@pytest.mark.parametrize(
    "text",
    "* a? [ab] a[!b]c []] {a,b} {a,'b'} {1..3} {a..z..2} {01..-3} a{b{c,d} @(a|b) a!(b) 'a'* {$x,b} $x* ['a']".split(),
)
def test_patterns_and_brace_expansions_glob(text: str):
    assert word(text).globs


@pytest.mark.parametrize(
    "text",
    r"""a '*' \* "?" [ ] [] a]b[ \[a] [!] {} {a} {a,b a,b} {a\,b} \{a,b} {ab..c} {1..} {'a'..c} ${x,,} ${x[1]} `*`
    """.split(),
)
def test_quoted_and_incomplete_patterns_do_not_glob(text: str):
    assert not word(text).globs


@pytest.mark.parametrize(
    ("text", "tilde"),
    [("~", True), ("~/a", True), ("~b/c", True), (r"\~", False), ("'~'", False), ("a~", False)],
)
def test_tilde_counts_at_the_begin_and_unquoted(text: str, tilde: bool):
    assert word(text).tilde == tilde


@pytest.mark.parametrize(
    ("text", "operator", "fd", "target", "is_input", "is_output", "output_fd"),
    [
        ("cat < f", "<", None, "f", True, False, None),
        ("cat 3< f", "<", "3", "f", True, False, None),
        ("cat > f", ">", None, "f", False, True, 1),
        ("cat >f", ">", None, "f", False, True, 1),
        ("cat 2>f", ">", "2", "f", False, True, 2),
        ("cat >> f", ">>", None, "f", False, True, 1),
        ("cat >| f", ">|", None, "f", False, True, 1),
        ("cat <> f", "<>", None, "f", True, True, 0),
        ("cat 1<> f", "<>", "1", "f", True, True, 1),
        ("cat &> f", "&>", None, "f", False, True, 1),
        ("cat &>> f", "&>>", None, "f", False, True, 1),
        ("cat >& f", ">&", None, "f", False, True, 1),
        ("cat 1>& f", ">&", "1", "f", False, True, 1),
        ("cat >&2", ">&", None, "2", False, False, None),
        ("cat >&2-", ">&", None, "2-", False, False, None),
        ("cat >&-", ">&", None, "-", False, False, None),
        ('cat >&"2"', ">&", None, "2", False, False, None),
        ("cat >&$fd", ">&", None, None, False, False, None),
        ("cat 2>&1", ">&", "2", "1", False, False, None),
        ("cat <&3", "<&", None, "3", False, False, None),
        ("cat {fd}> f", ">", "{fd}", "f", False, True, None),
        ("cat {fd[1]}> f", ">", "{fd[1]}", "f", False, True, None),
        ("cat <<< 'a b'", "<<<", None, "a b", False, False, None),
        ("cat << E\nE", "<<", None, "E", False, False, None),
        ("cat <<-'E F'\nE F", "<<-", None, "E F", False, False, None),
        ("cat <<$x\n$x", "<<", None, "$x", False, False, None),
        ("cat > >(wc)", ">", None, None, False, True, 1),
    ],
)
def test_redirect(text, operator, fd, target, is_input, is_output, output_fd):
    found = redirect(text)
    assert (found.operator, found.fd, found.target.literal) == (operator, fd, target)
    assert (found.is_input, found.is_output, found.output_fd) == (is_input, is_output, output_fd)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("cat a 2>f b", ["2>f"]),
        ("cat a2>f", [">f"]),
        ("cat '2'>f", [">f"]),
        ("cat 2 > f", ["> f"]),
        ("cat {fd}>f {1x}>g", ["{fd}>f", ">g"]),
        ("cat 99999999999>f", [">f"]),
        ("cat 2>&1>f", ["2>&1", ">f"]),
        ("cat >&-a", [">&-"]),
        ("cat 2&>f", ["&>f"]),
        ("cat >\\\n>f", [">\\\n>f"]),
        ("cat <<E <<'F' > o\n1\nE\n2\nF\n", ["<<E", "<<'F'", "> o"]),
    ],
)
def test_redirect_begins_at_its_number_and_ends_at_its_target(text: str, expected: list[str]):
    (command,) = parse_bash(text).commands
    assert [text[found.start : found.end] for found in command.redirects] == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("cat > o", ["cat"]),
        ("cat 99999999999>f", ["cat", "99999999999"]),
        ("cat >&-a", ["cat", "a"]),
        ("cat 2>(wc)", ["cat", "2>(wc)"]),
        ("cat {fd} > o", ["cat", "{fd}"]),
    ],
)
def test_what_is_no_part_of_a_redirect_is_a_word(text: str, expected: list[str]):
    (command,) = parse_bash(text).commands
    assert [text[found.start : found.end] for found in command.words] == expected

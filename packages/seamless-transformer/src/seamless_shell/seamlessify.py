"""Seamless mode: turn a line that was typed into the line to run, or leave it alone.

`_seamlessify WORD... @@@ [OPTION...]` prints that line. The words may be those of the line, or the whole line as one
word. It runs at every press of Enter: standard library only, and as little of that as possible.

The caller may give the values of the shell's variables as `_SEAMLESSIFY_VALUE_<name>` in the environment; without
any, the line is taken to have none.
"""

from __future__ import annotations

import os
import sys

from .typed_line import OPERATORS, quoted_word, read_line

TYPE_CHECKING = False
if TYPE_CHECKING:  # importing typing or collections.abc would cost more than the rest
    from collections.abc import Mapping, Sequence

__all__ = ("main", "seamlessify")

SEPARATOR = "@@@"
VALUE_PREFIX = "_SEAMLESSIFY_VALUE_"

TOOLS = (
    "cd rm ls mv cp exit source echo function set unset let export man printenv conda mamba pip apt more less time "
    "code nano vi emacs gedit vim nvim top htop tmux screen ssh su sudo"
)
ACTING_ON_THE_SHELL = (  # lost in another process
    "alias bind break builtin caller compgen complete compopt continue declare dirs disown enable eval exec fc "
    "getopts hash help history jobs kill local logout mapfile popd pushd pwd read readarray readonly return shift "
    "shopt suspend times trap type typeset ulimit umask unalias wait"
)
LEFT_ALONE = frozenset(f"{TOOLS} {ACTING_ON_THE_SHELL}".split())
PROGRAM_OF_ONE_LETTER = "r"

USAGE = """\
usage: _seamlessify WORD... @@@ [OPTION...]

Print what Seamless mode runs for a line: seamless-run OPTION... -c 'LINE', or the line itself if it is left alone.

  _seamlessify cat a.txt @@@        prints: seamless-run -c 'cat a.txt'
  _seamlessify 'cd  data' @@@ -v    prints: cd  data

Exit code: 0.
"""


def seamlessify(words: Sequence[str], values: Mapping[str, str] | None = None) -> str:
    """Return the line to run for what stands before `@@@`, with the options of seamless-run that stand after it.

    words: of the line, or the line as one word. values: of the shell's variables, by name.

    >>> seamlessify(["cat", "a.txt.CHECKSUM", "@@@", "-v"])
    "seamless-run -v -c 'cat a.txt'"
    >>> seamlessify(["cd data", "@@@"])
    'cd data'
    >>> seamlessify(['grep -c  "$what" a.txt', "@@@"], {"what": "two words"})
    'seamless-run -c \\'grep -c  "two words" a.txt\\''
    """
    if SEPARATOR not in words:
        return " ".join(words)
    split = len(words) - 1 - list(reversed(words)).index(SEPARATOR)
    line = " ".join(words[:split])
    options = words[split + 1 :]
    typed = read_line(line, values or {}, _names_of_variables(options))
    if typed.sets_only or _is_left_alone(typed.text):
        return line
    command = " ".join(["seamless-run", *map(_as_typed, options), "-c", quoted_word(typed.text)])
    return command + " &" if typed.in_background else command


def main(argv: Sequence[str] | None = None) -> int:
    """Print the line to run."""
    arguments = list(sys.argv[1:] if argv is None else argv)
    if arguments in (["--help"], ["-h"]):
        sys.stdout.write(USAGE)
        return 0
    values = {
        name[len(VALUE_PREFIX) :]: value
        for name, value in os.environ.items()
        if name.startswith(VALUE_PREFIX)
    }
    sys.stdout.flush()
    os.write(sys.stdout.fileno(), os.fsencode(seamlessify(arguments, values) + "\n"))
    return 0


def _is_left_alone(text: str) -> bool:
    end = 0
    while end < len(text) and text[end] not in OPERATORS:
        end += 1
    word = text[:end].lstrip("\\")  # `\ls`, which avoids an alias, is `ls`
    if not word:  # a redirection, or arithmetic, or commands in parentheses
        return not text.startswith("(") or text.startswith("((")
    if word.startswith("seamless") or word in LEFT_ALONE:
        return True
    return len(word) <= 2 and word.lower() != PROGRAM_OF_ONE_LETTER


def _names_of_variables(options: Sequence[str]) -> list[str]:
    """Return the names that `--var` and `--metavar` define: their values are those given there."""
    given = [options[n] for n in range(1, len(options)) if options[n - 1] in ("--var", "--metavar")]
    given += [o.partition("=")[2] for o in options if o.startswith(("--var=", "--metavar="))]
    return [definition.partition("=")[0] for definition in given]


def _as_typed(option: str) -> str:
    plain = option and all(c.isalnum() or c in "-_=./:,+@%" for c in option)
    return option if plain else quoted_word(option)

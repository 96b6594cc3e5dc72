"""Which words of a command are inputs: files, directories, or just values.

The rules guess, and say no where a guess could be wrong: a word with a file extension must be an existing file
(rule 1), a word without one must not be a file (rule 2), a word that ends in a slash must be a directory (rule 3).
They decide the identity of the step, so they are fixed: contracts/seamless-run.md.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence

from seamless_command.errors import ShellError

TYPE_CHECKING = False  # importing typing costs a command 6 ms
if TYPE_CHECKING:
    from .bash_tree import Word

__all__ = ("Argument", "InputPath", "explicit_input", "type_words", "word_extension")

SYSTEM_DIRECTORIES = ("/bin", "/sbin", "/usr", "/shims")  # how the directory of a system tool ends
SIDECAR_SUFFIXES = (".CHECKSUM", ".INDEX")


class InputPath:
    """One input outside: a file or directory, or only its sidecar files.

    path: absolute, normalised without following links. kind: "file" or "directory".
    label: how messages call it. has_sidecar: `.CHECKSUM` is there and names the content.
    exists: the file or directory itself is there.
    """

    __slots__ = ("exists", "has_sidecar", "kind", "label", "path")

    def __init__(self, path: str, kind: str, label: str, *, has_sidecar: bool, exists: bool) -> None:
        self.path = path
        self.kind = kind
        self.label = label
        self.has_sidecar = has_sidecar
        self.exists = exists


class Argument:
    """One word of the command and what it is; `input` is None for a value."""

    __slots__ = ("input", "is_command", "position", "word")

    def __init__(self, position: int, word: Word, input_path: InputPath | None, *, is_command: bool) -> None:
        self.position = position
        self.word = word
        self.input = input_path
        self.is_command = is_command


def word_extension(word: str) -> str:
    """Return the file extension of a word, with its dot; "" for none, for hidden files and for numbers.

    >>> word_extension("a/b.tar.gz"), word_extension(".profile"), word_extension("-1.5e3")
    ('.gz', '', '')
    """
    name = word.rstrip("/").rpartition("/")[2]
    dot = name.rfind(".")
    if not 0 < dot < len(name) - 1 or _is_number(word):
        return ""
    return name[dot:]


def type_words(
    words: Sequence[tuple[Word, bool]],
    *,
    rule1: bool = True,
    rule2: bool = True,
    search_path: str,
    wait_for_future: Callable[[str], None] = lambda path: None,
    known: dict[str, str] | None = None,
) -> list[Argument]:
    """Return what each word is.

    words: each with whether it stands where the name of a command stands. search_path: as in PATH.
    wait_for_future: called with the path of each word that another command may be making.
    known: types that an interface file fixes, by word: "value", "file" or "directory".
    Raises ShellError with the position of the word.
    """
    arguments = []
    for position, (word, is_command) in enumerate(words, 1):
        found = None
        if word.literal:
            fixed = None if known is None else known.get(word.literal)
            found = _typed(
                word, word.literal, position, is_command, rule1, rule2, search_path, wait_for_future, fixed
            )
        arguments.append(Argument(position, word, found, is_command=is_command))
    return arguments


def explicit_input(path: str, shown: str, kind: str | None = None) -> InputPath:
    """Return an input that the user has named as one. Raises ShellError if it does not exist."""
    outside = os.path.normpath(os.path.abspath(os.path.expanduser(path)))
    found = _with_sidecar(outside, f"input argument {shown!r}")
    if found is None:
        found = _existing(outside, f"input argument {shown!r}")
    if found is None or (kind is not None and found.kind != kind):
        what = "file/directory" if kind is None else kind
        raise ShellError(f"input argument {shown!r}: {what} does not exist")
    return found


def _typed(
    word: Word,
    text: str,
    position: int,
    is_command: bool,
    rule1: bool,
    rule2: bool,
    search_path: str,
    wait_for_future: Callable[[str], None],
    fixed: str | None,
) -> InputPath | None:
    label = f"Argument #{position} {text!r}"
    if "\0" in text or fixed == "value":
        return None
    expanded = os.path.expanduser(text) if word.tilde else text
    path = os.path.normpath(os.path.abspath(expanded))
    wait_for_future(path)
    if not text.endswith(SIDECAR_SUFFIXES):
        found = _with_sidecar(path, label)
        if found is not None:
            return found
    if fixed is not None:
        return _demanded(path, label, fixed)
    if is_command:
        program = _which(expanded, search_path)
        if program is not None and (
            os.path.dirname(program).endswith(SYSTEM_DIRECTORIES)
            and (expanded[0] == "/" or "/" not in expanded)
        ):
            return None
        if program is not None and "/" not in expanded and program != path:
            return InputPath(
                os.path.normpath(program),
                "file",
                f"{label} (found as {program})",
                has_sidecar=False,
                exists=True,
            )
        if os.path.isdir(path):
            return None  # no directory is a command
    is_number = _is_number(text)
    found = _existing(path, label)
    if text.endswith("/"):
        if found is None or found.kind != "directory":
            what = (
                "Argument is not a directory."
                if found is not None or _names_file(path)
                else ("Argument does not exist.")
            )
            raise ShellError(f"{what}\n{label} ends with a slash.\nTherefore, it must be a directory.")
        return found
    extension = word_extension(text)
    if extension and rule1:
        if found is None or found.kind == "directory":
            what = "Argument does not exist." if found is None else "Argument is a directory."
            raise ShellError(
                f"{what}\n{label} has an extension.\nTherefore, it must exist as a file.\n"
                "To disable this rule, specify the -g1 option.",
                hint=_hint_for_missing(word, text),
            )
        return found
    if (
        not extension
        and not is_number
        and rule2
        and not is_command
        and found is not None
        and found.kind == "file"
    ):
        raise ShellError(
            f"{label} has no extension.\nUnless it is the first argument, it can't exist as a file.\n"
            "To disable this rule, specify the -g2 option.",
            hint=f"-g2 makes {text!r} an input file wherever it stands",
        )
    if is_number and "." in text:
        return None
    return found


def _hint_for_missing(word: Word, text: str) -> str | None:
    if word.globs:
        return (
            "patterns are not expanded here; leave out -c and let your shell expand them, or name the files"
        )
    if any(char.isspace() for char in text):
        return "-g1 takes it as a value; a file name with spaces must be quoted within the command line"
    return None


def _demanded(path: str, label: str, kind: str) -> InputPath:
    found = _existing(path, label)
    if found is None or found.kind != kind:
        raise ShellError(f"{label} must be a {kind}, says the interface file, and there is none at {path}.")
    return found


def _with_sidecar(path: str, label: str) -> InputPath | None:
    """Return the input that a `.CHECKSUM` file beside it describes."""
    from .compression import split_compression

    stem = split_compression(path)[0]
    if not os.path.exists(stem + ".CHECKSUM"):
        return None
    kind = "directory" if os.path.exists(stem + ".INDEX") else "file"
    exists = os.path.isdir(path) if kind == "directory" else os.path.isfile(path)
    return InputPath(path, kind, label, has_sidecar=True, exists=exists)


def _existing(path: str, label: str) -> InputPath | None:
    if os.path.isdir(path):
        return InputPath(path, "directory", label, has_sidecar=False, exists=True)
    if os.path.isfile(path):  # devices and pipes have no content to speak of
        return InputPath(path, "file", label, has_sidecar=False, exists=True)
    return None


def _names_file(path: str) -> bool:
    return os.path.isfile(path.rstrip("/"))


def _which(word: str, search_path: str) -> str | None:
    """Return the program that a shell would run under this name."""
    if "/" in word:
        return word if os.path.isfile(word) and os.access(word, os.X_OK) else None
    for directory in search_path.split(os.pathsep):
        program = os.path.join(directory or ".", word)
        if os.path.isfile(program) and os.access(program, os.X_OK):
            return program
    return None


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True

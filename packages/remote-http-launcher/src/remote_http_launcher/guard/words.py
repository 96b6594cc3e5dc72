"""Split a command line into words as a POSIX shell does, without a shell.

Quotes and backslashes count; nothing is expanded, and `;`, `|`, `&`, `>`, `$`, backtick and `#` are letters as any
other. The words are those of `shlex.split` (which is slower to import); both refuse the same texts.
"""

from __future__ import annotations

from .refusal import Refused

__all__ = ("drop_assignments", "split_words")

SIZE_MAX = 128 * 1024  # what one argument of a program may have on Linux; sshd runs no longer command
BLANKS = " \t\r\n"
LETTERS = frozenset("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz_")
NAME_CHARACTERS = LETTERS | frozenset("0123456789")


def split_words(text: str) -> list[str]:
    """Return the words of the text. Raises Refused for an open quote, a backslash at the end, or a text too long."""
    if len(text) > SIZE_MAX:
        raise Refused("the command is too long")
    words: list[str] = []
    word: list[str] | None = None  # None between words
    quote = ""
    at = 0
    while at < len(text):
        character = text[at]
        at += 1
        if quote == "'":
            if character == quote:
                quote = ""
            else:
                word.append(character)  # type: ignore[union-attr]  # a quote is inside a word
        elif character == "\\":
            if at == len(text):
                raise Refused("the command ends with a backslash")
            word = [] if word is None else word
            if quote and text[at] not in ('"', "\\"):
                word.append(character)
            word.append(text[at])
            at += 1
        elif quote:
            if character == quote:
                quote = ""
            else:
                word.append(character)  # type: ignore[union-attr]
        elif character in "'\"":
            quote = character
            word = [] if word is None else word
        elif character in BLANKS:
            if word is not None:
                words.append("".join(word))
            word = None
        else:
            word = [] if word is None else word
            word.append(character)
    if quote:
        raise Refused("a quote is not closed")
    if word is not None:
        words.append("".join(word))
    return words


def drop_assignments(words: list[str]) -> list[str]:
    """Return the words after the leading `NAME=value`: those are never applied."""
    for at, word in enumerate(words):
        name, equals, _ = word.partition("=")
        if not (equals and name and name[0] in LETTERS and NAME_CHARACTERS.issuperset(name)):
            return words[at:]
    return []

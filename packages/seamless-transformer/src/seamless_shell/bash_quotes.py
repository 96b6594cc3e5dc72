"""Quote words for bash, and read the escapes of its `$'...'`."""

from __future__ import annotations

TYPE_CHECKING = False  # importing typing costs a command 6 ms
if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ("RESERVED_WORDS", "decode_ansi_c", "quote_word", "quote_words")

RESERVED_WORDS = frozenset(
    (
        "!",
        "[[",
        "]]",
        "{",
        "}",
        "case",
        "coproc",
        "do",
        "done",
        "elif",
        "else",
        "esac",
        "fi",
        "for",
        "function",
        "if",
        "in",
        "select",
        "then",
        "time",
        "until",
        "while",
    )
)

_NEEDS_NO_QUOTES = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789@%+=:,./_-"
_ONE_LETTER_ESCAPES = {
    "a": b"\a",
    "b": b"\b",
    "e": b"\x1b",
    "E": b"\x1b",
    "f": b"\f",
    "n": b"\n",
    "r": b"\r",
    "t": b"\t",
    "v": b"\v",
    "\\": b"\\",
    "'": b"'",
    '"': b'"',
    "?": b"?",
}


def quote_word(word: str) -> str:
    r"""Return the word as bash text that stands for it, quoted only if needed.

    >>> print(quote_word("a.txt"), quote_word("it's"), quote_word(""))
    a.txt 'it'"'"'s' ''
    """
    if word and not word.strip(_NEEDS_NO_QUOTES):
        return word
    return "'" + word.replace("'", "'\"'\"'") + "'"


def quote_words(words: Sequence[str]) -> str:
    """Return the command text of an argument list: the words, quoted where needed, joined by single spaces.

    Leading NAME=VALUE words stay assignments. A reserved word (`if`) is quoted where it would be the command;
    `time` is not, so that a command can be timed.

    >>> quote_words(["X=a b", "grep", "if", "my file"])
    "X='a b' grep if 'my file'"
    """
    quoted = []
    in_command_position = True
    for word in words:
        name, sign, value = word.partition("=")
        if in_command_position and sign and _is_name(name.removesuffix("+")):
            quoted.append(name + sign + (quote_word(value) if value else ""))
            continue
        if in_command_position and word in RESERVED_WORDS and word != "time":
            quoted.append(f"'{word}'")
        else:
            quoted.append(quote_word(word))
        in_command_position = False
    return " ".join(quoted)


def decode_ansi_c(text: str) -> str | None:
    r"""Return what `$'text'` stands for in a UTF-8 locale; None for a code point beyond Unicode.

    As in bash, it ends before the first NUL, and an escape that bash does not know keeps its backslash.
    Bytes that are not UTF-8 become surrogates, as in file names (PEP 383).

    >>> decode_ansi_c(r"a\tb\x41\u00e9\q")
    'a\tbAé\\q'
    """
    import re  # here, since hardly a command needs it

    escape = re.compile(
        r"\\(?:([0-7]{1,3})|x\{([0-9a-fA-F]+)\}?|x([0-9a-fA-F]{1,2})|u([0-9a-fA-F]{1,4})|U([0-9a-fA-F]{1,8})"
        r"|c(\\\\|.)|(.))",
        re.DOTALL,
    )
    result = bytearray()
    position = 0
    for match in escape.finditer(text):
        result += _encoded(text[position : match.start()])
        position = match.end()
        octal, braced, byte, short, long, control, letter = match.groups()
        if short or long:
            code = int(short or long, 16)
            if code > 0x10FFFF:
                return None
            result += chr(code).encode("utf-8", "surrogatepass")
        elif octal:
            result.append(int(octal, 8) & 0xFF)
        elif braced or byte:
            result.append(int(braced or byte, 16) & 0xFF)
        elif control:
            result += _control(control[0])
        else:
            result += _ONE_LETTER_ESCAPES.get(letter) or _encoded("\\" + letter)
    result += _encoded(text[position:])
    return bytes(result).partition(b"\0")[0].decode("utf-8", "surrogateescape")


def _is_name(text: str) -> bool:
    return text.isascii() and text.isidentifier()


def _control(character: str) -> bytes:
    """Return what Ctrl and the character give; of a character of several bytes, the first is taken."""
    if character == "?":
        return b"\x7f"
    first, *others = _encoded(character.upper() if character.isascii() else character)
    return bytes((first & 0x1F, *others))


def _encoded(text: str) -> bytes:
    return text.encode("utf-8", "surrogateescape")

"""Canonical commands: one step for all spellings of a command, its variable words as typed pins.

The interface file gives `tool.sh $N` and says that N is an int; then `tool.sh 5` and `./tool.sh 05` run the code
`tool.sh $N` with the pin N = 5: the same step.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence

from seamless_command.errors import ShellError

TYPE_CHECKING = False  # importing typing costs a command 6 ms
if TYPE_CHECKING:
    from typing import Any

    from .bash_tree import ParsedCommand, Word
    from .input_mapping import InputMapping
    from .interface_members import InterfaceSource

__all__ = ("CanonicalCommand", "is_plain_command", "match_canonical")


class CanonicalCommand:
    """A canonical command that the words of a command match.

    text: as the interface file gives it. executables: absolute paths of inputs that are made executable.
    dummy_command: the command line whose words are typed in place of `text`, or None.
    """

    __slots__ = (
        "_actual",
        "_celltypes",
        "_names",
        "_source",
        "_words",
        "dummy_command",
        "executables",
        "text",
    )

    def __init__(
        self,
        source: InterfaceSource,
        text: str,
        words: Sequence[Word],
        names: Sequence[str | None],
        celltypes: Mapping[str, str],
        actual: Sequence[str],
        executables: list[str],
        dummy_command: str | None,
    ) -> None:
        self.text = text
        self.executables = executables
        self.dummy_command = dummy_command
        self._source = source
        self._words = words
        self._names = names  # of the variable that each word is, None for a plain word
        self._celltypes = celltypes
        self._actual = actual

    def code(self, mapping: InputMapping) -> str:
        """Return the canonical text; words that are inputs have the names that these have where the command runs."""
        from .bash_syntax import quote_word

        text = self.text
        triples = list(zip(self._words, self._names, self._actual, strict=True))
        for word, name, actual in reversed(triples):
            pin = _pin(mapping, actual) if name is None else None
            if pin is not None and pin != word.literal:
                pin = f"./{pin}" if pin.startswith("-") else pin
                text = text[: word.start] + quote_word(pin) + text[word.end :]
        return text

    def pins(self, mapping: InputMapping | None = None) -> list[tuple[str, str, bytes]]:
        """Return name, celltype and buffer of each variable. Raises ShellError for a word that is no such value.

        mapping: with it, a variable whose word is an input holds the name that the input has where the command runs.
        """
        found: dict[str, str] = {}
        for name, actual in zip(self._names, self._actual, strict=True):
            if name is not None:
                pin = None if mapping is None else _pin(mapping, actual)
                found[name] = actual if pin is None else pin
        return [
            (name, celltype, self._buffer(name, celltype, found[name]))
            for name, celltype in self._celltypes.items()
        ]

    def _buffer(self, name: str, celltype: str, word: str) -> bytes:
        from seamless.serialize import serialize

        try:
            return serialize(_VALUES[celltype](word), celltype)
        except (ValueError, TypeError) as exc:
            raise ShellError(
                f"{word!r} cannot be the variable {name!r} of the canonical command {self.text!r}, "
                f"which is of celltype {celltype!r}: {exc}",
                hint=f"give a word that is one, or change the celltype in {self._source.path}",
            ) from None


def is_plain_command(parsed: ParsedCommand) -> bool:
    """Return whether a command line is one command and its words, and nothing else: only such a one is replaced."""
    if len(parsed.commands) != 1:
        return False
    only = parsed.commands[0]
    return (
        not (only.redirects or only.assignments) and parsed.text.strip() == parsed.text[only.start : only.end]
    )


def match_canonical(
    source: InterfaceSource,
    commands: Sequence[dict[str, Any]],
    words: Sequence[str | None],
    resolve: Callable[[str], str],
) -> CanonicalCommand | None:
    """Return the first of the canonical commands that the words match, if any; all are checked.

    commands: of `check_members`. words: None for one that is not known before the command runs.
    resolve: from a path of the interface file to one of the current directory. Raises ShellError.
    """
    match = None
    for index, command in enumerate(commands):
        parsed = _parse(source, index, command)
        if match is None:
            match = _match(source, command, parsed, words, resolve)
    return match


def _parse(source: InterfaceSource, index: int, command: dict[str, Any]) -> list[tuple[Word, str | None]]:
    """Return the words of a canonical command, each with the variable that it is."""
    from .bash_syntax import BashSyntaxError, parse_bash

    keys = ("canonical", index, "command")
    text: str = command["command"]
    try:
        parsed = parse_bash(text)
    except BashSyntaxError as exc:
        raise source.error(keys, f"{text!r} is no command: {exc.message}") from None
    if not is_plain_command(parsed):
        raise source.error(keys, f"expected one command and its words, not {text!r}")
    found = []
    for word in parsed.commands[0].words:
        written = text[word.start : word.end]
        name = _variable(written)
        if word.literal is None and name not in command["variables"]:
            raise source.error(
                keys,
                f"{written} in {text!r} is none of its variables",
                hint=f"variables: [{{name: {name}, celltype: str}}]"
                if name
                else "a variable is a whole word",
            )
        found.append((word, name if word.literal is None else None))
    for name in command["variables"]:
        if name not in [each for _, each in found]:
            raise source.error(keys, f"the variable {name!r} is no word of {text!r}; expected ${name}")
    return found


def _variable(written: str) -> str | None:
    """Return NAME of `$NAME`, `${NAME}`, `"$NAME"` and `"${NAME}"`."""
    if len(written) > 2 and written[0] == written[-1] == '"':
        written = written[1:-1]
    if not written.startswith("$"):
        return None
    name = written[1:]
    if name.startswith("{") and name.endswith("}"):
        name = name[1:-1]
    return name if name.isascii() and name.isidentifier() else None


def _match(
    source: InterfaceSource,
    command: dict[str, Any],
    parsed: list[tuple[Word, str | None]],
    words: Sequence[str | None],
    resolve: Callable[[str], str],
) -> CanonicalCommand | None:
    if len(parsed) != len(words):
        return None
    values: dict[str, str] = {}
    actual: list[str] = []
    for (word, name), given in zip(parsed, words, strict=True):
        if given is None:
            return None
        if name is not None:
            if values.setdefault(name, given) != given:
                return None
        elif word.literal != given and not _same_file(resolve(word.literal or ""), given):
            return None
        actual.append(given)
    return CanonicalCommand(
        source,
        command["command"],
        [word for word, _ in parsed],
        [name for _, name in parsed],
        command["variables"],
        actual,
        [_outside(resolve(path)) for path in command["executable"]],
        command["dummy_command"],
    )


def _outside(path: str) -> str:
    return os.path.normpath(os.path.abspath(os.path.expanduser(path)))


def _same_file(path: str, given: str) -> bool:
    """Return whether both are one file or directory; two spellings of a mere value are two values."""
    return bool(path and given) and os.path.lexists(given) and _outside(path) == _outside(given)


def _pin(mapping: InputMapping, word: str) -> str | None:
    return mapping.pin_of.get(_outside(word)) if word else None


# ---- a word as a value


def _int(word: str) -> int:
    _demand_plain_number(word)
    return int(word)


def _float(word: str) -> float:
    import math

    _demand_plain_number(word)
    value = float(word)
    if not math.isfinite(value):
        raise ValueError("it is not finite")
    return value


def _demand_plain_number(word: str) -> None:
    """Refuse what Python takes for a number and other programs do not."""
    if not word.isascii() or "_" in word or word != word.strip():
        raise ValueError("it is no number")


def _bool(word: str) -> bool:
    value = {"true": True, "false": False, "1": True, "0": False}.get(word.lower())
    if value is None:
        raise ValueError("expected true, false, 1 or 0")
    return value


def _plain(word: str) -> Any:
    import json

    def refuse(constant: str) -> None:
        raise ValueError(f"{constant} is no JSON")

    return json.loads(word, parse_constant=refuse)


def _text(word: str) -> str:
    return word


_VALUES: dict[str, Callable[[str], Any]] = {
    "str": _text,
    "text": _text,
    "int": _int,
    "float": _float,
    "bool": _bool,
    "plain": _plain,
}

"""Where a value was written: file, line, column, and the line itself."""

from __future__ import annotations

__all__ = ("Place", "printable")


def printable(text: str) -> str:
    """Return the text without what a terminal would act upon; ends of lines stay."""
    if text.isprintable():
        return text
    return "".join(
        character if character.isprintable() or character == "\n" else " " if character == "\t" else "?"
        for character in text
    )


class Place:
    """A place in a file. line, column: counted from 1; 0 means the file as a whole. text: the line."""

    __slots__ = ("column", "file", "line", "text")

    def __init__(self, file: str, line: int = 0, column: int = 0, text: str = "") -> None:
        self.file = file
        self.line = line
        self.column = column
        self.text = text

    def __str__(self) -> str:
        file = printable(self.file)
        return f"{file}, line {self.line}, column {self.column}" if self.line else file

    def __repr__(self) -> str:
        return f"Place({str(self)!r})"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Place) and self._key() == other._key()

    def __hash__(self) -> int:
        return hash(self._key())

    def _key(self) -> tuple[str, int, int]:
        return self.file, self.line, self.column

    def shown(self) -> str:
        """Return the line with a mark below the column; "" for a whole file."""
        if not self.text.strip():
            return ""
        text = printable(self.text.rstrip()).replace("\n", "?")
        start = max(0, self.column - 60)
        piece = text[start : start + 100]
        return f"    {piece}\n    {' ' * (self.column - 1 - start)}^"

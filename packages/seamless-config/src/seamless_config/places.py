"""Where a value was written: file, line, column, and the line itself."""

from __future__ import annotations

__all__ = ("Place",)


class Place:
    """A place in a file. line, column: counted from 1; 0 means the file as a whole. text: the line."""

    __slots__ = ("column", "file", "line", "text")

    def __init__(self, file: str, line: int = 0, column: int = 0, text: str = "") -> None:
        self.file = file
        self.line = line
        self.column = column
        self.text = text

    def __str__(self) -> str:
        return f"{self.file}, line {self.line}, column {self.column}" if self.line else self.file

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
        text = self.text.rstrip().replace("\t", " ")
        start = max(0, self.column - 60)
        piece = text[start : start + 100]
        return f"    {piece}\n    {' ' * (self.column - 1 - start)}^"

"""The table `expression`: what a part of a buffer, read as another celltype, is.

Its key is the buffer, the path into it as JSON text (`["a", 0]`, `[]` for the whole), its celltype, and the
celltype that is wanted. The last result that is put stands.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from .changes import Change
from .database_cells import digest_of, hex_of, is_text
from .database_errors import ExpressionMalformed, ExpressionRefused

if TYPE_CHECKING:
    from apsw import Connection

    from .result_look_ups import Read
    from .results_database import ResultsDatabase

__all__ = ("Expression", "Expressions")

PATH_CHARACTERS_MAX = 100
CELLTYPE_CHARACTERS_MAX = 20
CELLTYPES_WITH_PARTS = ("mixed", "plain", "binary")

_KEY = "input_checksum = ? AND path = ? AND celltype = ? AND target_celltype = ?"
_SELECT = f"SELECT result FROM expression WHERE {_KEY}"
_SELECT_BY_RESULT = (
    "SELECT input_checksum, path, celltype, target_celltype FROM expression WHERE result = ? ORDER BY rowid"
)
_UPSERT = (
    "INSERT INTO expression (input_checksum, path, celltype, target_celltype, result) VALUES (?, ?, ?, ?, ?) "
    "ON CONFLICT (input_checksum, path, celltype, target_celltype) DO UPDATE SET result = excluded.result"
)


@dataclass(frozen=True)
class Expression:
    """A part of a buffer, read as `target_celltype`. path: a JSON list, or a text."""

    checksum: bytes
    path: list[Any] | str  # any JSON value may be a step of the path
    celltype: str
    target_celltype: str


class Expressions:
    """The table in `database`. read: `database.read` when not given."""

    def __init__(self, database: ResultsDatabase, *, read: Read | None = None) -> None:
        self._database = database
        self._read = read or database.read

    def get(self, expression: Expression) -> bytes | None:
        """Return the checksum of what it is, or None."""
        rows = self._read("look up an expression", _SELECT, *self._key(expression))
        return digest_of(rows[0][0], self._database.path) if rows else None

    def put(self, expression: Expression, result: bytes) -> None:
        """Store what it is, durably, also over something else.

        Raises ExpressionRefused for what the table cannot hold: a path of more than 100 characters, or into
        a celltype without parts, or a celltype of more than 20 characters.
        """
        self._database.apply(self.putting(expression, result))

    def putting(self, expression: Expression, result: bytes) -> Change[None]:
        """Return the change that `put` makes."""
        key = self._key(expression)
        self._check_limits(expression, path_text=key[1])
        value = hex_of(result)

        def put(connection: Connection) -> None:
            connection.execute(_UPSERT, (*key, value)).fetchall()

        return Change(put)

    def by_result(self, result: bytes) -> list[Expression]:
        """Return the expressions that are this, in order of insertion."""
        path = self._database.path
        rows = self._read("look up an expression", _SELECT_BY_RESULT, hex_of(result))
        return [
            Expression(digest_of(checksum, path), _path_of(text), celltype, target)
            for checksum, text, celltype, target in rows
        ]

    def _key(self, expression: Expression) -> tuple[str, str, str, str]:
        celltypes = (expression.celltype, expression.target_celltype)
        if not isinstance(expression.path, (list, str)) or not all(map(is_text, celltypes)):
            raise ExpressionMalformed(
                "An expression has a path, a JSON list, and two celltypes, both text; not "
                f"{expression.path!r:.80}, {expression.celltype!r:.80} and {expression.target_celltype!r:.80}.",
                path=self._database.path,
                remedy="name all of them; the path to the whole buffer is [].",
            )
        return (hex_of(expression.checksum), json.dumps(expression.path), *celltypes)

    def _check_limits(self, expression: Expression, *, path_text: str) -> None:
        if len(path_text) > PATH_CHARACTERS_MAX:
            what = f"its path has {len(path_text)} characters as JSON, of at most {PATH_CHARACTERS_MAX}"
        elif expression.path and expression.celltype not in CELLTYPES_WITH_PARTS:
            what = f"{expression.celltype:.30} has no parts to which its path could lead"
        elif len(expression.celltype) > CELLTYPE_CHARACTERS_MAX:
            what = f"celltype {expression.celltype:.30} has more than {CELLTYPE_CHARACTERS_MAX} characters"
        elif len(expression.target_celltype) > CELLTYPE_CHARACTERS_MAX:
            what = f"celltype {expression.target_celltype:.30} has more than {CELLTYPE_CHARACTERS_MAX} characters"
        else:
            return
        raise ExpressionRefused(
            f"Did not store an expression: {what}.",
            path=self._database.path,
            remedy="evaluate it again when it is needed; this one is not kept.",
        )


def _path_of(text: str) -> list[Any] | str:
    try:
        path = json.loads(text)
    except ValueError:
        return text
    return path if isinstance(path, (list, str)) else [path]

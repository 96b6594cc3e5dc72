"""The table `syntactic_to_semantic`: which buffers mean the same, such as two spellings of one source text.

Many to many, for each celltype and subcelltype; a pair is stored once, however often it is put.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from .changes import Change
from .database_cells import digest_of, hex_of, is_text
from .database_errors import SemanticPairMalformed

if TYPE_CHECKING:
    from apsw import Connection

    from .result_look_ups import Read
    from .results_database import ResultsDatabase

__all__ = ("SemanticPairs",)

_SELECT_SYNTACTIC = (
    "SELECT syntactic FROM syntactic_to_semantic "
    "WHERE semantic = ? AND celltype = ? AND subcelltype = ? ORDER BY rowid"
)
_SELECT_SEMANTIC = (
    "SELECT semantic FROM syntactic_to_semantic "
    "WHERE syntactic = ? AND celltype = ? AND subcelltype = ? ORDER BY rowid"
)
_INSERT = (
    "INSERT INTO syntactic_to_semantic (syntactic, celltype, subcelltype, semantic) VALUES (?, ?, ?, ?) "
    "ON CONFLICT DO NOTHING"
)


class SemanticPairs:
    """The table in `database`. read: `database.read` when not given."""

    def __init__(self, database: ResultsDatabase, *, read: Read | None = None) -> None:
        self._database = database
        self._read = read or database.read

    def syntactic(self, semantic: bytes, celltype: str, subcelltype: str) -> list[bytes]:
        """Return the buffers that have this meaning, in order of insertion."""
        return self._look_up(_SELECT_SYNTACTIC, semantic, celltype, subcelltype)

    def semantic(self, syntactic: bytes, celltype: str, subcelltype: str) -> list[bytes]:
        """Return the meanings of this buffer, in order of insertion."""
        return self._look_up(_SELECT_SEMANTIC, syntactic, celltype, subcelltype)

    def insert(self, semantic: bytes, celltype: str, subcelltype: str, syntactics: Sequence[bytes]) -> None:
        """Store, durably, that all of `syntactics` have this meaning."""
        self._database.apply(self.inserting(semantic, celltype, subcelltype, syntactics))

    def inserting(
        self, semantic: bytes, celltype: str, subcelltype: str, syntactics: Sequence[bytes]
    ) -> Change[None]:
        """Return the change that `insert` makes."""
        self._check(celltype, subcelltype)
        rows = [(hex_of(syntactic), celltype, subcelltype, hex_of(semantic)) for syntactic in syntactics]

        def insert(connection: Connection) -> None:
            connection.executemany(_INSERT, rows).fetchall()

        return Change(insert)

    def _look_up(self, sql: str, checksum: bytes, celltype: str, subcelltype: str) -> list[bytes]:
        self._check(celltype, subcelltype)
        rows = self._read("look up a meaning", sql, hex_of(checksum), celltype, subcelltype)
        return [digest_of(found, self._database.path) for (found,) in rows]

    def _check(self, celltype: object, subcelltype: object) -> None:
        if not (is_text(celltype) and is_text(subcelltype)):
            raise SemanticPairMalformed(
                f"A meaning is one of a celltype and a subcelltype, both text, not of {celltype!r:.80} and "
                f"{subcelltype!r:.80}.",
                path=self._database.path,
                remedy="name both, such as 'python' and 'transformer'.",
            )

"""The tables of `seamless.db`: their exact CREATE statements, creation and check.

The statements are those that the reference implementation leaves in a file, to the letter. A table or
index that is missing is created; nothing that exists is altered, with one exception which the reference
makes too: an empty `meta_data` table of the oldest form (checksum, metadata) is replaced.
See contracts/results-database.md.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from .database_errors import DatabaseSchemaUnknown

if TYPE_CHECKING:
    from apsw import Connection

__all__ = ("COLUMNS", "STATEMENTS", "check_columns", "create_missing", "is_complete")

STATEMENTS: dict[str, str] = {
    "bucket_probe": (
        'CREATE TABLE "bucket_probe" ("bucket_kind" VARCHAR(20) NOT NULL, "label" TEXT NOT NULL, '
        '"bucket_checksum" CHAR(64) NOT NULL, "captured_at" TEXT NOT NULL, "freshness_tokens" TEXT NOT NULL, '
        'PRIMARY KEY ("bucket_kind", "label"))'
    ),
    "bucket_probe_bucket_checksum": (
        'CREATE INDEX "bucket_probe_bucket_checksum" ON "bucket_probe" ("bucket_checksum")'
    ),
    "buffer_info": (
        'CREATE TABLE "buffer_info" ("checksum" CHAR(64) NOT NULL PRIMARY KEY, "buffer_info" TEXT NOT NULL)'
    ),
    "expression": (
        'CREATE TABLE "expression" ("input_checksum" CHAR(64) NOT NULL, "path" VARCHAR(100) NOT NULL, '
        '"celltype" VARCHAR(20) NOT NULL, "target_celltype" VARCHAR(20) NOT NULL, "validator" CHAR(64), '
        '"validator_language" VARCHAR(20), "result" CHAR(64) NOT NULL, '
        'PRIMARY KEY ("input_checksum", "path", "celltype", "target_celltype"))'
    ),
    "expression_result": 'CREATE INDEX "expression_result" ON "expression" ("result")',
    "irreproducible_transformation": (
        'CREATE TABLE "irreproducible_transformation" ("id" INTEGER NOT NULL PRIMARY KEY, '
        '"result" CHAR(64) NOT NULL, "checksum" CHAR(64) NOT NULL, "metadata" TEXT NOT NULL)'
    ),
    "irreproducible_transformation_result": (
        'CREATE INDEX "irreproducible_transformation_result" ON "irreproducible_transformation" ("result")'
    ),
    "irreproducible_transformation_checksum": (
        'CREATE INDEX "irreproducible_transformation_checksum" '
        'ON "irreproducible_transformation" ("checksum")'
    ),
    "meta_data": (
        'CREATE TABLE "meta_data" ("checksum" CHAR(64) NOT NULL PRIMARY KEY, "result" CHAR(64) NOT NULL, '
        '"metadata" TEXT NOT NULL)'
    ),
    "meta_data_result": 'CREATE INDEX "meta_data_result" ON "meta_data" ("result")',
    "rev_transformation": (
        'CREATE TABLE "rev_transformation" ("id" INTEGER NOT NULL PRIMARY KEY, "result" CHAR(64) NOT NULL, '
        '"checksum" CHAR(64) NOT NULL)'
    ),
    "rev_transformation_result": (
        'CREATE INDEX "rev_transformation_result" ON "rev_transformation" ("result")'
    ),
    "syntactic_to_semantic": (
        'CREATE TABLE "syntactic_to_semantic" ("syntactic" CHAR(64) NOT NULL, "celltype" TEXT NOT NULL, '
        '"subcelltype" TEXT NOT NULL, "semantic" CHAR(64) NOT NULL, '
        'PRIMARY KEY ("syntactic", "celltype", "subcelltype", "semantic"))'
    ),
    "syntactic_to_semantic_syntactic": (
        'CREATE INDEX "syntactic_to_semantic_syntactic" ON "syntactic_to_semantic" ("syntactic")'
    ),
    "syntactic_to_semantic_semantic": (
        'CREATE INDEX "syntactic_to_semantic_semantic" ON "syntactic_to_semantic" ("semantic")'
    ),
    "transformation": (
        'CREATE TABLE "transformation" ("checksum" CHAR(64) NOT NULL PRIMARY KEY, "result" CHAR(64) NOT NULL)'
    ),
    "transformation_result": 'CREATE INDEX "transformation_result" ON "transformation" ("result")',
}
"""Name of the table or index -> the statement that makes it, in the reference's order."""

COLUMNS: dict[str, tuple[str, ...]] = {
    "bucket_probe": ("bucket_kind", "label", "bucket_checksum", "captured_at", "freshness_tokens"),
    "buffer_info": ("checksum", "buffer_info"),
    "expression": (
        *("input_checksum", "path", "celltype", "target_celltype"),
        *("validator", "validator_language", "result"),
    ),
    "irreproducible_transformation": ("id", "result", "checksum", "metadata"),
    "meta_data": ("checksum", "result", "metadata"),
    "rev_transformation": ("id", "result", "checksum"),
    "syntactic_to_semantic": ("syntactic", "celltype", "subcelltype", "semantic"),
    "transformation": ("checksum", "result"),
}
"""The columns of the tables that this package reads and writes."""

_OLDEST_META_DATA = ("checksum", "metadata")


def _names(connection: Connection) -> set[str]:
    rows = connection.execute("SELECT name FROM sqlite_master WHERE type IN ('table', 'index')").fetchall()
    return {str(name) for (name,) in rows}


def _columns(connection: Connection, table: str) -> tuple[str, ...]:
    return tuple(str(row[1]) for row in connection.execute(f'PRAGMA table_info("{table}")').fetchall())


def _replaceable_meta_data(connection: Connection) -> bool:
    if _columns(connection, "meta_data") != _OLDEST_META_DATA:
        return False
    return not connection.execute("SELECT 1 FROM meta_data LIMIT 1").fetchall()


def is_complete(connection: Connection) -> bool:
    """Return whether every table and index exists."""
    return STATEMENTS.keys() <= _names(connection)


def check_columns(connection: Connection, path: str, *, may_replace: bool) -> None:
    """Raise DatabaseSchemaUnknown when a table that we use has other columns than ours.

    may_replace: an empty `meta_data` of the oldest form is no error, since `create_missing` replaces it.
    """
    for table, expected in COLUMNS.items():
        found = _columns(connection, table)
        if not found or set(found) == set(expected):
            continue
        if table == "meta_data" and may_replace and _replaceable_meta_data(connection):
            continue
        raise DatabaseSchemaUnknown(
            f"The table {table} of {path} has the columns ({', '.join(found)}); "
            f"this version knows ({', '.join(expected)}). Nothing was changed.",
            path=path,
            remedy="use the version of Seamless that made this file, or start with another, empty directory.",
        )


def create_missing(connection: Connection, path: str) -> None:
    """Create what is missing, inside the caller's transaction."""
    check_columns(connection, path, may_replace=True)
    if _replaceable_meta_data(connection):
        connection.execute("DROP TABLE meta_data").fetchall()
    existing = _names(connection)
    for name, statement in STATEMENTS.items():
        if name not in existing:
            connection.execute(statement).fetchall()

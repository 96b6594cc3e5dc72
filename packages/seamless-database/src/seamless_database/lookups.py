"""What GET answers: one function for each type of request.

Each takes the tables, the request's checksum (b"" where the type has none) and its members; it returns the text of
the answer, or None for what is not known.
"""

from __future__ import annotations

import json
from typing import Any

from seamless_store.database_cells import is_text, json_of
from seamless_store.expressions import Expression

from .parsing import capped, checksum_of
from .refusals import refuse_unless
from .tables import Tables

__all__ = (
    "bucket_probe",
    "buffer_info",
    "expression",
    "irreproducible",
    "metadata",
    "protocol",
    "rev_expression",
    "rev_transformations",
    "semantic_to_syntactic",
    "syntactic_to_semantic",
    "transformation",
    "transformation_many",
)

PROTOCOL_VERSION = "2.2"

_Fields = dict[str, Any]


def protocol(tables: Tables, checksum: bytes, fields: _Fields) -> str:
    return json.dumps(["seamless", "database", PROTOCOL_VERSION])


def transformation(tables: Tables, checksum: bytes, fields: _Fields) -> str | None:
    result = tables.results.transformation(checksum)
    return None if result is None else result.hex()


def transformation_many(tables: Tables, checksum: bytes, fields: _Fields) -> str:
    keys = [
        checksum_of(key) for key in capped(fields.get("checksums"), "Malformed transformation_many request")
    ]
    found = tables.results.transformation_many(keys)
    return json.dumps([None if result is None else result.hex() for result in found])


def rev_transformations(tables: Tables, checksum: bytes, fields: _Fields) -> str | None:
    return _hex_list(tables.results.rev_transformations(checksum))


def metadata(tables: Tables, checksum: bytes, fields: _Fields) -> str | None:
    record = tables.results.metadata(checksum)
    return None if record is None else json.dumps(json_of(record, tables.database.path, dict))


def irreproducible(tables: Tables, checksum: bytes, fields: _Fields) -> str | None:
    wanted = fields.get("result")
    result = None if wanted is None else checksum_of(wanted, "Malformed irreproducible request")
    rows = [
        {
            "checksum": row.transformation.hex(),
            "result": row.result.hex(),
            "metadata": "" if row.record is None else json_of(row.record, tables.database.path, dict),
        }
        for row in tables.results.irreproducible(checksum, result)
    ]
    return json.dumps(rows) if rows else None


def buffer_info(tables: Tables, checksum: bytes, fields: _Fields) -> str | None:
    known = tables.buffer_infos.get(checksum)
    return None if known is None else json.dumps(known)


def semantic_to_syntactic(tables: Tables, checksum: bytes, fields: _Fields) -> str | None:
    celltypes = _celltypes(fields, "Malformed semantic-to-syntactic request")
    return None if celltypes is None else _hex_list(tables.pairs.syntactic(checksum, *celltypes))


def syntactic_to_semantic(tables: Tables, checksum: bytes, fields: _Fields) -> str | None:
    celltypes = _celltypes(fields, "Malformed syntactic-to-semantic request")
    return None if celltypes is None else _hex_list(tables.pairs.semantic(checksum, *celltypes))


def expression(tables: Tables, checksum: bytes, fields: _Fields) -> str | None:
    members = ("path", "celltype", "target_celltype")
    refuse_unless(all(name in fields for name in members), "Malformed expression request")
    path, celltype, target = (fields[name] for name in members)
    if not (isinstance(path, (list, str)) and is_text(celltype) and is_text(target)):
        return None
    result = tables.expressions.get(Expression(checksum, path, celltype, target))
    return None if result is None else result.hex()


def rev_expression(tables: Tables, checksum: bytes, fields: _Fields) -> str | None:
    rows = [
        {
            "checksum": found.checksum.hex(),
            "path": found.path,
            "celltype": found.celltype,
            "target_celltype": found.target_celltype,
            "result": checksum.hex(),
        }
        for found in tables.expressions.by_result(checksum)
    ]
    return json.dumps(rows) if rows else None


def bucket_probe(tables: Tables, checksum: bytes, fields: _Fields) -> str | None:
    refuse_unless("bucket_kind" in fields and "label" in fields, "Malformed bucket_probe request")
    found = tables.probes.get(fields["bucket_kind"], fields["label"])
    if found is None:
        return None
    return json.dumps(
        {
            "bucket_kind": found.bucket_kind,
            "label": found.label,
            "bucket_checksum": found.bucket_checksum.hex(),
            "captured_at": found.captured_at,
            "freshness_tokens": found.freshness_tokens,
        }
    )


def _hex_list(digests: list[bytes]) -> str | None:
    return json.dumps([digest.hex() for digest in digests]) if digests else None


def _celltypes(fields: _Fields, text: str) -> tuple[str, str] | None:
    """Return both, or None if one of them is nothing that a row could have."""
    refuse_unless("celltype" in fields and "subcelltype" in fields, text)
    celltype, subcelltype = fields["celltype"], fields["subcelltype"]
    return (celltype, subcelltype) if is_text(celltype) and is_text(subcelltype) else None

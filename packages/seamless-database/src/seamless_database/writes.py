"""What PUT does: one function for each type of request that writes.

Each takes the tables, the request's checksum (b"" where the type has none) and its members, and returns the text of
the answer when all of it is durable. Everything is checked before the first change.
"""

from __future__ import annotations

import json
from typing import Any

from seamless_store import execution_records
from seamless_store.bucket_probes import BucketProbe
from seamless_store.database_cells import is_text
from seamless_store.database_errors import RecordMalformed
from seamless_store.expressions import Expression
from seamless_store.results_database import ResultRow

from .parsing import LIST_LENGTH_MAX, bounded_json, capped, checksum_of, result_field
from .refusals import malformed, refuse_unless
from .tables import Tables

__all__ = (
    "bucket_probe",
    "buffer_info",
    "expression",
    "irreproducible",
    "metadata",
    "semantic_to_syntactic",
    "transformation",
    "transformation_insert",
    "transformation_insert_many",
)

OK = "OK"

_Fields = dict[str, Any]


def transformation(tables: Tables, checksum: bytes, fields: _Fields) -> str:
    """Set a result, also over another one: the only request that replaces what stands."""
    text = "Malformed PUT transformation result request: value must be a checksum"
    refuse_unless("value" in fields, text)
    tables.database.set_result(checksum, checksum_of(fields["value"], text))
    return OK


def transformation_insert(tables: Tables, checksum: bytes, fields: _Fields) -> str:
    """Set a result unless there is one; answer with the one that stands."""
    text = "Malformed PUT transformation_insert request"
    row = _result_row(tables, checksum, fields.get("value"), fields.get("record"), text)
    return tables.database.insert_results([row])[0].hex()


def transformation_insert_many(tables: Tables, checksum: bytes, fields: _Fields) -> str:
    """The same for many, in one transaction."""
    text = "Malformed PUT transformation_insert_many request"
    rows = []
    for entry in capped(fields.get("rows"), text):
        refuse_unless(isinstance(entry, list) and len(entry) == 3, text)
        refuse_unless(isinstance(entry[0], str), text)
        rows.append(_result_row(tables, checksum_of(entry[0], text), entry[1], entry[2], text))
    standing = tables.database.insert_results(rows, chunk=LIST_LENGTH_MAX)
    return json.dumps([result.hex() for result in standing])


def metadata(tables: Tables, checksum: bytes, fields: _Fields) -> str:
    text = RecordMalformed.reason
    result = result_field(fields, "result", text)
    record = json.dumps(_object_of(fields.get("value"), text))
    tables.database.put_metadata(checksum, result, record)
    return OK


def irreproducible(tables: Tables, checksum: bytes, fields: _Fields) -> str:
    text = "Malformed 'irreproducible' request"
    refuse_unless(fields.get("result") is not None, text)
    tables.database.contest(checksum, checksum_of(fields["result"], text))
    return OK


def buffer_info(tables: Tables, checksum: bytes, fields: _Fields) -> str:
    tables.buffer_infos.merge(checksum, fields.get("value"))  # type: ignore[arg-type]  # checked there
    return OK


def semantic_to_syntactic(tables: Tables, checksum: bytes, fields: _Fields) -> str:
    text = "Malformed PUT semantic-to-syntactic request"
    refuse_unless(all(name in fields for name in ("celltype", "subcelltype", "value")), text)
    syntactics = [checksum_of(value) for value in capped(fields["value"], text)]
    celltype, subcelltype = fields["celltype"], fields["subcelltype"]
    refuse_unless(is_text(celltype) and is_text(subcelltype))
    tables.pairs.insert(checksum, celltype, subcelltype, syntactics)
    return OK


def expression(tables: Tables, checksum: bytes, fields: _Fields) -> str:
    members = ("path", "celltype", "target_celltype")
    refuse_unless(all(name in fields for name in (*members, "value")), "Malformed expression request")
    path, celltype, target = (fields[name] for name in members)
    refuse_unless(isinstance(path, (list, str)) and is_text(celltype) and is_text(target))
    result = checksum_of(fields["value"])
    tables.expressions.put(Expression(checksum, path, celltype, target), result)
    return OK


def bucket_probe(tables: Tables, checksum: bytes, fields: _Fields) -> str:
    text = "Malformed PUT bucket_probe request"
    bucket = result_field(fields, "bucket_checksum", text)
    tokens = _object_of(fields.get("freshness_tokens"), text)
    kind, label, captured_at = (fields.get(name) for name in ("bucket_kind", "label", "captured_at"))
    tables.probes.put(BucketProbe(kind, label, bucket, captured_at, tokens))  # type: ignore[arg-type]
    return OK


def _object_of(value: object, text: str) -> dict[str, Any]:
    """Return a JSON object that is given as such or as a text; else refuse with `text`."""
    if isinstance(value, str):
        try:
            value = bounded_json(value)
        except ValueError:
            raise malformed(text) from None
    if not isinstance(value, dict):
        raise malformed(text)
    return value


def _result_row(tables: Tables, checksum: bytes, value: object, record: object, text: str) -> ResultRow:
    refuse_unless(isinstance(value, str), text)
    result = checksum_of(value, text)
    if record is None:
        return ResultRow(checksum, result)
    try:
        checked = execution_records.checked(
            json.dumps(_object_of(record, text)),
            tf_hex=checksum.hex(),
            result_hex=result.hex(),
            path=tables.database.path,
        )
    except RecordMalformed:
        raise malformed(text) from None
    return ResultRow(checksum, result, checked)

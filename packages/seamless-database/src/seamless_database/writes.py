"""What PUT does: one function for each type of request that writes.

Each takes the tables, the request's checksum (b"" where the type has none) and its members, checks them, and returns
the change to make, which touches nothing yet, and how its value is told. What arrives together is done together.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from seamless_store import changes
from seamless_store.bucket_probes import BucketProbe
from seamless_store.changes import Change
from seamless_store.database_cells import is_text
from seamless_store.database_errors import RecordMalformed
from seamless_store.expressions import Expression
from seamless_store.results_database import ResultRow, checked_row

from .parsing import bounded_json, capped, checksum_of, result_field
from .refusals import malformed, refuse_unless
from .tables import Tables

__all__ = (
    "PreparedWrite",
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

_Fields = dict[str, Any]


def _ok(value: object) -> str:
    return "OK"


def _only_hex(standing: list[bytes]) -> str:
    return standing[0].hex()


def _hex_list(standing: list[bytes]) -> str:
    return json.dumps([result.hex() for result in standing])


@dataclass(frozen=True)
class PreparedWrite:
    """text: of the answer, from the value of the change."""

    change: Change[Any]
    text: Callable[[Any], str] = _ok


def transformation(tables: Tables, checksum: bytes, fields: _Fields) -> PreparedWrite:
    """Set a result, also over another one: the only request that replaces what stands."""
    text = "Malformed PUT transformation result request: value must be a checksum"
    refuse_unless("value" in fields, text)
    return PreparedWrite(changes.set_result(checksum, checksum_of(fields["value"], text)))


def transformation_insert(tables: Tables, checksum: bytes, fields: _Fields) -> PreparedWrite:
    """Set a result unless there is one; answer with the one that stands."""
    text = "Malformed PUT transformation_insert request"
    row = _result_row(checksum, fields.get("value"), fields.get("record"), text)
    return PreparedWrite(changes.insert_rows([checked_row(row)]), _only_hex)


def transformation_insert_many(tables: Tables, checksum: bytes, fields: _Fields) -> PreparedWrite:
    """The same for many, in one transaction."""
    text = "Malformed PUT transformation_insert_many request"
    rows = []
    for entry in capped(fields.get("rows"), text):
        refuse_unless(isinstance(entry, list) and len(entry) == 3, text)
        refuse_unless(isinstance(entry[0], str), text)
        rows.append(checked_row(_result_row(checksum_of(entry[0], text), entry[1], entry[2], text)))
    return PreparedWrite(changes.insert_rows(rows), _hex_list)


def metadata(tables: Tables, checksum: bytes, fields: _Fields) -> PreparedWrite:
    text = RecordMalformed.reason
    result = result_field(fields, "result", text)
    record = json.dumps(_object_of(fields.get("value"), text))
    return PreparedWrite(changes.put_metadata(tables.database.path, checksum, result, record))


def irreproducible(tables: Tables, checksum: bytes, fields: _Fields) -> PreparedWrite:
    text = "Malformed 'irreproducible' request"
    refuse_unless(fields.get("result") is not None, text)
    result = checksum_of(fields["result"], text)
    return PreparedWrite(changes.contest(tables.database.path, checksum, result))


def buffer_info(tables: Tables, checksum: bytes, fields: _Fields) -> PreparedWrite:
    value: Any = fields.get("value")  # checked there
    return PreparedWrite(tables.buffer_infos.merging(checksum, value))


def semantic_to_syntactic(tables: Tables, checksum: bytes, fields: _Fields) -> PreparedWrite:
    text = "Malformed PUT semantic-to-syntactic request"
    refuse_unless(all(name in fields for name in ("celltype", "subcelltype", "value")), text)
    syntactics = [checksum_of(value) for value in capped(fields["value"], text)]
    celltype, subcelltype = fields["celltype"], fields["subcelltype"]
    refuse_unless(is_text(celltype) and is_text(subcelltype))
    return PreparedWrite(tables.pairs.inserting(checksum, celltype, subcelltype, syntactics))


def expression(tables: Tables, checksum: bytes, fields: _Fields) -> PreparedWrite:
    members = ("path", "celltype", "target_celltype")
    refuse_unless(all(name in fields for name in (*members, "value")), "Malformed expression request")
    path, celltype, target = (fields[name] for name in members)
    refuse_unless(isinstance(path, (list, str)) and is_text(celltype) and is_text(target))
    result = checksum_of(fields["value"])
    return PreparedWrite(tables.expressions.putting(Expression(checksum, path, celltype, target), result))


def bucket_probe(tables: Tables, checksum: bytes, fields: _Fields) -> PreparedWrite:
    text = "Malformed PUT bucket_probe request"
    bucket = result_field(fields, "bucket_checksum", text)
    tokens = _object_of(fields.get("freshness_tokens"), text)
    kind: Any  # checked below, as are the next two
    label: Any
    captured_at: Any
    kind, label, captured_at = (fields.get(name) for name in ("bucket_kind", "label", "captured_at"))
    return PreparedWrite(tables.probes.putting(BucketProbe(kind, label, bucket, captured_at, tokens)))


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


def _result_row(checksum: bytes, value: object, record: object, text: str) -> ResultRow:
    """Return a row to insert. Its record may be any object, as for the engine: a result is not refused for it."""
    refuse_unless(isinstance(value, str), text)
    result = checksum_of(value, text)
    if record is None:
        return ResultRow(checksum, result)
    return ResultRow(checksum, result, json.dumps(_object_of(record, text), separators=(",", ":")))

"""Which types of requests there are, and how one is carried out.

The table `REQUEST_TYPES` is the whole protocol: a type that is not in it does not exist. What is refused before a
handler is asked, and in which order, follows the reference: see contracts/database-protocol.md.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from . import lookups, writes
from .parsing import checksum_of
from .refusals import ProtocolRefusal, malformed, refuse_unless
from .tables import Tables
from .writes import PreparedWrite

__all__ = ("LookUp", "RequestType", "Write", "prepare_look_up", "prepare_write")

LookUp = Callable[[Tables, bytes, dict[str, Any]], "str | None"]
Write = Callable[[Tables, bytes, dict[str, Any]], PreparedWrite]

EXPORT = "export"


@dataclass(frozen=True)
class RequestType:
    """look_up, write: None where the type has no GET or no PUT. keyed: it needs a checksum.

    at_once: its look-up finds a few rows through an index, so that it may run on the event loop.
    """

    look_up: LookUp | None = None
    write: Write | None = None
    keyed: bool = True
    at_once: bool = True


REQUEST_TYPES: dict[str, RequestType] = {
    "protocol": RequestType(lookups.protocol, keyed=False),
    "transformation": RequestType(lookups.transformation, writes.transformation),
    "rev_transformations": RequestType(lookups.rev_transformations, at_once=False),
    "metadata": RequestType(lookups.metadata, writes.metadata),
    "irreproducible": RequestType(lookups.irreproducible, writes.irreproducible, at_once=False),
    "bucket_probe": RequestType(lookups.bucket_probe, writes.bucket_probe, keyed=False),
    "buffer_info": RequestType(lookups.buffer_info, writes.buffer_info),
    "semantic_to_syntactic": RequestType(
        lookups.semantic_to_syntactic, writes.semantic_to_syntactic, at_once=False
    ),
    "syntactic_to_semantic": RequestType(lookups.syntactic_to_semantic, at_once=False),
    "expression": RequestType(lookups.expression, writes.expression),
    "rev_expression": RequestType(lookups.rev_expression, at_once=False),
    # Beyond the reference's protocol:
    "transformation_many": RequestType(lookups.transformation_many, keyed=False, at_once=False),
    "transformation_insert": RequestType(write=writes.transformation_insert),
    "transformation_insert_many": RequestType(write=writes.transformation_insert_many, keyed=False),
    EXPORT: RequestType(keyed=False),  # streamed: see `export`
}
CAPABILITIES = ("transformation_many", "transformation_insert", "transformation_insert_many", EXPORT)


def prepare_look_up(fields: dict[str, Any]) -> tuple[RequestType, LookUp, bytes]:
    """Return type, handler and checksum of a GET, or refuse it."""
    kind = _type_of(fields)
    if kind.look_up is None:
        raise malformed()
    if not kind.keyed:
        return kind, kind.look_up, b""
    refuse_unless("checksum" in fields)
    if fields["checksum"] is None:
        raise ProtocolRefusal(404, "ERROR: Unknown key")
    return kind, kind.look_up, checksum_of(fields["checksum"])


def prepare_write(tables: Tables, fields: dict[str, Any]) -> PreparedWrite:
    """Return what a PUT is to do, or refuse it. Touches nothing."""
    kind = _type_of(fields)
    if kind.write is not None and not kind.keyed:
        return kind.write(tables, b"", fields)
    checksum = checksum_of(fields.get("checksum"))
    if kind.write is None:
        raise malformed("Unknown request type")
    return kind.write(tables, checksum, fields)


def _type_of(fields: dict[str, Any]) -> RequestType:
    name = fields.get("type")
    kind = REQUEST_TYPES.get(name) if isinstance(name, str) else None
    if kind is None:
        raise malformed()
    return kind

"""JSON schemas of project files and of cluster files, for editors; made from the tables that the parser reads.

They say less than the parser: nothing of queues that exist, of ranges, or of what another file says. The files in
the folder `schemas` hold what is built here.
"""

from __future__ import annotations

import os

from .cluster import LOCAL_CLUSTER
from .cluster_fields import (
    AUTH_MODES,
    CLUSTER_FIELDS,
    FRONTEND_FIELDS,
    MAX_PORT,
    QUEUE_FIELDS,
    SERVICE_FIELDS,
    SERVICES,
    Field,
)
from .commands import COMMANDS, INHERIT, CommandKind
from .names import MAX_LENGTH

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

    Schema = dict[str, Any]

__all__ = ("KINDS", "build_schema", "schema_path")

KINDS = ("seamless", "clusters")
DRAFT = "https://json-schema.org/draft/2020-12/schema"
NAME = r"^(?!.*--)(?!.*STAGE-)(?![. -])[A-Za-z0-9_. -]*[A-Za-z0-9_.-]$"
PATH = r"^(?!.*--)(?!.*STAGE-)(?![ -])(?!.*(^|/)\.)[A-Za-z0-9_. -]+(/[A-Za-z0-9_. -]+)*(?<! )$"
NOT_BLANK = r"\S"
STAGE = r"^stage +\S"


def schema_path(kind: str) -> str:
    """Return where the schema of a kind of file is. kind: "seamless" (project files) or "clusters"."""
    here = os.path.dirname(os.path.abspath(__file__))
    return os.path.join(here, "schemas", f"{kind}.schema.json")


def build_schema(kind: str) -> Schema:
    """Return the schema as plain data."""
    if kind == "clusters":
        return {
            "$schema": DRAFT,
            "title": "Seamless: clusters.yaml and clusters/*.yaml",
            **_clusters_table(nullable=True),
            "$defs": _cluster_definitions(),
        }
    return {
        "$schema": DRAFT,
        "title": "Seamless: seamless.yaml and seamless.profile.yaml",
        "type": ["array", "null"],
        "items": {"$ref": "#/$defs/entry"},
        "$defs": {"entry": _entry(), **_cluster_definitions()},
    }


def _entry() -> Schema:
    bare = [INHERIT, *(name for name, kind in COMMANDS.items() if kind.null)]
    inherit = {
        "type": ["boolean", "null"],
        "description": "also read the files of the parent directory, before these",
    }
    return {
        "oneOf": [
            {"enum": bare},
            {
                "type": "object",
                "minProperties": 1,
                "maxProperties": 1,
                "additionalProperties": False,
                "properties": {
                    **{
                        name: {"description": kind.summary, **_argument(kind)}
                        for name, kind in COMMANDS.items()
                    },
                    INHERIT: inherit,
                },
                "patternProperties": {
                    STAGE: {
                        "description": "commands that count only in this stage",
                        "type": "array",
                        "items": {"$ref": "#/$defs/entry"},
                    }
                },
            },
        ]
    }


def _argument(kind: CommandKind) -> Schema:
    if kind.type == "mapping":
        return _clusters_table(nullable=False)
    if kind.type == "auth":
        by_cluster = {"type": "object", "additionalProperties": {"enum": list(AUTH_MODES)}}
        return {"anyOf": [{"enum": list(AUTH_MODES)}, by_cluster]}
    if kind.type == "choice":
        return {"enum": [*kind.choices, *([None] if kind.null else [])]}
    if kind.type == "bool":
        return {"type": "boolean"}
    if kind.type == "count":
        return {"type": "integer", "minimum": 1}
    pattern = NOT_BLANK
    if kind.type == "name":
        pattern = PATH if kind.name == "subproject" else NAME
    limit = {"maxLength": MAX_LENGTH} if kind.type == "name" else {}
    return {"type": _type("string", null=kind.null), "pattern": pattern, **limit}


def _clusters_table(*, nullable: bool) -> Schema:
    return {
        "type": _type("object", null=nullable),
        "properties": {
            LOCAL_CLUSTER: {"type": "string", "description": "the name of the cluster that is this machine"}
        },
        "additionalProperties": {"$ref": "#/$defs/cluster"},
        "propertyNames": {"pattern": NAME, "maxLength": MAX_LENGTH},
    }


def _cluster_definitions() -> dict[str, Schema]:
    nested: dict[str, Schema] = {
        "frontends": {"type": "array", "items": {"$ref": "#/$defs/frontend"}},
        "queues": {"type": ["object", "null"], "additionalProperties": {"$ref": "#/$defs/queue"}},
        **{service: {"$ref": f"#/$defs/{service}"} for service in SERVICES},
    }
    queue = _structure(QUEUE_FIELDS, nested)
    dashed = {name.replace("_", "-"): schema for name, schema in queue["properties"].items()}
    queue["properties"] = {
        **queue["properties"],
        **dashed,
        "name": {"description": "ignored: the key is the name"},
    }
    found = {
        "cluster": _structure(CLUSTER_FIELDS, nested),
        "frontend": _structure(FRONTEND_FIELDS, nested),
        "queue": queue,
    }
    for service, fields in SERVICE_FIELDS.items():
        pair = {"port_start": ["port_end"], "port_end": ["port_start"]}
        found[service] = {**_structure(fields, nested), "dependentRequired": pair}
    return found


def _structure(fields: Mapping[str, Field], nested: Mapping[str, Schema]) -> Schema:
    required = [field.name for field in fields.values() if field.required]
    return {
        "type": "object",
        "additionalProperties": False,
        **({"required": required} if required else {}),
        "properties": {
            name: {"description": field.summary, **_value(field, nested)} for name, field in fields.items()
        },
    }


def _value(field: Field, nested: Mapping[str, Schema]) -> Schema:
    kind = field.type
    if kind == "nested":
        return dict(nested[field.name])
    if kind == "choice":
        return {"enum": [*field.choices, *([None] if field.null else [])]}
    if kind == "bool":
        return {"type": _type("boolean", null=field.null)}
    if kind in ("count", "port"):
        limit = {"maximum": MAX_PORT} if kind == "port" else {}
        return {"type": _type("integer", null=field.null), "minimum": 1, **limit}
    if kind == "list of text":
        return {"type": _type("array", null=field.null), "items": {"type": "string"}}
    if kind == "mapping":
        return {"type": _type("object", null=field.null)}
    return {"type": _type("string", null=field.null), "pattern": NOT_BLANK}


def _type(name: str, *, null: bool) -> str | list[str]:
    return [name, "null"] if null else name

"""What every execution record must have, whoever wrote it."""

from __future__ import annotations

from typing import Any

from .database_errors import RecordMalformed

__all__ = ("checked", "equal")


def checked(record: str, *, tf_hex: str, result_hex: str, path: str) -> str:
    """Return the record as compact JSON text, or raise RecordMalformed saying what is wrong with it."""
    import json

    def refuse(what: str) -> RecordMalformed:
        return RecordMalformed(
            f"Did not store a record for transformation {tf_hex}: {what}.",
            path=path,
            remedy="send a JSON object with schema_version, tf_checksum and result_checksum of this result.",
        )

    if not isinstance(record, str):
        raise refuse(f"it must be JSON text, not {type(record).__name__}")
    try:
        value = json.loads(record)
    except ValueError as exc:
        raise refuse(f"it is not JSON ({exc})") from exc
    except RecursionError as exc:
        raise refuse("it is nested too deeply") from exc
    if not isinstance(value, dict):
        raise refuse(f"it must be a JSON object, not {type(value).__name__}")
    if not isinstance(value.get("schema_version"), int):
        raise refuse(f"schema_version must be an integer, not {value.get('schema_version')!r:.80}")
    for field, expected in (("tf_checksum", tf_hex), ("result_checksum", result_hex)):
        if value.get(field) != expected:
            raise refuse(f"{field} must be {expected}, not {value.get(field)!r:.80}")
    if not _is_checksum_fields(value.get("checksum_fields")):
        raise refuse("checksum_fields must be a list of non-empty texts")
    return json.dumps(value, separators=(",", ":"))


def equal(stored: str, offered: str) -> bool:
    """Return whether two records have the same content, whatever the order of their keys."""
    import json

    if stored == offered:
        return True
    try:
        return bool(json.loads(stored) == json.loads(offered))
    except ValueError:
        return False


def _is_checksum_fields(value: Any) -> bool:  # any JSON value
    if value is None:
        return True
    return isinstance(value, list) and all(isinstance(item, str) and item for item in value)

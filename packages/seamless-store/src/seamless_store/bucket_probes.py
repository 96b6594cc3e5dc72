"""The table `bucket_probe`: the current probe of each node, environment and queue, by kind and label.

A probe says which description of its bucket was captured when, and the tokens that tell whether it still holds.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from .changes import Change
from .database_cells import digest_of, hex_of, is_text, json_of
from .database_errors import BucketProbeMalformed

if TYPE_CHECKING:
    from apsw import Connection

    from .result_look_ups import Read
    from .results_database import ResultsDatabase

__all__ = ("BUCKET_KINDS", "BucketProbe", "BucketProbes")

BUCKET_KINDS = ("node", "environment", "node_env", "queue", "queue_node")

_SELECT = "SELECT bucket_checksum, captured_at, freshness_tokens FROM bucket_probe WHERE bucket_kind = ? AND label = ?"
_UPSERT = (
    "INSERT INTO bucket_probe (bucket_kind, label, bucket_checksum, captured_at, freshness_tokens) "
    "VALUES (?, ?, ?, ?, ?) ON CONFLICT (bucket_kind, label) DO UPDATE SET "
    "bucket_checksum = excluded.bucket_checksum, captured_at = excluded.captured_at, "
    "freshness_tokens = excluded.freshness_tokens"
)


@dataclass(frozen=True)
class BucketProbe:
    """A row. captured_at: a time as text. freshness_tokens: a JSON object."""

    bucket_kind: str
    label: str
    bucket_checksum: bytes
    captured_at: str
    freshness_tokens: dict[str, Any]


class BucketProbes:
    """The table in `database`. read: `database.read` when not given."""

    def __init__(self, database: ResultsDatabase, *, read: Read | None = None) -> None:
        self._database = database
        self._read = read or database.read

    def get(self, bucket_kind: str, label: str) -> BucketProbe | None:
        """Return the current probe, or None."""
        if not (is_text(bucket_kind) and is_text(label)):
            return None
        rows = self._read("look up a probe", _SELECT, bucket_kind, label)
        if not rows:
            return None
        checksum, captured_at, tokens = rows[0]
        path = self._database.path
        return BucketProbe(
            bucket_kind, label, digest_of(checksum, path), captured_at, json_of(tokens, path, dict)
        )

    def put(self, probe: BucketProbe) -> None:
        """Store a probe, durably, in place of the one before. Raises BucketProbeMalformed."""
        self._database.apply(self.putting(probe))

    def putting(self, probe: BucketProbe) -> Change[None]:
        """Return the change that `put` makes."""
        self._check(probe)
        row = (
            probe.bucket_kind,
            probe.label,
            hex_of(probe.bucket_checksum),
            probe.captured_at,
            json.dumps(probe.freshness_tokens, separators=(",", ":")),
        )

        def put(connection: Connection) -> None:
            connection.execute(_UPSERT, row).fetchall()

        return Change(put)

    def _check(self, probe: BucketProbe) -> None:
        if probe.bucket_kind not in BUCKET_KINDS:
            what = f"bucket_kind must be one of {', '.join(BUCKET_KINDS)}, not {probe.bucket_kind!r:.80}"
        elif not (is_text(probe.label) and probe.label):
            what = f"label must be text that is not empty, not {probe.label!r:.80}"
        elif not (is_text(probe.captured_at) and probe.captured_at):
            what = f"captured_at must be text that is not empty, not {probe.captured_at!r:.80}"
        elif not isinstance(probe.freshness_tokens, dict):
            what = f"freshness_tokens must be a JSON object, not {type(probe.freshness_tokens).__name__}"
        else:
            return
        raise BucketProbeMalformed(
            f"Did not store a probe: {what}.",
            path=self._database.path,
            remedy="send all five members of a probe.",
        )

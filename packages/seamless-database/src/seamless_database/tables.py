"""The tables of one database, as the handlers of requests see them."""

from __future__ import annotations

from dataclasses import dataclass

from seamless_store.bucket_probes import BucketProbes
from seamless_store.buffer_infos import BufferInfos
from seamless_store.expressions import Expressions
from seamless_store.result_look_ups import ResultLookUps
from seamless_store.results_database import ResultsDatabase
from seamless_store.semantic_pairs import SemanticPairs

__all__ = ("Tables",)


@dataclass(frozen=True)
class Tables:
    """database: for writes. The others look up: patiently, or at once (then they raise WouldWait)."""

    database: ResultsDatabase
    results: ResultLookUps
    buffer_infos: BufferInfos
    pairs: SemanticPairs
    expressions: Expressions
    probes: BucketProbes

    @classmethod
    def of(cls, database: ResultsDatabase, *, at_once: bool = False) -> Tables:
        read = database.read_at_once if at_once else database.read
        return cls(
            database,
            ResultLookUps(read, database.path),
            BufferInfos(database, read=read),
            SemanticPairs(database, read=read),
            Expressions(database, read=read),
            BucketProbes(database, read=read),
        )

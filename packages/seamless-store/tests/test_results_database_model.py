"""Any sequence of operations, compared with a plain dictionary; now and then the file is opened again."""

from __future__ import annotations

import hashlib
import json
import shutil
import sqlite3
import tempfile
from pathlib import Path

import hypothesis.strategies as st
from hypothesis import settings
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule
from seamless_store.database_errors import DatabaseConflict
from seamless_store.results_database import ResultRow, ResultsDatabase

TFS = [hashlib.sha256(b"tf%d" % i).digest() for i in range(4)]
RESULTS = [hashlib.sha256(b"result%d" % i).digest() for i in range(3)]
tfs, results = st.sampled_from(TFS), st.sampled_from(RESULTS)


def record_of(tf: bytes, result: bytes, note: int) -> str:
    content = {
        "schema_version": 1,
        "tf_checksum": tf.hex(),
        "result_checksum": result.hex(),
        "note": note,
    }
    return json.dumps(content, separators=(",", ":"))


class Model:
    """What the database should hold."""

    def __init__(self) -> None:
        self.results: dict[bytes, bytes] = {}
        self.records: dict[bytes, tuple[bytes, str]] = {}
        self.contested: dict[bytes, list[tuple[bytes, str | None]]] = {}

    def insert(self, tf: bytes, result: bytes, record: str | None) -> bytes:
        winner = self.results.setdefault(tf, result)
        if record is not None and winner == result:
            self.records.setdefault(tf, (result, record))
        return winner

    def refuses_record(self, tf: bytes, result: bytes, record: str) -> bool:
        return (
            bool(self.contested.get(tf))
            or self.results.get(tf, result) != result
            or self.records.get(tf, (result, record)) != (result, record)
        )

    def refuses_contest(self, tf: bytes, result: bytes) -> bool:
        return self.results.get(tf, result) != result or self.records.get(tf, (result, ""))[0] != result

    def contest(self, tf: bytes, result: bytes) -> None:
        row = (result, self.records.get(tf, (result, None))[1])
        rows = self.contested.setdefault(tf, [])
        rows.extend([row] if row not in rows else [])
        self.results.pop(tf, None)
        self.records.pop(tf, None)


class ResultsDatabaseMachine(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        self.directory = Path(tempfile.mkdtemp(prefix="results-"))
        self.model = Model()
        self.db = ResultsDatabase(self.directory / "seamless.db")

    def teardown(self) -> None:
        self.db.close()
        self._check_reverse_table()
        shutil.rmtree(self.directory)

    @rule(rows=st.lists(st.tuples(tfs, results, st.none() | st.integers(0, 1)), max_size=9))
    def insert(self, rows):
        made = [
            ResultRow(tf, result, None if note is None else record_of(tf, result, note))
            for tf, result, note in rows
        ]
        expected = [self.model.insert(row.transformation, row.result, row.record) for row in made]
        assert self.db.insert_results(made) == expected

    @rule(tf=tfs, result=results)
    def overwrite(self, tf, result):
        self.model.results[tf] = result
        self.db.set_result(tf, result)

    @rule(tf=tfs, result=results, note=st.integers(0, 1))
    def put_record(self, tf, result, note):
        record = record_of(tf, result, note)
        refused = self.model.refuses_record(tf, result, record)
        assert self._refuses(lambda: self.db.put_metadata(tf, result, record)) == refused
        if not refused:
            self.model.insert(tf, result, record)

    @rule(tf=tfs, result=results)
    def contest(self, tf, result):
        refused = self.model.refuses_contest(tf, result)
        assert self._refuses(lambda: self.db.contest(tf, result)) == refused
        if not refused:
            self.model.contest(tf, result)

    @precondition(lambda self: self.model.results)
    @rule()
    def reopen(self):
        self.db.close()
        self._check_reverse_table()
        self.db = ResultsDatabase(self.directory / "seamless.db")

    @invariant()
    def looks_like_the_model(self):
        assert self.db.transformation_many(TFS) == [self.model.results.get(tf) for tf in TFS]
        assert dict(self.db.iterate()) == self.model.results
        for tf in TFS:
            assert self.db.metadata(tf) == self.model.records.get(tf, (b"", None))[1]
            found = [(row.result, row.record) for row in self.db.irreproducible(tf)]
            assert found == self.model.contested.get(tf, [])
        for result in RESULTS:
            expected = {tf for tf, found in self.model.results.items() if found == result}
            listed = self.db.rev_transformations(result)
            assert set(listed) == expected
            assert len(listed) == len(expected)

    @staticmethod
    def _refuses(call):
        try:
            call()
        except DatabaseConflict:
            return True
        return False

    def _check_reverse_table(self):
        """The reverse table, which the reference reads, has each pair exactly once."""
        connection = sqlite3.connect(self.directory / "seamless.db")
        found = connection.execute("SELECT checksum, result FROM rev_transformation").fetchall()
        connection.close()
        expected = [(tf.hex(), result.hex()) for tf, result in self.model.results.items()]
        assert sorted(found) == sorted(expected)


TestResultsDatabaseModel = ResultsDatabaseMachine.TestCase
TestResultsDatabaseModel.settings = settings(max_examples=25, stateful_step_count=25, deadline=None)

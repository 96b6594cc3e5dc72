"""The tables beside results and records: buffer_info, syntactic_to_semantic, expression, bucket_probe."""

from __future__ import annotations

import hashlib
import sqlite3
import subprocess
import sys
import threading

import pytest
from seamless_store import database_errors as errors
from seamless_store.bucket_probes import BUCKET_KINDS, BucketProbe, BucketProbes
from seamless_store.buffer_infos import BufferInfos
from seamless_store.expressions import Expression, Expressions
from seamless_store.result_look_ups import ResultLookUps
from seamless_store.results_database import ResultRow, ResultsDatabase
from seamless_store.semantic_pairs import SemanticPairs


def digest(label: object) -> bytes:
    return hashlib.sha256(str(label).encode()).digest()


A, B, C = map(digest, "abc")
PART = Expression(A, ["a", 0], "mixed", "int")
PROBE = BucketProbe("node", "host", A, "2026-01-01T00:00:00Z", {"boot": "1"})


@pytest.fixture
def path(tmp_path):
    return tmp_path / "seamless.db"


@pytest.fixture
def db(path):
    with ResultsDatabase(path, busy_timeout_s=5) as database:
        yield database


def cells(path, sql):
    """Read with another SQLite; only committed rows are seen."""
    connection = sqlite3.connect(f"file:{path}?mode=ro", uri=True)
    try:
        return connection.execute(sql).fetchall()
    finally:
        connection.close()


def execute(path, sql, *bindings):
    with sqlite3.connect(path) as connection:
        connection.execute(sql, bindings)
    connection.close()


# buffer_info


def test_what_is_known_about_a_buffer_is_merged_and_stored_sorted_and_indented(db, path):
    infos = BufferInfos(db)
    assert infos.get(A) is None
    infos.merge(A, {"length": 12, "is_utf8": True})
    infos.merge(A, {"shape": [2, 3], "length": 13, "unknown": None})
    assert infos.get(A) == {"is_utf8": True, "length": 13, "shape": [2, 3], "unknown": None}
    db.close()
    (cell,) = cells(path, "SELECT buffer_info FROM buffer_info")[0]
    assert cell.startswith('{\n  "is_utf8": true,\n  "length": 13,\n  "shape": [\n    2,')


def test_a_merge_tells_true_from_one(db):
    infos = BufferInfos(db)
    infos.merge(A, {"length": 1})
    infos.merge(A, {"length": True})
    assert infos.get(A)["length"] is True


def test_concurrent_merges_lose_no_key(db):
    infos = BufferInfos(db)
    threads = [threading.Thread(target=infos.merge, args=(A, {f"key{n}": n})) for n in range(20)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert infos.get(A) == {f"key{n}": n for n in range(20)}


@pytest.mark.provokes("BufferInfoMalformed")
@pytest.mark.parametrize(
    "value", [None, [1], {"length": -1}, {"length": 1.0}, {"is_utf8": 1}, {"is_new": "yes"}, {1: 2}], ids=repr
)
def test_what_cannot_be_known_about_a_buffer_is_refused(db, value):
    with pytest.raises(errors.BufferInfoMalformed) as raised:
        BufferInfos(db).merge(A, value)
    assert raised.value.reason == "Malformed PUT buffer info request"
    assert BufferInfos(db).get(A) is None


def test_what_another_program_wrote_badly_is_reported_and_spares_the_neighbours(db, path):
    infos = BufferInfos(db)
    infos.merge(B, {"length": 1})
    db.close()
    execute(path, "INSERT INTO buffer_info VALUES (?, 'no json')", A.hex())
    with ResultsDatabase(path) as again:
        with pytest.raises(errors.DatabaseDamaged, match="no json"):
            BufferInfos(again).get(A)
        with pytest.raises(errors.DatabaseDamaged, match="no json"):
            BufferInfos(again).merge(A, {"length": 2})
        assert BufferInfos(again).get(B) == {"length": 1}


# syntactic_to_semantic


def test_meanings_are_many_to_many_and_stored_once(db, path):
    pairs = SemanticPairs(db)
    for _ in range(2):
        pairs.insert(A, "python", "transformer", [B, C])
    pairs.insert(C, "python", "transformer", [B])
    assert pairs.syntactic(A, "python", "transformer") == [B, C]
    assert pairs.semantic(B, "python", "transformer") == [A, C]
    assert pairs.semantic(B, "python", "module") == []
    pairs.insert(A, "python", "module", [])
    db.close()
    assert cells(path, "SELECT count(*) FROM syntactic_to_semantic") == [(3,)]


@pytest.mark.provokes("SemanticPairMalformed")
@pytest.mark.parametrize("celltypes", [(None, "x"), ("x", 5), ("\ud800", "x")], ids=repr)
def test_a_meaning_needs_two_texts(db, celltypes):
    pairs = SemanticPairs(db)
    for refused in (
        lambda: pairs.insert(A, *celltypes, [B]),
        lambda: pairs.syntactic(A, *celltypes),
        lambda: pairs.semantic(A, *celltypes),
    ):
        with pytest.raises(errors.SemanticPairMalformed):
            refused()


# expression


def test_the_last_expression_stands_and_is_found_from_its_result(db, path):
    expressions = Expressions(db)
    assert expressions.get(PART) is None
    expressions.put(PART, B)
    expressions.put(PART, C)
    assert expressions.get(PART) == C
    assert (expressions.by_result(B), expressions.by_result(C)) == ([], [PART])
    db.close()
    assert cells(path, "SELECT path, validator, validator_language FROM expression") == [
        ('["a", 0]', None, None)
    ]


def test_a_path_may_be_a_text_and_any_json(db):
    expressions = Expressions(db)
    for path in ("abc", [], ["é", 1.5, {"a": None}]):
        expressions.put(Expression(A, path, "plain", "int"), B)
    assert [e.path for e in expressions.by_result(B)] == ["abc", [], ["é", 1.5, {"a": None}]]


@pytest.mark.provokes("ExpressionRefused")
@pytest.mark.parametrize(
    "expression",
    [
        Expression(A, ["x" * 97], "mixed", "int"),
        Expression(A, ["a"], "text", "int"),
        Expression(A, [], "t" * 21, "int"),
        Expression(A, [], "mixed", "t" * 21),
    ],
    ids=["path", "no parts", "celltype", "target"],
)
def test_what_the_columns_cannot_hold_is_refused_and_reads_as_unknown(db, expression):
    with pytest.raises(errors.ExpressionRefused) as raised:
        Expressions(db).put(expression, B)
    assert raised.value.reason == "Malformed expression request (constraint violation)"
    assert Expressions(db).get(expression) is None


def test_a_path_of_a_hundred_characters_is_kept(db):
    longest = Expression(A, ["x" * 96], "mixed", "t" * 20)
    Expressions(db).put(longest, B)
    assert Expressions(db).get(longest) == B


@pytest.mark.provokes("ExpressionMalformed")
@pytest.mark.parametrize("change", [{"path": 5}, {"celltype": None}, {"target_celltype": "\ud800"}], ids=repr)
def test_what_is_no_expression_is_refused(db, change):
    with pytest.raises(errors.ExpressionMalformed):
        Expressions(db).get(Expression(**{**PART.__dict__, **change}))


# bucket_probe


def test_a_probe_is_replaced_by_the_next(db, path):
    probes = BucketProbes(db)
    assert probes.get("node", "host") is None
    probes.put(PROBE)
    newer = BucketProbe("node", "host", B, "2026-01-02T00:00:00Z", {"boot": "2", "é": 1})
    probes.put(newer)
    assert probes.get("node", "host") == newer
    assert probes.get(5, "host") is None
    db.close()
    assert cells(path, "SELECT freshness_tokens FROM bucket_probe") == [('{"boot":"2","\\u00e9":1}',)]


@pytest.mark.provokes("BucketProbeMalformed")
@pytest.mark.parametrize(
    "change",
    [
        {"bucket_kind": "galaxy"},
        {"label": ""},
        {"captured_at": None},
        {"freshness_tokens": []},
        {"label": "\ud800"},
    ],
    ids=repr,
)
def test_what_is_no_probe_is_refused(db, change):
    with pytest.raises(errors.BucketProbeMalformed):
        BucketProbes(db).put(BucketProbe(**{**PROBE.__dict__, **change}))


def test_every_kind_of_bucket_has_its_probe(db):
    probes = BucketProbes(db)
    for kind in BUCKET_KINDS:
        probes.put(BucketProbe(kind, "l", A, "now", {}))
    assert [probes.get(kind, "l").bucket_kind for kind in BUCKET_KINDS] == list(BUCKET_KINDS)


# All of them


def test_a_database_opened_for_reading_answers_and_refuses_writes(db, path):
    Expressions(db).put(PART, B)
    db.close()
    with ResultsDatabase(path, writable=False) as reader:
        assert Expressions(reader).get(PART) == B
        for write in (
            lambda: Expressions(reader).put(PART, C),
            lambda: BufferInfos(reader).merge(A, {}),
            lambda: SemanticPairs(reader).insert(A, "x", "y", []),
            lambda: BucketProbes(reader).put(PROBE),
        ):
            with pytest.raises(errors.DatabaseReadOnly):
                write()


def test_another_version_of_a_table_is_left_alone(path):
    execute(path, "CREATE TABLE expression (input_checksum, result)")
    with (
        pytest.raises(errors.DatabaseSchemaUnknown, match="expression"),
        ResultsDatabase(path) as database,
    ):
        database.open()
    assert cells(path, "SELECT name FROM sqlite_master") == [("expression",)]


# Looking up at once

LOCK = """
import sqlite3, sys
connection = sqlite3.connect(sys.argv[1], isolation_level=None)
connection.execute("BEGIN EXCLUSIVE")
print("locked", flush=True)
sys.stdin.readline()
connection.close()
"""


@pytest.mark.provokes("WouldWait")
def test_a_look_up_at_once_opens_nothing(db):
    at_once = ResultLookUps(db.read_at_once, db.path)
    with pytest.raises(errors.WouldWait):
        at_once.transformation(A)
    db.insert_results([ResultRow(A, B)])
    db.transformation(A)  # leaves a reader behind
    assert at_once.transformation(A) == B
    assert Expressions(db, read=db.read_at_once).get(PART) is None


@pytest.mark.provokes("WouldWait")
def test_a_look_up_at_once_does_not_wait_for_a_lock_and_leaves_the_next_one_patient(path):
    with ResultsDatabase(path, busy_timeout_s=20) as setting_up:
        setting_up.insert_results([ResultRow(A, B)])
    with ResultsDatabase(path, busy_timeout_s=20) as db:  # nothing is written: the rollback journal
        db.transformation(A)
        locker = subprocess.Popen(
            [sys.executable, "-c", LOCK, str(path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        assert locker.stdout.readline() == "locked\n"
        with pytest.raises(errors.WouldWait):
            ResultLookUps(db.read_at_once, db.path).transformation(A)
        found = []
        waiting = threading.Thread(target=lambda: found.append(db.transformation(A)))
        waiting.start()
        locker.communicate("\n", timeout=20)
        waiting.join()
        assert found == [B]
        assert ResultLookUps(db.read_at_once, db.path).transformation(A) == B


def test_rows_of_one_call_can_share_one_transaction(db):
    rows = [ResultRow(digest(n), A) for n in range(5000)]
    before = db.commits
    assert db.insert_results(rows, chunk=10_000) == [A] * 5000
    assert db.commits - before == 1

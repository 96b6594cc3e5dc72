"""The results database as one process sees it."""

from __future__ import annotations

import hashlib
import json
import sqlite3
import threading
from pathlib import Path

import pytest
from seamless_store import database_errors as errors
from seamless_store.database_schema import STATEMENTS
from seamless_store.errors import InvalidDigest
from seamless_store.result_look_ups import IrreproducibleRow
from seamless_store.results_database import ResultRow, ResultsDatabase

VECTOR = Path(__file__).parents[3] / "contracts" / "vectors" / "results_database_schema.json"


def digest(label: object) -> bytes:
    return hashlib.sha256(str(label).encode()).digest()


TF, OTHER_TF, RESULT, OTHER_RESULT = map(digest, ("tf", "other tf", "result", "other result"))


def record_of(tf: bytes, result: bytes, **more: object) -> str:
    fixed = {"schema_version": 1, "tf_checksum": tf.hex(), "result_checksum": result.hex()}
    return json.dumps({**fixed, **more}, separators=(",", ":"))


def rows_of(path: Path, sql: str) -> list[tuple[object, ...]]:
    """Read a closed database with another SQLite than the one under test."""
    connection = sqlite3.connect(f"file:{path}?mode=ro", uri=True)
    try:
        return connection.execute(sql).fetchall()
    finally:
        connection.close()


def make_reference_file(path: Path, script: str = "") -> None:
    """Make a file as the reference leaves it, with rows by `script`."""
    connection = sqlite3.connect(path)
    for statement in json.loads(VECTOR.read_text())["statements"]:
        connection.execute(statement)
    connection.executescript(script)
    connection.close()


@pytest.fixture
def path(tmp_path):
    return tmp_path / "seamless.db"


@pytest.fixture
def db(path):
    with ResultsDatabase(path, busy_timeout_s=5) as database:
        yield database


# Results


def test_what_was_inserted_is_found(db):
    assert db.transformation(TF) is None
    assert db.insert_results([ResultRow(TF, RESULT)]) == [RESULT]
    assert db.transformation(TF) == RESULT
    assert db.count() == 1


def test_the_first_result_stands(db):
    db.insert_results([ResultRow(TF, RESULT)])
    assert db.insert_results([ResultRow(TF, OTHER_RESULT)]) == [RESULT]
    assert db.transformation(TF) == RESULT
    assert db.rev_transformations(OTHER_RESULT) == []


def test_the_first_of_two_rows_in_one_call_stands(db):
    assert db.insert_results([ResultRow(TF, RESULT), ResultRow(TF, OTHER_RESULT)]) == [RESULT, RESULT]


def test_results_outlive_the_database_object(path):
    with ResultsDatabase(path) as first:
        first.insert_results([ResultRow(TF, RESULT)])
    with ResultsDatabase(path) as second:
        assert second.transformation(TF) == RESULT


def test_many_look_ups_keep_order_and_repeats(db):
    db.insert_results([ResultRow(digest(i), digest(("r", i))) for i in range(2500)])
    asked = [digest(2499), digest("absent"), digest(0), digest(2499)]
    assert db.transformation_many(asked) == [digest(("r", 2499)), None, digest(("r", 0)), digest(("r", 2499))]
    assert db.transformation_many([]) == []


def test_inserting_what_is_there_makes_no_transaction(db):
    db.insert_results([ResultRow(TF, RESULT, record_of(TF, RESULT))])
    before = db.commits
    db.insert_results([ResultRow(TF, RESULT, record_of(TF, RESULT))])
    assert db.commits == before


def test_all_results_are_listed_in_order_of_insertion(db):
    rows = [ResultRow(digest(i), digest(("r", i))) for i in range(2100)]
    db.insert_results(rows)
    assert list(db.iterate()) == [(row.transformation, row.result) for row in rows]


# Reverse rows


def test_reverse_look_up_is_in_order_of_insertion(db, path):
    tfs = [digest(i) for i in range(100)]
    for tf in tfs:
        db.insert_results([ResultRow(tf, RESULT)])
    assert db.rev_transformations(RESULT) == tfs
    db.close()
    assert rows_of(path, "SELECT checksum FROM rev_transformation ORDER BY id") == [(t.hex(),) for t in tfs]


def test_overwriting_moves_the_reverse_row(db, path):
    db.set_result(TF, RESULT)
    db.set_result(TF, RESULT)
    db.set_result(TF, OTHER_RESULT)
    assert db.transformation(TF) == OTHER_RESULT
    assert db.rev_transformations(RESULT) == []
    assert db.rev_transformations(OTHER_RESULT) == [TF]
    db.close()
    assert rows_of(path, "SELECT result, checksum FROM rev_transformation") == [
        (OTHER_RESULT.hex(), TF.hex())
    ]


def test_stale_and_double_reverse_rows_of_the_reference_are_not_listed(path):
    tf, other, old, new = TF.hex(), OTHER_TF.hex(), RESULT.hex(), OTHER_RESULT.hex()
    make_reference_file(
        path,
        f"""
        INSERT INTO transformation VALUES ('{tf}', '{old}'), ('{other}', '{old}');
        INSERT INTO rev_transformation (result, checksum) VALUES ('{old}', '{tf}'), ('{old}', '{other}');
        INSERT INTO rev_transformation (result, checksum) VALUES ('{old}', '{tf}');
        UPDATE transformation SET result = '{new}' WHERE checksum = '{tf}';
        INSERT INTO rev_transformation (result, checksum) VALUES ('{new}', '{tf}'), ('{new}', '{tf}');
        """,
    )
    with ResultsDatabase(path) as database:
        assert database.rev_transformations(RESULT) == [OTHER_TF]
        assert database.rev_transformations(OTHER_RESULT) == [TF]


def test_a_reverse_row_that_the_reference_did_not_write_is_added(path):
    make_reference_file(path, f"INSERT INTO transformation VALUES ('{TF.hex()}', '{RESULT.hex()}');")
    with ResultsDatabase(path) as database:
        assert database.insert_results([ResultRow(TF, OTHER_RESULT)]) == [RESULT]
    assert rows_of(path, "SELECT result, checksum FROM rev_transformation") == [(RESULT.hex(), TF.hex())]


# Records


def test_a_record_is_stored_only_with_the_result_that_stands(db):
    db.insert_results([ResultRow(TF, RESULT)])
    db.insert_results([ResultRow(TF, OTHER_RESULT, record_of(TF, OTHER_RESULT))])
    assert db.metadata(TF) is None
    db.insert_results([ResultRow(TF, RESULT, record_of(TF, RESULT))])
    db.insert_results([ResultRow(TF, RESULT, record_of(TF, RESULT, hostname="later"))])
    assert db.metadata(TF) == record_of(TF, RESULT)


def test_a_record_brings_its_result(db):
    db.put_metadata(TF, RESULT, record_of(TF, RESULT))
    assert db.transformation(TF) == RESULT
    assert db.rev_transformations(RESULT) == [TF]


def test_the_same_record_again_is_accepted_whatever_the_order_of_its_keys(db):
    db.put_metadata(TF, RESULT, record_of(TF, RESULT, a=1, b=2))
    db.put_metadata(TF, RESULT, json.dumps(json.loads(record_of(TF, RESULT, b=2, a=1)), indent=3))
    assert db.metadata(TF) == record_of(TF, RESULT, a=1, b=2)


@pytest.mark.provokes("TransformationContested")
def test_a_contested_transformation_takes_no_record(db):
    db.insert_results([ResultRow(TF, RESULT)])
    db.contest(TF, RESULT)
    with pytest.raises(errors.TransformationContested) as caught:
        db.put_metadata(TF, RESULT, record_of(TF, RESULT))
    assert caught.value.reason == "Transformation already has irreproducible records"


@pytest.mark.provokes("ResultDiffersFromRecord")
def test_a_record_of_another_result_than_the_stored_is_refused(db):
    db.insert_results([ResultRow(TF, RESULT)])
    with pytest.raises(errors.ResultDiffersFromRecord) as caught:
        db.put_metadata(TF, OTHER_RESULT, record_of(TF, OTHER_RESULT))
    assert caught.value.reason == "Transformation result does not match execution record result"


@pytest.mark.provokes("RecordHasOtherResult")
def test_a_record_that_disagrees_with_the_stored_record_is_refused(db):
    db.put_metadata(TF, RESULT, record_of(TF, RESULT))
    db.set_result(TF, OTHER_RESULT)
    with pytest.raises(errors.RecordHasOtherResult) as caught:
        db.put_metadata(TF, OTHER_RESULT, record_of(TF, OTHER_RESULT))
    assert caught.value.reason == "Execution record result does not match stored metadata result"
    with pytest.raises(errors.RecordHasOtherResult, match="its record is of") as caught:
        db.contest(TF, OTHER_RESULT)
    assert caught.value.reason == "Stored metadata result does not match irreproducible result"


@pytest.mark.provokes("RecordDiffers")
def test_records_are_written_once(db):
    db.put_metadata(TF, RESULT, record_of(TF, RESULT))
    with pytest.raises(errors.RecordDiffers) as caught:
        db.put_metadata(TF, RESULT, record_of(TF, RESULT, hostname="elsewhere"))
    assert caught.value.reason == "Execution record already exists with different metadata"


@pytest.mark.provokes("RecordMalformed")
@pytest.mark.parametrize(
    "record",
    [
        "",
        "not json",
        "[]",
        "[" * 100_000,
        "{}",
        record_of(TF, RESULT, schema_version="1"),
        record_of(TF, OTHER_RESULT),
        record_of(OTHER_TF, RESULT),
        record_of(TF, RESULT, checksum_fields="node"),
        record_of(TF, RESULT, checksum_fields=["node", ""]),
    ],
)
def test_a_malformed_record_is_refused(db, record):
    with pytest.raises(errors.RecordMalformed) as caught:
        db.put_metadata(TF, RESULT, record)
    assert caught.value.reason == "Malformed PUT metadata request"
    assert db.transformation(TF) is None


# Contests


def test_a_contested_result_is_forgotten_and_kept_for_inspection(db, path):
    db.insert_results([ResultRow(TF, RESULT, record_of(TF, RESULT))])
    db.contest(TF, RESULT)
    assert db.transformation(TF) is None
    assert db.metadata(TF) is None
    assert db.rev_transformations(RESULT) == []
    assert db.irreproducible(TF) == [IrreproducibleRow(TF, RESULT, record_of(TF, RESULT))]
    assert db.irreproducible(TF, OTHER_RESULT) == []
    assert db.insert_results([ResultRow(TF, OTHER_RESULT)]) == [OTHER_RESULT]
    db.close()
    assert rows_of(path, "SELECT count(*) FROM rev_transformation") == [(1,)]


def test_contesting_again_and_again_adds_no_rows_without_limit(db, path):
    db.insert_results([ResultRow(TF, RESULT, record_of(TF, RESULT))])
    for _ in range(5):
        db.contest(TF, RESULT)
    assert db.irreproducible(TF, RESULT) == [
        IrreproducibleRow(TF, RESULT, record_of(TF, RESULT)),
        IrreproducibleRow(TF, RESULT, None),
    ]
    db.close()
    stored = rows_of(path, "SELECT metadata FROM irreproducible_transformation ORDER BY id")
    assert stored == [(record_of(TF, RESULT),), ('""',)]


@pytest.mark.provokes("ResultNotStored")
def test_contesting_another_result_than_the_stored_changes_nothing(db):
    db.insert_results([ResultRow(TF, RESULT)])
    with pytest.raises(errors.ResultNotStored) as caught:
        db.contest(TF, OTHER_RESULT)
    assert caught.value.reason == "Transformation does not have the irreproducible result"
    assert db.transformation(TF) == RESULT
    assert db.irreproducible(TF) == []


# The file


def test_a_new_file_has_the_schema_of_the_reference_to_the_letter(db, path):
    db.open()
    db.close()
    found = rows_of(path, "SELECT sql FROM sqlite_master WHERE sql IS NOT NULL")
    assert sorted(sql for (sql,) in found) == sorted(json.loads(VECTOR.read_text())["statements"])
    assert list(STATEMENTS.values()) == json.loads(VECTOR.read_text())["statements"]
    assert rows_of(path, "PRAGMA user_version") == rows_of(path, "PRAGMA application_id") == [(0,)]


def test_opening_adds_missing_tables_and_keeps_the_others(path):
    make_reference_file(
        path,
        f"INSERT INTO transformation VALUES ('{TF.hex()}', '{RESULT.hex()}'); DROP TABLE bucket_probe;",
    )
    with ResultsDatabase(path) as database:
        assert database.transformation(TF) == RESULT
    assert rows_of(path, "SELECT count(*) FROM bucket_probe") == [(0,)]


def test_an_empty_record_table_of_the_oldest_form_is_replaced(path):
    make_reference_file(
        path,
        "DROP TABLE meta_data; CREATE TABLE meta_data (checksum CHAR(64) PRIMARY KEY, metadata TEXT);",
    )
    with ResultsDatabase(path) as database:
        database.put_metadata(TF, RESULT, record_of(TF, RESULT))
        assert database.metadata(TF) == record_of(TF, RESULT)


@pytest.mark.provokes("DatabaseSchemaUnknown")
@pytest.mark.parametrize(
    "script",
    [
        "CREATE TABLE meta_data (checksum PRIMARY KEY, metadata); INSERT INTO meta_data VALUES ('a', 'b');",
        "CREATE TABLE meta_data (checksum PRIMARY KEY, result, metadata, novelty);",
        "CREATE TABLE transformation (checksum PRIMARY KEY, outcome);",
    ],
)
def test_a_file_of_another_version_is_left_alone(path, script):
    connection = sqlite3.connect(path)
    connection.executescript(script)
    connection.close()
    before = path.read_bytes()
    with ResultsDatabase(path) as database, pytest.raises(errors.DatabaseSchemaUnknown, match="columns"):
        database.open()
    assert path.read_bytes() == before


def test_closing_leaves_one_whole_file_in_the_plain_journal_mode(path):
    with ResultsDatabase(path) as database:
        database.insert_results([ResultRow(TF, RESULT)])
    assert rows_of(path, "PRAGMA journal_mode") == [("delete",)]
    assert {p.name for p in path.parent.glob("seamless.db*")} == {"seamless.db"}
    copy = path.with_name("copy.db")
    copy.write_bytes(path.read_bytes())
    assert rows_of(copy, "SELECT checksum, result FROM transformation") == [(TF.hex(), RESULT.hex())]


def test_looking_up_does_not_change_the_file(path):
    make_reference_file(path, f"INSERT INTO transformation VALUES ('{TF.hex()}', '{RESULT.hex()}');")
    before = path.read_bytes()
    with ResultsDatabase(path) as database:
        assert database.transformation(TF) == RESULT
    assert path.read_bytes() == before


def test_the_reference_can_write_while_we_have_the_file_open(db, path):
    db.insert_results([ResultRow(TF, RESULT)])
    foreign = sqlite3.connect(path)
    with foreign:
        foreign.execute(f"INSERT INTO transformation VALUES ('{OTHER_TF.hex()}', '{RESULT.hex()}')")
    foreign.close()
    assert db.transformation(OTHER_TF) == RESULT
    assert db.insert_results([ResultRow(OTHER_TF, OTHER_RESULT)]) == [RESULT]


def test_a_file_that_was_removed_meanwhile_is_made_again_by_the_next_write(db, path):
    db.insert_results([ResultRow(TF, RESULT)])
    for file in path.parent.glob("seamless.db*"):
        file.unlink()
    db.insert_results([ResultRow(OTHER_TF, OTHER_RESULT)])
    assert db.transformation(TF) is None
    db.close()
    assert rows_of(path, "SELECT checksum FROM transformation") == [(OTHER_TF.hex(),)]


@pytest.mark.provokes("NotADatabase")
def test_another_kind_of_file_is_refused_and_kept(path):
    path.write_bytes(b"my thesis" * 1000)
    with ResultsDatabase(path) as database, pytest.raises(errors.NotADatabase, match=r"seamless\.db"):
        database.transformation(TF)
    assert path.read_bytes() == b"my thesis" * 1000


@pytest.mark.provokes("DatabaseDamaged")
def test_a_damaged_file_is_reported_with_the_remedy_and_kept(path):
    with ResultsDatabase(path) as database:
        database.insert_results([ResultRow(digest(i), digest(("r", i))) for i in range(2000)])
    content = bytearray(path.read_bytes())
    content[4096:] = b"\xa5" * (len(content) - 4096)
    path.write_bytes(content)
    with ResultsDatabase(path) as database, pytest.raises(errors.DatabaseDamaged, match="recover"):
        database.transformation(TF)
    assert path.read_bytes() == content


@pytest.mark.provokes("DatabaseDamaged")
def test_a_checksum_that_is_none_is_reported(path):
    make_reference_file(path, f"INSERT INTO transformation VALUES ('{TF.hex()}', 'nonsense');")
    with ResultsDatabase(path) as database, pytest.raises(errors.DatabaseDamaged, match="nonsense"):
        database.transformation(TF)


@pytest.mark.provokes("DatabaseMissing")
def test_a_missing_file_is_not_made_when_opened_for_reading(path):
    with ResultsDatabase(path, writable=False) as database, pytest.raises(errors.DatabaseMissing):
        database.transformation(TF)
    assert list(path.parent.iterdir()) == []


@pytest.mark.provokes("DatabaseReadOnly")
def test_a_database_opened_for_reading_answers_and_refuses_writes(path):
    with ResultsDatabase(path) as database:
        database.insert_results([ResultRow(TF, RESULT)])
    with ResultsDatabase(path, writable=False) as reader:
        assert reader.transformation(TF) == RESULT
        for write in (
            lambda: reader.insert_results([ResultRow(TF, RESULT)]),
            lambda: reader.set_result(TF, RESULT),
            lambda: reader.put_metadata(TF, RESULT, record_of(TF, RESULT)),
            lambda: reader.contest(TF, RESULT),
        ):
            with pytest.raises(errors.DatabaseReadOnly, match="writable"):
                write()


def test_tables_that_an_old_file_lacks_read_as_empty(path):
    sqlite3.connect(path).close()
    with ResultsDatabase(path, writable=False) as reader:
        assert reader.transformation(TF) is None
        assert reader.metadata(TF) is None
        assert reader.irreproducible(TF) == []


@pytest.mark.provokes("DatabaseIOError")
def test_a_directory_in_place_of_the_file_is_reported(path):
    path.mkdir()
    with ResultsDatabase(path) as database, pytest.raises(errors.DatabaseIOError, match=r"seamless\.db"):
        database.transformation(TF)


# Threads


def test_writes_that_arrive_together_share_commits(db):
    db.insert_results([ResultRow(TF, RESULT)])
    before = db.commits
    n_threads, n_calls = 8, 40
    start = threading.Barrier(n_threads)
    wrong: list[object] = []

    def insert(thread: int) -> None:
        start.wait()
        for i in range(n_calls):
            key, result = digest((thread, i)), digest(("r", thread, i))
            if db.insert_results([ResultRow(key, result)]) != [result] or db.transformation(key) != result:
                wrong.append(key)

    threads = [threading.Thread(target=insert, args=(i,)) for i in range(n_threads)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []
    assert db.count() == n_threads * n_calls + 1
    assert db.commits - before < n_threads * n_calls


def test_an_error_of_one_request_spares_the_others_of_its_transaction(db):
    db.insert_results([ResultRow(TF, RESULT)])
    db.writer_lock.acquire()
    outcomes: list[object] = []

    def contest_wrongly() -> None:
        with pytest.raises(errors.ResultNotStored):
            db.contest(TF, OTHER_RESULT)
        outcomes.append("refused")

    def insert() -> None:
        outcomes.extend(db.insert_results([ResultRow(OTHER_TF, OTHER_RESULT)]))

    threads = [threading.Thread(target=contest_wrongly), threading.Thread(target=insert)]
    for thread in threads:
        thread.start()
    db.writer_lock.release()
    for thread in threads:
        thread.join()
    assert set(outcomes) == {"refused", OTHER_RESULT}


# Bad input


@pytest.mark.provokes("InvalidDigest")
@pytest.mark.parametrize("bad", [b"", b"x" * 31, b"x" * 33, "a" * 64, bytearray(32), None, 7])
def test_what_is_no_digest_is_refused_everywhere(db, bad):
    for call in (
        lambda: db.transformation(bad),
        lambda: db.transformation_many([TF, bad]),
        lambda: db.rev_transformations(bad),
        lambda: db.metadata(bad),
        lambda: db.irreproducible(bad),
        lambda: db.insert_results([ResultRow(bad, RESULT)]),
        lambda: db.insert_results([ResultRow(TF, bad)]),
        lambda: db.set_result(bad, RESULT),
        lambda: db.set_result(TF, bad),
        lambda: db.put_metadata(bad, RESULT, "{}"),
        lambda: db.put_metadata(TF, bad, "{}"),
        lambda: db.contest(bad, RESULT),
        lambda: db.contest(TF, bad),
    ):
        with pytest.raises(InvalidDigest, match="32 bytes"):
            call()


@pytest.mark.provokes("DatabaseArgumentInvalid")
@pytest.mark.parametrize("bad", [None, (TF, RESULT), ResultRow(TF, RESULT, {"a": 1})])
def test_what_is_no_row_is_refused(db, bad):
    with pytest.raises(errors.DatabaseArgumentInvalid, match="ResultRow"):
        db.insert_results([ResultRow(TF, RESULT), bad])
    assert db.transformation(TF) is None


@pytest.mark.provokes("DatabaseClosed")
def test_a_closed_database_says_so(db):
    db.insert_results([ResultRow(TF, RESULT)])
    db.close()
    db.close()
    for call in (
        lambda: db.transformation(TF),
        lambda: db.transformation_many([TF]),
        lambda: db.insert_results([ResultRow(TF, RESULT)]),
        lambda: db.set_result(TF, RESULT),
        lambda: db.open(),
        lambda: list(db.iterate()),
    ):
        with pytest.raises(errors.DatabaseClosed, match="closed"):
            call()

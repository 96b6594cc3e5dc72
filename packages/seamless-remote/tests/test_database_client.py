"""The client of seamless-database, with a server that can more and with an earlier one."""

from __future__ import annotations

import asyncio
import threading

import pytest
from seamless.buffer import Buffer
from seamless.checksum import Checksum
from seamless.errors import ResultConflict
from seamless_remote import errors
from seamless_remote.database_client import DatabaseClient

CAPABLE = ("transformation_many", "transformation_insert", "transformation_insert_many", "export")


def name(text: str) -> Checksum:
    return Buffer(text.encode()).get_checksum()


TF, RESULT, OTHER = name("tf"), name("result"), name("other")


@pytest.fixture(params=["earlier", "capable"])
def server(request: pytest.FixtureRequest, database):
    return database(*(CAPABLE if request.param == "capable" else ()))


@pytest.fixture
def client(server, database_client) -> DatabaseClient:
    return database_client(server.url)


def test_result_is_unknown_then_known(client: DatabaseClient):
    assert client.get_transformation_result_sync(TF) is None
    client.set_transformation_result_sync(TF, RESULT)
    assert client.get_transformation_result_sync(TF.hex()) == RESULT


@pytest.mark.invariant("I-164")
def test_first_result_stands(client: DatabaseClient):
    assert client.insert_sync(TF, RESULT, {"a": 1}) == RESULT
    assert client.insert_sync(TF, OTHER, {"a": 2}) == RESULT
    assert client.get_transformation_result_sync(TF) == RESULT
    assert client.record_sync(TF) == {"a": 1}


def test_many_are_inserted_and_looked_up_in_order_with_repeats(client: DatabaseClient, server):
    rows = [(name(f"t{number}"), name(f"r{number % 3}"), None) for number in range(20)]
    client.insert_sync(rows[3][0], OTHER)
    standing = client.insert_many_sync(rows)
    assert standing == [OTHER if number == 3 else row[1] for number, row in enumerate(rows)]
    asked = [TF, *(row[0] for row in rows), TF]
    assert client.transformation_many_sync(asked) == [None, *standing, None]


def test_many_are_few_requests(database, database_client, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("seamless_remote.database_client.MANY", 8)
    server = database(*CAPABLE)
    client = database_client(server.url)
    rows = [(name(f"t{number}"), RESULT, None) for number in range(20)]
    client.insert_many_sync(rows)
    assert client.transformation_many_sync([row[0] for row in rows]) == [RESULT] * 20
    assert server.types == ["PUT transformation_insert_many"] * 3 + ["GET transformation_many"] * 3


def test_reverse_lists_each_transformation_once(client: DatabaseClient, server):
    assert client.reverse_sync(RESULT) == []
    client.insert_sync(TF, RESULT)
    assert client.reverse_sync(RESULT) == [TF]


def test_reverse_leaves_out_what_an_earlier_server_overwrote(database, database_client):
    server = database()
    server.results = {TF.hex(): OTHER.hex(), RESULT.hex(): RESULT.hex()}
    listed = f'["{TF}", "{RESULT}", "{RESULT}"]'.encode()
    server.interfere = lambda method, path, body: (200, listed, {}) if b"rev_" in body else None
    assert database_client(server.url).reverse_sync(RESULT) == [RESULT]


def test_contest_forgets_the_result(client: DatabaseClient):
    client.insert_sync(TF, RESULT)
    with pytest.raises(ResultConflict, match="is not the stored result"):
        client.contest_sync(TF, OTHER)
    client.contest_sync(TF, RESULT)
    assert client.get_transformation_result_sync(TF) is None


@pytest.mark.provokes("CapabilityMissing")
def test_export_lists_everything_or_says_that_the_server_cannot(database, database_client):
    server = database(*CAPABLE)
    client = database_client(server.url)
    rows = [(name(f"t{number}"), name(f"r{number}")) for number in range(3000)]
    server.results = {tf.hex(): result.hex() for tf, result in rows}
    assert list(client.export_sync()) == rows
    with pytest.raises(errors.CapabilityMissing, match="'export'"):
        database_client(database().url).export_sync()


@pytest.mark.parametrize(
    "text", [b'["aa", "bb"]\n', b"no row\n", f'["{TF}", "{RESULT}"]'.encode(), b"x" * 5000]
)
def test_export_that_is_damaged_says_after_how_many_rows(database, database_client, text: bytes):
    server = database(*CAPABLE)
    good = f'["{TF}", "{RESULT}"]\n'.encode()
    server.interfere = lambda method, path, body: (200, good * 2 + text, {})
    rows = database_client(server.url).export_sync()
    assert [next(rows), next(rows)] == [(TF, RESULT)] * 2
    with pytest.raises(errors.AnswerDamaged, match="after 2 rows"):
        next(rows)


def test_record_that_differs_is_no_error(client: DatabaseClient):
    assert client.set_execution_record_sync(TF, RESULT, {"a": 1}) is None
    assert client.set_execution_record_sync(TF, RESULT, {"a": 1}) is None
    assert client.set_execution_record_sync(TF, RESULT, {"a": 2}) is False


def test_other_conflict_is_an_error(client: DatabaseClient, server):
    server.interfere = lambda method, path, body: (
        409,
        b"ERROR: Transformation already has irreproducible records",
        {},
    )
    with pytest.raises(errors.RequestFailed, match="irreproducible") as failure:
        client.set_execution_record_sync(TF, RESULT, {})
    assert failure.value.status == 409


@pytest.mark.parametrize("text", [b"", b"nonsense", b"ab" * 31, b"ERROR: x", b"[]"])
def test_answer_that_is_no_checksum_is_refused(client: DatabaseClient, server, text: bytes):
    server.interfere = lambda method, path, body: (200, text, {})
    with pytest.raises(errors.AnswerDamaged, match="where a checksum was expected"):
        client.get_transformation_result_sync(TF)
    with pytest.raises(errors.AnswerDamaged):
        client.insert_sync(TF, RESULT)


@pytest.mark.parametrize("text", [b"{", b"3", b'["x"]', b'"x"', b"[" * 200_000])
def test_answer_of_another_shape_is_refused(client: DatabaseClient, server, text: bytes):
    server.interfere = lambda method, path, body: (200, text, {})
    for call in (
        client.record_sync,
        client.get_rev_transformations_sync,
        client.get_irreproducible_records_sync,
    ):
        with pytest.raises(errors.AnswerDamaged):
            call(TF)


def test_short_list_of_results_is_refused(database, database_client):
    server = database(*CAPABLE)
    server.interfere = lambda method, path, body: (200, b"[null]", {})
    client = database_client(server.url)
    with pytest.raises(errors.AnswerDamaged, match="as many results"):
        client.transformation_many_sync([TF, RESULT])
    with pytest.raises(errors.AnswerDamaged, match="as many results"):
        client.insert_many_sync([(TF, RESULT, None), (OTHER, RESULT, None)])


def test_read_only_client_writes_nothing(server, database_client):
    client = database_client(server.url, readonly=True)
    for write in (
        lambda: client.set_transformation_result_sync(TF, RESULT),
        lambda: client.insert_sync(TF, RESULT),
        lambda: client.insert_many_sync([(TF, RESULT, None)] * 2),
        lambda: client.contest_sync(TF, RESULT),
        lambda: client.set_bucket_probe_sync("node", "l", RESULT, {}, "now"),
    ):
        with pytest.raises(errors.ReadOnlyClient):
            write()
    assert server.types == []


def test_reads_under_way_are_bounded(server, database_client, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("SEAMLESS_DATABASE_MAX_INFLIGHT", "3")
    client = database_client(server.url)
    client.ensure_initialized_sync()
    running, most = 0, 0
    lock = threading.Lock()
    three = threading.Barrier(3)

    def count(method: str, path: str, body: bytes) -> None:
        nonlocal running, most
        with lock:
            running += 1
            most = max(most, running)
        three.wait(20)
        with lock:
            running -= 1

    server.interfere = count

    async def look_up() -> list[Checksum | None]:
        return await asyncio.gather(*(client.get_transformation_result(TF) for _ in range(12)))

    assert asyncio.run(look_up()) == [None] * 12
    assert most == 3


def test_the_coroutines_do_the_same(client: DatabaseClient, server):
    async def all_of_them() -> list[object]:
        return [
            await client.set_transformation_result(TF, RESULT),
            await client.get_transformation_result(TF),
            await client.get_rev_transformations(RESULT),
            await client.set_execution_record(TF, RESULT, {"a": 1}),
            await client.get_execution_record(TF),
            await client.set_bucket_probe("node", "label", RESULT, {"t": 1}, "2026"),
            await client.undo_transformation_result(TF, RESULT),
            await client.get_transformation_result(TF),
        ]

    server.interfere = lambda method, path, body: (200, b"OK", {}) if b"bucket_probe" in body else None
    assert asyncio.run(all_of_them()) == [None, RESULT, [TF], None, {"a": 1}, None, True, None]


def test_probes_and_contested_results_are_read(client: DatabaseClient, server):
    answers = {b"bucket_probe": b'{"label": "l"}', b"irreproducible": b'[{"result": "r"}]'}
    server.interfere = lambda method, path, body: next(
        ((200, answer, {}) for kind, answer in answers.items() if kind in body), None
    )
    assert asyncio.run(client.get_bucket_probe("node", "l")) == {"label": "l"}
    assert asyncio.run(client.get_irreproducible_records(TF, RESULT)) == [{"result": "r"}]


def test_debugging_shows_each_request(
    client: DatabaseClient, monkeypatch, capsys: pytest.CaptureFixture[str]
):
    monkeypatch.setenv("SEAMLESS_DEBUG_REMOTE_DB", "true")
    client.insert_sync(TF, RESULT)
    client.get_transformation_result_sync(TF)
    shown = capsys.readouterr()
    assert "PUT http://127.0.0.1:" in shown.err
    assert "GET http://127.0.0.1:" in shown.err
    assert shown.out == ""

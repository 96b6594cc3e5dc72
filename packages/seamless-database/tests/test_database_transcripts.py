"""What the reference was asked and answered, asked again; what we answer otherwise on purpose is listed."""

from __future__ import annotations

import json
import sqlite3
from pathlib import Path

import pytest
from seamless_service.testing import transcripts

VECTORS = Path(__file__).parents[3] / "contracts" / "vectors"
SESSIONS = {
    session.name: session
    for session in transcripts.load_sessions(VECTORS / "http_transcripts.json", "database")
}
MALFORMED = (400, "ERROR: Malformed request")
TF, RESULT = (
    "4c18b7a6e5a96b0cf07ac0486d8f23454b0c0adb881db3ae0986e5e06b472f31",
    "0e405b9869cefa2cf895ca31bfc1f078fa18d539b5c9881beb1dbc18b5884c96",
)

# id: ((status, text), why). A text of None is not compared.
ON_PURPOSE = {
    "db-rw-08": ((200, json.dumps([TF])), "a repeated PUT leaves one reverse row"),
    "db-rw-11": ((404, "ERROR: Unknown key"), "an overwritten result has no reverse rows"),
    "db-readonly-05": ((200, json.dumps([TF])), "reverse look-ups are answered from the results themselves"),
    **dict.fromkeys(
        [
            *(f"db-rw-{n}" for n in ("15", "35", "78")),
            *(f"db-errors-{n}" for n in ("03", "08", "10", "13", "14", "21", "22", "23", "35")),
        ],
        (MALFORMED, "a malformed request is the client's fault: 400, not 500"),
    ),
    "db-errors-30": ((200, "OK"), "a header of 9000 bytes is no reason to refuse"),
    "db-errors-31": ((400, None), "wording of the HTTP library"),
    "db-errors-37": ((400, None), "wording of the HTTP library"),
}


@pytest.fixture
def replayed(launch, path):
    """replayed(session): (exchange, answer) of each exchange, with a server on the file the session starts with."""

    def replayed(session):
        options = [option for option in session.argv if option == "--writable"]
        if not options:
            connection = sqlite3.connect(path)
            for statement in SESSIONS["db-rw"].more["final_schema"]:
                connection.execute(statement)
            connection.execute("INSERT INTO transformation VALUES (?, ?)", (TF, RESULT))
            connection.commit()
            connection.close()
        server = launch(path, *options)
        answers = [
            (
                exchange,
                transcripts.send(
                    "127.0.0.1",
                    server.port,
                    transcripts.exchange_bytes(exchange.request, f"127.0.0.1:{server.port}"),
                    method=exchange.request.get("method", "GET"),
                    half_close="half-closes" in exchange.note,
                ),
            )
            for exchange in session.exchanges
        ]
        assert server.stop() == 0
        return answers

    return replayed


def _complaints(exchange, answer):
    if exchange.id in ON_PURPOSE:
        (status, text), _ = ON_PURPOSE[exchange.id]
        return [] if answer.status == status and text in (None, answer.body.decode()) else [answer]
    headers = ("content-type",) if "status" in exchange.response else ()
    return transcripts.differences(exchange.response, answer, headers=headers)


@pytest.mark.parametrize("session", SESSIONS.values(), ids=SESSIONS.keys())
def test_every_recorded_exchange_is_answered_as_recorded_or_otherwise_on_purpose(session, replayed):
    complaints = {
        exchange.id: found
        for exchange, answer in replayed(session)
        if (found := _complaints(exchange, answer))
    }
    assert complaints == {}


def test_nothing_is_excepted_that_would_be_answered_as_recorded():
    ids = {exchange.id: exchange for session in SESSIONS.values() for exchange in session.exchanges}
    assert set(ON_PURPOSE) <= set(ids)
    for id, ((status, text), _) in ON_PURPOSE.items():
        recorded = ids[id].response
        assert (status, text) != (recorded["status"], recorded["body"].get("text"))


def test_the_file_that_is_left_has_the_schema_and_the_form_that_the_reference_leaves(replayed, path, rows_of):
    session = SESSIONS["db-rw"]
    replayed(session)
    schema = rows_of(path, "SELECT sql FROM sqlite_master WHERE sql IS NOT NULL")
    assert {sql for (sql,) in schema} == set(session.more["final_schema"])
    pragmas = session.more["final_pragmas"]
    assert {name: rows_of(path, f"PRAGMA {name}")[0][0] for name in pragmas} == pragmas
    assert [p.name for p in path.parent.glob("seamless.db*")] == ["seamless.db"]


def test_cells_have_the_text_forms_of_the_reference(replayed, path, rows_of):
    replayed(SESSIONS["db-rw"])
    assert rows_of(path, "SELECT buffer_info FROM buffer_info")[0][0].startswith('{\n  "is_json": true,\n')
    assert ('["a", 0]',) in rows_of(path, "SELECT path FROM expression")
    assert rows_of(path, "SELECT freshness_tokens FROM bucket_probe") == [('{"boot":"2"}',)]
    metadata = [text for (text,) in rows_of(path, "SELECT metadata FROM irreproducible_transformation")]
    assert metadata[0].startswith('{"schema_version":1,"tf_checksum":"')
    assert metadata[1:] == ['""']

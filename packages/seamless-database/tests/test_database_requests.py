"""Every type of request, every text that is no success, and what is bounded."""

from __future__ import annotations

import gzip
import json

import pytest
from seamless_database.parsing import DEPTH_MAX, LIST_LENGTH_MAX

MALFORMED = (400, "ERROR: Malformed request")
UNKNOWN = (404, "ERROR: Unknown key")
OK = (200, "OK")


def record(tf: bytes, result: bytes, **more: object) -> dict[str, object]:
    return {"schema_version": 1, "tf_checksum": tf.hex(), "result_checksum": result.hex(), **more}


# Results


def test_a_result_is_stored_found_and_found_from_the_other_side(shared, unique):
    a, b, result = unique("a"), unique("b"), unique("result")
    assert shared.get("transformation", a) == UNKNOWN
    assert shared.put("transformation", a, value=result) == OK
    assert shared.put("transformation", b, value=result) == OK
    assert shared.get("transformation", a) == (200, result.hex())
    assert shared.get("rev_transformations", result) == (200, json.dumps([a.hex(), b.hex()]))


@pytest.mark.invariant("I-142")
def test_repeated_and_overwriting_writes_leave_one_reverse_row(launch, connect, path, unique, rows_of):
    tf, first, second = unique("tf"), unique("first"), unique("second")
    server = launch(path, "--writable")
    client = connect(server)
    for value in (first, first, second, second, first, second):
        assert client.put("transformation", tf, value=value) == OK
    assert client.get("rev_transformations", first) == UNKNOWN
    assert client.get("rev_transformations", second) == (200, json.dumps([tf.hex()]))
    server.stop()
    assert rows_of(path, "SELECT result, checksum FROM rev_transformation") == [(second.hex(), tf.hex())]


def test_an_insert_tells_the_result_that_stands(shared, unique):
    tf, first, second = unique("tf"), unique("first"), unique("second")
    assert shared.put("transformation_insert", tf, value=first) == (200, first.hex())
    assert shared.put("transformation_insert", tf, value=second) == (200, first.hex())
    assert shared.get("transformation", tf) == (200, first.hex())


def test_an_insert_brings_the_record_of_the_result_that_stands_only(shared, unique):
    tf, first, second = unique("tf"), unique("first"), unique("second")
    shared.put("transformation_insert", tf, value=first)
    shared.put("transformation_insert", tf, value=second, record=record(tf, second))
    assert shared.get("metadata", tf) == UNKNOWN
    shared.put("transformation_insert", tf, value=first, record=record(tf, first, hostname="é"))
    assert shared.get("metadata", tf) == (200, json.dumps(record(tf, first, hostname="é")))


def test_many_are_inserted_and_looked_up_in_order(shared, unique):
    tfs, result, other = [unique(n) for n in range(1000)], unique("result"), unique("other")
    shared.put("transformation", tfs[7], value=other)
    rows = [[tf.hex(), result.hex(), None] for tf in tfs]
    rows[3][2] = record(tfs[3], result)
    status, text = shared.put("transformation_insert_many", rows=rows)
    assert (status, json.loads(text)) == (200, [result.hex()] * 7 + [other.hex()] + [result.hex()] * 992)
    assert shared.get("metadata", tfs[3])[0] == 200
    asked = [tfs[7].hex(), unique("absent").hex(), tfs[0].hex(), tfs[0].hex()]
    status, text = shared.get("transformation_many", checksums=asked)
    assert (status, json.loads(text)) == (200, [other.hex(), None, result.hex(), result.hex()])


def test_none_at_all_are_inserted_and_looked_up(shared):
    assert shared.put("transformation_insert_many", rows=[]) == (200, "[]")
    assert shared.get("transformation_many", checksums=[]) == (200, "[]")


def test_one_malformed_row_of_many_stores_none(shared, unique):
    good, bad = unique("good"), unique("bad")
    rows = [[good.hex(), bad.hex(), None], [bad.hex(), "zz", None]]
    assert shared.put("transformation_insert_many", rows=rows)[0] == 400
    assert shared.get("transformation", good) == UNKNOWN


def test_a_contested_result_is_gone_and_listed(shared, unique):
    tf, result = unique("tf"), unique("result")
    shared.put("metadata", tf, result=result, value=record(tf, result))
    assert shared.put("irreproducible", tf, result=result) == OK
    assert shared.get("transformation", tf) == UNKNOWN
    listed = [{"checksum": tf.hex(), "result": result.hex(), "metadata": record(tf, result)}]
    assert shared.get("irreproducible", tf) == (200, json.dumps(listed))
    assert shared.get("irreproducible", tf, result=None) == (200, json.dumps(listed))
    assert shared.get("irreproducible", tf, result=unique("other")) == UNKNOWN


@pytest.mark.parametrize("form", [dict, json.dumps], ids=["object", "text"])
def test_a_record_is_taken_as_object_or_as_text(shared, unique, form):
    tf, result = unique("tf"), unique("result")
    assert shared.put("metadata", tf, result=result, value=form(record(tf, result))) == OK
    assert shared.get("metadata", tf) == (200, json.dumps(record(tf, result)))


# Conflicts


def test_conflicts_have_the_documented_texts(shared, unique):
    tf, result, other = unique("tf"), unique("result"), unique("other")
    shared.put("metadata", tf, result=result, value=record(tf, result))
    assert shared.put("metadata", tf, result=other, value=record(tf, other)) == (
        409,
        "ERROR: Transformation result does not match execution record result",
    )
    assert shared.put("metadata", tf, result=result, value=record(tf, result, pid=1)) == (
        409,
        "ERROR: Execution record already exists with different metadata",
    )
    assert shared.put("irreproducible", tf, result=other) == (
        404,
        "ERROR: Transformation does not have the irreproducible result",
    )
    shared.put("transformation", tf, value=other)  # the reference allows it
    assert shared.put("metadata", tf, result=other, value=record(tf, other)) == (
        409,
        "ERROR: Execution record result does not match stored metadata result",
    )
    assert shared.put("irreproducible", tf, result=other) == (
        409,
        "ERROR: Stored metadata result does not match irreproducible result",
    )
    shared.put("transformation", tf, value=result)
    shared.put("irreproducible", tf, result=result)
    assert shared.put("metadata", tf, result=result, value=record(tf, result)) == (
        409,
        "ERROR: Transformation already has irreproducible records",
    )


# What is malformed

HEX, SHORT = "ab" * 32, "abcd"
EXPRESSION = {"type": "expression", "path": [], "celltype": "mixed", "target_celltype": "int"}
PROBE = {
    "type": "bucket_probe",
    "bucket_kind": "node",
    "label": "l",
    "bucket_checksum": HEX,
    "freshness_tokens": {},
    "captured_at": "now",
}
PAIR = {"type": "semantic_to_syntactic", "celltype": "python", "subcelltype": "module"}
DEEP_TEXT = "[" * (DEPTH_MAX + 1) + "]" * (DEPTH_MAX + 1)

REFUSED_LOOK_UPS = [
    (b"", "Malformed request"),
    (b"nonsense", "Malformed request"),
    (b"[1]", "Malformed request"),
    (b"\xff{}", "Malformed request"),
    (b'{"type": "protocol", "x": 1' + b"0" * 5000 + b"}", "Malformed request"),
    (b'{"type": "protocol", "x": ' + DEEP_TEXT.encode() + b"}", "Malformed request"),
    (b"[" * 100_000, "Malformed request"),
    ({}, "Malformed request"),
    ({"type": ["x"], "checksum": HEX}, "Malformed request"),
    ({"type": "has", "checksum": HEX}, "Malformed request"),
    ({"type": "transformation_insert", "checksum": HEX}, "Malformed request"),
    ({"type": "transformation"}, "Malformed request"),
    *(
        ({"type": "transformation", "checksum": c}, "Malformed request")
        for c in ("zz", "", SHORT, 5, [HEX], HEX + "\n", " " + HEX)
    ),
    ({"type": "irreproducible", "checksum": HEX, "result": "zz"}, "Malformed irreproducible request"),
    ({"type": "irreproducible", "checksum": HEX, "result": SHORT}, "Malformed request"),
    ({**PAIR, "checksum": HEX, "celltype": ...}, "Malformed semantic-to-syntactic request"),
    (
        {**PAIR, "type": "syntactic_to_semantic", "checksum": HEX, "subcelltype": ...},
        "Malformed syntactic-to-semantic request",
    ),
    ({**EXPRESSION, "checksum": HEX, "path": ...}, "Malformed expression request"),
    ({"type": "bucket_probe", "label": "l"}, "Malformed bucket_probe request"),
    ({"type": "transformation_many"}, "Malformed transformation_many request"),
    ({"type": "transformation_many", "checksums": [SHORT]}, "Malformed request"),
    (
        {"type": "transformation_many", "checksums": [HEX] * (LIST_LENGTH_MAX + 1)},
        f"More than {LIST_LENGTH_MAX} entries in one request",
    ),
]

INSERT = "Malformed PUT transformation_insert request"
INSERT_MANY = "Malformed PUT transformation_insert_many request"
METADATA = "Malformed PUT metadata request"
PUT_PROBE = "Malformed PUT bucket_probe request"
PUT_PAIR = "Malformed PUT semantic-to-syntactic request"
BUFFER_INFO = "Malformed PUT buffer info request"
PUT_VALUE = "Malformed PUT transformation result request: value must be a checksum"
CONSTRAINT = "Malformed expression request (constraint violation)"
RECORD = {"schema_version": 1, "tf_checksum": HEX, "result_checksum": HEX}

REFUSED_WRITES = [
    (b"", "Malformed request"),
    (b"nonsense", "Malformed request"),
    (b"[1]", "Malformed request"),
    ({"type": "protocol"}, "Malformed request"),
    ({"type": "protocol", "checksum": HEX}, "Unknown request type"),
    ({"type": "rev_transformations", "checksum": HEX}, "Unknown request type"),
    ({"type": "syntactic_to_semantic", "checksum": HEX}, "Unknown request type"),
    ({"type": "rev_expression", "checksum": HEX}, "Unknown request type"),
    ({"type": "transformation_many", "checksum": HEX}, "Unknown request type"),
    ({"type": "transformation", "value": HEX}, "Malformed request"),
    ({"type": "transformation", "checksum": None, "value": HEX}, "Malformed request"),
    ({"type": "transformation", "checksum": HEX}, PUT_VALUE),
    ({"type": "transformation", "checksum": HEX, "value": "zz"}, PUT_VALUE),
    ({"type": "transformation", "checksum": HEX, "value": SHORT}, "Malformed request"),
    ({"type": "transformation_insert", "checksum": HEX}, INSERT),
    ({"type": "transformation_insert", "checksum": HEX, "value": HEX, "record": 5}, INSERT),
    ({"type": "transformation_insert", "checksum": HEX, "value": HEX, "record": [1]}, INSERT),
    ({"type": "transformation_insert_many"}, INSERT_MANY),
    ({"type": "transformation_insert_many", "rows": [[HEX, HEX]]}, INSERT_MANY),
    ({"type": "transformation_insert_many", "rows": [[5, HEX, None]]}, INSERT_MANY),
    (
        {"type": "transformation_insert_many", "rows": [[HEX, HEX, None]] * (LIST_LENGTH_MAX + 1)},
        f"More than {LIST_LENGTH_MAX} entries in one request",
    ),
    ({"type": "metadata", "checksum": HEX, "value": RECORD}, METADATA),
    ({"type": "metadata", "checksum": HEX, "result": 5, "value": RECORD}, METADATA),
    ({"type": "metadata", "checksum": HEX, "result": SHORT, "value": RECORD}, "Malformed request"),
    ({"type": "metadata", "checksum": HEX, "result": HEX}, METADATA),
    ({"type": "metadata", "checksum": HEX, "result": HEX, "value": "not json"}, METADATA),
    ({"type": "metadata", "checksum": HEX, "result": HEX, "value": DEEP_TEXT}, METADATA),
    (
        {"type": "metadata", "checksum": HEX, "result": HEX, "value": {**RECORD, "checksum_fields": [""]}},
        METADATA,
    ),
    ({"type": "irreproducible", "checksum": HEX}, "Malformed 'irreproducible' request"),
    ({"type": "irreproducible", "checksum": HEX, "result": "zz"}, "Malformed 'irreproducible' request"),
    ({"type": "irreproducible", "checksum": HEX, "result": 5}, "Malformed request"),
    ({"type": "buffer_info", "checksum": HEX}, BUFFER_INFO),
    ({"type": "buffer_info", "checksum": HEX, "value": {"length": -1}}, BUFFER_INFO),
    ({"type": "buffer_info", "checksum": HEX, "value": {"is_x": 1}}, BUFFER_INFO),
    ({**PAIR, "checksum": HEX}, PUT_PAIR),
    ({**PAIR, "checksum": HEX, "value": HEX}, PUT_PAIR),
    ({**PAIR, "checksum": HEX, "value": ["zz"]}, "Malformed request"),
    ({**PAIR, "checksum": HEX, "value": [HEX], "celltype": None}, "Malformed request"),
    ({**PAIR, "checksum": HEX, "value": [HEX], "celltype": "\ud800"}, "Malformed request"),
    ({**EXPRESSION, "checksum": HEX}, "Malformed expression request"),
    ({**EXPRESSION, "checksum": HEX, "value": "zz"}, "Malformed request"),
    ({**EXPRESSION, "checksum": HEX, "value": HEX, "path": 5}, "Malformed request"),
    ({**EXPRESSION, "checksum": HEX, "value": HEX, "path": ["x" * 100]}, CONSTRAINT),
    ({**EXPRESSION, "checksum": HEX, "value": HEX, "path": [0], "celltype": "text"}, CONSTRAINT),
    ({**EXPRESSION, "checksum": HEX, "value": HEX, "celltype": "t" * 21}, CONSTRAINT),
    ({**PROBE, "bucket_kind": "galaxy"}, PUT_PROBE),
    ({**PROBE, "bucket_kind": 5}, PUT_PROBE),
    ({**PROBE, "label": ""}, PUT_PROBE),
    ({**PROBE, "freshness_tokens": "[]"}, PUT_PROBE),
    ({**PROBE, "captured_at": "\ud800"}, PUT_PROBE),
    ({**PROBE, "bucket_checksum": "zz"}, PUT_PROBE),
    ({**PROBE, "bucket_checksum": SHORT}, "Malformed request"),
]


def _without_dots(body):
    return body if isinstance(body, bytes) else {k: v for k, v in body.items() if v is not ...}


@pytest.mark.provokes("ProtocolRefusal")
@pytest.mark.parametrize(("body", "text"), REFUSED_LOOK_UPS, ids=lambda value: str(value)[:60])
def test_a_malformed_look_up_is_refused_in_the_documented_words(shared, body, text):
    assert shared.ask("GET", _without_dots(body)) == (400, f"ERROR: {text}")


@pytest.mark.parametrize(("body", "text"), REFUSED_WRITES, ids=lambda value: str(value)[:60])
def test_a_malformed_write_is_refused_in_the_documented_words(shared, body, text):
    assert shared.ask("PUT", _without_dots(body)) == (400, f"ERROR: {text}")


@pytest.mark.parametrize(
    "body",
    [
        {"type": "transformation", "checksum": None},
        {**EXPRESSION, "checksum": HEX, "path": 5},
        {**EXPRESSION, "checksum": HEX, "celltype": "t" * 30},
        {**PAIR, "checksum": HEX, "celltype": None},
        {"type": "bucket_probe", "bucket_kind": 5, "label": "\ud800"},
    ],
    ids=str,
)
def test_what_no_row_can_have_is_unknown(shared, body):
    assert shared.ask("GET", body) == UNKNOWN


# Transport


def test_head_is_get_without_a_body(shared, unique):
    tf = unique("tf")
    assert shared.ask("HEAD", {"type": "transformation", "checksum": tf.hex()}) == (404, "")
    shared.put("transformation", tf, value=tf)
    assert shared.ask("HEAD", {"type": "transformation", "checksum": tf.hex()}) == (200, "")
    assert shared.headers["content-length"] == "64"
    assert shared.ask("HEAD", {"type": "export"}) == (200, "")
    assert shared.headers["content-type"] == "application/x-ndjson"


def test_other_methods_are_refused_and_told_which_there_are(shared):
    assert shared.ask("POST", {"type": "protocol"}) == (405, "405: Method Not Allowed")
    assert shared.headers["allow"] == "GET, HEAD, PUT"


def test_a_compressed_body_is_read_and_bounded(shared):
    body = gzip.compress(json.dumps({"type": "protocol"}).encode())
    headers = {"Content-Encoding": "gzip"}
    assert shared.ask("GET", body, **headers) == (200, '["seamless", "database", "2.2"]')
    bomb = gzip.compress(b" " * (65 * 1024 * 1024))
    assert shared.ask("GET", bomb, **headers)[0] == 413
    assert shared.get("protocol")[0] == 200


def test_answers_are_text_of_utf_8(shared):
    shared.get("protocol")
    assert shared.headers["content-type"] == "text/plain; charset=utf-8"


def test_the_identity_names_protocol_and_capabilities(shared):
    shared.http.request("GET", "/healthcheck", headers={"Accept": "application/json"})
    identity = json.loads(shared.http.getresponse().read())
    assert (identity["service"], identity["protocol"]) == ("database", "2.2")
    assert identity["capabilities"] == [
        "export",
        "transformation_insert",
        "transformation_insert_many",
        "transformation_many",
    ]

from __future__ import annotations

import gzip
import json
import os

import pytest
from hashserver.batches import MAX_FETCHED_BYTES
from hashserver.checksums import InvalidData, digest_of, digests_of_list
from hashserver.records import (
    ABSENT,
    BY_ITSELF,
    MAX_BODY_BYTES,
    MAX_RECORDS,
    RecordsMalformed,
    RecordsReader,
    record,
)
from hashserver.testing.client import checksum
from hypothesis import given
from hypothesis import strategies as st

CONTENTS = [b"", b"one", b"two" * 1000, os.urandom(100_000)]


def _digest(content):
    return bytes.fromhex(checksum(content))


def _records(body):
    """Return {digest: content or reason}."""
    found = {}
    while body:
        digest, size = body[:32], int.from_bytes(body[32:40], "big", signed=True)
        found[digest] = size if size < 0 else body[40 : 40 + size]
        body = body[40 + max(size, 0) :]
    return found


# Checksums


@pytest.mark.provokes("InvalidData")
@pytest.mark.parametrize(
    "text", ["", "abc", "g" * 64, " " * 64, "0" * 63 + "\n", "0" * 66, "é" * 64, "0x" + "0" * 62]
)
def test_only_64_hex_digits_are_a_checksum(text):
    with pytest.raises(InvalidData):
        digest_of(text)


@given(st.binary(min_size=32, max_size=32), st.booleans())
def test_every_digest_has_its_text(digest, is_upper):
    text = digest.hex().upper() if is_upper else digest.hex()
    assert digest_of(text) == digest
    assert digests_of_list(json.dumps([text, text]).encode(), "application/json; charset=utf-8") == [
        digest,
        digest,
    ]


@given(st.recursive(st.none() | st.booleans() | st.integers() | st.text(max_size=70), st.lists, max_leaves=5))
def test_any_other_json_is_refused_with_a_reason(value):
    body = json.dumps(value).encode()
    if isinstance(value, list) and all(isinstance(v, str) and len(v) == 64 for v in value):
        return
    with pytest.raises(InvalidData) as caught:
        digests_of_list(body, "application/json")
    assert json.loads(caught.value.body())["message"] == "Invalid data"


@pytest.mark.parametrize(
    "body", [b"[" * 100_000, b"[1" + b"0" * 5000 + b"]", b"\xff", b"[NaN]", b'["\\ud800"]']
)
def test_hostile_json_is_a_bad_request(client, body):
    for method in ("GET", "POST"):
        status, answer, _ = client.ask(method, "/has", body, Content_Type="application/json")
        assert status == 400
        assert json.loads(answer)["message"] == "Invalid data"


# Lists


@pytest.mark.parametrize("method", ["GET", "POST"])
def test_lists_of_any_length(client, method):
    for content in CONTENTS:
        client.put(content)
    names = [checksum(content) for content in [*CONTENTS, b"absent"]] * 600
    assert client.list("has", names, method) == [True, True, True, True, False] * 600
    assert client.list("has-now", names, method) == [True, True, True, True, False] * 600
    assert client.list("buffer-length", names, method) == [0, 3, 3000, 100_000, 0] * 600
    assert client.list("has", [], method) == []


def test_length_of_a_compressed_buffer_without_sidecar_is_counted(client):
    client.place(b"x" * 1000, gzip.compress(b"x" * 1000), ".gz")
    client.place(b"bad", b"no gzip", ".gz")
    assert client.list("buffer-length", [checksum(b"x" * 1000), checksum(b"bad")]) == [1000, 0]


def test_a_list_that_is_too_long_is_refused(client):
    status, body, _ = client.ask(
        "GET", "/has", b"[" + b" " * (17 * 1024 * 1024), Content_Type="application/json"
    )
    assert status == 413
    assert json.loads(body)["error"] == "body_too_large"


# Records


@given(
    st.lists(st.tuples(st.binary(min_size=32, max_size=32), st.binary(max_size=200)), max_size=8),
    st.integers(1, 300),
)
def test_records_come_back_however_the_body_is_cut(items, step):
    body = b"".join(record(digest, content) for digest, content in items)
    reader, found = RecordsReader(), []
    for start in range(0, len(body), step):
        found += reader.feed(body[start : start + step])
    reader.finish()
    assert found == items


def _read(body):
    reader = RecordsReader()
    list(reader.feed(body))
    reader.finish()


@pytest.mark.provokes("RecordsMalformed")
@pytest.mark.parametrize("body", [b"x", record(b"d" * 32, b"content")[:-1], b"d" * 32 + b"\xff" * 8])
def test_a_body_that_is_no_sequence_of_records_is_malformed(body):
    with pytest.raises(RecordsMalformed):
        _read(body)


def test_a_batch_is_stored_and_fetched(client):
    body = b"".join(record(_digest(content), content) for content in CONTENTS)
    status, answer, _ = client.ask("POST", "/buffers", body)
    assert (status, json.loads(answer)) == (200, {"stored": 4})
    assert [client.get(content)[1] for content in CONTENTS] == CONTENTS
    assert client.put(CONTENTS[1]) == (201, b"")
    large, zipped = os.urandom(MAX_FETCHED_BYTES + 1), b"zipped" * 1000
    client.put(large)
    client.put_as(zipped, gzip.compress(zipped), "gzip")
    client.ask("PUT", f"/promise/{checksum(b'promised')}")
    client.place(b"damaged", b"DAMAGED")
    asked = [*CONTENTS, large, zipped, b"promised", b"absent", b"damaged"]
    status, body, headers = client.ask("POST", "/buffers/get", b"".join(map(_digest, asked)))
    assert (status, headers["content-type"]) == (200, "application/octet-stream")
    found = _records(body)
    assert list(found) == [_digest(content) for content in asked]
    assert list(found.values()) == [*CONTENTS, BY_ITSELF, zipped, BY_ITSELF, ABSENT, BY_ITSELF]


def test_a_large_batch_takes_little_memory(client):
    contents = [os.urandom(900_000) for _ in range(60)]
    peak = _peak_kb(client.server.pid)
    body = b"".join(record(_digest(content), content) for content in contents)
    assert client.ask("POST", "/buffers", body)[0] == 200
    found = client.ask("POST", "/buffers/get", b"".join(map(_digest, contents)))[1]
    assert _peak_kb(client.server.pid) - peak < 48_000
    assert list(_records(found).values()) == contents
    more = [*contents, *contents[:20]]  # past 64 MiB
    found = client.ask("POST", "/buffers/get", b"".join(map(_digest, more)))[1]
    assert len(found) < MAX_BODY_BYTES + 2 * MAX_FETCHED_BYTES
    assert found.endswith(record(_digest(contents[19]), BY_ITSELF))


def _peak_kb(pid):
    with open(f"/proc/{pid}/status") as status:
        return next(int(line.split()[1]) for line in status if line.startswith("VmHWM"))


@pytest.mark.invariant("I-128")
def test_a_batch_with_one_wrong_record_acknowledges_nothing(client):
    body = record(_digest(b"good"), b"good") + record(_digest(b"bad"), b"BAD")
    status, answer, _ = client.ask("POST", "/buffers", body)
    assert status == 400
    assert json.loads(answer)["detail"]["checksum"] == checksum(b"bad")
    assert client.list("has-now", [checksum(b"bad")]) == [False]
    assert client.get(b"bad")[0] == 404


@pytest.mark.parametrize(
    ("path", "body", "status", "error"),
    [
        ("/buffers", b"x" * 39, 400, "records_malformed"),
        ("/buffers", record(b"d" * 32, b"") * (MAX_RECORDS + 1), 400, "records_malformed"),
        ("/buffers", b"x" * (MAX_BODY_BYTES + 1), 413, "body_too_large"),
        ("/buffers/get", b"x" * 33, 400, "digests_malformed"),
        ("/buffers/get", b"x" * 32 * (MAX_RECORDS + 1), 413, "body_too_large"),
    ],
    ids=lambda value: value if isinstance(value, str) else None,
)
def test_batches_beyond_the_limits_are_refused(client, path, body, status, error):
    found, answer, _ = client.ask("POST", path, body)
    assert (found, json.loads(answer)["error"]) == (status, error)


def test_empty_batches(client):
    assert client.ask("POST", "/buffers", b"")[1] == b'{"stored": 0}'
    assert client.ask("POST", "/buffers/get", b"")[:2] == (200, b"")


@pytest.mark.parametrize("path", ["/has", "/buffers", "/buffers/get", "/promise/" + "0" * 64, "/" + "0" * 64])
def test_other_methods_are_not_allowed(client, path):
    status, body, headers = client.ask("DELETE", path)
    assert (status, body) == (405, b'{"detail":"Method Not Allowed"}')
    assert headers["allow"]


def test_identity_tells_what_is_offered(serve):
    writable = serve()
    _, body, _ = writable.ask("GET", "/healthcheck", Accept="application/json")
    identity = json.loads(body)
    assert (identity["service"], identity["protocol"]) == ("hashserver", "1.1")
    assert identity["capabilities"] == ["batch-get", "batch-put", "conditional", "post-lists"]
    reader = serve(writable=False)
    _, body, _ = reader.ask("GET", "/healthcheck", Accept="application/json")
    assert json.loads(body)["capabilities"] == ["batch-get", "conditional", "post-lists"]

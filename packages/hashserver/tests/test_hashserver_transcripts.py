"""Replay what was recorded from the reference. Each intended deviation is listed with its reason."""

from __future__ import annotations

import hashlib
import json
import re
import socket
import sys
import threading
import time
from pathlib import Path

import pytest
from seamless_service.testing.service_process import ServiceProcess
from seamless_service.testing.transcripts import (
    content_of,
    differences,
    exchange_bytes,
    load_sessions,
    parse_answer,
    send,
    write_initial_files,
)

VECTORS = Path(__file__).parents[3] / "contracts" / "vectors" / "http_transcripts.json"
SESSIONS = {session.name: session for session in load_sessions(VECTORS, "hashserver")}
HEADERS = ("content-encoding", "content-range", "accept-ranges", "content-disposition", "location")

HEAD = "HEAD is served"
CORS = "no web page is let in unless --cors-origin says so"
TEXT = "the same refusal; Python's words for the position of the wrong character differ"
NO_PATH = "no path of the server in an answer"
TRANSPORT = "the wording of the transport's own refusals"
PREFIX_EXTRA = "extra directories of both layouts are looked at by every route"

# exchange: (status, what the body must hold, reason)
DEVIATIONS: dict[str, tuple[int, bytes, str]] = {
    "hs-rw-prefix-02": (200, b"", HEAD),
    "hs-rw-prefix-11": (200, b"", HEAD),
    "hs-rw-prefix-14": (206, b"Content-Range: bytes 0-1/14\r\n\r\nhe\r\n--", "the boundary is random"),
    "hs-rw-prefix-35": (405, b"Method Not Allowed", CORS),
    "hs-bad-input-05": (400, b"position 0", TEXT),
    "hs-bad-input-26": (400, b'"type":"string_type"', "a number in a list is a bad request, no server error"),
    "hs-bad-input-28": (200, b"[false]", "lists may be sent by POST"),
    "hs-bad-input-32": (400, b"Invalid compressed payload", "a gzip stream that is cut short is refused"),
    "hs-bad-input-33": (400, b"Invalid compressed payload", "bytes after the gzip stream are refused"),
    "hs-bad-input-34": (404, b"Not found", "so nothing was stored"),
    "hs-bad-input-38": (400, b"", TRANSPORT),
    "hs-bad-input-39": (400, b"", TRANSPORT),
    "hs-bad-input-41": (400, b"", TRANSPORT),
    "hs-compressed-19": (200, b"OK", "several gzip members are one stream, as gzip has it"),
    "hs-readonly-05": (400, b"File corruption: ", NO_PATH),
    "hs-readonly-06": (200, b"", HEAD),
    "hs-readonly-07": (200, b"[true,true,true,false]", "a directory is no buffer"),
    "hs-readonly-08": (200, b"[14,7,0,0]", "a directory is no buffer"),
    "hs-readonly-10": (400, b"is not a file", NO_PATH),
    "hs-flat-extra-04": (200, b"[true,true,true]", PREFIX_EXTRA),
    "hs-flat-extra-05": (200, b"[13,15,11]", PREFIX_EXTRA),
}


def _command(session, folder):
    words = [word.replace("$DIR", str(folder)) for word in session.argv[1:]]
    at = words.index("--port")
    return [sys.executable, "-m", "hashserver", *words[:at], *words[at + 2 :]]


def _prepare(session, folder):
    (folder / "b").mkdir(parents=True)
    for entry in write_initial_files(session.initial_files, folder):
        if entry.get("note") == "directory":
            (folder / entry["path"]).mkdir(parents=True)
        else:
            recorded = next(each for each in session.exchanges if each.id == "hs-flat-extra-03")
            (folder / entry["path"]).write_bytes(content_of(recorded.response["body"]))


def _deviates(exchange, answer):
    status, wanted, _ = DEVIATIONS[exchange.id]
    found = []
    if answer.status != status:
        found.append(f"status {answer.status}, meant: {status}")
    if wanted not in answer.body:
        found.append(f"body {answer.body[:300]!r}, meant: {wanted!r}")
    return found


@pytest.mark.parametrize("name", sorted(SESSIONS.keys() - {"hs-concurrent"}))
def test_every_exchange_is_as_recorded_or_differs_as_listed(name, tmp_path):
    session = SESSIONS[name]
    _prepare(session, tmp_path)
    wrong = {}
    with ServiceProcess(_command(session, tmp_path), tmp_path / "launch") as server:
        for exchange in session.exchanges:
            request = exchange_bytes(exchange.request, f"127.0.0.1:{server.port}")
            method = exchange.request.get("method", "GET")
            half_close = "half-closes" in exchange.note
            answer = send("127.0.0.1", server.port, request, method=method, half_close=half_close)
            if exchange.id in DEVIATIONS:
                found = _deviates(exchange, answer)
            else:
                found = differences(exchange.response, answer, headers=HEADERS if answer.status < 300 else ())
            if found:
                wrong[exchange.id] = found
    assert wrong == {}, json.dumps(wrong, indent=1)


def _begun(port, checksum, first_part, length):
    """Begin an upload on a connection of its own."""
    connection = socket.create_connection(("127.0.0.1", port), timeout=30)
    head = f"PUT /{checksum} HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: {length}\r\n\r\n"
    connection.sendall(head.encode() + first_part)
    return connection


def _answer(connection):
    received = b""
    while part := connection.recv(65536):
        received += part
    connection.close()
    return parse_answer(received)


def _until(condition, what):
    deadline = time.monotonic() + 20
    while not condition():
        assert time.monotonic() < deadline, what
        time.sleep(0.01)


class _Concurrent:
    """The overlapping requests of `hs-concurrent`, as its notes tell them."""

    def __init__(self, port):
        self.port = port

    def ask(self, method, path, body=b"", content_type="application/json"):
        head = f"{method} {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Type: {content_type}\r\n"
        return send("127.0.0.1", self.port, f"{head}Content-Length: {len(body)}\r\n\r\n".encode() + body)

    def in_thread(self, *request):
        box = []
        thread = threading.Thread(target=lambda: box.append(self.ask(*request)))
        thread.start()
        return thread, box

    def is_expected(self, checksum):
        return self.ask("GET", "/has", json.dumps([checksum]).encode()).body == b"[true]"

    def n_running(self):
        text = self.ask("GET", "/metrics").body.decode()
        return int(float(re.search(r"^seamless_hashserver_requests_running (\S+)", text, re.MULTILINE)[1]))


@pytest.fixture
def concurrent(tmp_path):
    session = SESSIONS["hs-concurrent"]
    _prepare(session, tmp_path)
    with ServiceProcess(_command(session, tmp_path), tmp_path / "launch") as server:
        yield _Concurrent(server.port)


X = b"x" * 100
X_CHECKSUM = hashlib.sha256(X).hexdigest()
X_LIST = json.dumps([X_CHECKSUM]).encode()


def test_second_upload_is_stored_at_once_and_the_first_one_as_well(concurrent):
    first = _begun(concurrent.port, X_CHECKSUM, X[:40], 100)
    _until(lambda: concurrent.is_expected(X_CHECKSUM), "the first upload is not noticed")  # 02
    assert concurrent.ask("GET", "/has-now", X_LIST).body == b"[false]"  # 03: meant, nothing is stored yet
    second = concurrent.ask("PUT", f"/{X_CHECKSUM}", X)
    assert (second.status, second.body) == (
        200,
        b"OK",
    )  # 01: meant; a 202 would lose it if the first one failed
    first.sendall(X[40:])
    assert (_answer(first).status, concurrent.ask("GET", f"/{X_CHECKSUM}").body) == (200, X)  # 04, 05
    assert concurrent.ask("GET", "/buffer-length", X_LIST).body == b"[100]"


def test_readers_wait_for_an_upload_under_way(concurrent):
    upload = _begun(concurrent.port, X_CHECKSUM, X[:40], 100)
    _until(lambda: concurrent.is_expected(X_CHECKSUM), "the upload is not noticed")
    readers = [
        concurrent.in_thread("GET", f"/{X_CHECKSUM}"),
        concurrent.in_thread("GET", "/buffer-length", X_LIST),
    ]
    _until(
        lambda: concurrent.n_running() >= 4, "the readers do not wait"
    )  # with the upload and this question
    upload.sendall(X[40:])
    assert _answer(upload).body == b"OK"
    for thread, _ in readers:
        thread.join(20)
    assert [box[0].body for _, box in readers] == [X, b"[100]"]  # 05, 06


def test_reader_of_an_upload_that_is_broken_off_hears_404(concurrent):
    upload = _begun(concurrent.port, X_CHECKSUM, X[:40], 100)
    _until(lambda: concurrent.is_expected(X_CHECKSUM), "the upload is not noticed")
    thread, box = concurrent.in_thread("GET", f"/{X_CHECKSUM}")
    _until(lambda: concurrent.n_running() >= 3, "the reader does not wait")
    upload.close()  # 07
    thread.join(20)
    assert (box[0].status, box[0].body) == (404, b"Not found")  # 08


def test_reader_of_a_promised_buffer_waits_for_it(concurrent):
    promised = concurrent.ask("PUT", f"/promise/{X_CHECKSUM}")
    assert (promised.status, json.loads(promised.body)) == (
        202,
        {"checksum": X_CHECKSUM, "expires_in": 600.0},
    )  # 09
    thread, box = concurrent.in_thread("GET", f"/{X_CHECKSUM}")
    _until(lambda: concurrent.n_running() >= 2, "the reader does not wait")
    assert concurrent.ask("PUT", f"/{X_CHECKSUM}", X).status == 200  # 10
    thread.join(20)
    assert box[0].body == X  # 11


def test_locks_of_other_writers_are_waited_for(concurrent, tmp_path):
    directory = tmp_path / "b" / X_CHECKSUM[:2]
    directory.mkdir(mode=0o3775, exist_ok=True)
    lock, file = directory / f"{X_CHECKSUM}.LOCK", directory / X_CHECKSUM
    lock.touch()
    begun = time.monotonic()
    assert concurrent.ask("GET", f"/{X_CHECKSUM}").status == 404  # 12: the time-out of locks is 3 s
    assert 1.5 < time.monotonic() - begun < 10
    for held in (lock, directory / ".LOCK"):  # 13, 14
        held.touch()
        file.write_bytes(X[:7])
        thread, box = concurrent.in_thread("GET", f"/{X_CHECKSUM}")
        _until(lambda: concurrent.n_running() >= 2, "the reader does not wait")
        file.write_bytes(X)
        held.unlink()
        thread.join(20)
        assert box[0].body == X
        file.unlink()


def test_deviations_name_recorded_exchanges():
    recorded = {exchange.id for session in SESSIONS.values() for exchange in session.exchanges}
    assert set(DEVIATIONS) <= recorded

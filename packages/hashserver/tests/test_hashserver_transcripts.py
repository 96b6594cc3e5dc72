"""Replay what was recorded from the reference. Each intended deviation is listed with its reason."""

from __future__ import annotations

import contextlib
import json
import socket
import sys
from pathlib import Path

import pytest
from seamless_service.testing.service_process import ServiceProcess
from seamless_service.testing.transcripts import (
    content_of,
    differences,
    exchange_bytes,
    load_sessions,
    parse_answer,
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
    "hs-rw-prefix-37": (400, b"Invalid data", "there is no web framework whose pages could be served"),
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


def _send(port, request, *, method, half_close):
    received = b""
    with socket.create_connection(("127.0.0.1", port), timeout=30) as connection:
        connection.sendall(request)
        if half_close:
            connection.shutdown(socket.SHUT_WR)
        with contextlib.suppress(ConnectionResetError):
            while part := connection.recv(1 << 20):
                received += part
    return parse_answer(received, method)


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
            answer = _send(server.port, request, method=method, half_close=half_close)
            if exchange.id in DEVIATIONS:
                found = _deviates(exchange, answer)
            else:
                found = differences(exchange.response, answer, headers=HEADERS if answer.status < 300 else ())
            if found:
                wrong[exchange.id] = found
    assert wrong == {}, json.dumps(wrong, indent=1)


def test_deviations_name_recorded_exchanges():
    recorded = {exchange.id for session in SESSIONS.values() for exchange in session.exchanges}
    assert set(DEVIATIONS) <= recorded

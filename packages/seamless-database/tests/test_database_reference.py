"""The reference's server and ours on one file, one after the other.

Needs the reference in `.bench/reference-venv`, which `make bench` makes.
"""

from __future__ import annotations

import contextlib
import http.client
import json
import os
import socket
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

REFERENCE = Path(__file__).parents[3] / ".bench" / "reference-venv" / "bin" / "seamless-database"

pytestmark = [
    pytest.mark.reference,
    pytest.mark.timeout(120),
    pytest.mark.skipif(
        not REFERENCE.exists(),
        reason="the reference implementation is not installed here; 'make bench' does it",
    ),
]


@contextlib.contextmanager
def reference_server(file: Path, home: Path) -> Iterator[int]:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    environ = {"HOME": str(home), "PATH": os.environ["PATH"]}
    command = [str(REFERENCE), "--writable", "--host", "127.0.0.1", "--port", str(port), str(file)]
    process = subprocess.Popen(command, env=environ, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        deadline = time.monotonic() + 30
        while True:
            with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
                break
            assert process.poll() is None
            assert time.monotonic() < deadline
            time.sleep(0.02)
        yield port
    finally:
        process.terminate()
        process.wait(20)


def ask(port: int, method: str, request: dict[str, object]) -> tuple[int, str]:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
    try:
        connection.request(method, "/", json.dumps(request))
        answer = connection.getresponse()
        return answer.status, answer.read().decode()
    finally:
        connection.close()


def writes(unique) -> list[dict[str, object]]:
    tf, result, other = (unique(label).hex() for label in ("tf", "result", "other"))
    contested = unique("contested").hex()
    record = {"schema_version": 1, "tf_checksum": contested, "result_checksum": result, "hostname": "é"}
    return [
        {"type": "transformation", "checksum": tf, "value": other},
        {"type": "transformation", "checksum": tf, "value": result},
        {"type": "transformation", "checksum": tf, "value": result},
        {"type": "metadata", "checksum": contested, "result": result, "value": record},
        {"type": "irreproducible", "checksum": contested, "result": result},
        {"type": "metadata", "checksum": other, "result": result, "value": record | {"tf_checksum": other}},
        {"type": "buffer_info", "checksum": tf, "value": {"length": 3, "shape": [1, 2], "x": "é"}},
        {"type": "buffer_info", "checksum": tf, "value": {"is_json": True, "length": 4}},
        {
            "type": "semantic_to_syntactic",
            "checksum": tf,
            "celltype": "python",
            "subcelltype": "module",
            "value": [result, other],
        },
        {
            "type": "expression",
            "checksum": tf,
            "path": ["é", 0],
            "celltype": "mixed",
            "target_celltype": "int",
            "value": result,
        },
        {
            "type": "bucket_probe",
            "bucket_kind": "node",
            "label": "é",
            "bucket_checksum": result,
            "captured_at": "now",
            "freshness_tokens": {"b": 1, "a": "é"},
        },
    ]


def look_ups(unique) -> list[dict[str, object]]:
    tf, result, other = (unique(label).hex() for label in ("tf", "result", "other"))
    expression = {"path": ["é", 0], "celltype": "mixed", "target_celltype": "int"}
    return [
        {"type": "transformation", "checksum": tf},
        {"type": "metadata", "checksum": other},
        {"type": "irreproducible", "checksum": unique("contested").hex()},
        {"type": "buffer_info", "checksum": tf},
        *(
            {"type": type, "checksum": checksum, "celltype": "python", "subcelltype": "module"}
            for type, checksum in (("semantic_to_syntactic", tf), ("syntactic_to_semantic", other))
        ),
        {"type": "expression", "checksum": tf, **expression},
        {"type": "rev_expression", "checksum": result},
        {"type": "bucket_probe", "bucket_kind": "node", "label": "é"},
    ]


def test_a_file_that_the_reference_made_is_served_with_the_same_answers(launch, path, tmp_path, unique):
    with reference_server(path, tmp_path) as port:
        for request in writes(unique):
            assert ask(port, "PUT", request) == (200, "OK")
        expected = [ask(port, "GET", request) for request in look_ups(unique)]
    assert [status for status, _ in expected] == [200] * len(expected)
    server = launch(path, "--writable")
    assert [ask(server.port, "GET", request) for request in look_ups(unique)] == expected
    reverse = ask(server.port, "GET", {"type": "rev_transformations", "checksum": unique("result").hex()})
    assert reverse == (200, json.dumps([unique("tf").hex(), unique("other").hex()]))  # no double, no stale


def test_a_file_that_we_made_is_served_by_the_reference_with_the_same_answers(launch, path, tmp_path, unique):
    server = launch(path, "--writable")
    for request in writes(unique):
        assert ask(server.port, "PUT", request) == (200, "OK")
    asked = [*look_ups(unique), {"type": "rev_transformations", "checksum": unique("result").hex()}]
    expected = [ask(server.port, "GET", request) for request in asked]
    assert [status for status, _ in expected] == [200] * len(expected)
    assert server.stop() == 0
    with reference_server(path, tmp_path) as port:
        assert [ask(port, "GET", request) for request in asked] == expected


def test_cells_are_the_same_text_whoever_writes_them(launch, path, tmp_path, unique, rows_of):
    tables = (
        "transformation",
        "buffer_info",
        "syntactic_to_semantic",
        "expression",
        "meta_data",
        "bucket_probe",
    )
    with reference_server(tmp_path / "reference.db", tmp_path) as port:
        for request in writes(unique):
            ask(port, "PUT", request)
    server = launch(path, "--writable")
    for request in writes(unique):
        ask(server.port, "PUT", request)
    server.stop()
    for table in (*tables, "irreproducible_transformation"):
        query = f"SELECT * FROM {table} ORDER BY rowid"
        assert rows_of(path, query) == rows_of(tmp_path / "reference.db", query)

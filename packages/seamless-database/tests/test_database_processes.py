"""The server among other processes: kills, other servers, embedded caches, other users, long streams."""

from __future__ import annotations

import http.client
import json
import os
import re
import signal
import socket
import sqlite3
import subprocess
import sys
import threading
from pathlib import Path

import pytest
from seamless_service.testing.service_process import ServiceProcess
from seamless_store.results_database import ResultRow, ResultsDatabase

NOBODY = 65534


def ask(port: int, method: str, **request: object) -> tuple[int, str]:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
    try:
        connection.request(method, "/", json.dumps(request))
        answer = connection.getresponse()
        return answer.status, answer.read().decode()
    finally:
        connection.close()


def in_threads(n: int, work) -> None:
    threads = [threading.Thread(target=work, args=(number,)) for number in range(n)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


# Durability


@pytest.mark.invariant("I-141")
def test_every_write_that_was_acknowledged_before_a_kill_is_there(launch, connect, path, unique):
    server = launch(path, "--writable")
    result = unique("result")
    acknowledged: list[bytes] = []
    enough = threading.Event()

    def write(number: int) -> None:
        client = connect(server)
        try:
            for n in range(100_000):
                one, two = unique((number, n)), unique((number, n, "many"))
                assert client.put("transformation_insert", one, value=result) == (200, result.hex())
                acknowledged.append(one)
                rows = [[two.hex(), result.hex(), None]]
                assert client.put("transformation_insert_many", rows=rows)[0] == 200
                acknowledged.append(two)
                if len(acknowledged) > 300:
                    enough.set()
        except (OSError, http.client.HTTPException):
            return

    killer = threading.Thread(target=lambda: (enough.wait(50), server.kill()))
    killer.start()
    in_threads(8, write)
    killer.join()
    assert len(acknowledged) > 300
    with ResultsDatabase(path) as database:
        assert database.transformation_many(acknowledged) == [result] * len(acknowledged)
        assert database.rev_transformations(result)[: len(acknowledged)]


def test_concurrent_writes_share_transactions_and_each_gets_its_own_answer(launch, connect, path, unique):
    server = launch(path, "--writable")
    standing = unique("standing")
    taken = [unique(("taken", n)) for n in range(16)]
    rows = [[tf.hex(), standing.hex(), None] for tf in taken]
    assert connect(server).put("transformation_insert_many", rows=rows)[0] == 200
    wrong = []

    def write(number: int) -> None:
        client = connect(server)
        for n in range(20):
            own = unique((number, n))
            answers = [
                client.put("transformation_insert", own, value=own),
                client.put("transformation_insert", taken[number], value=own),
                client.put("irreproducible", taken[number], result=own),
            ]
            expected = [
                (200, own.hex()),
                (200, standing.hex()),
                (404, "ERROR: Transformation does not have the irreproducible result"),
            ]
            wrong.extend([] if answers == expected else [answers])

    in_threads(16, write)
    assert wrong == []
    metrics = server.get("/metrics")[1].decode()
    (n_transactions,) = re.findall(r"^seamless_database_transactions (\S+)$", metrics, re.MULTILINE)
    assert 0 < float(n_transactions) < 16 * 20 * 3


@pytest.mark.invariant("I-143")
def test_the_first_result_stands_for_two_servers_and_an_embedded_process(launch, path, unique):
    servers = [launch(path, "--writable") for _ in range(2)]
    tfs = [unique(n) for n in range(60)]
    told: dict[int, list[bytes]] = {}

    def insert_through(number: int) -> None:
        own = unique(("result of", number))
        told[number] = []
        for tf in tfs:
            status, text = ask(
                servers[number % 2].port,
                "PUT",
                type="transformation_insert",
                checksum=tf.hex(),
                value=own.hex(),
            )
            assert status == 200
            told[number].append(bytes.fromhex(text))

    def insert(number: int) -> None:
        if number < 4:
            insert_through(number)
        else:
            own = unique(("result of", number))
            with ResultsDatabase(path) as database:
                told[number] = [database.insert_results([ResultRow(tf, own)])[0] for tf in tfs]

    in_threads(5, insert)
    with ResultsDatabase(path) as database:
        stored = database.transformation_many(tfs)
    assert [told[number] for number in range(5)] == [stored] * 5
    for server in servers:
        assert server.stop() == 0


# Streams


@pytest.mark.slow
@pytest.mark.timeout(180)
@pytest.mark.invariant("I-144")
def test_an_export_of_many_rows_takes_little_memory_while_others_write(launch, connect, path, unique):
    n_rows = 200_000
    result = unique("result")
    with ResultsDatabase(path) as database:
        for start in range(0, n_rows, 4000):
            database.insert_results([ResultRow(unique(n), result) for n in range(start, start + 4000)])
    server = launch(path, "--writable")
    client = connect(server)
    client.get("transformation", unique(1))
    Path(f"/proc/{server.pid}/clear_refs").write_text("5")
    before = _resident_mib(server.pid, "VmRSS")
    ended = threading.Event()
    written = []

    def write() -> None:
        writer = connect(server)
        while not ended.is_set():
            tf = unique(("new", len(written)))
            assert writer.put("transformation", tf, value=result) == (200, "OK")
            written.append(tf)

    thread = threading.Thread(target=write)
    thread.start()
    client.http.request("GET", "/", json.dumps({"type": "export"}))
    answer = client.http.getresponse()
    assert answer.getheader("Content-Type") == "application/x-ndjson"
    lines = list(answer)
    ended.set()
    thread.join()
    assert json.loads(lines[0]) == [unique(0).hex(), result.hex()]
    assert json.loads(lines[n_rows - 1]) == [unique(n_rows - 1).hex(), result.hex()]
    assert len(set(lines)) == len(lines) >= n_rows
    assert written
    assert _resident_mib(server.pid, "VmHWM") - before < 20  # the answer has 27 MB


def _resident_mib(pid: int, field: str) -> float:
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return next(int(line.split()[1]) / 1024 for line in lines if line.startswith(field + ":"))


def test_an_empty_database_exports_nothing(launch, connect, path):
    assert connect(launch(path, "--writable")).get("export") == (200, "")


@pytest.mark.slow
@pytest.mark.invariant("I-148")
def test_an_export_that_cannot_be_completed_does_not_end_as_if_it_were_whole(launch, path, unique, locked):
    with ResultsDatabase(path) as database:
        for start in range(0, 60_000, 10_000):
            rows = [ResultRow(unique(n), unique(0)) for n in range(start, start + 10_000)]
            database.insert_results(rows, chunk=10_000)
    server = launch(path, "--busy-timeout", "0.2")  # nothing is written: a lock shuts readers out
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=30)
    connection.sock = socket.socket()
    connection.sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 16)  # so that the server has to wait
    connection.sock.connect(("127.0.0.1", server.port))
    connection.request("GET", "/", json.dumps({"type": "export"}))
    answer = connection.getresponse()
    assert (answer.status, len(answer.read(1000))) == (200, 1000)
    with locked(path), pytest.raises((http.client.IncompleteRead, ConnectionError)):
        answer.read()
    connection.close()
    assert "export cut off" in server.log()
    assert ask(server.port, "GET", type="transformation", checksum=unique(1).hex())[0] == 200


def test_a_client_that_leaves_in_the_middle_of_an_export_disturbs_nobody(launch, connect, path, unique):
    with ResultsDatabase(path) as database:
        database.insert_results([ResultRow(unique(n), unique(0)) for n in range(40_000)], chunk=40_000)
    server = launch(path, "--writable")
    body = b'{"type": "export"}'
    request = b"GET / HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n%s" % (len(body), body)
    with socket.create_connection(("127.0.0.1", server.port)) as leaver:
        leaver.sendall(request)
        assert leaver.recv(100).startswith(b"HTTP/1.1 200")
    assert connect(server).put("transformation", unique("a"), value=unique("b")) == (200, "OK")
    assert server.stop() == 0
    assert "Traceback" not in server.log()


# Starting and ending


def failed_start(folder: Path, *arguments: str) -> dict[str, object]:
    """Start a server that cannot start; return its status file."""
    process = ServiceProcess([sys.executable, "-m", "seamless_database", *arguments], folder)
    process.launch()
    assert process.wait() == 1
    return process.state()


def make_file(path: Path, content) -> None:
    """Make a file of these bytes, or with this table, or as this function changes a good one."""
    if isinstance(content, bytes):
        path.write_bytes(content)
    elif isinstance(content, str):
        connection = sqlite3.connect(path)
        connection.execute(content)
        connection.close()
    elif content is not None:
        with ResultsDatabase(path) as database:
            database.insert_results([ResultRow(bytes(32), bytes(32))])
        path.write_bytes(content(path.read_bytes()))


@pytest.mark.invariant("I-145")
@pytest.mark.parametrize(
    ("content", "options", "cause", "hint"),
    [
        (None, (), "There is no results database", "writable"),
        (b"this is no database " * 500, ("--writable",), "is not an SQLite database", "restore"),
        (lambda good: good[:4096] + b"\xff" * (len(good) - 4096), (), "is damaged", "restore a backup"),
        (
            "CREATE TABLE transformation (a, b)",
            ("--writable",),
            "has the columns (a, b)",
            "version of Seamless",
        ),
    ],
    ids=["missing", "another kind of file", "damaged", "another schema"],
)
def test_why_a_server_does_not_start_is_in_its_status_file(path, tmp_path, content, options, cause, hint):
    make_file(path, content)
    before = path.read_bytes() if path.exists() else None
    state = failed_start(tmp_path / "server", *options, str(path))
    assert state["status"] == "failed"
    assert cause in state["error"]["message"]
    assert hint in state["error"]["hint"]
    assert (path.read_bytes() if path.exists() else None) == before


def test_a_taken_port_is_in_the_status_file(path, tmp_path):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        state = failed_start(tmp_path / "server", "--writable", "--port", port, str(path))
    assert state["status"] == "failed"
    assert port in state["error"]["message"]


def test_a_locked_file_is_in_the_status_file_with_who_locks_it(path, tmp_path, locked):
    with ResultsDatabase(path) as database:
        database.open()
    with locked(path) as pid:
        state = failed_start(tmp_path / "server", "--writable", "--busy-timeout", "0.3", str(path))
    assert state["status"] == "failed"
    assert f"pid {pid}" in state["error"]["message"]


def test_wrong_usage_is_in_the_status_file(path, tmp_path):
    process = ServiceProcess(
        [sys.executable, "-m", "seamless_database", "--nonsense", str(path)], tmp_path / "s"
    )
    process.launch()
    assert process.wait() == 2
    assert process.state()["status"] == "failed"
    assert "--nonsense" in process.state()["error"]["message"]


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP], ids=lambda n: n.name)
def test_a_signal_ends_it_cleanly_and_leaves_one_plain_file(launch, connect, path, unique, number):
    server = launch(path, "--writable")
    assert connect(server).put("transformation", unique("a"), value=unique("b")) == (200, "OK")
    assert server.stop(number) == 0
    assert [p.name for p in path.parent.glob("seamless.db*")] == ["seamless.db"]
    assert f"DATABASE FILE {path}\nPress Ctrl+C to end\n" in server.log()


def test_a_server_with_a_token_serves_only_those_who_know_it(launch, path):
    server = launch(path, "--writable", token="a-token-of-the-tests")
    assert ask(server.port, "GET", type="protocol")[0] == 401
    assert server.get("/healthcheck") == (200, b"OK")
    assert b"seamless_database_transactions 0" in server.get("/metrics")[1]


# Reading only


def test_a_server_for_reading_answers_and_refuses_every_write(launch, connect, path, unique):
    tf, result = unique("tf"), unique("result")
    with ResultsDatabase(path) as database:
        database.insert_results([ResultRow(tf, result)])
    before = path.read_bytes()
    server = launch(path)
    client = connect(server)
    refused = (405, "ERROR: Database server is read-only")
    assert client.get("transformation", tf) == (200, result.hex())
    assert client.put("transformation", tf, value=tf) == refused
    assert client.ask("PUT", b"junk") == refused
    assert client.headers["allow"] == "GET, HEAD"
    assert client.get("export") == (200, json.dumps([tf.hex(), result.hex()]) + "\n")
    server.stop()
    assert path.read_bytes() == before


def test_a_server_for_reading_sees_what_another_one_writes(launch, connect, path, unique):
    writer = connect(launch(path, "--writable"))
    writer.put("transformation", unique("a"), value=unique("b"))
    reader = connect(launch(path))
    writer.put("transformation", unique("c"), value=unique("d"))
    assert reader.get("transformation", unique("a")) == (200, unique("b").hex())
    assert reader.get("transformation", unique("c")) == (200, unique("d").hex())


AS_NOBODY = """
import os, socket, sys
import encodings.ascii, encodings.idna, encodings.latin_1
import apsw, importlib.metadata, seamless_database.server, seamless_service.run, uvloop
importlib.metadata.version("seamless-database")  # before it loses access to the interpreter's directory
socket.getaddrinfo("127.0.0.1", None)
os.setgroups([]); os.setgid(65534); os.setuid(65534)
import seamless_database.command_line
sys.exit(seamless_database.command_line.main(sys.argv[1:]))
"""


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root, to become a user without permissions")
@pytest.mark.parametrize("journal", ["delete", "wal"])
def test_the_file_of_another_user_is_served_for_reading(tmp_path, path, unique, journal):
    folder = tmp_path / "cache"
    folder.mkdir()
    file = folder / "seamless.db"
    with ResultsDatabase(file) as database:
        database.insert_results([ResultRow(unique("tf"), unique("result"))])
    connection = sqlite3.connect(file)
    connection.execute(f"PRAGMA journal_mode={journal}")
    connection.close()
    file.chmod(0o444)
    folder.chmod(0o555)
    own = tmp_path / "own"
    own.mkdir()
    os.chown(own, NOBODY, NOBODY)
    for parent in [tmp_path, *tmp_path.parents[:2]]:
        parent.chmod(0o755)
    command = [sys.executable, "-c", AS_NOBODY, str(file)]
    process = ServiceProcess(command, own)
    process.launch()
    os.chown(process.status_path, NOBODY, NOBODY)
    try:
        process.wait_for_status("running")
        port = process.state()["port"]
        found = ask(port, "GET", type="transformation", checksum=unique("tf").hex())
        assert found == (200, unique("result").hex())
        assert ask(port, "PUT", type="transformation")[0] == 405
        assert process.stop() == 0
    finally:
        process.kill()
    # And a server that is to write it does not start.
    process = ServiceProcess([sys.executable, "-c", AS_NOBODY, "--writable", str(file)], own, key="second")
    process.launch()
    os.chown(process.status_path, NOBODY, NOBODY)
    assert process.wait() == 1
    assert "may not write" in process.state()["error"]["message"]


# A full disk


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root, to mount a small file system")
def test_a_full_disk_is_507_and_heals(launch, connect, tmp_path, unique):
    mount = tmp_path / "small"
    mount.mkdir()
    done = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=1m", "seamless-test", mount], capture_output=True, text=True
    )
    if done.returncode != 0:
        pytest.skip(f"this machine lets nobody mount: {done.stderr.strip()}")
    try:
        server = launch(mount / "seamless.db", "--writable")
        client = connect(server)
        result = unique("result")
        assert client.put("transformation", unique("first"), value=result) == (200, "OK")
        filler = mount / "filler"
        with pytest.raises(OSError, match="No space"):
            filler.write_bytes(bytes(2 << 20))
        rows = [[unique(n).hex(), result.hex(), None] for n in range(5000)]
        status, text = client.put("transformation_insert_many", rows=rows)
        assert status == 507
        assert json.loads(text)["error"] == "database_full"
        assert str(tmp_path) not in text
        assert client.get("transformation", unique("first")) == (200, result.hex())
        filler.unlink()
        assert client.put("transformation", unique("last"), value=result) == (200, "OK")
        assert server.stop() == 0
    finally:
        subprocess.run(["umount", "--lazy", mount], check=True)

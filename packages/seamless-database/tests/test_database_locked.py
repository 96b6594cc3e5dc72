"""A file that another program keeps locked: who waits, for how long, and what he is told."""

from __future__ import annotations

import http.client
import json
import threading
import time

import pytest
from seamless_store.key_claims import KeyClaims
from seamless_store.results_database import ResultRow, ResultsDatabase

BUSY_S = "2"
AT_ONCE_S = 1.0  # far above what an answer takes, far below what a locked request waits


class Asked:
    """A request that waits in a thread of its own. answer: (status, text, headers)."""

    def __init__(self, port: int, method: str, **request: str) -> None:
        self.answer: tuple[int, str, dict[str, str]] | None = None
        self._port = port
        self._thread = threading.Thread(target=self._ask, args=(method, json.dumps(request)), daemon=True)
        self._thread.start()

    def _ask(self, method: str, body: str) -> None:
        connection = http.client.HTTPConnection("127.0.0.1", self._port, timeout=30)
        connection.request(method, "/", body)
        answer = connection.getresponse()
        headers = {name.lower(): value for name, value in answer.getheaders()}
        self.answer = (answer.status, answer.read().decode(), headers)
        connection.close()

    def is_waiting(self) -> bool:
        return self._thread.is_alive()

    def result(self) -> tuple[int, str, dict[str, str]]:
        self._thread.join(30)
        assert self.answer is not None
        return self.answer


def seconds_of(call) -> float:
    start = time.monotonic()
    assert call()[0] == 200
    return time.monotonic() - start


def assert_names_the_locker(answer, pid, path) -> None:
    status, text, headers = answer
    assert (status, headers["content-type"]) == (503, "application/json; charset=utf-8") or status == 503
    error = json.loads(text)
    assert error["error"] == "database_locked"
    assert error["detail"]["pids"] == [pid]
    assert f"pid {pid}" in error["message"]
    assert int(headers["retry-after"]) > 0
    assert str(path.parent) not in text


@pytest.fixture
def stored(path, unique):
    """A plain file with one result: (transformation, result)."""
    tf, result = unique("tf"), unique("result")
    with ResultsDatabase(path) as database:
        database.insert_results([ResultRow(tf, result)])
    return tf, result


@pytest.mark.invariant("I-140")
@pytest.mark.provokes("DeadlinePassed")
def test_locked_in_the_rollback_journal_nothing_but_the_waiting_requests_stands_still(
    launch, connect, path, stored, locked, unique
):
    tf, result = stored
    server = launch(path, "--writable", "--busy-timeout", BUSY_S)
    client = connect(server)
    with locked(path) as pid:
        write = Asked(
            server.port, "PUT", type="transformation", checksum=unique("new").hex(), value=result.hex()
        )
        look_ups = [Asked(server.port, "GET", type="transformation", checksum=tf.hex()) for _ in range(20)]
        latencies = []
        while write.is_waiting() or any(look_up.is_waiting() for look_up in look_ups):
            latencies.append(seconds_of(server.get))
            latencies.append(seconds_of(lambda: client.get("protocol")))
        assert max(latencies) < AT_ONCE_S
        for waited in (write, *look_ups):
            assert_names_the_locker(waited.result(), pid, path)
    assert client.get("transformation", tf) == (200, result.hex())
    assert client.put("transformation", unique("new"), value=result) == (200, "OK")


@pytest.mark.invariant("I-140")
def test_locked_in_the_wal_look_ups_go_on_and_writes_say_who_locks(
    launch, connect, path, stored, locked, unique
):
    tf, result = stored
    server = launch(path, "--writable", "--busy-timeout", BUSY_S)
    client = connect(server)
    assert client.put("transformation", unique("first"), value=result) == (200, "OK")  # makes it a WAL file
    with locked(path) as pid:
        writes = [
            Asked(server.port, "PUT", type="transformation", checksum=unique(n).hex(), value=result.hex())
            for n in range(20)
        ]
        latencies = []
        while any(write.is_waiting() for write in writes):
            latencies.append(seconds_of(lambda: client.get("transformation", tf)))
            latencies.append(seconds_of(lambda: client.get("rev_transformations", result)))
            latencies.append(seconds_of(server.get))
        assert max(latencies) < AT_ONCE_S
        for write in writes:
            assert_names_the_locker(write.result(), pid, path)
    assert client.put("transformation", unique("last"), value=result) == (200, "OK")


def test_a_request_that_is_freed_in_time_is_answered(launch, path, stored, locked):
    tf, result = stored
    server = launch(path, "--writable", "--busy-timeout", "20")
    with locked(path):
        look_up = Asked(server.port, "GET", type="transformation", checksum=tf.hex())
        write = Asked(server.port, "PUT", type="transformation", checksum=result.hex(), value=tf.hex())
        assert server.get()[0] == 200
        assert look_up.is_waiting()
        assert write.is_waiting()
    assert look_up.result()[:2] == (200, result.hex())
    assert write.result()[:2] == (200, "OK")


@pytest.mark.invariant("I-140")
def test_a_key_that_another_process_has_claimed_holds_up_nobody_else(launch, connect, path, stored, unique):
    _, result = stored
    server = launch(path, "--writable", "--busy-timeout", "20")
    client = connect(server)
    claimed = unique("claimed")
    with KeyClaims(path).open() as claims:
        assert claims.try_claim(claimed)
        waiting = Asked(server.port, "PUT", type="transformation", checksum=claimed.hex(), value=result.hex())
        latencies = [
            seconds_of(lambda n=n: client.put("transformation", unique(n), value=result)) for n in range(50)
        ]
        assert max(latencies) < AT_ONCE_S
        assert waiting.is_waiting()
        assert client.get("transformation", claimed)[0] == 404
    assert waiting.result()[:2] == (200, "OK")
    assert client.get("transformation", claimed) == (200, result.hex())

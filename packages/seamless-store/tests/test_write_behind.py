"""The queue before buffer directory and database: final at once, durable soon, never out of order."""

from __future__ import annotations

import fcntl
import hashlib
import json
import sqlite3
import subprocess
import sys
import textwrap
import threading
import time
from pathlib import Path

import pytest
from seamless_store import write_batch
from seamless_store.buffer_directory import BufferDirectory
from seamless_store.database_errors import (
    DatabaseArgumentInvalid,
    DatabaseLocked,
    DatabaseReadOnly,
    WriteBehindClosed,
    WriteBehindFailed,
)
from seamless_store.errors import InvalidDigest, StoreFull
from seamless_store.results_database import ResultRow, ResultsDatabase
from seamless_store.write_behind import WriteBehind


def digest(label: object) -> bytes:
    return hashlib.sha256(str(label).encode()).digest()


def buffer(text: str) -> tuple[bytes, list[bytes]]:
    return hashlib.sha256(text.encode()).digest(), [text.encode()]


TF, OTHER_TF, RESULT, OTHER_RESULT = map(digest, ("tf", "other tf", "result", "other result"))


def wait_for(condition, deadline_s=10.0):
    deadline = time.monotonic() + deadline_s
    while not condition():
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(0.001)


class FakeDirectory:
    """Remembers what was published, and how many results were in the database at that moment."""

    def __init__(self, database: ResultsDatabase) -> None:
        self.database = database
        self.published: dict[bytes, bytes] = {}
        self.rows_before: list[int] = []
        self.failures: list[Exception] = []
        self.gate = threading.Event()
        self.gate.set()

    def publish(self, items, *, verified=False):
        assert verified
        self.gate.wait(10)
        if self.failures:
            raise self.failures.pop(0)
        self.rows_before.append(self.database.count())
        self.published.update((key, b"".join(parts)) for key, parts in items)


@pytest.fixture
def path(tmp_path):
    return tmp_path / "seamless.db"


@pytest.fixture
def database(path):
    with ResultsDatabase(path, busy_timeout_s=10) as opened:
        yield opened


@pytest.fixture
def directory(database):
    return FakeDirectory(database)


@pytest.fixture
def queue(directory, database, monkeypatch):
    monkeypatch.setattr(write_batch, "ATTEMPT_PAUSE_S", 0.001)
    made = WriteBehind(directory, database, timeout_s=10)
    yield made
    directory.gate.set()
    directory.failures.clear()
    made.close()


def test_what_was_put_is_seen_at_once_and_durable_after_flush(queue, directory, database):
    directory.gate.clear()
    key, parts = buffer("content")
    assert queue.put(TF, RESULT, buffers=[(key, parts)]) == RESULT
    assert queue.result(TF) == RESULT
    assert queue.pending(key) is parts
    assert database.transformation(TF) is None
    directory.gate.set()
    queue.flush()
    assert database.transformation(TF) == RESULT
    assert directory.published == {key: b"content"}
    assert queue.pending(key) is None
    assert queue.result(TF) == RESULT


def test_what_was_put_becomes_durable_without_being_asked(queue, database):
    queue.put(TF, RESULT)
    wait_for(lambda: database.transformation(TF) == RESULT)


@pytest.mark.invariant("I-43")
def test_buffers_are_published_before_the_rows_that_name_them(queue, directory, database):
    for i in range(5):
        queue.put(digest(i), digest(("r", i)), buffers=[buffer(f"content {i}")])
        queue.flush()
    assert directory.rows_before == [0, 1, 2, 3, 4]
    assert database.count() == 5


def test_many_puts_share_few_batches(queue, directory, database):
    for i in range(500):
        queue.put(digest(i), digest(("r", i)), buffers=[buffer(f"content {i}")])
    queue.close()
    assert database.count() == 500
    assert len(directory.published) == 500
    assert len(directory.rows_before) < 100


def test_the_first_of_two_puts_wins_in_the_same_process(queue):
    conflicts: list[tuple[bytes, bytes, bytes]] = []
    queue._on_conflict = lambda *args: conflicts.append(args)
    assert queue.put(TF, RESULT) == RESULT
    assert queue.put(TF, OTHER_RESULT) == RESULT
    assert queue.put(TF, RESULT) == RESULT
    assert queue.conflicts == 1
    assert conflicts == [(TF, OTHER_RESULT, RESULT)]


def test_a_stored_result_wins_and_the_losers_buffers_are_dropped(queue, directory, database):
    database.insert_results([ResultRow(TF, RESULT)])
    assert queue.put(TF, OTHER_RESULT, buffers=[buffer("loser")]) == RESULT
    queue.flush()
    assert directory.published == {}
    assert queue.conflicts == 1


def test_a_missing_buffer_or_record_of_a_stored_result_is_added(queue, directory, database):
    database.insert_results([ResultRow(TF, RESULT)])
    assert queue.put(TF, RESULT, buffers=[buffer("again")], record='{"a":1}') == RESULT
    queue.flush()
    assert list(directory.published.values()) == [b"again"]
    assert database.metadata(TF) == '{"a":1}'


def test_a_stored_result_is_returned_though_another_process_has_claimed_it(queue, directory, database):
    database.insert_results([ResultRow(TF, RESULT)])
    with database.claims.open() as claims:
        assert claims.try_claim(TF)
        assert queue.put(TF, RESULT, buffers=[buffer("b")]) == RESULT
        queue.flush()
    assert buffer("b")[0] in directory.published


def test_a_stored_result_stays_unclaimed_while_its_buffers_are_written(queue, directory, database):
    database.insert_results([ResultRow(TF, RESULT)])
    directory.gate.clear()
    assert queue.put(TF, RESULT, buffers=[buffer("b")]) == RESULT
    with database.claims.open() as claims:
        assert claims.try_claim(TF)
    directory.gate.set()


def test_a_flush_makes_a_result_durable_that_another_process_has_only_committed(queue, database, monkeypatch):
    database.insert_results([ResultRow(TF, RESULT)])
    syncs = []
    monkeypatch.setattr(database, "sync", lambda: syncs.append(1))
    assert queue.put(TF, OTHER_RESULT) == RESULT
    queue.flush()
    queue.flush()
    assert syncs == [1]


def test_buffers_alone_can_be_put(queue, directory, database):
    queue.put_buffers([buffer("one"), buffer("two")])
    queue.flush()
    assert sorted(directory.published.values()) == [b"one", b"two"]


def test_threads_that_put_the_same_key_agree(queue, database):
    start = threading.Barrier(6)
    winners: list[tuple[int, bytes]] = []

    def work(number: int) -> None:
        start.wait()
        for i in range(50):
            winners.append((i, queue.put(digest(i), digest((number, i)))))

    threads = [threading.Thread(target=work, args=(number,)) for number in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    queue.flush()
    assert set(winners) == {(i, database.transformation(digest(i))) for i in range(50)}


@pytest.mark.invariant("I-44")
def test_a_result_that_was_called_final_stays_so_for_every_writer(queue, directory, path):
    directory.gate.clear()
    assert queue.put(TF, RESULT) == RESULT
    key = buffer("held back")
    assert queue.put(OTHER_TF, RESULT, buffers=[key]) == RESULT
    answers: list[bytes] = []

    def insert() -> None:
        with ResultsDatabase(path) as other:
            answers.extend(other.insert_results([ResultRow(OTHER_TF, OTHER_RESULT)]))

    thread = threading.Thread(target=insert)
    thread.start()
    with ResultsDatabase(path, busy_timeout_s=0.05) as hasty:
        for write in (
            lambda: hasty.insert_results([ResultRow(OTHER_TF, OTHER_RESULT)]),
            lambda: hasty.set_result(OTHER_TF, OTHER_RESULT),
            lambda: hasty.contest(OTHER_TF, OTHER_RESULT),
        ):
            with pytest.raises(DatabaseLocked, match="claimed"):
                write()
        assert hasty.insert_results([ResultRow(digest("free"), RESULT)]) == [RESULT]
    assert answers == []
    directory.gate.set()
    thread.join()
    assert answers == [RESULT]


def test_a_put_waits_for_the_claim_of_another_queue_and_adopts_its_result(queue, directory, path):
    directory.gate.clear()
    queue.put(TF, RESULT, buffers=[buffer("held back")])
    with ResultsDatabase(path) as other_database:
        hasty = WriteBehind(directory, other_database, timeout_s=0.02)
        with pytest.raises(DatabaseLocked, match="claimed"):
            hasty.put(TF, OTHER_RESULT)
        patient = WriteBehind(directory, other_database, timeout_s=10)
        timer = threading.Timer(0.05, directory.gate.set)
        timer.start()
        assert patient.put(TF, OTHER_RESULT) == RESULT
        timer.join()
        assert (patient.conflicts, hasty.conflicts) == (1, 0)
        patient.close()
        hasty.close()


def test_too_much_pending_makes_put_wait(directory, database):
    small = WriteBehind(directory, database, max_pending_bytes=1000, max_pending_rows=3, timeout_s=0.05)
    directory.gate.clear()
    small.put_buffers([buffer("x" * 2000)])
    wait_for(lambda: small._writing.buffers)
    for i in range(3):
        small.put(digest(i), RESULT)
    with pytest.raises(WriteBehindFailed, match="longer than"):
        small.put(digest(3), RESULT)
    directory.gate.set()
    small._timeout_s = 10
    assert small.put(digest(3), RESULT) == RESULT
    small.close()
    assert database.count() == 4


def test_a_failure_that_heals_is_not_noticed(queue, directory, database):
    directory.failures = [StoreFull("full"), StoreFull("full")]
    queue.put(TF, RESULT, buffers=[buffer("content")])
    queue.flush()
    assert database.transformation(TF) == RESULT


@pytest.mark.provokes("WriteBehindFailed")
def test_a_lasting_failure_is_raised_with_the_count_and_nothing_is_lost(queue, directory, database):
    directory.failures = [StoreFull("no space left") for _ in range(50)]
    key, parts = buffer("content")
    queue.put(TF, RESULT, buffers=[(key, parts)])
    with pytest.raises(WriteBehindFailed, match="no space left") as caught:
        queue.flush()
    assert (caught.value.n_rows, caught.value.n_buffers) == (1, 1)
    assert isinstance(caught.value.__cause__, StoreFull)
    assert database.transformation(TF) is None
    assert queue.result(TF) == RESULT
    assert queue.pending(key) == parts
    with pytest.raises(WriteBehindFailed):
        queue.put(OTHER_TF, RESULT)
    with pytest.raises(WriteBehindFailed):
        queue.close()
    directory.failures.clear()
    queue.flush()
    assert queue.put(OTHER_TF, RESULT) == RESULT
    queue.close()
    assert database.transformation_many([TF, OTHER_TF]) == [RESULT, RESULT]
    assert directory.published == {key: b"content"}


def test_results_that_could_not_be_written_do_not_block_other_processes(queue, directory, path):
    directory.failures = [StoreFull("no space left") for _ in range(4)]
    queue.put(TF, RESULT, buffers=[buffer("content")])
    with pytest.raises(WriteBehindFailed):
        queue.flush()
    with ResultsDatabase(path) as other:
        assert other.insert_results([ResultRow(TF, OTHER_RESULT)]) == [OTHER_RESULT]
    queue.flush()
    assert queue.result(TF) == OTHER_RESULT
    assert queue.conflicts == 1


def test_without_claims_a_put_is_durable_when_it_returns(directory, database, monkeypatch):
    monkeypatch.delattr(fcntl, "F_OFD_SETLK")
    queue = WriteBehind(directory, database)
    assert queue.put(TF, RESULT, buffers=[buffer("content")]) == RESULT
    assert database.transformation(TF) == RESULT
    assert list(directory.published.values()) == [b"content"]
    assert queue.put(TF, OTHER_RESULT) == RESULT
    assert queue.conflicts == 1
    queue.close()


@pytest.mark.provokes("WriteBehindClosed")
def test_a_closed_queue_says_so(directory, database):
    queue = WriteBehind(directory, database)
    queue.put(TF, RESULT)
    queue.close()
    queue.close()
    assert database.transformation(TF) == RESULT
    with pytest.raises(WriteBehindClosed):
        queue.put(OTHER_TF, RESULT)
    with pytest.raises(WriteBehindClosed):
        queue.put_buffers([])


def test_closing_ends_the_thread(directory, database):
    queue = WriteBehind(directory, database)
    queue.put(TF, RESULT)
    thread = queue._thread
    queue.close()
    assert not thread.is_alive()


def test_a_read_only_database_refuses_at_once(path, directory, database):
    database.open()
    with ResultsDatabase(path, writable=False) as reader:
        queue = WriteBehind(directory, reader)
        with pytest.raises(DatabaseReadOnly):
            queue.put(TF, RESULT)
        queue.close()


@pytest.mark.parametrize("bad", [b"short", "a" * 64, None, bytearray(32)])
def test_what_is_no_digest_is_refused_and_queues_nothing(queue, database, bad):
    for call in (
        lambda: queue.put(bad, RESULT),
        lambda: queue.put(TF, bad),
        lambda: queue.put(TF, RESULT, buffers=[(bad, [b""])]),
        lambda: queue.put_buffers([(bad, [b""])]),
    ):
        with pytest.raises(InvalidDigest):
            call()
    queue.flush()
    assert queue.put(TF, RESULT) == RESULT
    queue.flush()
    assert database.count() == 1


@pytest.mark.parametrize("bad", ["text", None, 7, [1]])
def test_parts_that_are_no_bytes_are_refused(queue, bad):
    with pytest.raises(DatabaseArgumentInvalid, match="must be bytes"):
        queue.put(TF, RESULT, buffers=[(TF, [b"good", bad])])
    with pytest.raises(DatabaseArgumentInvalid, match="record"):
        queue.put(TF, RESULT, record={"not": "text"})
    assert queue.result(TF) is None


# Among processes

PREAMBLE = """
import hashlib, json, os, sys
from seamless_store.buffer_directory import BufferDirectory
from seamless_store.results_database import ResultsDatabase
from seamless_store.write_behind import WriteBehind
from pathlib import Path
digest = lambda label: hashlib.sha256(str(label).encode()).digest()
def buffer(text):
    return hashlib.sha256(text.encode()).digest(), [text.encode()]
folder, *arguments = sys.argv[1:]
directory = BufferDirectory(Path(folder, "buffers"))
database = ResultsDatabase(Path(folder, "seamless.db"))
queue = WriteBehind(directory, database)
"""


def start(code: str, *arguments: object) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", PREAMBLE + textwrap.dedent(code), *map(str, arguments)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def finish(process: subprocess.Popen[str]) -> str:
    out, err = process.communicate(timeout=50)
    assert process.returncode == 0, err
    assert err == ""
    return out


def stored_results(folder: Path) -> dict[str, str]:
    connection = sqlite3.connect(folder / "seamless.db")
    try:
        assert connection.execute("PRAGMA integrity_check").fetchone() == ("ok",)
        return dict(connection.execute("SELECT checksum, result FROM transformation").fetchall())
    finally:
        connection.close()


@pytest.mark.invariant("I-44")
def test_every_process_was_told_the_result_that_is_in_the_file(tmp_path):
    code = """
    print("ready", flush=True)
    sys.stdin.readline()
    told = {}
    for i in range(60):
        key, parts = buffer(f"{arguments[0]} {i % 30}")
        tf = digest(i % 30)
        told.setdefault(tf.hex(), set()).add(queue.put(tf, key, buffers=[(key, parts)]).hex())
    queue.close()
    database.close()
    print(json.dumps({tf: sorted(results) for tf, results in told.items()}))
    """
    processes = [start(code, tmp_path, number) for number in range(8)]
    for process in processes:
        assert process.stdout.readline() == "ready\n"
    for process in processes:
        process.stdin.write("go\n")
        process.stdin.flush()
    told = [json.loads(finish(process)) for process in processes]
    stored = {tf: [result] for tf, result in stored_results(tmp_path).items()}
    assert len(stored) == 30
    assert all(results == stored for results in told)
    directory = BufferDirectory(tmp_path / "buffers")
    assert all(directory.has_many([bytes.fromhex(results[0]) for results in stored.values()]))
    directory.close()


@pytest.mark.invariant("I-41")
@pytest.mark.invariant("I-43")
def test_a_kill_loses_nothing_that_was_flushed_and_no_row_lacks_its_buffer(tmp_path):
    code = """
    for i in range(100_000):
        key, parts = buffer(f"{arguments[0]} {i}")
        queue.put(digest((int(arguments[0]), i)), key, buffers=[(key, parts)])
        if i % 20 == 19:
            queue.flush()
            print(i, flush=True)
    """
    flushed: dict[str, str] = {}
    for number in range(6):
        process = start(code, tmp_path, number)
        last = int(process.stdout.readline())
        process.kill()
        out, _ = process.communicate()
        last = max([last, *map(int, out.split("\n")[:-1])])
        for i in range(last + 1):
            flushed[digest((number, i)).hex()] = hashlib.sha256(f"{number} {i}".encode()).hexdigest()
    with ResultsDatabase(tmp_path / "seamless.db"):
        stored = stored_results(tmp_path)
    assert flushed.items() <= stored.items()
    directory = BufferDirectory(tmp_path / "buffers")
    assert None not in directory.get_many([bytes.fromhex(result) for result in stored.values()])
    directory.close()


def test_a_forked_child_puts_on_its_own_and_the_parents_queue_stays_the_parents(tmp_path):
    code = """
    import warnings
    warnings.simplefilter("ignore", DeprecationWarning)
    queue.put(digest("before"), digest("r"))
    pid = os.fork()
    who = "child" if pid == 0 else "parent"
    assert queue.put(digest("before"), digest((who, "late"))) == digest("r")
    assert queue.put(digest(who), digest(("r", who))) == digest(("r", who))
    queue.close()
    assert database.transformation(digest(who)) == digest(("r", who))
    database.close()
    if pid == 0:
        os._exit(0)
    _, status = os.waitpid(pid, 0)
    assert status == 0, status
    """
    finish(start(code, tmp_path))
    assert stored_results(tmp_path).keys() == {digest(k).hex() for k in ("before", "child", "parent")}


def test_a_process_that_ends_without_closing_has_written_everything(tmp_path):
    code = """
    for i in range(50):
        queue.put(digest(i), digest(("r", i)))
    """
    finish(start(code, tmp_path))
    with ResultsDatabase(tmp_path / "seamless.db") as database:
        assert database.count() == 50

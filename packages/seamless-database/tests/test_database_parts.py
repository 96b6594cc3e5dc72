"""The parts of the server by themselves: parsing, queues, threads, failures, the command line."""

from __future__ import annotations

import asyncio
import contextlib
import json
import subprocess
import sys
import threading

import pytest
from hypothesis import given
from hypothesis import strategies as st
from seamless_database.failures import refusal_of, waited_in_vain
from seamless_database.parsing import DEPTH_MAX, bounded_json, checksum_of, parse_request
from seamless_database.refusals import ProtocolRefusal
from seamless_database.threads import DeadlinePassed, Threads
from seamless_database.write_queue import WriteQueue
from seamless_service.answers import RequestRefused
from seamless_store import changes
from seamless_store import database_errors as errors
from seamless_store.results_database import ResultsDatabase

# Parsing


def nested(depth: int) -> str:
    return "[" * depth + "]" * depth


@pytest.mark.parametrize("wrap", ["{}", '{{"a": {}}}', '[1, "[[[", {}, {{}}]'], ids=repr)
def test_nesting_is_bounded_at_the_same_depth_in_every_container(wrap):
    own = 0 if wrap == "{}" else 1
    assert bounded_json(wrap.format(nested(DEPTH_MAX - own)))
    with pytest.raises(ValueError, match="deep"):
        bounded_json(wrap.format(nested(DEPTH_MAX - own + 1)))


def test_brackets_in_text_and_many_shallow_lists_are_no_depth():
    text = json.dumps(["[" * 1000, *([{}] * 1000)])
    assert bounded_json(text) == json.loads(text)


@given(st.binary(min_size=32, max_size=32))
def test_a_checksum_is_read_in_either_case(digest):
    assert checksum_of(digest.hex()) == checksum_of(digest.hex().upper()) == digest


@given(st.binary(max_size=60))
def test_any_bytes_are_an_object_or_refused(body):
    outcomes: list[object] = []
    with contextlib.suppress(ProtocolRefusal):
        outcomes.append(parse_request(body))
    assert all(isinstance(outcome, dict) for outcome in outcomes)


# Threads and the queue


def run(work):
    return asyncio.run(asyncio.wait_for(work(), 30))


@pytest.mark.provokes("DeadlinePassed")
def test_a_read_whose_turn_does_not_come_is_given_up_and_never_begun():
    async def work():
        threads = Threads(patience_s=1.0)
        gate, begun, blocking = threading.Event(), [], threading.Semaphore(0)

        def block() -> None:
            blocking.release()
            gate.wait()

        blockers = [asyncio.ensure_future(threads.read(block)) for _ in range(8)]
        for _ in blockers:
            assert await asyncio.to_thread(blocking.acquire, timeout=20)
        with pytest.raises(DeadlinePassed):
            await threads.read(begun.append, 1)
        for blocker in blockers:
            with pytest.raises(DeadlinePassed):
                await blocker
        gate.set()
        threads.close()
        return begun

    assert run(work) == []


class RecordedDatabase:
    """Stands for the engine: notes what is done together, and waits for a gate."""

    path = "/somewhere/seamless.db"

    def __init__(self) -> None:
        self.batches: list[list[object]] = []
        self.gate = threading.Event()
        self.failure: Exception | None = None

    def apply_all(self, some):
        self.batches.append([change.operation for change in some])
        self.gate.wait(20)
        if self.failure is not None:
            raise self.failure
        return [change.operation for change in some]


def queue_before(database, patience_s=20.0):
    threads = Threads(patience_s)
    return WriteQueue(database, threads), threads


def test_what_arrives_during_a_write_is_done_next_all_together_and_in_order():
    async def work():
        database = RecordedDatabase()
        queue, threads = queue_before(database)
        waiting = [asyncio.ensure_future(queue.write(changes.Change(n))) for n in range(10)]
        await asyncio.sleep(0)
        database.gate.set()
        values = await asyncio.gather(*waiting)
        threads.close()
        return values, database.batches

    assert run(work) == (list(range(10)), [[0], list(range(1, 10))])


def test_transactions_are_kept_short():
    async def work():
        database = RecordedDatabase()
        queue, threads = queue_before(database)
        keys = [frozenset(n.to_bytes(32, "big") for n in range(size)) for size in (1, 9_990, 10, 11_000, 1)]
        waiting = [asyncio.ensure_future(queue.write(changes.Change(len(some), some))) for some in keys]
        await asyncio.sleep(0)
        database.gate.set()
        await asyncio.gather(*waiting)
        threads.close()
        return database.batches

    assert run(work) == [[1], [9_990, 10], [11_000], [1]]


def test_each_write_gets_its_own_error_and_a_failed_transaction_fails_all_of_it_only():
    async def work():
        database = RecordedDatabase()
        database.gate.set()
        queue, threads = queue_before(database)
        refused = errors.RecordDiffers("no", path=database.path)
        outcomes = await asyncio.gather(
            *(queue.write(changes.Change(value)) for value in (1, refused, 2)), return_exceptions=True
        )
        database.failure = errors.DatabaseFull("full", path=database.path)
        failed = await asyncio.gather(queue.write(changes.Change(3)), return_exceptions=True)
        database.failure = None
        after = await queue.write(changes.Change(4))
        threads.close()
        return outcomes == [1, refused, 2], type(failed[0]), after

    assert run(work) == (True, errors.DatabaseFull, 4)


@pytest.mark.provokes("DeadlinePassed")
@pytest.mark.invariant("I-147")
def test_a_write_that_was_given_up_before_its_turn_is_never_begun():
    async def work():
        database = RecordedDatabase()
        queue, threads = queue_before(database, patience_s=0.1)
        waiting = [asyncio.ensure_future(queue.write(changes.Change(n))) for n in range(3)]
        given_up = await asyncio.gather(*waiting, return_exceptions=True)
        database.gate.set()
        after = await queue.write(changes.Change(3))
        threads.close()
        return [type(error) for error in given_up], after, database.batches

    assert run(work) == ([DeadlinePassed] * 3, 3, [[0], [3]])


def test_changes_that_are_done_together_have_their_values_and_errors(tmp_path):
    tf, result, other = bytes(32), b"1" * 32, b"2" * 32
    with ResultsDatabase(tmp_path / "seamless.db") as database:
        done = database.apply_all(
            [
                changes.set_result(tf, result),
                changes.contest(database.path, tf, other),
                changes.insert_rows([(tf.hex(), other.hex(), None)]),
                changes.contest(database.path, tf, result),
            ]
        )
        assert (done[0], type(done[1]), done[2], done[3]) == (None, errors.ResultNotStored, [result], None)
        assert database.commits == 1
        assert database.transformation(tf) is None


@pytest.mark.provokes("WouldWait")
def test_a_change_whose_key_is_claimed_elsewhere_is_left_out(tmp_path):
    claimed, free, result = bytes(32), b"f" * 32, b"1" * 32
    many = [(bytes([n] * 32).hex(), result.hex(), None) for n in range(20)]
    with ResultsDatabase(tmp_path / "seamless.db") as database, database.claims.open() as elsewhere:
        assert elsewhere.try_claim(claimed)
        done = database.apply_all(
            [changes.set_result(claimed, result), changes.set_result(free, result), changes.insert_rows(many)]
        )
        assert [type(outcome) for outcome in done] == [errors.WouldWait, type(None), errors.WouldWait]
        assert database.transformation_many([claimed, free]) == [None, result]
        elsewhere.close()
        assert database.apply_all([changes.insert_rows(many)]) == [[result] * 20]


# Failures


@pytest.mark.parametrize(
    ("error", "status", "text"),
    [
        (errors.BufferInfoMalformed, 400, "ERROR: Malformed PUT buffer info request"),
        (errors.ResultNotStored, 404, "ERROR: Transformation does not have the irreproducible result"),
        (errors.RecordDiffers, 409, "ERROR: Execution record already exists with different metadata"),
    ],
)
def test_refusals_of_the_engine_have_the_protocols_words(error, status, text):
    refusal = refusal_of(error("why", path="/data/seamless.db"))
    assert isinstance(refusal, ProtocolRefusal)
    assert (refusal.status, refusal.text) == (status, text)


@pytest.mark.provokes("RequestRefused")
@pytest.mark.parametrize(
    ("error", "status", "name"),
    [
        (errors.DatabaseFull, 507, "database_full"),
        (errors.DatabaseLocked, 503, "database_locked"),
        (errors.DatabaseDamaged, 500, "database_damaged"),
        (errors.NotADatabase, 500, "not_a_database"),
    ],
)
def test_failures_of_the_engine_name_the_cause_and_no_path(error, status, name):
    found = refusal_of(
        error("/data/x/seamless.db and /data/x", path="/data/x/seamless.db", remedy="ls /data/x")
    )
    assert isinstance(found, RequestRefused)
    assert (found.status, found.error) == (status, name)
    assert "/data" not in found.message + found.hint
    assert found.message == "seamless.db and its directory"
    assert ("Retry-After" in found.headers) == (status == 503)


def test_who_waited_in_vain_is_told_so_without_a_path(tmp_path):
    refusal = waited_in_vain(str(tmp_path / "seamless.db"), 6.0)
    assert (refusal.status, refusal.detail) == (503, {"pids": []})
    assert "busy for 6 s" in refusal.message
    assert str(tmp_path) not in refusal.message + refusal.hint


# The command line


def test_help_needs_no_http_library_and_names_the_options():
    code = (
        "import sys\nfrom seamless_database.command_line import main\n"
        "try:\n    main(['--help'])\nexcept SystemExit as end:\n    assert end.code == 0\n"
        "assert not {'aiohttp', 'apsw', 'asyncio'} & set(sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    for word in (
        "DATABASE_FILE",
        "--writable",
        "--busy-timeout",
        "--port-range",
        "--status-file",
        "exit codes",
    ):
        assert word in done.stdout


def test_version_is_printed(capsys):
    from importlib.metadata import version

    from seamless_database.command_line import main

    with pytest.raises(SystemExit) as ended:
        main(["--version"])

    assert ended.value.code == 0
    assert capsys.readouterr().out.split() == ["seamless-database", version("seamless-database")]


@pytest.mark.parametrize(
    "arguments",
    [[], ["--nonsense", "x.db"], ["--busy-timeout", "0", "x.db"]],
    ids=lambda a: " ".join(a) or "none",
)
def test_wrong_usage_is_exit_code_2(arguments, capsys):
    from seamless_database.command_line import main

    with pytest.raises(SystemExit) as ended:
        main(arguments)
    assert ended.value.code == 2
    assert "usage:" in capsys.readouterr().err

"""The results database among processes: races, kills, foreign locks, forks, missing permissions."""

from __future__ import annotations

import hashlib
import json
import os
import signal
import sqlite3
import subprocess
import sys
import textwrap
import time
from pathlib import Path

import pytest
from seamless_store import database_errors as errors
from seamless_store.results_database import ResultRow, ResultsDatabase

NOBODY = 65534


def digest(label: object) -> bytes:
    return hashlib.sha256(str(label).encode()).digest()


TF, RESULT = digest("tf"), digest("result")

PREAMBLE = """
import hashlib, json, os, sys
from seamless_store.results_database import ResultRow, ResultsDatabase
digest = lambda label: hashlib.sha256(str(label).encode()).digest()
TF, RESULT = digest("tf"), digest("result")
path, *arguments = sys.argv[1:]
"""


def start(code: str, *arguments: object) -> subprocess.Popen[str]:
    """Start a process that runs the code, which finds the first argument in `path`."""
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


def integrity(path: Path) -> str:
    connection = sqlite3.connect(path)
    try:
        return str(connection.execute("PRAGMA integrity_check").fetchone()[0])
    finally:
        connection.close()


@pytest.fixture
def path(tmp_path):
    return tmp_path / "seamless.db"


@pytest.mark.invariant("I-40")
def test_every_process_sees_the_same_winner_of_every_key(path):
    code = """
    number = int(arguments[0])
    with ResultsDatabase(path) as db:
        print("ready", flush=True)
        sys.stdin.readline()
        won = {}
        for i in range(40):
            rows = [ResultRow(digest(("key", i, k)), digest((number, i, k))) for k in range(3)]
            for row, winner in zip(rows, db.insert_results(rows)):
                won[row.transformation.hex()] = winner.hex()
    print(json.dumps(won))
    """
    processes = [start(code, path, number) for number in range(8)]
    for process in processes:
        assert process.stdout.readline() == "ready\n"
    for process in processes:
        process.stdin.write("go\n")
        process.stdin.flush()
    seen = [json.loads(finish(process)) for process in processes]
    connection = sqlite3.connect(path)
    stored = dict(connection.execute("SELECT checksum, result FROM transformation").fetchall())
    reverse = connection.execute("SELECT checksum, result FROM rev_transformation").fetchall()
    connection.close()
    assert len(stored) == 120
    assert all(winners == stored for winners in seen)
    assert sorted(reverse) == sorted(stored.items())
    assert {p.name for p in path.parent.glob("seamless.db*")} == {"seamless.db"}


@pytest.mark.invariant("I-41")
def test_what_a_killed_writer_had_acknowledged_is_there(path):
    code = """
    round = int(arguments[0])
    db = ResultsDatabase(path)
    for i in range(100_000):
        db.insert_results([ResultRow(digest((round, i)), digest(("r", round, i)))])
        print(i, flush=True)
    """
    acknowledged: list[tuple[int, int]] = []
    for number in range(5):
        process = start(code, path, number)
        process.stdout.readline()
        time.sleep(0.01 * number)  # kills at different moments; no other process is waited for
        process.send_signal(signal.SIGKILL)
        out, _ = process.communicate()
        acknowledged += [(number, i) for i in range(max(map(int, out.split("\n")[:-1]), default=0) + 1)]
    with ResultsDatabase(path) as db:
        found = db.transformation_many([digest(key) for key in acknowledged])
        assert found == [digest(("r", *key)) for key in acknowledged]
        assert all(db.rev_transformations(result) for result in found)
    assert integrity(path) == "ok"


def test_a_killed_writer_frees_the_writers_lock(path):
    code = """
    db = ResultsDatabase(path)
    db.open()
    db.writer_lock.acquire()
    print("held", flush=True)
    sys.stdin.readline()
    """
    process = start(code, path)
    assert process.stdout.readline() == "held\n"
    with ResultsDatabase(path, busy_timeout_s=0.05) as db:
        with pytest.raises(errors.DatabaseLocked) as caught:
            db.insert_results([ResultRow(TF, RESULT)])
        assert caught.value.pids == (process.pid,)
        process.kill()
        process.communicate()
        assert db.insert_results([ResultRow(TF, RESULT)]) == [RESULT]


@pytest.mark.provokes("DatabaseLocked")
def test_a_program_that_keeps_the_file_locked_is_named(path):
    with ResultsDatabase(path) as db:
        db.open()
    code = """
    import sqlite3
    connection = sqlite3.connect(path, isolation_level=None)
    connection.execute("BEGIN EXCLUSIVE")
    print("locked", flush=True)
    sys.stdin.readline()
    connection.execute("COMMIT")
    print("freed", flush=True)
    sys.stdin.readline()
    """
    process = start(code, path)
    assert process.stdout.readline() == "locked\n"
    with ResultsDatabase(path, busy_timeout_s=0.2) as db:
        for call in (lambda: db.transformation(TF), lambda: db.insert_results([ResultRow(TF, RESULT)])):
            with pytest.raises(errors.DatabaseLocked, match=f"pid {process.pid}") as caught:
                call()
            assert caught.value.pids == (process.pid,)
        process.stdin.write("\n")
        process.stdin.flush()
        assert process.stdout.readline() == "freed\n"
        assert db.insert_results([ResultRow(TF, RESULT)]) == [RESULT]
        assert db.transformation(TF) == RESULT
    process.communicate("\n")


def test_a_writer_waits_for_a_foreign_transaction_and_loses_nothing(path):
    with ResultsDatabase(path) as db:
        db.open()
        foreign = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
        foreign.execute("BEGIN IMMEDIATE")
        import threading

        timer = threading.Timer(0.2, lambda: foreign.execute("COMMIT"))
        timer.start()
        assert db.insert_results([ResultRow(TF, RESULT)]) == [RESULT]
        timer.join()
        foreign.close()
        assert db.transformation(TF) == RESULT


def test_the_log_of_a_crashed_writer_is_read_by_the_next_opener(path):
    code = """
    db = ResultsDatabase(path)
    db.insert_results([ResultRow(TF, RESULT)])
    os.kill(os.getpid(), 9)
    """
    process = start(code, path)
    process.communicate()
    assert Path(f"{path}-wal").stat().st_size > 0
    with ResultsDatabase(path) as db:
        assert db.transformation(TF) == RESULT
    assert {p.name for p in path.parent.glob("seamless.db*")} == {"seamless.db"}


def test_the_last_of_several_processes_leaves_one_plain_file(path):
    code = """
    with ResultsDatabase(path) as db:
        db.insert_results([ResultRow(digest(arguments[0]), RESULT)])
        print("ready", flush=True)
        sys.stdin.readline()
    """
    processes = [start(code, path, number) for number in range(3)]
    for process in processes:
        assert process.stdout.readline() == "ready\n"
    for process in processes:
        process.stdin.write("\n")
        process.stdin.flush()
    for process in processes:
        finish(process)
    assert {p.name for p in path.parent.glob("seamless.db*")} == {"seamless.db"}
    assert integrity(path) == "ok"


# Forks


@pytest.mark.invariant("I-42")
def test_parent_and_child_of_a_fork_both_go_on(path):
    code = """
    db = ResultsDatabase(path)
    db.insert_results([ResultRow(TF, RESULT)])
    assert db.transformation(TF) == RESULT
    pid = os.fork()
    who = "child" if pid == 0 else "parent"
    for i in range(50):
        assert db.insert_results([ResultRow(digest((who, i)), RESULT)]) == [RESULT]
        assert db.transformation(TF) == RESULT
    if pid == 0:
        db.close()
        os._exit(0)
    _, status = os.waitpid(pid, 0)
    assert status == 0, status
    assert db.count() == 101, db.count()
    db.close()
    """
    finish(start(code, path))
    assert integrity(path) == "ok"
    assert {p.name for p in path.parent.glob("seamless.db*")} == {"seamless.db"}


def test_a_child_that_exits_without_using_the_database_does_no_harm(path):
    code = """
    db = ResultsDatabase(path)
    db.insert_results([ResultRow(TF, RESULT)])
    for i in range(3):
        pid = os.fork()
        if pid == 0:
            sys.exit(0)
        os.waitpid(pid, 0)
        assert db.insert_results([ResultRow(digest(i), RESULT)]) == [RESULT]
    db.close()
    """
    finish(start(code, path))
    assert integrity(path) == "ok"


def test_a_fork_waits_for_the_transaction_of_another_thread(path):
    code = """
    import threading, warnings
    warnings.simplefilter("ignore", DeprecationWarning)
    db = ResultsDatabase(path)
    db.insert_results([ResultRow(TF, RESULT)])
    stop = threading.Event()
    def write():
        i = 0
        while not stop.is_set():
            i += 1
            db.insert_results([ResultRow(digest(i), RESULT)])
    threads = [threading.Thread(target=write) for _ in range(2)]
    for thread in threads:
        thread.start()
    for i in range(10):
        pid = os.fork()
        if pid == 0:
            ok = db.insert_results([ResultRow(digest(("child", i)), RESULT)]) == [RESULT]
            os._exit(0 if ok else 1)
        _, status = os.waitpid(pid, 0)
        assert status == 0, status
    stop.set()
    for thread in threads:
        thread.join()
    assert None not in db.transformation_many([digest(("child", i)) for i in range(10)])
    db.close()
    """
    finish(start(code, path))
    assert integrity(path) == "ok"


@pytest.mark.provokes("DatabaseUnsafeAfterFork")
def test_a_child_forked_amid_an_operation_that_does_not_end_refuses_to_touch_the_file(path):
    code = """
    import threading, warnings
    warnings.simplefilter("ignore", DeprecationWarning)
    import seamless_store.database_connections as connections
    from seamless_store.database_errors import DatabaseUnsafeAfterFork
    connections._FORK_WAIT_S = 0.05
    db = ResultsDatabase(path)
    db.insert_results([ResultRow(TF, RESULT)])
    inside, leave = threading.Event(), threading.Event()
    def stay_inside():
        with db.writer_lock, db._connections.writer():
            inside.set()
            leave.wait()
    thread = threading.Thread(target=stay_inside)
    thread.start()
    inside.wait()
    pid = os.fork()
    if pid == 0:
        try:
            db.transformation(TF)
        except DatabaseUnsafeAfterFork:
            os._exit(7)
        os._exit(1)
    _, status = os.waitpid(pid, 0)
    leave.set()
    thread.join()
    assert os.waitstatus_to_exitcode(status) == 7, status
    assert db.transformation(TF) == RESULT
    db.close()
    """
    finish(start(code, path))


# Permissions and space


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root, to become a user without permissions")
@pytest.mark.parametrize("state", ["plain", "wal"])
@pytest.mark.parametrize("writable", [True, False])
def test_a_user_who_may_only_read_looks_up_and_is_refused_writes(tmp_path, state, writable):
    directory = tmp_path / "cache"
    directory.mkdir()
    path = directory / "seamless.db"
    with ResultsDatabase(path) as db:
        db.insert_results([ResultRow(TF, RESULT)])
    connection = sqlite3.connect(path)
    connection.execute(f"PRAGMA journal_mode={'wal' if state == 'wal' else 'delete'}")
    connection.close()
    path.chmod(0o444)
    directory.chmod(0o555)
    for parent in [tmp_path, *tmp_path.parents[:2]]:
        parent.chmod(0o755)
    before = sorted(p.name for p in directory.iterdir())
    code = f"""
    import apsw, seamless_store.filesystem  # before this process loses access to the interpreter's directory
    from seamless_store.database_errors import DatabaseReadOnly
    os.setgroups([])
    os.setgid({NOBODY})
    os.setuid({NOBODY})
    db = ResultsDatabase(path, writable=arguments[0] == "True")
    assert db.transformation(TF) == RESULT
    assert db.transformation_many([TF, RESULT]) == [RESULT, None]
    assert db.count() == 1
    try:
        db.insert_results([ResultRow(RESULT, TF)])
    except DatabaseReadOnly as exc:
        print("refused:", exc)
    db.close()
    """
    out = finish(start(code, path, writable))
    assert out.startswith("refused: Cannot")
    assert sorted(p.name for p in directory.iterdir()) == before


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root, to mount a small file system")
@pytest.mark.provokes("DatabaseFull")
def test_a_full_disk_fails_the_transaction_as_a_whole_and_heals(tmp_path):
    mount = tmp_path / "small"
    mount.mkdir()
    done = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=1m", "seamless-test", mount], capture_output=True, text=True
    )
    if done.returncode != 0:
        pytest.skip(f"this machine lets nobody mount: {done.stderr.strip()}")
    try:
        with ResultsDatabase(mount / "seamless.db") as db:
            db.insert_results([ResultRow(TF, RESULT)])
            filler = mount / "filler"
            with pytest.raises(OSError, match="No space"):
                filler.write_bytes(bytes(2 << 20))
            rows = [ResultRow(digest(i), digest(("r", i))) for i in range(2000)]
            with pytest.raises(errors.DatabaseFull, match="df -h"):
                db.insert_results(rows)
            assert db.transformation(TF) == RESULT
            assert db.count() == 1
            filler.unlink()
            assert len(db.insert_results(rows[:500])) == 500
            assert db.count() == 501
    finally:
        subprocess.run(["umount", mount], check=True)

"""The writers' lock between threads and processes."""

from __future__ import annotations

import errno
import fcntl
import subprocess
import sys
import threading
import time

import pytest
from seamless_store.database_errors import DatabaseLocked, DatabaseMissing, LockUnavailable
from seamless_store.writer_lock import WriterLock

HOLDER = """
import sys
from seamless_store.writer_lock import WriterLock
lock = WriterLock(sys.argv[1])
lock.acquire()
print("held", flush=True)
sys.stdin.readline()
lock.release()
"""


def wait_for(condition, deadline_s=10.0):
    deadline = time.monotonic() + deadline_s
    while not condition():
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(0.001)


@pytest.fixture
def path(tmp_path):
    return tmp_path / "seamless.db"


@pytest.fixture
def holder(path):
    """A process that holds the lock until a line comes in."""
    process = subprocess.Popen(
        [sys.executable, "-c", HOLDER, str(path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert process.stdout.readline() == "held\n"
    yield process
    process.kill()
    process.communicate()


def test_the_lock_files_are_no_files_of_the_database(path):
    with WriterLock(path):
        assert sorted(p.name for p in path.parent.iterdir()) == [
            ".seamless.db.waiting",
            ".seamless.db.writers",
        ]
        assert list(path.parent.glob("seamless.db*")) == []


def test_only_one_holds_it(path):
    first, second = WriterLock(path), WriterLock(path)
    assert first.try_acquire()
    assert not first.try_acquire()
    assert not second.try_acquire()
    first.release()
    assert second.try_acquire()
    second.release()


def test_waiting_ends_at_the_deadline_and_leaves_no_trace(path):
    first, second = WriterLock(path), WriterLock(path)
    first.acquire()
    with pytest.raises(DatabaseLocked, match="writers"):
        second.acquire(timeout_s=0.02)
    with pytest.raises(DatabaseLocked, match="another thread"):
        first.acquire(timeout_s=0.02)
    first.release()
    second.acquire(timeout_s=10)
    assert not second.contended()
    second.release()


def test_another_process_is_waited_for(path, holder):
    lock = WriterLock(path)
    assert not lock.try_acquire()
    with pytest.raises(DatabaseLocked, match=str(holder.pid)) as caught:
        lock.acquire(timeout_s=0.05)
    assert caught.value.pids == (holder.pid,)
    holder.stdin.write("\n")
    holder.stdin.flush()
    lock.acquire(timeout_s=20)
    lock.release()


def test_a_killed_holder_frees_it(path, holder):
    lock = WriterLock(path)
    holder.kill()
    lock.acquire(timeout_s=20)
    lock.release()


def test_the_holder_sees_that_others_wait(path):
    holder, waiter = WriterLock(path), WriterLock(path)
    holder.acquire()
    assert not holder.contended()
    thread = threading.Thread(target=waiter.acquire)
    thread.start()
    wait_for(holder.contended)
    holder.release()
    thread.join()
    assert not waiter.contended()
    waiter.release()


def test_the_holder_sees_that_another_thread_waits(path):
    lock = WriterLock(path)
    lock.acquire()
    thread = threading.Thread(target=lock.acquire)
    thread.start()
    wait_for(lock.contended)
    lock.release()
    thread.join()
    lock.release()


def test_who_releases_and_asks_again_stands_behind_those_who_wait(path):
    order: list[str] = []
    greedy, patient = WriterLock(path), WriterLock(path)
    greedy.acquire()

    def wait() -> None:
        with patient:
            order.append("patient")

    thread = threading.Thread(target=wait)
    thread.start()
    wait_for(greedy.contended)
    greedy.release()
    with greedy:
        order.append("greedy")
    thread.join()
    assert order == ["patient", "greedy"]


def test_no_thread_is_ever_inside_with_another(path):
    locks = [WriterLock(path) for _ in range(3)]
    inside: list[int] = []
    worst: list[int] = []

    def work(lock: WriterLock) -> None:
        for _ in range(30):
            with lock:
                inside.append(1)
                worst.append(len(inside))
                inside.pop()

    threads = [threading.Thread(target=work, args=(lock,)) for lock in locks for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert worst == [1] * 180


def test_a_removed_lock_file_is_made_again(path):
    lock, other = WriterLock(path), WriterLock(path)
    with lock:
        pass
    for file in path.parent.iterdir():
        file.unlink()
    with lock:
        assert not other.try_acquire()
    assert sorted(p.name for p in path.parent.iterdir()) == [".seamless.db.waiting", ".seamless.db.writers"]


def test_releasing_what_is_not_held_is_a_mistake(path):
    with pytest.raises(RuntimeError, match="not held"):
        WriterLock(path).release()


@pytest.mark.provokes("LockUnavailable")
def test_a_file_system_without_locks_is_reported(path, monkeypatch):
    def refuse(fd, operation):
        raise OSError(errno.ENOLCK, "No locks available")

    monkeypatch.setattr(fcntl, "flock", refuse)
    with pytest.raises(LockUnavailable, match="No locks available"):
        WriterLock(path).acquire()


def test_a_missing_directory_is_reported(tmp_path):
    with pytest.raises(DatabaseMissing, match="directory does not exist"):
        WriterLock(tmp_path / "gone" / "seamless.db").acquire()

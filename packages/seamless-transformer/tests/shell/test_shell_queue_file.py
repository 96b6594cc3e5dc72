"""The queue file: whole records, each once and in order, whoever is killed."""

from __future__ import annotations

import fcntl
import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from seamless_command.errors import ShellError
from seamless_shell.queue_file import QueueFile, queue_path

WRITER = """
import sys
from seamless_shell.queue_file import QueueFile
queue, name, n = QueueFile(sys.argv[1]), sys.argv[2], int(sys.argv[3])
print("ready", flush=True)
number = 0
while number != n:
    queue.append({"writer": name, "number": number, "text": "x" * 5000})
    number += 1
"""
HOLDER = """
import os, sys, time
from seamless_shell.queue_file import QueueFile
with QueueFile(sys.argv[1])._locked():
    os.write(os.open(sys.argv[1], os.O_WRONLY | os.O_APPEND | os.O_CREAT), b'{"half": ')
    print("ready", flush=True)
    time.sleep(60)
"""


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "queue"


@pytest.fixture
def lock(path: Path) -> Path:
    return path.with_name("queue.LOCK")


def _start(code: str, *arguments: object) -> subprocess.Popen[str]:
    process = subprocess.Popen(
        [sys.executable, "-c", code, *map(str, arguments)], stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "ready\n"
    process.stdout.close()
    return process


def _age(path: Path, age_s: float) -> None:
    then = time.time() - age_s
    os.utime(path, (then, then))


def _wait_for(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 20
    while not condition():
        assert time.monotonic() < deadline, "waited 20 s"
        time.sleep(0.005)


# ---- records


def test_records_are_read_once_and_in_order(path: Path):
    with QueueFile(path) as writer, QueueFile(path) as reader:
        writer.append({"a": 1})
        writer.append({"b": "é\0"})
        assert reader.read_new() == [{"a": 1}, {"b": "é\0"}]
        assert reader.read_new() == []
        writer.append({"c": None})
        assert reader.read_new() == [{"c": None}]


def test_file_is_json_of_two_spaces_and_nul(path: Path):
    with QueueFile(path) as queue:
        queue.append({"queue_command": "SUBMIT", "params": {"undo": False}})
        queue.append_eof()
    assert path.read_bytes() == (
        b'{\n  "queue_command": "SUBMIT",\n  "params": {\n    "undo": false\n  }\n}\0'
        b'{\n  "queue_command": "EOF"\n}\0'
    )


@given(
    records=st.lists(
        st.dictionaries(st.text(max_size=9), st.text() | st.none() | st.integers(), max_size=3), max_size=4
    )
)
def test_any_records_come_back(records: list[dict[str, object]], tmp_path_factory: pytest.TempPathFactory):
    with QueueFile(tmp_path_factory.getbasetemp() / "any-records") as queue:
        for record in records:
            queue.append(record)
        assert queue.read_new() == records
        assert queue.delete()


def test_missing_file_is_an_empty_queue(path: Path):
    with QueueFile(path) as queue:
        assert queue.read_new() == []
        assert not path.exists()


def test_end_tells_whether_somebody_may_be_reading(path: Path):
    with QueueFile(path) as queue:
        assert queue.append_eof() is False
        assert queue.append_eof() is True


def test_record_that_is_half_written_is_not_read_yet(path: Path):
    path.write_bytes(b'{"a": 1}\0{"b"')
    with QueueFile(path) as queue:
        assert queue.read_new() == [{"a": 1}]
        assert queue.read_new() == []
        path.write_bytes(b'{"a": 1}\0{"b": 2}\0')
        assert queue.read_new() == [{"b": 2}]


@pytest.mark.parametrize("start", [b"", b'{"a": 1}\0'])
@pytest.mark.parametrize("rest", [b"{", b'{"b": "' + b"x" * 200_000])
def test_beginning_of_a_record_is_cut_off_by_the_next_writer(path: Path, start: bytes, rest: bytes):
    path.write_bytes(start + rest)
    with QueueFile(path) as queue:
        queue.append({"c": 3})
    assert path.read_bytes() == start + b'{\n  "c": 3\n}\0'


@pytest.mark.provokes("ShellError")
@pytest.mark.parametrize("damage", [b'{"a": 1{"b": 2}', b"[1]", b"", b"\xff"])
def test_damaged_record_is_reported_once_and_passed_over(path: Path, damage: bytes):
    path.write_bytes(b'{"a": 1}\0' + damage + b'\0{"b": 2}\0')
    with QueueFile(path) as queue:
        assert queue.read_new() == [{"a": 1}]
        with pytest.raises(ShellError, match=f"Byte 9 of the queue .* of {len(damage)} bytes"):
            queue.read_new()
        assert queue.read_new() == [{"b": 2}]


# ---- deletion


def test_queue_that_has_been_read_is_deleted(path: Path, lock: Path):
    with QueueFile(path) as queue:
        queue.append({"a": 1})
        queue.read_new()
        assert queue.delete() is True
        assert queue.delete() is True
    assert [path.exists(), lock.exists()] == [False, False]


def test_queue_with_unread_records_is_left(path: Path):
    with QueueFile(path) as queue:
        queue.append({"a": 1})
        queue.read_new()
        queue.append({"b": 2})
        assert queue.delete() is False
        assert queue.read_new() == [{"b": 2}]
        assert queue.delete() is True


def test_new_file_is_read_from_its_beginning(path: Path):
    with QueueFile(path) as reader, QueueFile(path) as writer:
        writer.append({"a": 1})
        assert reader.read_new() == [{"a": 1}]
        path.unlink()
        writer.append({"b": 2})
        assert reader.read_new() == [{"b": 2}]


# ---- the lock


@pytest.mark.provokes("ShellError")
def test_lock_of_another_process_is_waited_for_and_named(path: Path, lock: Path):
    lock.touch()
    with (
        QueueFile(path, patience_s=0.05) as queue,
        pytest.raises(ShellError, match=r"locked by another") as caught,
    ):
        queue.append({"a": 1})
    assert str(lock) in str(caught.value.hint)
    assert [path.exists(), lock.exists()] == [False, True]


def test_lock_that_is_given_back_is_taken(path: Path, lock: Path):
    lock.touch()
    waiting = threading.Thread(target=lambda: QueueFile(path).append({"a": 1}), name="waiting writer")
    waiting.start()
    assert not path.exists()
    lock.unlink()
    waiting.join(20)
    assert json.loads(path.read_bytes().rstrip(b"\0")) == {"a": 1}


@pytest.mark.parametrize("age_s", [31, -1000])
def test_lock_is_stale_after_half_a_minute_or_in_the_far_future(path: Path, lock: Path, age_s: float):
    lock.touch()
    _age(lock, age_s)
    QueueFile(path, patience_s=0.05).append({"a": 1})
    assert [path.exists(), lock.exists()] == [True, False]


@pytest.mark.parametrize("age_s", [0, 25, -25])
def test_lock_is_not_stale_before(path: Path, lock: Path, age_s: float):
    lock.touch()
    _age(lock, age_s)
    with pytest.raises(ShellError, match="locked by another"):
        QueueFile(path, patience_s=0.05).append({"a": 1})


def test_old_lock_of_a_writer_that_lives_is_kept(path: Path, lock: Path):
    with lock.open("w") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        _age(lock, 100)
        with pytest.raises(ShellError, match="locked by another"):
            QueueFile(path, patience_s=0.05).append({"a": 1})


def test_lock_is_given_back_when_writing_fails(tmp_path: Path):
    (tmp_path / "queue").mkdir()
    with pytest.raises(IsADirectoryError):
        QueueFile(tmp_path / "queue").append({"a": 1})
    assert not (tmp_path / "queue.LOCK").exists()


# ---- several processes


def test_writers_at_once_lose_and_mix_nothing(path: Path):
    writers = [_start(WRITER, path, name, 60) for name in "ab"]
    with QueueFile(path) as reader:
        records = []
        _wait_for(lambda: records.extend(reader.read_new()) or len(records) >= 120)  # type: ignore[func-returns-value]
        assert [writer.wait(20) for writer in writers] == [0, 0]
        assert reader.read_new() == []
    numbers = {name: [r["number"] for r in records if r["writer"] == name] for name in "ab"}
    assert numbers == {"a": list(range(60)), "b": list(range(60))}


def test_many_who_find_a_stale_lock_exclude_each_other(path: Path, lock: Path):
    lock.touch()
    _age(lock, 100)
    writers = [_start(WRITER, path, name, 10) for name in "abc"]
    assert [writer.wait(20) for writer in writers] == [0, 0, 0]
    with QueueFile(path) as reader:
        assert len(reader.read_new()) == 30


def test_writer_killed_within_a_record_leaves_a_usable_queue(path: Path, lock: Path):
    QueueFile(path).append({"a": 1})
    holder = _start(HOLDER, path)
    holder.kill()
    assert holder.wait(20) == -signal.SIGKILL
    assert lock.exists()
    _age(lock, 31)
    with QueueFile(path) as queue:
        assert queue.read_new() == [{"a": 1}]
        queue.append({"b": 2})
        assert queue.read_new() == [{"b": 2}]


@pytest.mark.parametrize("attempt", range(6))
def test_writer_killed_at_any_moment_leaves_whole_records(path: Path, lock: Path, attempt: int):
    writer = _start(WRITER, path, "a", -1)
    with QueueFile(path, stale_s=0) as reader:
        records = []
        _wait_for(lambda: records.extend(reader.read_new()) or len(records) > attempt)  # type: ignore[func-returns-value]
        writer.kill()
        writer.wait(20)
        reader.append({"number": "last"})
        records += reader.read_new()
    assert [record["number"] for record in records] == [*range(len(records) - 1), "last"]


@pytest.mark.parametrize(
    ("environment", "expected"),
    [
        ({}, ".seamless-queue"),
        ({"SEAMLESS_QUEUE_FILE": "q"}, "q"),
        ({"SEAMLESS_QUEUE_FILE": " "}, ".seamless-queue"),
    ],
)
def test_path_of_the_queue_comes_from_the_environment(environment: dict[str, str], expected: str):
    assert queue_path(environment) == expected

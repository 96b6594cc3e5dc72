"""The look that opens nothing: what it finds is true, and whatever is not simple is left to the engine."""

from __future__ import annotations

import hashlib
import os

import apsw
import pytest
from seamless_store.buffer_directory import BufferDirectory
from seamless_store.quick_look import MAX_SMALL_BYTES, read_small, stored_result
from seamless_store.results_database import ResultsDatabase

TF, RESULT = b"\x01" * 32, b"\x02" * 32


@pytest.fixture
def database(tmp_path):
    path = tmp_path / "seamless.db"
    with ResultsDatabase(path) as database:
        database.set_result(TF, RESULT)
        yield path


@pytest.mark.parametrize("layout", ["prefix", "flat"])
def test_a_small_buffer_is_read_in_either_layout(tmp_path, layout):
    digest = hashlib.sha256(b"hello").digest()
    with BufferDirectory(tmp_path, layout=layout) as buffers:
        buffers.publish([(digest, [b"hello"])])
    assert read_small(str(tmp_path), digest) == b"hello"


def test_a_damaged_file_is_not_returned_and_not_touched(tmp_path):
    digest = hashlib.sha256(b"hello").digest()
    path = tmp_path / digest.hex()
    path.write_bytes(b"hellO")
    assert read_small(str(tmp_path), digest) is None
    assert path.read_bytes() == b"hellO"


def test_what_is_absent_large_a_link_or_a_directory_is_left_to_the_engine(tmp_path):
    large = tmp_path / ("a" * 64)
    large.touch()
    os.truncate(large, MAX_SMALL_BYTES + 1)
    (tmp_path / ("b" * 64)).mkdir()
    (tmp_path / ("c" * 64)).symlink_to("/etc/passwd")
    os.mkfifo(tmp_path / ("d" * 64))
    assert [read_small(str(tmp_path), bytes.fromhex(digit * 64)) for digit in "abcde"] == [None] * 5


def test_a_committed_result_is_found_while_the_engine_has_the_file_open(database):
    assert stored_result(str(database), TF) == RESULT
    assert stored_result(str(database), RESULT) is None


def test_a_result_is_found_in_the_file_that_the_last_closer_leaves(tmp_path):
    path = tmp_path / "seamless.db"
    with ResultsDatabase(path) as database:
        database.set_result(TF, RESULT)
    before = path.read_bytes()
    assert stored_result(str(path), TF) == RESULT
    assert path.read_bytes() == before
    assert os.listdir(tmp_path).count("seamless.db-wal") == 0


def test_a_missing_file_is_not_made(tmp_path):
    assert stored_result(str(tmp_path / "seamless.db"), TF) is None
    assert not os.listdir(tmp_path)


def test_a_file_that_is_no_database_is_left_to_the_engine(tmp_path):
    path = tmp_path / "seamless.db"
    path.write_bytes(b"not a database, but long enough to be taken for one" * 100)
    assert stored_result(str(path), TF) is None


def test_a_locked_database_is_not_waited_for(tmp_path):
    path = tmp_path / "seamless.db"
    with ResultsDatabase(path) as database:
        database.set_result(TF, RESULT)
    holder = apsw.Connection(str(path))
    try:
        holder.execute("BEGIN EXCLUSIVE")
        assert stored_result(str(path), TF) is None
        holder.execute("ROLLBACK")
    finally:
        holder.close()
    assert stored_result(str(path), TF) == RESULT

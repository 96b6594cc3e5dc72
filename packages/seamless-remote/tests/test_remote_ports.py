"""The ports over clients whose servers live in memory: contracts, order, what happens when a server is gone."""

from __future__ import annotations

import os
import threading

import pytest
from seamless import Buffer, Checksum
from seamless.buffer_cache import get_buffer_cache
from seamless.testing.port_contracts import BufferStoreContract, ResultCacheContract
from seamless_remote.buffer_folder import BufferFolder
from seamless_remote.errors import ServiceUnreachable
from seamless_remote.first_found import first_found
from seamless_remote.remote_results import RemoteResultCache
from seamless_remote.remote_store import RemoteBufferStore
from seamless_remote.testing.clients_in_memory import BufferServerInMemory, DatabaseInMemory
from seamless_remote.upload_queue import UploadFailed, UploadQueue


def buffer_of(text: str) -> Buffer:
    buffer = Buffer(text.encode())
    buffer.get_checksum()
    return buffer


def checksum_of(text: str) -> Checksum:
    return buffer_of(text).get_checksum()


TF, RESULT, OTHER = checksum_of("tf"), checksum_of("result"), checksum_of("other")


@pytest.fixture
def server():
    return BufferServerInMemory()


@pytest.fixture
def database():
    return DatabaseInMemory()


@pytest.fixture
def store(server):
    store = RemoteBufferStore(readers=[server], writers=[server], queue=UploadQueue([server], delay_s=30))
    yield store
    server.heal()
    server.gate = None
    store.close()


@pytest.fixture
def results(store, database):
    return RemoteResultCache(store, readers=[database], writers=[database])


class TestRemoteBufferStoreInMemory(BufferStoreContract):
    @pytest.fixture
    def store(self, server):
        store = RemoteBufferStore(readers=[server], writers=[server])
        yield store
        store.close()


class TestRemoteResultCacheInMemory(ResultCacheContract):
    @pytest.fixture
    def results(self, store, database):
        return RemoteResultCache(store, readers=[database], writers=[database])


class TestResultsThatNoDatabaseTakes(ResultCacheContract):
    @pytest.fixture
    def results(self, store, database):
        return RemoteResultCache(store, readers=[database])


# Buffers


def test_readers_are_asked_in_order_and_only_for_what_is_missing(server):
    second = BufferServerInMemory()
    one, two = buffer_of("one"), buffer_of("two")
    server.write_many_sync([one])
    second.write_many_sync([one, two])
    store = RemoteBufferStore(readers=[server, second])
    found = store.get_many([one.get_checksum(), two.get_checksum(), TF])
    assert [None if buffer is None else buffer.content for buffer in found] == [b"one", b"two", None]
    assert second.requests[-1] == ("get", 2)


def test_a_reader_that_is_gone_is_passed_over_if_another_has_the_buffer(server):
    dead = BufferServerInMemory()
    dead.fail()
    server.write_many_sync([buffer_of("one")])
    store = RemoteBufferStore(readers=[dead, server])
    assert store.get(checksum_of("one")) is not None


def test_nobody_can_tell_whether_a_buffer_is_absent_while_a_reader_is_gone(server):
    dead = BufferServerInMemory()
    dead.fail()
    store = RemoteBufferStore(readers=[dead, server])
    with pytest.raises(ServiceUnreachable):
        store.get(checksum_of("one"))


def test_what_waits_to_be_uploaded_is_not_asked_for(store, server):
    store.put(buffer_of("waiting"))
    assert store.has(checksum_of("waiting"))
    assert store.length(checksum_of("waiting")) == 7
    assert store.get(checksum_of("waiting")) is not None
    assert server.requests == []


def test_without_a_writable_server_new_buffers_stay_in_memory(server):
    store = RemoteBufferStore(readers=[server])
    kept = buffer_of("only here")
    store.put(kept)
    store.flush()
    assert server.buffers == {}
    assert get_buffer_cache().get(kept.get_checksum().bytes()) is kept


def test_files_that_the_server_has_are_not_read(store, server, tmp_path):
    one = buffer_of("one")
    server.write_many_sync([one])
    store.put_files([(one.get_checksum(), str(tmp_path / "no such file"), None)])


def test_small_files_travel_together(store, server, tmp_path):
    files = []
    for number in range(200):
        (tmp_path / str(number)).write_text(f"file {number}")
        files.append((checksum_of(f"file {number}"), str(tmp_path / str(number)), None))
    store.put_files(files)
    store.flush()
    assert server.requests == [("has", 200), ("write", 200)]


def test_a_promise_to_a_server_that_is_gone_is_no_error(store, server):
    server.fail()
    store.promise(TF)
    assert server.requests == [("promise", 1)]


# Results


@pytest.mark.invariant("I-172")
def test_the_buffers_are_acknowledged_before_the_row_is_sent(results, store, server, database):
    seen: list[set[bytes]] = []
    database.before_insert = lambda rows: seen.append(set(server.buffers.values()))
    store.put(buffer_of("an input, put before"))
    results.put(TF, RESULT, buffers=[buffer_of("tf"), buffer_of("result")])
    assert seen == [{b"an input, put before", b"tf", b"result"}]


@pytest.mark.invariant("I-172")
def test_no_row_is_sent_when_its_buffers_cannot_be_uploaded(results, server, database):
    server.fail()
    with pytest.raises(UploadFailed, match="connection refused"):
        results.put(TF, RESULT, buffers=[buffer_of("result")])
    assert database.inserts == []
    assert results.get(TF) is None
    server.heal()
    assert results.put(TF, RESULT, buffers=[buffer_of("result")]) == RESULT
    assert database.inserts == [1]


def test_a_database_that_is_gone_is_an_error_and_nothing_is_remembered(results, database):
    database.error = ServiceUnreachable("down", service="database", url="http://fake:2")
    with pytest.raises(ServiceUnreachable):
        results.put(TF, RESULT)
    with pytest.raises(ServiceUnreachable):
        results.get(TF)
    database.error = None
    assert results.get(TF) is None


def test_what_was_found_is_not_looked_up_again(results, database):
    database.results[TF] = RESULT
    for _ in range(3):
        assert results.get(TF) == RESULT
        assert results.get_many([TF, TF]) == [RESULT, RESULT]
    assert database.lookups == 1


def test_a_miss_is_looked_up_again(results, database):
    assert results.get(TF) is None
    database.results[TF] = RESULT
    assert results.get(TF) == RESULT


def test_the_result_of_another_process_stands_and_the_disagreement_is_said(results, database, capsys):
    database.results[TF] = OTHER
    assert results.put(TF, RESULT) == OTHER
    err = capsys.readouterr().err
    assert "is not reproducible" in err
    assert OTHER.hex() in err


def test_the_first_database_decides_and_the_others_follow(store, database):
    second = DatabaseInMemory()
    database.results[TF] = OTHER
    results = RemoteResultCache(store, readers=[database, second], writers=[database, second])
    assert results.put(TF, RESULT, record={"of": "the loser"}) == OTHER
    assert second.results == {TF: OTHER}
    assert second.records == {}


def test_concurrent_puts_share_requests_and_all_are_stored(results, database):
    go_on = threading.Event()
    database.before_insert = lambda rows: go_on.wait(20)
    transformations = [checksum_of(f"tf {number}") for number in range(20)]

    def put(transformation: Checksum) -> None:
        results.put(transformation, RESULT, buffers=[buffer_of("result")])

    threads = [threading.Thread(target=put, args=(each,)) for each in transformations]
    for thread in threads:
        thread.start()
    while len(results._group._queue) < 19:
        threading.Event().wait(0.001)
    go_on.set()
    for thread in threads:
        thread.join(20)
    assert database.inserts == [1, 19]
    assert set(database.results) == set(transformations)


def test_results_stay_in_memory_when_no_server_takes_their_buffers(server, database):
    results = RemoteResultCache(RemoteBufferStore(readers=[server]), readers=[database], writers=[database])
    assert results.put(TF, RESULT) == RESULT
    assert database.inserts == []
    assert results.get(TF) == RESULT
    assert results.reverse(RESULT) == [TF]


def test_first_found_asks_nobody_when_nothing_is_missing():
    assert first_found(["client"], [], lambda client, keys: 1 / 0) == []


# Folders


def test_folders_are_read_before_servers(server, tmp_path):
    (tmp_path / checksum_of("in a folder").hex()).write_text("in a folder")
    store = RemoteBufferStore(folders=[BufferFolder(tmp_path)], readers=[server])
    checksum = checksum_of("in a folder")
    got = store.get(checksum)
    assert got is not None
    assert got.content == b"in a folder"
    assert (store.has(checksum), store.length(checksum)) == (True, 11)
    assert server.requests == []


def test_a_path_is_given_only_for_a_file_that_holds_the_buffer(tmp_path):
    true, damaged = checksum_of("true"), checksum_of("damaged")
    (tmp_path / true.hex()).write_text("true")
    (tmp_path / damaged.hex()).write_text("DAMAGED")
    store = RemoteBufferStore(folders=[BufferFolder(tmp_path)])
    for _ in range(2):
        assert store.path(true) == tmp_path / true.hex()
        assert store.path(damaged) is None
    os.utime(tmp_path / true.hex(), (1, 1))
    (tmp_path / true.hex()).write_text("TRUE")
    assert store.path(true) is None

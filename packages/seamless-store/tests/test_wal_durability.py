"""What was acknowledged survives a power cut, though commits do not sync: shared syncs, room in the WAL."""

from __future__ import annotations

import hashlib
import random
import sqlite3
import threading
from collections import defaultdict

import apsw
import pytest
from seamless_store import database_connections, wal_durability
from seamless_store.database_errors import DatabaseIOError
from seamless_store.results_database import ResultRow, ResultsDatabase
from seamless_store.wal_durability import Commit, SharedSync, WalFile


def digest(label: object) -> bytes:
    return hashlib.sha256(str(label).encode()).digest()


# Power cuts


class Disk:
    """What SQLite and the engine wrote, and what of it they have synced."""

    def __init__(self) -> None:
        self.durable: dict[str, bytearray] = defaultdict(bytearray)
        self.pending: dict[str, list[tuple[int, bytes | None]]] = defaultdict(list)
        self.syncs: list[str] = []

    def write(self, path: str, offset: int, content: bytes | None) -> None:
        """Note a write; None cuts the file off at the offset."""
        self.pending[path].append((offset, content))

    def sync(self, path: str) -> None:
        self.syncs.append(path)
        for change in self.pending.pop(path, []):
            self._apply(self.durable[path], *change)

    def delete(self, path: str) -> None:
        self.durable.pop(path, None)
        self.pending.pop(path, None)

    def after_power_cut(self, path: str, survives) -> bytes:
        """Return the file as the next boot finds it; survives(): whether one unsynced write does."""
        content = bytearray(self.durable[path])
        for change in self.pending[path]:
            if survives():
                self._apply(content, *change)
        return bytes(content)

    @staticmethod
    def _apply(file: bytearray, offset: int, content: bytes | None) -> None:
        if content is None:
            del file[offset:]
            return
        file.extend(bytes(max(0, offset - len(file))))
        file[offset : offset + len(content)] = content


class RecordedFile(apsw.VFSFile):
    def __init__(self, disk, name, flags):
        self.disk = disk
        self.path = name.filename() if isinstance(name, apsw.URIFilename) else name
        super().__init__("unix", name, flags)

    def xWrite(self, content, offset):
        self.disk.write(self.path, offset, bytes(content))
        super().xWrite(content, offset)

    def xTruncate(self, size):
        self.disk.write(self.path, size, None)
        super().xTruncate(size)

    def xSync(self, flags):
        super().xSync(flags)
        self.disk.sync(self.path)


class RecordedFiles(apsw.VFS):
    def __init__(self, disk):
        self.disk = disk
        super().__init__("recorded", "unix", makedefault=True)

    def xOpen(self, name, flags):
        return RecordedFile(self.disk, name, flags)

    def xDelete(self, path, sync_directory):
        super().xDelete(path, sync_directory)
        self.disk.delete(path)


@pytest.fixture
def disk(monkeypatch, tmp_path):
    disk = Disk()
    wal = str(tmp_path / "seamless.db-wal")
    monkeypatch.setattr(wal_durability, "_sync_data", lambda fd: disk.sync(wal))
    vfs = RecordedFiles(disk)
    yield disk
    vfs.unregister()


def stored_after_power_cut(disk, path, image, survives):
    """Return the transformations that the next boot finds; the file must be whole."""
    image.write_bytes(disk.after_power_cut(str(path), survives))
    wal = image.with_name(image.name + "-wal")
    wal.write_bytes(disk.after_power_cut(f"{path}-wal", survives))
    connection = sqlite3.connect(image)
    try:
        assert connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
        return {tf for (tf,) in connection.execute("SELECT checksum FROM transformation")}
    finally:
        connection.close()


@pytest.mark.invariant("I-45")
@pytest.mark.parametrize("surviving", [0.0, 0.5, 1.0])
def test_what_is_acknowledged_survives_a_power_cut_at_any_time(disk, tmp_path, monkeypatch, surviving):
    monkeypatch.setattr(database_connections, "_CHECKPOINT_PAGES", 20)
    monkeypatch.setattr(database_connections, "_LONG_WAL_PAGES", 40)
    path, chance = tmp_path / "seamless.db", random.Random(1)
    acknowledged = set()
    with ResultsDatabase(path) as database:
        for i in range(60):
            database.insert_results([ResultRow(digest(i), digest(("result", i)))])
            acknowledged.add(digest(i).hex())
            found = stored_after_power_cut(
                disk, path, tmp_path / f"image{i}.db", lambda: chance.random() < surviving
            )
            assert found == acknowledged
    assert disk.syncs.count(str(path)) > 3  # it was checkpointed several times
    assert stored_after_power_cut(disk, path, tmp_path / "closed.db", lambda: False) == acknowledged


def test_a_row_that_another_process_has_not_synced_yet_is_synced_before_it_is_acknowledged(disk, tmp_path):
    path = tmp_path / "seamless.db"
    row = ResultRow(digest("tf"), digest("result"))
    with ResultsDatabase(path) as ours, ResultsDatabase(path) as theirs:
        theirs.insert_results([ResultRow(digest("first"), row.result)])
        theirs._connections.sync = lambda: None
        theirs._group._durability._sync = lambda: None
        theirs.insert_results([row])
        assert stored_after_power_cut(disk, path, tmp_path / "before.db", lambda: False) == {
            digest("first").hex()
        }
        assert ours.insert_results([row]) == [row.result]
        found = stored_after_power_cut(disk, path, tmp_path / "after.db", lambda: False)
        assert row.transformation.hex() in found


@pytest.mark.provokes("DatabaseIOError")
def test_a_failed_sync_is_told_to_every_writer_from_then_on(tmp_path, monkeypatch):
    failures = [OSError(5, "Input/output error")]

    def sync(fd):
        while failures:
            raise failures.pop()

    with ResultsDatabase(tmp_path / "seamless.db") as database:
        monkeypatch.setattr(wal_durability, "_sync_data", sync)
        for i in range(2):
            with pytest.raises(DatabaseIOError, match="durable is not known: .*Input/output error"):
                database.insert_results([ResultRow(digest(i), digest("result"))])


# The file


@pytest.fixture
def wal(tmp_path):
    with_path = WalFile(str(tmp_path / "seamless.db"))
    yield with_path
    with_path.close()


def test_a_missing_file_needs_no_sync(wal):
    wal.prepare(0)
    wal.sync()


def test_room_is_made_behind_what_was_written_only(wal, tmp_path):
    file = tmp_path / "seamless.db-wal"
    file.write_bytes(b"frames")
    wal.prepare(0)
    content = file.read_bytes()
    assert content == b"frames" + bytes(64 * 1024)
    wal.prepare(0)
    grown = file.stat().st_size
    assert grown > len(content)
    wal.prepare(0)  # 128 kB are left now, more than others are likely to fill
    assert file.stat().st_size in (grown, 2 * grown)


def test_no_room_is_made_while_there_is_enough(wal, tmp_path):
    file = tmp_path / "seamless.db-wal"
    file.write_bytes(bytes(1_000_000))
    wal.prepare(10)
    assert file.stat().st_size == 1_000_000


def test_a_closed_file_can_be_synced(wal, tmp_path, monkeypatch):
    (tmp_path / "seamless.db-wal").touch()
    synced = []
    monkeypatch.setattr(wal_durability, "_sync_data", synced.append)
    wal.prepare(0)
    wal.close()
    wal.sync()
    assert len(synced) == 1


# Sharing


def test_one_sync_settles_all_that_was_committed_before_it():
    syncs = []
    shared = SharedSync(lambda: syncs.append(1))
    first, second = Commit(), Commit()
    shared.committed(first)
    shared.committed(second)
    shared.settle(first)
    shared.settle(second)
    assert (len(syncs), second.settled) == (1, True)


def test_a_commit_during_a_sync_needs_another_one():
    during = Commit()
    shared = SharedSync(lambda: None if during.settled else shared.committed(during))
    first = Commit()
    shared.committed(first)
    shared.settle(first)
    assert (first.settled, during.settled) == (True, False)


def test_a_failed_sync_is_the_error_of_all_that_it_should_have_covered():
    error = OSError("disk gone")

    def sync():
        raise error

    shared = SharedSync(sync)
    first, second = Commit(), Commit()
    shared.committed(first)
    shared.committed(second)
    shared.settle(first)
    shared.settle(second)
    assert (first.error, second.error) == (error, error)


def test_an_interrupted_sync_settles_nothing():
    interrupts = [KeyboardInterrupt()]

    def sync():
        while interrupts:
            raise interrupts.pop()

    shared = SharedSync(sync)
    commit = Commit()
    shared.committed(commit)
    with pytest.raises(KeyboardInterrupt):
        shared.settle(commit)
    assert not commit.settled
    shared.settle(commit)
    assert (commit.settled, commit.error) == (True, None)


def test_threads_that_wait_together_share_a_sync():
    entered, go_on = threading.Event(), threading.Event()
    syncs = []

    def sync():
        syncs.append(1)
        entered.set()
        assert go_on.wait(10)

    shared = SharedSync(sync)
    commits = [Commit() for _ in range(5)]
    shared.committed(commits[0])
    threads = [threading.Thread(target=shared.settle, args=(commit,)) for commit in commits]
    threads[0].start()
    assert entered.wait(10)
    for commit, thread in zip(commits[1:], threads[1:], strict=True):
        shared.committed(commit)
        thread.start()
    go_on.set()
    for thread in threads:
        thread.join()
    assert len(syncs) == 2

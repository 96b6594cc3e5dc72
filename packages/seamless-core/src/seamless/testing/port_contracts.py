"""Contract suites: what every implementation of a port must do, as pytest classes to inherit from.

    class TestMyStore(BufferStoreContract):
        @pytest.fixture
        def store(self, tmp_path):
            with closing(MyStore(tmp_path)) as store:
                yield store

Each suite needs pytest only. Tests get a fresh, empty implementation.
"""

from __future__ import annotations

import threading
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from seamless import Buffer, Checksum
from seamless.errors import FileChanged, ResultConflict, StepError
from seamless.ports import BufferStore, Executor, ResultCache, RunningSteps
from seamless.step import StepRequest

if TYPE_CHECKING:
    from seamless_store.layout import Form

__all__ = ("BufferStoreContract", "ExecutorContract", "ResultCacheContract", "RunningStepsContract")


def _buffer_of(text: str) -> Buffer:
    buffer = Buffer(text.encode())
    buffer.get_checksum()
    return buffer


def _checksum_of(text: str) -> Checksum:
    return _buffer_of(text).get_checksum()


def _write_file(path: Path, content: bytes, form: Form | None) -> Path:
    if form == "gz":
        import gzip

        content = gzip.compress(content)
    elif form == "zst":
        content = _as_zstandard(content)
    path.write_bytes(content)
    return path


def _as_zstandard(content: bytes) -> bytes:
    """Return a Zstandard frame of raw blocks (RFC 8878, section 3.1.1): no compressor is needed to write one."""
    blocks = [content[start : start + 0x4000] for start in range(0, len(content), 0x4000)] or [b""]
    frame = b"\x28\xb5\x2f\xfd" + b"\x80\x28" + len(content).to_bytes(4, "little")
    for number, block in enumerate(blocks, 1):
        frame += (len(block) << 3 | (number == len(blocks))).to_bytes(3, "little") + block
    return frame


ABSENT = _checksum_of("never stored")


class BufferStoreContract:
    """Give a fixture `store`: an empty, writable BufferStore."""

    def test_it_fills_the_port(self, store: BufferStore) -> None:
        assert isinstance(store, BufferStore)

    def test_what_is_put_is_got_at_once(self, store: BufferStore) -> None:
        kept = _buffer_of("hello")
        store.put(kept)
        got = store.get(kept.get_checksum())
        assert got is not None
        assert got.content == b"hello"
        assert got.get_checksum() == kept.get_checksum()

    def test_what_was_never_put_is_none_and_not_an_error(self, store: BufferStore) -> None:
        assert store.get(ABSENT) is None
        assert store.has(ABSENT) is False
        assert store.length(ABSENT) is None
        assert store.path(ABSENT) is None

    @pytest.mark.parametrize("size", [0, 1, 4095, 4096, 1 << 20, (1 << 20) + 1])
    def test_every_size_comes_back_whole(self, store: BufferStore, size: int) -> None:
        kept = Buffer(bytes(index % 251 for index in range(size)))
        checksum = kept.get_checksum()
        store.put(kept)
        store.flush()
        got = store.get(checksum)
        assert got is not None
        assert got.content == kept.content
        assert store.length(checksum) == size

    def test_many_forms_keep_order_and_accept_repeats(self, store: BufferStore) -> None:
        one, two = _buffer_of("one"), _buffer_of("two")
        store.put_many([one, two, one])
        wanted = [two.get_checksum(), ABSENT, one.get_checksum(), two.get_checksum()]
        assert store.has_many(wanted) == [True, False, True, True]
        assert store.length_many(wanted) == [3, None, 3, 3]
        assert [None if got is None else got.content for got in store.get_many(wanted)] == [
            b"two",
            None,
            b"one",
            b"two",
        ]

    def test_empty_many_forms_are_fine(self, store: BufferStore) -> None:
        store.put_many([])
        assert (store.get_many([]), store.has_many([]), store.length_many([])) == ([], [], [])

    def test_putting_twice_changes_nothing(self, store: BufferStore) -> None:
        kept = _buffer_of("again")
        store.put(kept)
        store.flush()
        store.put(kept)
        store.flush()
        assert store.has(kept.get_checksum())

    def test_a_path_holds_exactly_the_buffer(self, store: BufferStore) -> None:
        kept = _buffer_of("in a file")
        store.put(kept)
        path = store.path(kept.get_checksum())
        assert path is None or path.read_bytes() == b"in a file"

    def test_a_promise_is_only_a_hint(self, store: BufferStore) -> None:
        store.promise(ABSENT)
        store.put(_buffer_of("other"))
        assert store.has(_checksum_of("other"))

    @pytest.mark.parametrize("size", [0, 6, (1 << 20) + 1])
    @pytest.mark.parametrize("form", [None, "gz", "zst"])
    def test_a_file_is_taken_whatever_its_size_and_compression(
        self, store: BufferStore, tmp_path: Path, size: int, form: Form | None
    ) -> None:
        kept = Buffer(b"%d" % size * size)
        path = _write_file(tmp_path / "file", kept.content, form)
        store.put_files([(kept.get_checksum(), str(path), form)])
        got = store.get(kept.get_checksum())
        assert got is not None
        assert got.content == kept.content
        store.flush()
        assert store.length(kept.get_checksum()) == len(kept)

    def test_many_files_are_taken_at_once_and_again(self, store: BufferStore, tmp_path: Path) -> None:
        kept = [_buffer_of(f"file {number % 50}") for number in range(60)]
        files: list[tuple[Checksum, str, Form | None]] = [
            (buffer.get_checksum(), str(_write_file(tmp_path / str(number), buffer.content, None)), None)
            for number, buffer in enumerate(kept)
        ]
        store.put_files([])
        store.put_files(files)
        store.put_files(files)
        assert store.has_many([buffer.get_checksum() for buffer in kept]) == [True] * 60

    @pytest.mark.provokes("FileChanged")
    @pytest.mark.parametrize("size", [6, 2 << 20])
    @pytest.mark.parametrize("form", [None, "gz", "zst"])
    def test_a_file_that_is_another_one_now_is_refused(
        self, store: BufferStore, tmp_path: Path, size: int, form: Form | None
    ) -> None:
        path = _write_file(tmp_path / "changed", bytes(size), form)
        with pytest.raises(FileChanged, match="changed") as caught:
            store.put_files([(ABSENT, str(path), form)])
        assert (caught.value.path, caught.value.checksum) == (str(path), ABSENT)
        assert store.get(ABSENT) is None

    def test_a_file_that_is_gone_is_named(self, store: BufferStore, tmp_path: Path) -> None:
        with pytest.raises(FileNotFoundError, match="gone"):
            store.put_files([(ABSENT, str(tmp_path / "gone"), None)])

    def test_many_threads_may_put_and_get(self, store: BufferStore) -> None:
        failures: list[object] = []

        def work(number: int) -> None:
            for index in range(20):
                kept = _buffer_of(f"{number % 3} {index}")
                store.put(kept)
                got = store.get(kept.get_checksum())
                if got is None or got.content != kept.content:
                    failures.append((number, index))

        threads = [threading.Thread(target=work, args=(number,)) for number in range(6)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert failures == []

    def test_close_may_be_called_twice(self, store: BufferStore) -> None:
        store.put(_buffer_of("last"))
        store.close()
        store.close()


class ResultCacheContract:
    """Give a fixture `results`: an empty, writable ResultCache."""

    TF, RESULT, OTHER = _checksum_of("tf"), _checksum_of("result"), _checksum_of("other result")

    def test_it_fills_the_port(self, results: ResultCache) -> None:
        assert isinstance(results, ResultCache)

    def test_an_unknown_transformation_has_no_result(self, results: ResultCache) -> None:
        assert results.get(ABSENT) is None
        assert results.reverse(ABSENT) == []
        assert results.record(ABSENT) is None

    def test_what_is_put_is_got_at_once(self, results: ResultCache) -> None:
        assert results.put(self.TF, self.RESULT) == self.RESULT
        assert results.get(self.TF) == self.RESULT

    def test_the_first_result_stands(self, results: ResultCache) -> None:
        results.put(self.TF, self.RESULT)
        assert results.put(self.TF, self.OTHER) == self.RESULT
        results.flush()
        assert results.put(self.TF, self.OTHER) == self.RESULT
        assert results.get(self.TF) == self.RESULT
        assert results.reverse(self.OTHER) == []

    def test_reverse_lists_each_transformation_once_oldest_first(self, results: ResultCache) -> None:
        transformations = [_checksum_of(f"tf {index}") for index in range(5)]
        for transformation in [*transformations, *transformations]:
            results.put(transformation, self.RESULT)
        assert results.reverse(self.RESULT) == transformations

    def test_the_record_of_the_standing_result_is_kept(self, results: ResultCache) -> None:
        record = {"schema_version": 1, "tf_checksum": self.TF.hex(), "result_checksum": self.RESULT.hex()}
        results.put(self.TF, self.RESULT, record=record)
        results.put(self.TF, self.OTHER, record={**record, "result_checksum": self.OTHER.hex()})
        assert results.record(self.TF) == record

    def test_get_many_keeps_order(self, results: ResultCache) -> None:
        results.put(self.TF, self.RESULT)
        assert results.get_many([ABSENT, self.TF, ABSENT]) == [None, self.RESULT, None]
        assert results.get_many([]) == []

    def test_a_contested_result_is_forgotten_and_may_be_replaced(self, results: ResultCache) -> None:
        results.put(self.TF, self.RESULT)
        results.contest(self.TF, self.RESULT)
        assert results.get(self.TF) is None
        assert results.reverse(self.RESULT) == []
        assert results.put(self.TF, self.OTHER) == self.OTHER

    @pytest.mark.provokes("ResultConflict")
    def test_contesting_another_result_than_the_stored_one_is_refused(self, results: ResultCache) -> None:
        results.put(self.TF, self.RESULT)
        with pytest.raises(ResultConflict, match=self.RESULT.hex()):
            results.contest(self.TF, self.OTHER)
        assert results.get(self.TF) == self.RESULT

    @pytest.mark.invariant("I-57")
    def test_racing_threads_all_get_the_same_winner(self, results: ResultCache) -> None:
        winners: list[Checksum] = []

        def race(number: int) -> None:
            winners.append(results.put(self.TF, _checksum_of(f"result {number}")))

        threads = [threading.Thread(target=race, args=(number,)) for number in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert len(winners) == 8
        assert set(winners) == {results.get(self.TF)}

    def test_close_may_be_called_twice(self, results: ResultCache) -> None:
        results.put(self.TF, self.RESULT)
        results.close()
        results.close()


class ExecutorContract:
    """Give a fixture `executor`, and `request(code, **arguments)` that makes a StepRequest of Python code."""

    def test_it_fills_the_port(self, executor: Executor) -> None:
        assert isinstance(executor, Executor)

    def test_a_step_gives_its_result_and_its_cost(self, executor: Executor, request_of: _RequestOf) -> None:
        outcome = executor.submit(request_of("def f(a): return a + 1", a=41)).result(30)
        assert outcome.result.get_value("mixed") == 42
        assert outcome.usage.wall_s >= 0
        assert outcome.usage.memory_peak_bytes > 0

    def test_a_failing_step_gives_its_own_traceback(self, executor: Executor, request_of: _RequestOf) -> None:
        future = executor.submit(request_of("def f(a):\n    return 1 / a", a=0))
        with pytest.raises(StepError, match="ZeroDivisionError") as caught:
            future.result(30)
        assert "return 1 / a" in caught.value.user_traceback

    def test_a_step_that_exits_fails_and_the_executor_goes_on(
        self, executor: Executor, request_of: _RequestOf
    ) -> None:
        with pytest.raises(StepError, match="SystemExit"):
            executor.submit(request_of("def f(a):\n    raise SystemExit(a)", a=3)).result(30)
        assert executor.submit(request_of("def f(a): return a", a=1)).result(30).result.content == b"1\n"

    def test_several_steps_may_be_under_way(self, executor: Executor, request_of: _RequestOf) -> None:
        futures = [executor.submit(request_of("def f(a): return a * a", a=number)) for number in range(20)]
        assert [future.result(30).result.get_value("mixed") for future in futures] == [
            number * number for number in range(20)
        ]


class _RequestOf:
    """Signature of the fixture `request_of`."""

    def __call__(self, code: str, **arguments: object) -> StepRequest:
        raise NotImplementedError


class RunningStepsContract:
    """Give a fixture `running`: a RunningSteps that no other process uses."""

    def test_it_fills_the_port(self, running: RunningSteps) -> None:
        assert isinstance(running, RunningSteps)

    def test_nobody_runs_a_step_that_was_not_announced(self, running: RunningSteps) -> None:
        assert running.holder(ABSENT) is None
        assert running.request_cancel(ABSENT) == "not-running"

    def test_an_announced_step_has_a_holder_while_it_runs(self, running: RunningSteps) -> None:
        with running.announce(ABSENT, "a test") as announcement:
            assert not announcement.runs_elsewhere
            holder = running.holder(ABSENT)
            assert holder is not None
            assert (holder.what, holder.is_alive, holder.is_here) == ("a test", True, True)
        assert running.holder(ABSENT) is None

    def test_a_cancellation_reaches_this_run_and_no_later_one(self, running: RunningSteps) -> None:
        with running.announce(ABSENT, "first") as first:
            assert not first.cancel_requested()
            assert running.request_cancel(ABSENT) == "canceled"
            assert first.cancel_requested()
        with running.announce(ABSENT, "second") as second:
            assert not second.cancel_requested()

    def test_one_process_may_run_a_step_twice_at_once(self, running: RunningSteps) -> None:
        with running.announce(ABSENT, "first") as first, running.announce(ABSENT, "second") as second:
            assert (first.runs_elsewhere, second.runs_elsewhere) == (False, False)
            running.request_cancel(ABSENT)
            assert (first.cancel_requested(), second.cancel_requested()) == (True, True)
        assert running.holder(ABSENT) is None

"""The embedded cache: the ports on real files, several processes at once, kills, read-only directories."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import textwrap
import time
from pathlib import Path

import apsw
import pytest
from seamless import Buffer, Checksum
from seamless.buffer_cache import get_buffer_cache
from seamless.embedded import (
    CacheDirectoryError,
    EmbeddedBufferStore,
    cache_directory,
    memory_set,
    open_embedded,
    set_from_environment,
)
from seamless.testing.port_contracts import BufferStoreContract, ResultCacheContract, RunningStepsContract

WITHOUT_OVERRIDE = ("setpriv", "--bounding-set=-dac_override,-dac_read_search") if os.geteuid() == 0 else ()


def checksum_of(text: str) -> Checksum:
    return Buffer(text.encode()).get_checksum()


@pytest.fixture
def embedded(tmp_path):
    active = open_embedded(tmp_path / "cache")
    yield active
    active.close()


class TestEmbeddedBufferStore(BufferStoreContract):
    @pytest.fixture
    def store(self, embedded):
        return embedded.buffers


class TestEmbeddedResultCache(ResultCacheContract):
    @pytest.fixture
    def results(self, embedded):
        return embedded.results


class TestEmbeddedRunningSteps(RunningStepsContract):
    @pytest.fixture
    def running(self, embedded):
        return embedded.running


def test_memory_and_a_directory_that_cannot_be_written_announce_nothing(tmp_path, monkeypatch):
    open_embedded(tmp_path / "cache").close()
    monkeypatch.setattr(os, "access", lambda *_: False)
    read_only = open_embedded(tmp_path / "cache")
    assert (memory_set().running, read_only.running) == (None, None)
    read_only.close()


def start(
    code: str, cache: Path, *arguments: str, prefix: tuple[str, ...] = (), **settings: object
) -> subprocess.Popen[str]:
    environment = {**os.environ, "SEAMLESS_CACHE": str(cache)}
    return subprocess.Popen(
        [*prefix, sys.executable, "-c", textwrap.dedent(code), *arguments],
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        **settings,  # type: ignore[call-overload]
    )


def run(code: str, cache: Path, *arguments: str, prefix: tuple[str, ...] = ()) -> str:
    process = start(code, cache, *arguments, prefix=prefix)
    out, err = process.communicate(timeout=50)
    assert process.returncode == 0, err
    return out


def rows_of(cache: Path, query: str) -> list[tuple[object, ...]]:
    connection = apsw.Connection(str(cache / "__TOPLEVEL__" / "seamless.db"))
    try:
        return list(connection.execute(query))
    finally:
        connection.close()


STEP = """
    import sys
    from seamless.transformer import direct, step_counters
    step = direct("PINS['a'] * 2")
    step.celltypes.a = "int"
    print([step(a=number) for number in range(int(sys.argv[1]))], step_counters().executed)
"""


def test_a_second_process_finds_what_the_first_computed(tmp_path):
    assert run(STEP, tmp_path, "5") == "[0, 2, 4, 6, 8] 5\n"
    assert run(STEP, tmp_path, "6") == "[0, 2, 4, 6, 8, 10] 1\n"


@pytest.mark.invariant("I-59")
def test_results_are_durable_without_close_when_the_process_ends_by_itself(tmp_path):
    run(STEP, tmp_path, "3")
    assert len(rows_of(tmp_path, "select * from transformation")) == 3
    assert len(rows_of(tmp_path, "select * from meta_data")) == 3


def test_every_row_names_buffers_that_are_there_and_true(tmp_path):
    run(STEP, tmp_path, "20")
    active = open_embedded(tmp_path)
    for tf_hex, result_hex in rows_of(tmp_path, "select checksum, result from transformation"):
        text = active.buffers.get(Checksum(str(tf_hex)))
        assert text is not None
        pins = json.loads(text.content)
        needed = [pin[2] for name, pin in pins.items() if not name.startswith("__")]
        assert len(needed) == 2
        for needed_hex in [result_hex, *needed]:
            buffer = active.buffers.get(Checksum(str(needed_hex)))
            assert buffer is not None
            assert Buffer(buffer.content).get_checksum().hex() == needed_hex
    active.close()


@pytest.mark.invariant("I-57")
def test_the_first_of_racing_processes_decides_for_all_and_the_others_say_so(tmp_path):
    code = """
        import os, sys, time
        from seamless.transformer import direct
        step = direct("import os, time; time.sleep(0.3); result = os.getpid()")
        step.celltypes.a = "int"
        print("ready", flush=True)
        sys.stdin.readline()
        print(step(a=1))
    """
    racers = [start(code, tmp_path, stdin=subprocess.PIPE) for _ in range(4)]
    for racer in racers:
        assert racer.stdout is not None
        assert racer.stdout.readline() == "ready\n"
    for racer in racers:
        assert racer.stdin is not None
        racer.stdin.write("go\n")
        racer.stdin.flush()
    outputs = [racer.communicate(timeout=50) for racer in racers]
    values = {out for out, err in outputs}
    assert len(values) == 1
    assert int(values.pop()) in [racer.pid for racer in racers]
    assert sum("is not reproducible" in err for out, err in outputs) == 3


def test_eight_processes_on_one_cache_agree_and_share_the_work(tmp_path):
    code = """
        import random, sys
        from seamless.transformer import direct, step_counters
        step = direct("import os; result = [a, os.getpid()]")
        step.celltypes.a = "int"
        numbers = list(range(60))
        random.Random(int(sys.argv[1])).shuffle(numbers)
        print(sorted(step(a=number) for number in numbers))
    """
    processes = [start(code, tmp_path, str(seed)) for seed in range(8)]
    outputs = [process.communicate(timeout=55) for process in processes]
    assert [process.returncode for process in processes] == [0] * 8
    assert len({out for out, err in outputs}) == 1
    assert rows_of(tmp_path, "select count(*), count(distinct checksum) from transformation") == [(60, 60)]
    assert rows_of(tmp_path, "pragma integrity_check") == [("ok",)]


def test_a_killed_process_loses_nothing_that_was_flushed_and_leaves_nothing_half_done(tmp_path):
    code = """
        import itertools, os, sys
        from seamless.transformer import direct
        from seamless.active import get_active
        step = direct("bytes(5000) + str(a).encode()")
        step.celltypes.a = "int"
        step.celltypes.result = "bytes"
        for number in itertools.count(int(sys.argv[1])):
            step(a=number)
            if number % 10 == 9:
                get_active().results.flush()
                print(number, flush=True)
    """
    acknowledged = 0
    for attempt in range(3):
        process = start(code, tmp_path, str(attempt * 1_000_000))
        assert process.stdout is not None
        for _ in range(3 + attempt):
            process.stdout.readline()
            acknowledged += 10
        process.send_signal(signal.SIGKILL)
        process.communicate(timeout=30)
    active = open_embedded(tmp_path)
    rows = rows_of(tmp_path, "select checksum, result from transformation")
    assert len(rows) >= acknowledged
    for tf_hex, result_hex in rows:
        for checksum_hex in (tf_hex, result_hex):
            buffer = active.buffers.get(Checksum(str(checksum_hex)))
            assert buffer is not None
            assert Buffer(buffer.content).get_checksum().hex() == checksum_hex
    active.close()
    assert rows_of(tmp_path, "pragma integrity_check") == [("ok",)]


def test_a_store_that_may_not_write_takes_files_into_memory(tmp_path):
    (tmp_path / "file").write_bytes(b"in a file")
    checksum = Buffer(b"in a file").get_checksum()
    active = open_embedded(tmp_path / "cache")
    store = EmbeddedBufferStore(active.buffers._directory, active.buffers._behind, writable=False)
    store.put_files([(checksum, str(tmp_path / "file"), None)])
    assert get_buffer_cache().get(checksum.bytes()).content == b"in a file"
    assert not store.has(checksum)
    active.close()


@pytest.mark.skipif(
    os.geteuid() == 0 and shutil.which("setpriv") is None,
    reason="root ignores file modes unless setpriv (util-linux) takes that right away",
)
def test_a_read_only_cache_gives_what_it_has_and_new_steps_stay_in_memory(tmp_path):
    run(STEP, tmp_path, "3")
    for path in [tmp_path, *tmp_path.rglob("*")]:
        path.chmod(0o555 if path.is_dir() else 0o444)
    try:
        before = sorted(tmp_path.rglob("*"))
        assert run(STEP + STEP, tmp_path, "5", prefix=WITHOUT_OVERRIDE) == (
            "[0, 2, 4, 6, 8] 2\n[0, 2, 4, 6, 8] 2\n"
        )
        assert sorted(tmp_path.rglob("*")) == before
    finally:
        for path in [tmp_path, *tmp_path.rglob("*")]:
            path.chmod(0o755)


def test_a_stage_has_a_directory_of_its_own(tmp_path):
    active = open_embedded(tmp_path, stage="build")
    active.buffers.put(Buffer(b"staged"))
    active.close()
    assert active.location == str(tmp_path / "__TOPLEVEL__" / "STAGE-build")
    assert (tmp_path / "__TOPLEVEL__" / "STAGE-build" / "seamless.db").exists() or any(
        (tmp_path / "__TOPLEVEL__" / "STAGE-build").rglob(checksum_of("staged").hex())
    )


def test_a_blank_variable_means_memory(monkeypatch):
    monkeypatch.setenv("SEAMLESS_CACHE", "  ")
    assert cache_directory() is None
    assert set_from_environment().location == "memory"


def test_the_variable_is_stripped_and_its_tilde_expanded(monkeypatch, tmp_path):
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("SEAMLESS_CACHE", " ~/cache ")
    assert cache_directory() == tmp_path / "cache"


@pytest.mark.provokes("CacheDirectoryError")
def test_a_directory_that_cannot_be_made_is_named_with_the_remedy(tmp_path):
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(CacheDirectoryError, match=r"SEAMLESS_CACHE=.*file.*Name a directory"):
        open_embedded(tmp_path / "file")


def test_opening_writes_nothing_before_the_first_step(tmp_path):
    active = open_embedded(tmp_path)
    assert active.results.get(checksum_of("nothing")) is None
    active.close()
    assert not list(tmp_path.rglob("*.db-wal"))


def test_a_damaged_result_is_reported_put_aside_and_computed_again(tmp_path):
    run(STEP, tmp_path, "3")
    ((result_hex,),) = rows_of(tmp_path, "select result from transformation order by result limit 1")
    (file,) = tmp_path.rglob(str(result_hex))
    content = file.read_bytes()
    file.chmod(0o644)
    file.write_bytes(b"X" + content[1:])
    file.chmod(0o444)
    ten_minutes_ago = time.time() - 600
    os.utime(file, (ten_minutes_ago, ten_minutes_ago))
    process = start(STEP, tmp_path, "3")
    out, err = process.communicate(timeout=50)
    assert out == "[0, 2, 4] 1\n"
    assert str(result_hex) in err
    assert "will be computed again" in err
    (repaired,) = (path for path in tmp_path.rglob(str(result_hex)) if ".quarantine" not in path.parts)
    assert repaired.read_bytes() == content
    assert run(STEP, tmp_path, "3") == "[0, 2, 4] 0\n"

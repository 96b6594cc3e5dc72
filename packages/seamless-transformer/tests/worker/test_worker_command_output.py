"""What a command writes reaches a front end as bytes, while it runs."""

from __future__ import annotations

import os
import threading
import time
from pathlib import Path

import pytest
from seamless.step import StepOutput
from seamless_worker import SeamlessStreamTransformationError, run_step
from seamless_worker.command_output import MAX_LOOK_BYTES, FileTail


class Taken:
    """Collects what comes; `output` is handed to the step."""

    def __init__(self) -> None:
        self.stdout, self.stderr, self.result = bytearray(), bytearray(), bytearray()
        self.output = StepOutput(self.stdout.extend, self.stderr.extend, self.result.extend)


@pytest.fixture
def taken() -> Taken:
    return Taken()


def test_bytes_of_both_streams_come_as_they_are(bench, taken, capfd):
    code = "printf 'a\\377\\n\\0b'; printf 'caf\\303' >&2; sleep 0.01; printf '\\251' >&2; echo x > RESULT"
    assert bench.bash(code, output=taken.output) == b"x\n"
    assert taken.stdout == b"a\xff\n\0b"
    assert taken.stderr == "café".encode()
    assert capfd.readouterr() == ("", "")


def test_output_comes_while_the_command_runs(bench, tmp_path, taken):
    """The command waits for an answer to what it has printed; without it, it would fail."""
    answer = tmp_path / "answer"
    came = []

    def reply(chunk: bytes) -> None:
        came.append(chunk)
        answer.touch()

    wait = f"for i in $(seq 1000); do [ -e {answer} ] && break; sleep 0.01; done; [ -e {answer} ]"
    code = f"echo question; {wait}; echo x > RESULT"
    assert bench.bash(code, output=StepOutput(reply, taken.stderr.extend)) == b"x\n"
    assert b"".join(came) == b"question\n"


def test_a_growing_result_file_comes_while_the_command_runs(bench, tmp_path, taken):
    answer = tmp_path / "answer"

    def reply(piece: bytes) -> None:
        taken.result.extend(piece)
        answer.touch()

    output = StepOutput(taken.stdout.extend, taken.stderr.extend, reply)
    wait = f"for i in $(seq 1000); do [ -e {answer} ] && break; sleep 0.01; done; [ -e {answer} ]"
    code = f"(\necho one; {wait}; echo two\n) > RESULT"
    result = bench.bash(code, output=output)
    assert result == b"one\ntwo\n"
    assert taken.result.startswith(b"one\n")
    assert result.startswith(bytes(taken.result))


def test_all_of_the_result_file_comes_when_the_command_fails(bench, taken):
    with pytest.raises(Exception, match="Return code 3"):
        bench.bash("(\nhead -c 20000000 /dev/zero; echo end; exit 3\n) > RESULT", output=taken.output)
    assert taken.result == bytes(20_000_000) + b"end\n"


def test_both_streams_are_kept_for_the_error_too(bench, taken):
    failure = bench.failure("echo out; printf 'caf\\303' >&2; exit 4", language="bash", output=taken.output)
    assert isinstance(failure.exception, SeamlessStreamTransformationError)
    assert failure.exception.returncode == 4
    assert failure.exception.stderr == failure.stderr == "caf\ufffd"
    assert failure.stdout == "out\n"
    assert taken.stderr == b"caf\xc3"


def test_without_a_place_for_it_half_a_character_at_the_end_is_shown(bench, capsys):
    assert bench.bash("printf 'caf\\303'; echo x > RESULT") == b"x\n"
    assert capsys.readouterr().out == "caf\ufffd"


@pytest.mark.parametrize("stream", ["stdout", "stderr", "result"])
def test_whoever_refuses_the_output_stops_the_command(bench, temporary_directory, stream, taken):
    def refuse(_chunk: bytes) -> None:
        raise BrokenPipeError

    takers = {"stdout": taken.stdout.extend, "stderr": taken.stderr.extend, "result": taken.result.extend}
    output = StepOutput(**{**takers, stream: refuse})
    code = "trap '' TERM; while :; do echo a; echo b >&2; echo c >> RESULT; sleep 0.01; done"
    started = time.monotonic()
    with pytest.raises(BrokenPipeError):
        bench.bash(code, output=output)
    assert time.monotonic() - started < 10  # of no end
    assert list(temporary_directory.iterdir()) == []


def test_a_python_step_prints_as_without_it(bench, taken, capsys):
    assert run_step(bench.request("print('hello')\nresult = 1", output=taken.output)).result.content == b"1\n"
    assert capsys.readouterr().out == "hello\n"
    assert taken.stdout == b""


@pytest.mark.parametrize(
    "code",
    [
        "mkfifo RESULT; sleep 0.3; rm RESULT; mkdir RESULT; echo x > RESULT/f",
        "echo secret > other; ln -s other RESULT; sleep 0.3; rm RESULT; mkdir RESULT; echo x > RESULT/f",
        "mkdir RESULT; echo x > RESULT/f; sleep 0.3",
    ],
    ids=["fifo", "link", "directory"],
)
def test_nothing_but_a_plain_file_is_read(bench, taken, code):
    bench.run(code, language="bash", result="folder", output=taken.output)
    assert taken.result == b""


# ---- FileTail


@pytest.fixture
def tail(tmp_path: Path):
    pieces: list[bytes] = []
    tail = FileTail(tmp_path / "RESULT", pieces.append)
    yield tail, tmp_path / "RESULT", pieces
    tail.close()


def test_tail_gives_what_was_appended(tail):
    tail, path, pieces = tail
    tail.look()
    path.write_bytes(b"one")
    tail.look()
    tail.look()
    with path.open("ab") as file:
        file.write(b"two")
    tail.look()
    assert pieces == [b"one", b"two"]


def test_one_look_has_a_limit_and_drain_has_none(tail):
    tail, path, pieces = tail
    path.touch()
    os.truncate(path, 2 * MAX_LOOK_BYTES + 5)
    tail.look()
    assert sum(map(len, pieces)) == MAX_LOOK_BYTES
    tail.drain()
    assert sum(map(len, pieces)) == 2 * MAX_LOOK_BYTES + 5


def test_drain_ends_although_the_file_goes_on_growing(tmp_path):
    path = tmp_path / "RESULT"
    path.write_bytes(b"begin")
    taken = bytearray()

    def take(piece: bytes) -> None:
        taken.extend(piece)
        with path.open("ab") as file:
            file.write(b"more")

    tail = FileTail(path, take)
    tail.drain()
    tail.close()
    assert taken == b"begin"


@pytest.mark.parametrize("change", ["replaced", "cut", "removed"])
def test_tail_ends_when_the_file_is_another_one(tail, change):
    tail, path, pieces = tail
    path.write_bytes(b"before")
    tail.look()
    changes = {
        "replaced": lambda: (
            path.with_name("new").write_bytes(b"before and after") and path.with_name("new").rename(path)
        ),
        "cut": lambda: os.truncate(path, 2),
        "removed": path.unlink,
    }
    changes[change]()
    tail.look()
    path.write_bytes(b"something much longer")
    tail.look()
    assert pieces == [b"before"]


def test_a_fifo_with_a_writer_neither_blocks_nor_is_read(tail):
    tail, path, pieces = tail
    os.mkfifo(path)
    writer = threading.Thread(target=lambda: path.open("wb").close(), daemon=True)
    writer.start()
    tail.look()
    reader = os.open(path, os.O_RDONLY | os.O_NONBLOCK)  # lets the writer go
    writer.join(10)
    os.close(reader)
    assert pieces == []


def test_close_twice_and_look_after_it(tail):
    tail, path, pieces = tail
    path.write_bytes(b"x")
    tail.close()
    tail.close()
    tail.look()
    assert pieces == []

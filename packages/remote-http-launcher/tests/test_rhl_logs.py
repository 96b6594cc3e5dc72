"""rhl-logs shows every byte once, over rotation too, and no token."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from remote_http_launcher import tail
from remote_http_launcher.errors import TokenUnusable
from remote_http_launcher.helpers import logs
from remote_http_launcher.tail import LogFollower, last_lines
from remote_http_launcher.testing.processes import server_folder
from remote_http_launcher.tokens import Redactor, make_token, read_token, token_path

COMMAND = [
    sys.executable,
    "-c",
    "import sys; from remote_http_launcher.helpers.logs import main; sys.exit(main())",
]


@pytest.fixture
def log() -> Path:
    return server_folder() / "k.log"


@pytest.fixture
def follower(log: Path) -> Iterator[subprocess.Popen[bytes]]:
    log.write_bytes(b"one\ntwo\n")
    process = subprocess.Popen(
        [*COMMAND, "k", "--tail", "1", "--follow"], stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )
    yield process
    process.kill()
    process.communicate()


@given(
    st.lists(st.sampled_from([b"a", b"\n", b"\r", b"bc", b""]), max_size=30),
    st.integers(0, 12),
    st.integers(1, 7),
)
def test_last_lines_are_those_of_the_whole_file(
    tmp_path_factory: pytest.TempPathFactory, words: list[bytes], n_lines: int, piece: int
):
    content = b"".join(words)
    path = tmp_path_factory.mktemp("log") / "k.log"
    path.write_bytes(content)
    lines = [line + b"\n" for line in content.split(b"\n")]
    lines[-1] = lines[-1].removesuffix(b"\n")
    ended = [line for line in lines if line]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(tail, "PIECE_BYTES", piece)
        assert last_lines(str(path), n_lines) == b"".join(ended[max(0, len(ended) - n_lines) :])


def test_last_lines_have_a_bound(log: Path):
    log.write_bytes(b"x" * 1000 + b"\nend\n")
    assert last_lines(str(log), 5, size_max_bytes=10) == b"x" * 5 + b"\nend\n"


@pytest.mark.invariant("I-193")
def test_follower_goes_on_over_the_rotation(follower: subprocess.Popen[bytes], log: Path):
    out = follower.stdout
    assert out is not None
    assert out.readline() == b"two\n"
    with open(log, "ab") as old:
        old.write(b"three\n")
        old.flush()
        assert out.readline() == b"three\n"
        os.rename(log, log.with_suffix(".log.1"))
        old.write(b"last words\n")
    log.write_bytes(b"new start\n")
    assert out.readline() == b"last words\n"
    assert out.readline() == b"new start\n"


def test_follower_goes_on_when_the_log_is_truncated(follower: subprocess.Popen[bytes], log: Path):
    assert follower.stdout is not None
    assert follower.stdout.readline() == b"two\n"
    log.write_bytes(b"n\n")
    assert follower.stdout.readline() == b"n\n"


def test_follower_ends_when_nobody_reads(follower: subprocess.Popen[bytes]):
    assert follower.stdout is not None
    assert follower.stdout.readline() == b"two\n"
    follower.stdout.close()
    assert follower.wait(20) == 0


def test_follower_that_is_interrupted_says_nothing(follower: subprocess.Popen[bytes]):
    assert follower.stdout is not None
    assert follower.stdout.readline() == b"two\n"
    follower.send_signal(2)
    assert follower.wait(20) == 130
    assert follower.stderr is not None
    assert follower.stderr.read() == b""


@pytest.mark.invariant("I-193")
def test_no_byte_is_lost_or_repeated_over_many_rotations(log: Path):
    expected = b"".join(b"%d\n" % n for n in range(2000))
    log.write_bytes(b"")
    has_written = threading.Event()
    follower = LogFollower(str(log), None, has_written.is_set)
    seen: list[bytes] = []
    reader = threading.Thread(target=lambda: seen.extend(follower))
    reader.start()
    try:
        for start in range(0, 2000, 200):
            with open(log, "ab") as file:
                for n in range(start, start + 200):
                    file.write(b"%d\n" % n)
            while len(b"".join(seen)) < len(b"".join(b"%d\n" % n for n in range(start + 200))):
                assert reader.is_alive()
                has_written.wait(0.005)
            os.rename(log, log.with_suffix(".log.1"))
            log.write_bytes(b"")
    finally:
        has_written.set()
        reader.join(20)
        follower.close()
    assert b"".join(seen) == expected


def test_previous_log_is_shown(log: Path, capfdbinary: pytest.CaptureFixture[bytes]):
    log.with_suffix(".log.1").write_bytes(b"\xffold\n")
    assert logs.main(["k", "--previous"]) == 0
    assert capfdbinary.readouterr().out == b"\xffold\n"


@pytest.mark.provokes("LogMissing")
def test_missing_log_is_named(capsys: pytest.CaptureFixture[str]):
    assert logs.main(["k", "--previous"]) == 1
    assert "rhl-logs: no previous log file for 'k'" in capsys.readouterr().err


@pytest.mark.parametrize(
    "arguments", [[], ["a", "b"], ["k", "--follow", "--previous"], ["k", "--tial", "1"], ["k", "--tail"]]
)
def test_wrong_usage_is_refused(arguments: list[str], log: Path):
    log.write_bytes(b"x")
    assert logs.main(arguments) == 1


@pytest.mark.invariant("I-192")
@pytest.mark.parametrize("options", [[], ["--tail", "2"]])
def test_token_is_not_shown(log: Path, capfdbinary: pytest.CaptureFixture[bytes], options: list[str]):
    token = make_token(str(server_folder() / "k.token"))
    log.write_bytes(b"GET /?t=" + token.encode() + b" 200\nx\n")
    assert logs.main(["k", *options]) == 0
    assert capfdbinary.readouterr().out == b"GET /?t=[token] 200\nx\n"


@given(st.lists(st.sampled_from([b"s", b"se", b"secret", b"cret", b"x", b"secretsecret"]), max_size=20))
def test_token_is_found_wherever_the_stream_is_cut(pieces: list[bytes]):
    redactor = Redactor("secret")
    shown = b"".join(redactor.feed(piece) for piece in pieces) + redactor.rest()
    assert b"secret" not in shown
    assert shown == b"".join(pieces).replace(b"secret", b"[token]")


def test_token_is_private_and_new_each_time(tmp_path: Path):
    path = token_path(str(tmp_path / "k.json"))
    first = make_token(path)
    assert path == str(tmp_path / "k.token")
    assert read_token(path) == first
    assert os.stat(path).st_mode & 0o777 == 0o600
    second = make_token(path)
    assert read_token(path) == second != first
    assert os.listdir(tmp_path) == ["k.token"]
    assert read_token(str(tmp_path / "none")) is None


@pytest.mark.provokes("TokenUnusable")
@pytest.mark.parametrize(
    ("content", "mode"),
    [(b"x" * 64, 0o644), (b"x" * 64, 0o660), (b"short", 0o600), (b"x" * 20 + b" y", 0o600)],
)
def test_token_that_others_may_know_or_that_is_none_is_refused(tmp_path: Path, content: bytes, mode: int):
    path = tmp_path / "k.token"
    path.write_bytes(content)
    path.chmod(mode)
    with pytest.raises(TokenUnusable, match=r"k\.token"):
        read_token(str(path))


def test_token_behind_a_link_is_refused(tmp_path: Path):
    make_token(str(tmp_path / "other"))
    (tmp_path / "k.token").symlink_to("other")
    with pytest.raises(TokenUnusable):
        read_token(str(tmp_path / "k.token"))

"""Interrupting seamless-run: the command and all it started are gone within a second, and no half file is left."""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path

import pytest

LIMIT_S = 1.0
SLACK_S = 1.0  # for the start of a process on a busy machine; the command itself must be gone within LIMIT_S


def _processes_with(word: str) -> list[int]:
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            line = (folder / "cmdline").read_bytes()
        except OSError:
            continue
        if word.encode() in line and int(folder.name) != os.getpid():
            found.append(int(folder.name))
    return found


@pytest.mark.invariant("I-106")
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
@pytest.mark.parametrize("trap", ["", "trap '' INT TERM HUP; "], ids=["obedient", "stubborn"])
def test_a_signal_ends_the_whole_process_group(shell, wait_until, tmp_path, number, trap):
    started = tmp_path / "started"
    length = "3" + str(time.monotonic_ns())[-7:]  # seconds; a number that no other process has
    process = shell.start(
        "seamless-run",
        "-c",
        f"{trap}sleep {length} & echo x > {started}; sleep {length} > out.txt",
        stderr=-1,
    )
    wait_until(started.exists)
    sent_s = time.monotonic()
    process.send_signal(number)
    stderr = process.communicate(timeout=10)[1]
    assert time.monotonic() - sent_s < LIMIT_S + SLACK_S
    assert process.returncode == 130
    assert b"Canceled transformation " in stderr
    assert b"Traceback" not in stderr
    assert not [pid for pid in _processes_with(f"sleep\0{length}") if pid != process.pid]
    assert not shell.files()


def test_an_interrupted_step_is_not_cached(shell, wait_until, runs):
    command = runs.counted("sleep 0.1; test -f /nonexistent-$GO || true; sleep $N; echo done")
    process = shell.start("seamless-run", "--metavar", "N=60", "-c", command, stderr=-1)
    wait_until(lambda: runs.n_runs == 1)
    process.send_signal(signal.SIGINT)
    process.communicate(timeout=10)
    assert shell.answer("seamless-run", "--metavar", "N=0", "--var", "GO=", "-c", command) == b"done\n"
    assert runs.n_runs == 2


def test_the_future_file_stands_while_the_command_runs_and_goes_with_it(shell, wait_until, tmp_path):
    process = shell.start("seamless-run", "-c", "sleep 60 > out.txt", stderr=-1)
    future = shell.folder / "out.txt.FUTURE"
    wait_until(lambda: future.exists() and future.read_text())
    tf_checksum, _, target = future.read_text().partition(".")
    assert len(tf_checksum) == 64
    assert target == "out.txt"
    process.send_signal(signal.SIGTERM)
    process.communicate(timeout=10)
    assert not shell.files()


def test_a_command_waits_for_the_result_that_another_one_is_making(shell, wait_until, tmp_path):
    go = tmp_path / "go"
    maker = shell.start(
        "seamless-run", "-c", f"until test -f {go}; do sleep 0.02; done; echo made > o.txt", stderr=-1
    )
    wait_until((shell.folder / "o.txt.FUTURE").exists)
    reader = shell.start("seamless-run", "cat", "o.txt", stdout=-1, stderr=-1)
    assert b"Waiting for future" in reader.stderr.readline()
    go.touch()
    assert reader.communicate(timeout=20)[0] == b"made\n"
    maker.communicate(timeout=20)
    assert (maker.returncode, reader.returncode) == (0, 0)


def test_a_future_that_nobody_keeps_alive_is_an_error(shell):
    future = shell.write("o.txt.FUTURE", "0" * 64 + ".o.txt")
    os.utime(future, (time.time() - 121, time.time()))
    done = shell.run("seamless-run", "cat", "o.txt")
    assert done.returncode == 1
    assert b"has been killed" in done.stderr
    assert b"rm " in done.stderr


def test_an_interrupt_before_the_command_starts_is_quiet(shell, wait_until):
    future = shell.write("o.txt.FUTURE", "0" * 64 + ".o.txt")
    process = shell.start("seamless-run", "cat", "o.txt", stderr=-1)
    assert b"Waiting" in process.stderr.readline()
    process.send_signal(signal.SIGINT)
    assert b"Traceback" not in process.communicate(timeout=10)[1]
    assert process.returncode == 130
    assert future.exists()


def test_two_identical_commands_at_once_run_once(shell, wait_until, runs, tmp_path):
    go = tmp_path / "go"
    command = runs.counted(f"until test -f {go}; do sleep 0.02; done; echo made")
    first = shell.start("seamless-run", "-c", command, stdout=-1, stderr=-1)
    wait_until(lambda: runs.n_runs == 1)
    second = shell.start("seamless-run", "-c", command, stdout=-1, stderr=-1)
    assert f"process {first.pid} on ".encode() in second.stderr.readline()
    go.touch()
    assert [process.communicate(timeout=20)[0] for process in (first, second)] == [b"made\n", b"made\n"]
    assert runs.n_runs == 1


def test_a_command_whose_runner_was_killed_is_run_by_who_waits(shell, wait_until, runs, tmp_path):
    go = tmp_path / "go"
    command = runs.counted(f"until test -f {go}; do sleep 0.02; done; echo made")
    first = shell.start("seamless-run", "-c", command, stdout=-1, stderr=-1)
    wait_until(lambda: runs.n_runs == 1)
    second = shell.start("seamless-run", "-c", command, stdout=-1, stderr=-1)
    second.stderr.readline()
    first.kill()
    first.communicate(timeout=10)
    wait_until(lambda: runs.n_runs == 2)
    go.touch()
    assert second.communicate(timeout=20)[0] == b"made\n"


def test_cancel_stops_the_command_of_another_process(shell, wait_until, runs):
    process = shell.start("seamless-run", "-v", "-c", runs.counted("sleep 60"), stderr=-1)
    wait_until(lambda: runs.n_runs == 1)
    dry = shell.answer("seamless-run", "--dry", "-j", "job", "-c", runs.counted("sleep 60"))
    done = shell.run("seamless-cancel", dry.decode().strip())
    assert (done.returncode, done.stdout) == (0, b"process: canceled\n")
    stderr = process.communicate(timeout=10)[1]
    assert process.returncode == 130
    assert b"Canceled transformation " + dry.strip() in stderr
    again = shell.run("seamless-cancel", dry.decode().strip())
    assert (again.returncode, again.stdout) == (2, b"process: not-running\n")

"""Steps that are queued now and run later, by another process."""

from __future__ import annotations

import json
import signal


def test_queued_steps_run_once_somebody_runs_the_queue(shell, runs, wait_until):
    shell.write("a.txt", "alpha\n")
    shell.answer("seamless-run", "--qsub", "-c", "tr a-z A-Z < a.txt > up.txt")
    shell.answer("seamless-run", "--qsub", "-cp", "n.txt", "-c", runs.counted("echo 1 > n.txt"))
    assert runs.n_runs == 0
    worker = shell.start("seamless-queue", stderr=-1)
    shell.answer("seamless-queue-finish")
    stderr = worker.communicate(timeout=20)[1].decode()
    files = shell.files()
    assert worker.returncode == 0
    assert (files["up.txt"], files["n.txt"], runs.n_runs) == (b"ALPHA\n", b"1\n", 1)
    assert "done: seamless-run --qsub" in stderr
    assert ".seamless-queue" not in files


def test_a_record_holds_what_other_readers_of_the_file_need(shell):
    shell.answer("seamless-run", "--qsub", "-nd", "-cp", "o:local", "-c", "echo 1 > o")
    content = shell.files()[".seamless-queue"]
    assert content.endswith(b"\0")
    record = json.loads(content[:-1])
    assert record["queue_command"] == "SUBMIT"
    assert record["original_command"] == "seamless-run --qsub -nd -cp o:local -c 'echo 1 > o'"
    assert record["result_targets"] == {"o": "local"}
    assert record["params"] == {
        "undo": False,
        "scratch": False,
        "workdir": str(shell.folder),
        "download": False,
        "auto_confirm": "no",
        "capture_stdout": False,
        "max_download_size": 500_000_000,
        "max_download_files": 2000,
    }


def test_a_failing_step_is_named_and_the_others_go_on(shell):
    shell.answer("seamless-run", "--qsub", "-c", "exit 3; echo > bad.txt")
    shell.answer("seamless-run", "--qsub", "-c", "echo 1 > good.txt")
    worker = shell.start("seamless-queue", "-q", stderr=-1)
    shell.answer("seamless-queue-finish")
    stderr = worker.communicate(timeout=20)[1].decode()
    assert "bad.txt" in stderr
    assert "Return code 3" in stderr
    assert shell.files()["good.txt"] == b"1\n"


def test_an_interrupted_queue_stops_its_commands_and_keeps_the_file(shell, runs, wait_until):
    shell.answer("seamless-run", "--qsub", "-cp", "o", "-c", runs.counted("sleep 60; echo 1 > o"))
    worker = shell.start("seamless-queue", stderr=-1)
    wait_until(lambda: runs.n_runs == 1)
    worker.send_signal(signal.SIGINT)
    worker.communicate(timeout=10)
    assert worker.returncode == 130
    assert ".seamless-queue" in shell.files()
    assert "o" not in shell.files()


def test_finishing_without_a_queue_returns_at_once(shell):
    assert shell.run("seamless-queue-finish", timeout_s=10).returncode == 0


def test_the_queue_needs_a_place_for_results(shell):
    shell.write("seamless.profile.yaml", "- execution: process\n")
    done = shell.run("seamless-queue", cache=False)
    assert done.returncode == 1
    assert b"requires a cluster" in done.stderr

"""seamless-cancel: stop a step of another process."""

from __future__ import annotations

import dataclasses
import subprocess
import time

import pytest
from seamless import Buffer
from seamless.embedded import open_embedded
from seamless_shell.cancel_command import cancel_step
from seamless_store.leases import Lease
from seamless_transformer.identity import identity_text

UNKNOWN = "1" * 64
RUN = "seamless-run-transformation"


@pytest.fixture
def store(shell):
    """Return a function that stores a step in the cache of the shell, and returns its checksum."""

    def step(code: str, language: str = "bash") -> str:
        text = Buffer(code, "text")
        transformation = {
            "__language__": language,
            "__output__": ["result", "mixed" if language == "python" else "bytes", None],
            "code": ["text", None, text.get_checksum().hex()],
        }
        buffer = Buffer(identity_text(transformation))
        active = open_embedded(shell.cache)
        active.buffers.put_many([text, buffer])
        active.close()
        return buffer.get_checksum().hex()

    return step


def test_nothing_is_made_where_nothing_runs(shell):
    done = shell.run("seamless-cancel", UNKNOWN)
    assert (done.returncode, done.stdout, done.stderr) == (2, b"process: not-running\n", b"")
    assert not shell.cache.exists()


def test_in_memory_nothing_of_another_process_runs(shell):
    shell.write("seamless.profile.yaml", "- execution: process\n")
    done = shell.run("seamless-cancel", UNKNOWN, cache=False)
    assert (done.returncode, done.stdout) == (2, b"process: not-running\n")


@pytest.mark.parametrize("trap", ["", "trap '' TERM; "])
def test_a_command_is_stopped_and_gone_when_it_says_so(shell, store, runs, wait_until, trap):
    checksum = store(f"{trap}echo $$ >> {runs.path}; sleep 100; sleep 100; echo x > RESULT")
    process = shell.start(RUN, checksum, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    wait_until(lambda: runs.n_runs)
    started = time.monotonic()
    done = shell.run("seamless-cancel", checksum)
    assert time.monotonic() - started < 10  # of 100 s
    assert (done.returncode, done.stdout) == (0, b"process: canceled\n")
    stdout, stderr = process.communicate(timeout=10)
    assert (process.returncode, stdout) == (130, b"")
    assert f"Canceled transformation {checksum}\n" in stderr.decode()
    assert shell.run("seamless-cancel", checksum).returncode == 2


def test_seamless_run_is_stopped_too(shell, runs, wait_until):
    command = runs.counted("sleep 100; echo x")
    checksum = shell.answer("seamless-run", "--dry", "-j", "job", "-c", command).decode().strip()
    process = shell.start("seamless-run", "-c", command, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    wait_until(lambda: runs.n_runs)
    done = shell.run("seamless-cancel", "job/transformation.json")
    assert (done.returncode, done.stdout) == (0, b"process: canceled\n")
    assert f"Canceled transformation {checksum}\n" in process.communicate(timeout=10)[1].decode()
    assert process.returncode == 130


def test_a_python_step_is_stopped(shell, store, runs, wait_until):
    code = f"import time\nopen({str(runs.path)!r}, 'a').write('ran\\n')\ntime.sleep(100)\nresult = 1"
    checksum = store(code, "python")
    process = shell.start(RUN, checksum, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    wait_until(lambda: runs.n_runs)
    assert shell.answer("seamless-cancel", checksum) == b"process: canceled\n"
    assert process.wait(10) == 130
    assert f"Canceled transformation {checksum}\n" in process.communicate()[1].decode()


def test_a_python_step_that_swallows_the_interrupt_is_not_recorded(shell, store, runs, wait_until):
    code = (
        f"import time\nopen({str(runs.path)!r}, 'a').write('ran\\n')\n"
        "try:\n    time.sleep(100)\nexcept KeyboardInterrupt:\n    pass\nresult = 1"
    )
    checksum = store(code, "python")
    process = shell.start(RUN, checksum, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    wait_until(lambda: runs.n_runs)
    assert shell.answer("seamless-cancel", checksum) == b"process: canceled\n"
    assert process.communicate(timeout=10)[0] == b""
    assert process.returncode == 130


def test_another_stage_is_another_matter(shell, store, runs, wait_until):
    checksum = store(runs.counted("sleep 100; echo x > RESULT"))
    process = shell.start(RUN, checksum, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    wait_until(lambda: runs.n_runs)
    assert shell.run("seamless-cancel", "--stage", "other", checksum).stdout == b"process: not-running\n"
    assert process.poll() is None
    assert shell.run("seamless-cancel", checksum).returncode == 0
    process.communicate(timeout=10)


def test_a_process_that_does_not_answer_is_an_error_that_names_it(tmp_path):
    lease = dataclasses.replace(Lease.of_this_process(), machine_id="another", host="far", pid=77)
    (tmp_path / ".running").mkdir()
    lease.write(tmp_path / ".running" / UNKNOWN)
    verdict = cancel_step(str(tmp_path), bytes.fromhex(UNKNOWN), patience_s=0.1)
    assert verdict == "error: process 77 on far was asked to stop, and goes on after 0.1 s"


def test_a_wish_that_cannot_be_written_is_an_error(tmp_path):
    lease = dataclasses.replace(Lease.of_this_process(), machine_id="another")
    (tmp_path / ".running").mkdir()
    lease.write(tmp_path / ".running" / UNKNOWN)
    (tmp_path / ".running" / ".lock").mkdir()
    assert cancel_step(str(tmp_path), bytes.fromhex(UNKNOWN)).startswith("error: Is a directory: ")


def test_what_is_no_transformation_is_an_error(shell):
    done = shell.run("seamless-cancel", "nowhere")
    assert (done.returncode, done.stdout) == (1, b"")
    assert "'nowhere' cannot be read" in done.stderr.decode()

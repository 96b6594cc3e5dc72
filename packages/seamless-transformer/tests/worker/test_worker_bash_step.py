from __future__ import annotations

import os
import stat
import sys
import threading
import time
from concurrent.futures import CancelledError
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from seamless_worker import SeamlessStreamTransformationError
from seamless_worker.bash_step import CondaMissing, StoredInputChanged


def _lives(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


def test_working_directory_is_fresh_private_and_removed(bench, temporary_directory):
    answer = bench.bash("pwd > RESULT; stat -c %a . >> RESULT; ls -A >> RESULT").decode().splitlines()
    assert Path(answer[0]).name.startswith("seamless-bash-transformer")
    assert answer[1:] == ["700", "RESULT"]
    assert list(temporary_directory.iterdir()) == []


def test_process_stays_in_its_own_working_directory(bench):
    before = Path.cwd()
    bench.bash("cd /; echo x > $OLDPWD/RESULT")
    assert Path.cwd() == before


def test_standard_input_is_empty(bench):
    assert bench.bash("cat > RESULT; echo end >> RESULT") == b"end\n"


@pytest.mark.provokes("SeamlessStreamTransformationError")
@pytest.mark.parametrize(
    ("code", "returncode"),
    [
        ("exit 3", 3),
        ("false; echo x > RESULT", 1),
        ("echo $nowhere > RESULT", 1),
        ("kill -9 $$", -9),
        ("nosuchcommand", 127),
    ],
)
def test_failing_command_is_reported_with_its_code(bench, temporary_directory, code, returncode):
    failure = bench.failure(code, language="bash", result="bytes")
    exception = failure.exception
    assert isinstance(exception, SeamlessStreamTransformationError)
    assert exception.returncode == returncode
    assert str(exception).startswith(
        "\nBash transformer exception\n==========================\n\n"
        f"Error: Return code {returncode}\n\n{'*' * 49}\n"
    )
    assert code in str(exception)
    assert list(temporary_directory.iterdir()) == []


def test_stderr_of_a_failing_command_is_in_the_message(bench, capfd):
    failure = bench.failure("echo why >&2; exit 2", language="bash", result="bytes")
    assert failure.stderr == "why\n"
    assert "* Standard error" in str(failure)
    assert "why" in str(failure)


def test_stdout_passes_through_live_and_is_kept(bench, capsys):
    failure = bench.failure("echo one; echo; echo two; exit 1", language="bash")
    assert failure.stdout == "one\n\ntwo\n"
    assert capsys.readouterr().out == "one\n\ntwo\n"


def test_stderr_of_a_successful_command_is_dropped(bench, capfd):
    assert bench.bash("echo noise >&2; echo x > RESULT") == b"x\n"
    assert capfd.readouterr().err == ""


def test_line_numbers_in_bash_messages_are_the_authors(bench):
    failure = bench.failure("# first line\n\nnosuchcommand", language="bash")
    assert "line 3: nosuchcommand" in failure.stderr


def test_output_that_the_terminal_cannot_show_is_no_failure(bench, monkeypatch):
    import io

    stream = io.TextIOWrapper(io.BytesIO(), encoding="ascii")
    monkeypatch.setattr(sys, "stdout", stream)
    assert bench.bash("printf 'caf\\303\\251\\n\\377'; echo x > RESULT") == b"x\n"
    stream.flush()
    assert stream.buffer.getvalue() == b"caf\\xe9\n\\ufffd"


def test_much_output_on_both_streams_does_not_block(bench, capsys):
    code = "head -c 3000000 /dev/zero | tr '\\0' a; head -c 3000000 /dev/zero | tr '\\0' b >&2; exit 1"
    failure = bench.failure(code, language="bash")
    assert failure.stdout == "a" * 65536
    assert failure.stderr == "b" * 65536


def test_long_script_runs(bench):
    code = "# " + "x" * 300_000 + "\necho done > RESULT"
    assert bench.bash(code) == b"done\n"


def test_script_may_have_quotes_and_here_documents(bench):
    assert bench.bash("cat > RESULT <<'END'\n$x 'y' \"z\" `q`\nEND\n") == b"$x 'y' \"z\" `q`\n"


@pytest.mark.invariant("I-78")
def test_callers_environment_is_inherited_but_no_token(bench, monkeypatch):
    monkeypatch.setenv("OF_THE_CALLER", "yes")
    monkeypatch.setenv("SEAMLESS_TOKEN", "hush")
    monkeypatch.setenv("SEAMLESS_TOKEN_ALPS", "hush")
    assert bench.bash("env | grep -E 'OF_THE_CALLER|hush' > RESULT") == b"OF_THE_CALLER=yes\n"


def test_background_jobs_end_with_the_command(bench, wait_until):
    pid = int(bench.bash("sleep 1000 & echo $! > RESULT"))
    wait_until(lambda: not _lives(pid))


@pytest.mark.invariant("I-69")
def test_processes_that_ignore_the_end_of_the_command_are_killed(bench, wait_until):
    code = "( trap '' TERM; exec sleep 1000 ) > /dev/null 2>&1 & echo $! > RESULT"
    pid = int(bench.bash(code))
    wait_until(lambda: not _lives(pid))


def test_process_substitution_may_finish_its_file(bench):
    code = "echo payload | tee >(sleep 0.2; cat > RESULT) > /dev/null"
    assert bench.bash(code) == b"payload\n"


def test_several_commands_run_at_once(bench, in_threads, tmp_path):
    """Each waits for the three others to begin: one after the other, they would wait for ever."""
    meet = f"touch {tmp_path}/$$; for i in $(seq 3000); do set -- {tmp_path}/*; [ $# -ge 4 ] && break; sleep 0.01; done"
    answers = in_threads(*(lambda n=n: bench.bash(f"{meet}; echo $# {n} > RESULT") for n in range(4)))
    assert answers == [f"4 {n}\n".encode() for n in range(4)]


@pytest.mark.invariant("I-69")
@pytest.mark.parametrize("prelude", ["", "trap '' TERM; "])
def test_cancelled_command_leaves_no_process_and_no_directory(
    bench, tmp_path, temporary_directory, wait_until, prelude
):
    pid_file = tmp_path / "pids"
    code = (
        f"{prelude}sleep 1000 & echo $! $$ > {pid_file}.new; mv {pid_file}.new {pid_file}; wait; sleep 1000"
    )
    cancelled_at = []

    def cancelled() -> bool:
        if pid_file.exists():
            cancelled_at.append(time.monotonic())
        return bool(cancelled_at)

    with pytest.raises(CancelledError, match="was cancelled"):
        bench.run(code, language="bash", cancelled=cancelled)
    assert time.monotonic() - cancelled_at[0] < 10  # of 1000 s
    for pid in map(int, pid_file.read_text().split()):
        wait_until(lambda pid=pid: not _lives(pid))
    assert list(temporary_directory.iterdir()) == []


def test_cancellation_is_noticed_soon(bench, tmp_path):
    event = threading.Event()
    timer = threading.Timer(0.1, event.set)
    timer.start()
    started = time.monotonic()
    with pytest.raises(CancelledError):
        bench.run("sleep 1000", language="bash", cancelled=event.is_set)
    assert time.monotonic() - started < 10  # of 1000 s
    timer.join()


@pytest.mark.invariant("I-69")
def test_interrupt_kills_the_command_and_removes_its_directory(
    bench, tmp_path, temporary_directory, wait_until
):
    pid_file = tmp_path / "pid"
    with pytest.raises(KeyboardInterrupt):
        bench.bash(f"echo $$ > {pid_file}; kill -INT $PPID; sleep 1000")
    wait_until(lambda: not _lives(int(pid_file.read_text())))
    assert list(temporary_directory.iterdir()) == []


def test_directory_is_removed_whatever_its_permissions(bench, temporary_directory):
    bench.bash("mkdir -p a/b; echo x > a/b/c; chmod 500 a/b; chmod 500 a; echo x > RESULT")
    assert list(temporary_directory.iterdir()) == []


@pytest.mark.provokes("StoredInputChanged")
def test_command_that_changes_a_stored_input_is_an_error(bench):
    checksum, _path = bench.store_file(b"stored")
    entries = {
        "a": ["bytes", None, checksum],
        "__format__": {"a": {"filesystem": {"mode": "file", "optional": True}}},
    }
    with pytest.raises(StoredInputChanged, match="input 'a'"):
        bench.run("echo changed > a; echo x > RESULT", language="bash", result="bytes", entries=entries)


@pytest.fixture
def conda_root(tmp_path):
    root = tmp_path / "conda"
    script = root / "etc" / "profile.d" / "conda.sh"
    script.parent.mkdir(parents=True)
    script.write_text('test -z "$UNSET_IN_CONDA_SH"\nconda() { export ACTIVE="$1 $2"; }\n')
    return root


def _with_conda(bench):
    return {"__env__": bench.put({"conda_environment": "my-env"}, "plain")}


def test_conda_environment_is_activated_from_conda_root(bench, conda_root, monkeypatch):
    monkeypatch.setenv("CONDA_ROOT", str(conda_root))
    assert bench.bash("echo $ACTIVE > RESULT", entries=_with_conda(bench)) == b"activate my-env\n"


def test_conda_environment_is_activated_from_conda_info(bench, conda_root, tmp_path, monkeypatch):
    command = tmp_path / "bin" / "conda"
    command.parent.mkdir()
    command.write_text(f"#!/bin/sh\necho {conda_root}\n")
    command.chmod(0o755)
    monkeypatch.delenv("CONDA_ROOT", raising=False)
    monkeypatch.setenv("PATH", f"{command.parent}:{os.environ['PATH']}")
    assert bench.bash("echo $ACTIVE > RESULT", entries=_with_conda(bench)) == b"activate my-env\n"


@pytest.mark.provokes("CondaMissing")
def test_missing_conda_is_a_clear_failure(bench, monkeypatch, tmp_path):
    monkeypatch.delenv("CONDA_ROOT", raising=False)
    monkeypatch.setenv("PATH", str(tmp_path))
    failure = bench.failure("echo x > RESULT", language="bash", entries=_with_conda(bench))
    assert isinstance(failure.exception, CondaMissing)
    assert "set CONDA_ROOT" in str(failure)


def test_environment_without_conda_environment_changes_nothing(bench):
    entries = {"__env__": bench.put({"which": ["ls"]}, "plain")}
    assert bench.bash("echo x > RESULT", entries=entries) == b"x\n"


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    text=st.text(alphabet=st.characters(exclude_categories=["Cs", "Cc"]), max_size=200)
    | st.sampled_from(
        ["a\nb", "\r\n", "tab\t", "'quote\"", "$x `y`", "", "\n\nx", "0", "1.50", "null", '{"a": 1}']
    )
)
def test_any_text_survives_text_pin_cat_and_text_result(bench, text):
    pins = {"a": text}
    outcome = bench.run("cat a > RESULT", pins, language="bash", result="text", celltypes={"a": "text"})
    assert (
        outcome.result.content
        == bench.buffers[type(outcome.result.get_checksum())(bench.put(text, "text"))].content
    )


def test_modes_of_files_and_directories(bench):
    entries = {
        "__format__": {"d": {"filesystem": {"mode": "directory"}, "celltype": "folder"}},
        "d": ["folder", None, bench.put({"s/f": bench.put(b"x", "bytes")}, "plain")],
    }
    code = "stat -c %a a d d/s d/s/f | tr '\\n' ' ' > RESULT"
    old = os.umask(0o077)
    try:
        assert bench.bash(code, {"a": 1}, entries=entries) == b"644 755 755 644 "
    finally:
        os.umask(old)
    assert stat.S_IMODE(0o644) == 0o644


def test_a_missing_temporary_folder_is_an_error_and_nothing_around_it_changes(bench, tmp_path, monkeypatch):
    parent = tmp_path / "parent"
    parent.mkdir(mode=0o755)
    monkeypatch.setattr("tempfile.tempdir", str(parent / "gone"))
    with pytest.raises(FileNotFoundError, match="gone"):
        bench.run("echo 1 > RESULT", language="bash", result="bytes")
    assert parent.stat().st_mode & 0o777 == 0o755


def test_a_directory_that_the_command_locked_is_removed_and_its_parent_left_alone(
    bench, tmp_path, monkeypatch
):
    parent = tmp_path / "parent"
    parent.mkdir(mode=0o755)
    monkeypatch.setattr("tempfile.tempdir", str(parent))
    code = "mkdir sub; touch sub/file; chmod 000 sub; echo 1 > RESULT; chmod 500 ."
    bench.run(code, language="bash", result="bytes")
    assert list(parent.iterdir()) == []
    assert parent.stat().st_mode & 0o777 == 0o755

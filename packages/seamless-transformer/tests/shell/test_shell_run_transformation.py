"""seamless-run-transformation: a stored step, its result's checksum and nothing else on standard output."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import threading
from pathlib import Path

import pytest
from seamless import Buffer, Checksum
from seamless.embedded import open_embedded
from seamless_command.errors import ShellError
from seamless_command.step_interrupt import InterruptOnRequest, standard_output_kept_clean
from seamless_shell import stored_transformation
from seamless_shell.stored_transformation import read_dunder, transformation_of_word
from seamless_transformer.identity import identity_text, tf_checksum

RUN = "seamless-run-transformation"
X_HEX = Buffer(b"x\n").get_checksum().hex()
UNKNOWN = "0" * 64


class Store:
    """Puts steps into the cache of a shell."""

    def __init__(self, cache: Path) -> None:
        self.cache = cache

    def keep(self, *buffers: Buffer) -> str:
        active = open_embedded(self.cache)
        active.buffers.put_many(buffers)
        active.close()
        return buffers[-1].get_checksum().hex()

    def step(self, code: str, *, language: str = "bash", result: str = "bytes", **entries: object) -> str:
        """Store the step and return its checksum."""
        text = Buffer(code, "text")
        transformation = {
            "__language__": language,
            "__output__": ["result", result, None],
            "code": ["text", None, text.get_checksum().hex()],
            **entries,
        }
        return self.keep(text, Buffer(identity_text(transformation)))

    def result(self, checksum: str) -> str | None:
        active = open_embedded(self.cache)
        try:
            found = active.results.get(Checksum(checksum))
        finally:
            active.close()
        return None if found is None else found.hex()

    def has(self, checksum: str) -> bool:
        active = open_embedded(self.cache)
        try:
            return active.buffers.has(Checksum(checksum))
        finally:
            active.close()


@pytest.fixture
def store(shell) -> Store:
    return Store(shell.cache)


def wait_for_end(process: subprocess.Popen[bytes]) -> tuple[bytes, bytes]:
    return process.communicate(timeout=30)


# ---- running and finding


def test_a_stored_command_runs_once_and_is_found_afterwards(shell, store, runs):
    checksum = store.step(runs.counted("echo shown; echo x > RESULT"))
    for _ in range(2):
        assert shell.answer(RUN, checksum) == f"{X_HEX}\n".encode()
    assert runs.n_runs == 1
    assert store.result(checksum) == X_HEX
    assert store.has(X_HEX)


def test_a_python_step_runs_and_what_it_prints_is_no_answer(shell, store):
    code = "import os\nprint('hello')\nos.system('echo from a child')\nresult = 7"
    checksum = store.step(code, language="python", result="int")
    done = shell.run(RUN, checksum)
    assert (done.returncode, done.stderr) == (0, b"")
    assert done.stdout.decode().strip() == store.result(checksum)


@pytest.mark.parametrize(
    ("code", "language", "result"),
    [
        ("echo out; echo err >&2; echo x > RESULT", "bash", "bytes"),
        ("import sys\nprint('out')\nprint('err', file=sys.stderr)\nresult = 7", "python", "int"),
    ],
)
def test_direct_print_shows_it_on_standard_error(shell, store, code, language, result):
    checksum = store.step(code, language=language, result=result)
    done = shell.run(RUN, "--direct-print", checksum)
    assert sorted(done.stderr.decode().splitlines()) == ["err", "out"]
    assert done.stdout.decode().strip() == store.result(checksum)


@pytest.mark.parametrize("name", ["tf.CHECKSUM", "tf"])
def test_a_file_may_hold_the_checksum(shell, store, name):
    shell.write("tf.CHECKSUM", "# a comment\n" + store.step("echo x > RESULT") + "\n")
    assert shell.answer(RUN, name) == f"{X_HEX}\n".encode()


@pytest.mark.parametrize("word", ["job/transformation.json", "job"])
def test_a_job_directory_runs_with_the_buffers_that_lie_in_it(shell, store, runs, word):
    command = runs.counted("echo x")
    checksum = shell.answer("seamless-run", "--dry", "-j", "job", "--conda", "base", "-c", command)
    checksum = checksum.decode().strip()
    assert shell.answer(RUN, word, environment={"CONDA_ROOT": str(_conda(shell))}) == f"{X_HEX}\n".encode()
    assert runs.n_runs == 1
    assert store.result(checksum) == X_HEX
    assert store.has(checksum)
    assert shell.answer("seamless-run", "-c", command) == b"x\n"
    assert runs.n_runs == 1


def _conda(shell) -> Path:
    script = shell.write("conda/etc/profile.d/conda.sh", "conda() { :; }\n")
    return script.parents[2]


def test_a_stage_has_its_own_steps(shell, store):
    checksum = store.step("echo x > RESULT")
    done = shell.run(RUN, "--stage", "other", checksum)
    assert done.returncode == 1
    assert f"seamless.CacheMissError: {checksum}" in done.stderr.decode()


def test_the_answer_may_go_into_a_file(shell, store):
    checksum = store.step("echo x > RESULT")
    shell.write("answer", "what was there before")
    for _ in range(2):  # run, then found
        assert shell.answer(RUN, "--output", "answer", checksum) == b""
        assert shell.files()["answer"] == f"{X_HEX}\n".encode()


def test_scratch_keeps_the_checksum_only(shell, store):
    checksum = store.step("echo x > RESULT")
    assert shell.answer(RUN, "--scratch", checksum) == f"{X_HEX}\n".encode()
    assert store.result(checksum) == X_HEX
    assert not store.has(X_HEX)


def test_verbose_says_what_happens(shell, store):
    checksum = store.step("echo x > RESULT")
    assert f"{RUN}: run: {checksum}" in shell.run(RUN, "--verbose", checksum).stderr.decode()
    assert f"hit: {checksum}" in shell.run(RUN, "--debug", checksum).stderr.decode()


# ---- beside the identity


def _with_meta(store):
    value = store.keep(Buffer("seven", "str"))
    return store.step('echo "$META__N" > RESULT'), {"META__N": ["str", None, value]}


def test_dunder_json_beside_the_file_counts(shell, store):
    checksum, beside = _with_meta(store)
    shell.write("job/tf.CHECKSUM", checksum)
    shell.write("job/dunder.json", json.dumps(beside))
    shell.answer(RUN, "job/tf.CHECKSUM")
    assert store.result(checksum) == Buffer(b"seven\n").get_checksum().hex()


def test_a_dunder_file_may_be_named(shell, store):
    checksum, beside = _with_meta(store)
    shell.write("beside.json", json.dumps(beside))
    shell.answer(RUN, "--dunder", "beside.json", checksum)
    assert store.result(checksum) == Buffer(b"seven\n").get_checksum().hex()


# ---- what fails


def test_an_unknown_transformation_is_a_cache_miss(shell):
    done = shell.run(RUN, UNKNOWN)
    assert (done.returncode, done.stdout) == (1, b"")
    assert f"seamless.CacheMissError: {UNKNOWN}" in done.stderr.decode()


def test_a_failing_command_says_why_and_nothing_is_kept(shell, store, runs):
    checksum = store.step(runs.counted("echo why >&2; exit 3"))
    for _ in range(2):
        done = shell.run(RUN, checksum)
        assert (done.returncode, done.stdout) == (1, b"")
        assert done.stderr.decode().count("why\n") >= 1
        assert "Error: Return code 3" in done.stderr.decode()
    assert runs.n_runs == 2
    assert store.result(checksum) is None


def test_with_direct_print_its_standard_error_comes_once(shell, store):
    done = shell.run(RUN, "--direct-print", store.step("echo $((40 + 2)) >&2; exit 3"))
    assert done.stderr.decode().count("42") == 1


def test_a_failing_python_step_shows_its_line(shell, store):
    done = shell.run(RUN, store.step("x = 0\nresult = 1 / x", language="python"))
    assert (done.returncode, done.stdout) == (1, b"")
    assert "result = 1 / x" in done.stderr.decode()
    assert "ZeroDivisionError" in done.stderr.decode()


def test_a_language_that_does_not_run_here_is_named(shell, store):
    done = shell.run(RUN, store.step("int f();", language="c"))
    assert (done.returncode, done.stdout) == (1, b"")
    assert "'c'" in done.stderr.decode()


def test_a_missing_input_is_named_and_fingertip_is_the_hint(shell, store):
    done = shell.run(RUN, store.step("cat a > RESULT", a=["bytes", None, "ab" * 32]))
    assert done.returncode == 1
    assert f"seamless.CacheMissError: {'ab' * 32}" in done.stderr.decode()
    assert "hint:  --fingertip" in done.stderr.decode()


def test_fingertip_computes_a_missing_input_again(shell, store, runs):
    source = store.step(runs.counted("seq 3 > RESULT"))
    result = shell.answer(RUN, "--scratch", source).decode().strip()
    checksum = store.step("tail -n 1 a > RESULT", a=["bytes", None, result])
    assert shell.run(RUN, checksum).returncode == 1
    shell.answer(RUN, "--fingertip", checksum)
    assert runs.n_runs == 2
    assert store.result(checksum) == Buffer(b"3\n").get_checksum().hex()


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ("nonsense", "holds no transformation"),
        ("", "holds no transformation"),
        ("{", "is no JSON"),
        ("{}", "__language__"),
        ('{"__language__": "bash", "__output__": ["result", "bytes", null], "__x": 1}', "no code"),
    ],
)
def test_a_file_that_is_no_transformation_is_an_error(shell, content, words):
    shell.write("file", content)
    done = shell.run(RUN, "file")
    assert (done.returncode, done.stdout) == (1, b"")
    assert words in done.stderr.decode()
    assert "Traceback" not in done.stderr.decode()


@pytest.mark.parametrize("content", ["just text", "[1, 2]", '{"a": 1}', '{\n    "b": 1}\n'])
def test_a_buffer_that_is_no_transformation_is_an_error(shell, store, content):
    done = shell.run(RUN, store.keep(Buffer(content.encode())))
    assert (done.returncode, done.stdout) == (1, b"")
    assert "Traceback" not in done.stderr.decode()


def test_without_configuration_it_says_how_to_get_one(shell):
    done = shell.run(RUN, UNKNOWN, cache=False)
    assert done.returncode == 1
    assert "No seamless.yaml or seamless.profile.yaml found" in done.stderr.decode()


# ---- others that run the same step


def test_two_at_once_run_it_once(shell, store, runs):
    checksum = store.step(runs.counted("sleep 1; echo x > RESULT"))
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    both = [shell.start(RUN, checksum, **pipes) for _ in range(2)]
    ends = [wait_for_end(process) for process in both]
    assert [stdout for stdout, _ in ends] == [f"{X_HEX}\n".encode()] * 2
    assert runs.n_runs == 1
    assert sum(b"waiting for process" in stderr for _, stderr in ends) == 1


def test_python_steps_take_turns_too(shell, store, runs, wait_until):
    code = f"import time\nopen({str(runs.path)!r}, 'a').write('ran\\n')\ntime.sleep(1)\nresult = 7"
    checksum = store.step(code, language="python", result="int")
    first = shell.start(RUN, checksum, stdout=subprocess.PIPE)
    wait_until(lambda: runs.n_runs)
    second = shell.run(RUN, checksum)
    assert wait_for_end(first)[0] == second.stdout
    assert runs.n_runs == 1


def test_strict_refuses_to_take_the_result_of_a_running_one(shell, store, runs, wait_until):
    checksum = store.step(runs.counted("sleep 100; echo x > RESULT"))
    first = shell.start(RUN, checksum, stderr=subprocess.PIPE, stdout=subprocess.PIPE)
    wait_until(lambda: runs.n_runs)
    done = shell.run(RUN, "--strict", checksum)
    assert done.returncode == 1
    assert f"Transformation {checksum} is already running" in done.stderr.decode()
    assert f"process {first.pid}" in done.stderr.decode()
    first.send_signal(signal.SIGINT)
    wait_for_end(first)
    assert runs.n_runs == 1


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
@pytest.mark.parametrize(
    ("language", "code"),
    [
        ("bash", "echo $$ >> {ran}; sleep 100; echo x > RESULT"),
        (
            "python",
            "import os, time\nopen({ran!r}, 'a').write(str(os.getpid()) + '\\n')\ntime.sleep(100)\nresult = 1",
        ),
    ],
)
def test_a_signal_cancels_the_step(shell, store, runs, wait_until, language, code, number):
    checksum = store.step(code.format(ran=str(runs.path)), language=language)
    process = shell.start(RUN, checksum, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    wait_until(lambda: runs.n_runs)
    process.send_signal(number)
    stdout, stderr = wait_for_end(process)
    assert (process.returncode, stdout) == (130, b"")
    assert f"Canceled transformation {checksum}\n" in stderr.decode()
    assert "Traceback" not in stderr.decode()
    assert store.result(checksum) is None
    for pid in map(int, runs.path.read_text().split()):
        wait_until(lambda pid=pid: not Path(f"/proc/{pid}").exists())


# ---- the parts


def test_a_request_interrupts_the_main_thread_although_it_sleeps():
    came = []
    former = signal.signal(signal.SIGTERM, lambda *_: came.append(1))
    requested = threading.Event()
    try:
        with InterruptOnRequest(requested.is_set):
            requested.set()
            signal.sigtimedwait([], 10)  # woken by the signal
        assert came == [1]
    finally:
        signal.signal(signal.SIGTERM, former)


def test_without_a_request_nothing_is_interrupted():
    former = signal.signal(signal.SIGTERM, signal.SIG_IGN)
    try:
        with InterruptOnRequest(lambda: False) as interrupt:
            assert interrupt._thread.is_alive()
        assert not interrupt._thread.is_alive()
    finally:
        signal.signal(signal.SIGTERM, former)


def test_standard_output_comes_back(capfd):
    with standard_output_kept_clean(shown=False):
        os.write(1, b"dropped")
    with standard_output_kept_clean(shown=True):
        os.write(1, b"story")
    os.write(1, b"answer")
    assert capfd.readouterr() == ("answer", "story")


@pytest.mark.provokes("ShellError")
@pytest.mark.parametrize(
    ("content", "words"),
    [
        ({"a": ["int", None, None]}, "part of the identity"),
        ({"__language__": "bash"}, "part of the identity"),
        ({"__nonsense__": 1}, "no key '__nonsense__'"),
        ([1], "no JSON object"),
    ],
)
def test_a_dunder_file_holds_nothing_of_the_identity(tmp_path, content, words):
    path = tmp_path / "dunder.json"
    path.write_text(json.dumps(content))
    with pytest.raises(ShellError, match=words):
        read_dunder(str(path))


def _job(folder: Path, code: str, command: str | None) -> str:
    transformation = {
        "__language__": "bash",
        "__output__": ["result", "bytes", None],
        "code": ["text", None, Buffer(code, "text").get_checksum().hex()],
    }
    (folder / "transformation.json").write_bytes(identity_text(transformation))
    (folder / "command.txt").write_text(command or code)
    return Checksum(tf_checksum(transformation)).hex()


@pytest.mark.parametrize("command", ["echo hi", "echo hi\n"])
def test_the_code_beside_a_transformation_is_recognised(tmp_path, command):
    checksum = _job(tmp_path, "echo hi", command)
    given = transformation_of_word(str(tmp_path / "transformation.json"))
    assert given.checksum.hex() == checksum
    assert given.buffers[1].get_checksum().hex() == given.dictionary["code"][2]


def test_other_code_beside_a_transformation_is_refused(tmp_path):
    _job(tmp_path, "echo hi", "echo changed")
    with pytest.raises(ShellError, match="is not the code"):
        transformation_of_word(str(tmp_path))


def test_a_huge_file_is_refused_unread(tmp_path, monkeypatch):
    monkeypatch.setattr(stored_transformation, "MAX_FILE_BYTES", 10)
    (tmp_path / "file").write_text("{" + " " * 20 + "}")
    with pytest.raises(ShellError, match="too large"):
        transformation_of_word(str(tmp_path / "file"))


@pytest.mark.parametrize("word", ["nowhere", "ABCD", "0" * 63, "A" * 64, ""])
def test_a_word_that_is_nothing_is_refused(word):
    with pytest.raises(ShellError, match="cannot be read"):
        transformation_of_word(word)

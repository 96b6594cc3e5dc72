"""Helpers are run with a deadline, and their answers are read with suspicion."""

from __future__ import annotations

import io
import os
import shlex
import signal
import sys
import threading

import pytest
from hypothesis import given
from hypothesis import strategies as st
from remote_http_launcher.child import quoted_words, start_child
from remote_http_launcher.executors import Answer, LocalExecutor, helper_module
from remote_http_launcher.launch_errors import ConfigurationError, HelperFailed, LaunchRefused
from remote_http_launcher.launch_request import known_programs
from remote_http_launcher.launcher import run_configuration
from remote_http_launcher.progress import NoProgress, Progress


class Scripted:
    """Gives the answers that a test wrote."""

    name = "scripted"

    def __init__(self, *answers: Answer) -> None:
        self.host: str | None = "far"
        self.answers = list(answers)
        self.calls: list[tuple[str, list[str]]] = []

    def call(self, helper, arguments, stdin=b"", timeout_s=60.0):
        self.calls.append((helper, list(arguments)))
        return self.answers.pop(0)


@pytest.mark.provokes("HelperFailed")
@pytest.mark.parametrize(
    "answer",
    [
        Answer(1, b"", b"rhl-look: something is wrong\n"),
        Answer(0, b"", b""),
        Answer(0, b"welcome to this host\n{}", b""),
        Answer(0, b"{}", b""),
        Answer(0, b"[1]", b""),
        Answer(0, b'{"services": {"svc": 3}, "directory": "/", "host": "h"}', b""),
        Answer(0, b"\xff\xfe", b""),
    ],
)
def test_answer_that_cannot_be_understood_is_an_error_that_names_helper_and_host(world, answer):
    with pytest.raises(HelperFailed, match="rhl-look") as caught:
        run_configuration(world.checked(hostname="far"), executor=Scripted(answer))
    assert caught.value.host == "far"


LOOKED = Answer(
    0,
    b'{"services": {"svc": {"status": "absent", "liveness": null, "state": null, "port_open": null, "handshake": null,'
    b' "error": null}}, "directory": "/s", "host": "h"}',
    b"",
)


def test_launch_that_the_helper_refuses_is_passed_on_with_its_hint(world):
    refusal = Answer(1, b"", b"rhl-launch-service: no such program\nhint:  install it\n")
    with pytest.raises(LaunchRefused, match="no such program") as caught:
        run_configuration(world.checked(hostname="far"), executor=Scripted(LOOKED, refusal))
    assert caught.value.hint == "install it"


def test_status_file_is_where_the_target_keeps_its_states(world):
    executor = Scripted(LOOKED, Answer(2, b"", b"wrong"))
    with pytest.raises(HelperFailed):
        run_configuration(world.checked(hostname="far"), executor=executor)
    assert "/s/svc.json" in executor.calls[1][1]


@pytest.mark.parametrize("name", ["look", "rhl-", "rhl-a.b", "rhl-../x", "sh", "rhl-a;b"])
def test_what_is_no_helper_is_not_run(name):
    with pytest.raises(HelperFailed, match="no helper"):
        helper_module(name)


def test_helper_that_takes_too_long_is_ended(world):
    words = [
        "--key",
        "svc",
        "--workdir",
        str(world.home / "w"),
        "--wait",
        "50",
        "--",
        "svc-test",
        "--mode",
        "hang",
    ]
    words += ["--status-file", str(world.server / "svc.json")]
    with pytest.raises(HelperFailed, match="did not end within 1 s"):
        LocalExecutor().call("rhl-launch-service", words, timeout_s=1)
    assert world.state()["error"]["kind"] == "interrupted"
    assert world.running() == []


def test_helper_sees_this_installation_and_no_terminal(world):
    answer = LocalExecutor().call("rhl-ps", ["--json"])
    assert (answer.exit_code, answer.stdout, answer.stderr) == (0, b"", "")


def test_programs_are_the_four_services_or_those_of_the_file(tmp_path, monkeypatch):
    assert "hashserver" in known_programs()
    tools = tmp_path / "tools.yaml"
    tools.write_text(
        "# command_template: commented\na:\n  command_template: \"one{' --x'} y\"\nb:\n  command_template: two --f\n"
        "c:\n  other: three\n  command_template: '/bin/four'\nd:\n    \"command_template\": 'five'\n"
    )
    monkeypatch.setenv("RHL_TOOLS_YAML", str(tools))
    assert known_programs() == {"one", "two", "five"}
    monkeypatch.setenv("RHL_TOOLS_YAML", str(tmp_path / "none"))
    with pytest.raises(LaunchRefused, match="RHL_TOOLS_YAML"):
        known_programs()


class _Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_slow_launch_moves_on_a_terminal_and_ends_with_ready(monkeypatch):
    monkeypatch.setenv("TERM", "xterm")
    now = [0.0]
    stream = _Terminal()
    progress = Progress("k", "minimal", stream=stream, clock=lambda: now[0])
    drawn = threading.Event()
    write = stream.write

    def noticing(text):
        if "\r" in text:
            drawn.set()
        return write(text)

    stream.write = noticing
    progress.begin("wait_for_start")
    now[0] = 2.0
    assert drawn.wait(10)
    progress.phase("done", "launched")
    progress.close(is_ready=True)
    assert "wait_for_start (2s)" in stream.getvalue()
    assert stream.getvalue().endswith("\r\x1b[K  k: ready (2.0s)\n")


def test_off_a_terminal_nothing_moves(capsys):
    progress = Progress("k", "minimal")
    progress.begin("launch")
    progress.close(is_ready=False)
    assert capsys.readouterr().err == ""
    assert [t.name for t in threading.enumerate() if t.name == "rhl-progress"] == []


def test_debug_tells_details_and_null_progress_nothing(capsys):
    for progress in (NoProgress(), Progress("k", "debug")):
        progress.begin("launch")
        progress.phase("launch", "ok")
        progress.detail("more")
        progress.warn("careful")
        progress.error("bad")
        progress.close(is_ready=True)
    lines = capsys.readouterr().err.splitlines()
    assert [line.strip() for line in lines] == [
        "0.0s launch: ok",
        "more",
        "k: warning: careful",
        "k: error: bad",
    ]


def test_log_file_that_cannot_be_written_is_named(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(ConfigurationError, match="log_file") as caught:
        Progress("k", "minimal", log_file=str(tmp_path / "file" / "log"))
    assert caught.value.field == "log_file"


def test_interpreter_of_the_helpers_needs_no_site_packages(world):
    code = "import sys; sys.exit(any('site-packages' in path for path in sys.path))"
    import subprocess

    assert subprocess.run([sys.executable, "-I", "-S", "-c", code], check=False, timeout=30).returncode == 0
    assert signal.getsignal(signal.SIGTERM) is not signal.default_int_handler


@given(st.lists(st.text(max_size=6), min_size=1, max_size=4))
def test_words_are_quoted_as_shlex_does(words):
    assert quoted_words(words) == shlex.join(words)


@pytest.mark.parametrize("has_posix_spawn", [True, False])
def test_child_leads_a_session_reads_nothing_and_has_its_signals_back(tmp_path, monkeypatch, has_posix_spawn):
    monkeypatch.chdir(tmp_path)
    if not has_posix_spawn:
        monkeypatch.setattr(os, "posix_spawnp", _not_implemented)
    code = "import os, sys; print(os.getsid(0) == os.getpid(), repr(sys.stdin.read()), os.getcwd()); "
    code += "print([l for l in open('/proc/self/status') if l.startswith('SigIgn')], file=sys.stderr); sys.exit(3)"
    with open(tmp_path / "log", "wb") as log:
        child = start_child([sys.executable, "-S", "-c", code], str(tmp_path), log.fileno())
    while child.poll() is None:
        os.sched_yield()
    assert child.poll() == 3
    text = (tmp_path / "log").read_text()
    assert f"True '' {tmp_path}" in text
    child.kill()


def _not_implemented(*rest, **more):
    raise NotImplementedError

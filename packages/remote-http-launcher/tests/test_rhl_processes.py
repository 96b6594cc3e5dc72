"""A process is told from any other that gets its number; only the very process is signalled."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import pytest
from remote_http_launcher import processes
from remote_http_launcher.listening import listens_on
from remote_http_launcher.processes import identity_of, is_ours, liveness, pid_of, signal_process
from remote_http_launcher.stopping import stop_processes
from remote_http_launcher.testing.processes import (
    dead_pid,
    server_folder,
    service_process,
    state_of,
    wait_until,
)


@pytest.fixture
def path() -> str:
    return str(server_folder() / "k.json")


def test_process_of_the_state_lives_and_then_is_dead(path: str):
    with service_process() as process:
        state = state_of(process)
        assert liveness(state, path) == "alive"
        process.kill()
        wait_until(lambda: liveness(state, path) == "dead")  # a zombie is dead
        process.wait()
    assert liveness(state, path) == "dead"


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"start_time": 1}, "dead"),
        ({"boot_id": "other boot"}, "dead"),
        ({"boot_id": "other boot", "host": "twin"}, "unknown"),
        ({"boot_id": "other boot", "machine_id": "other machine"}, "unknown"),
        ({"boot_id": "other boot", "machine_id": ""}, "unknown"),
        ({"pid_namespace": "pid:[1]"}, "unknown"),
        ({"machine_id": "", "host": "renamed"}, "alive"),
        ({"pid": None}, "unknown"),
        ({"pid": True}, "unknown"),
        ({"pid": 2**40}, "unknown"),
        ({"pid": "7"}, "unknown"),
    ],
)
def test_identity_decides_and_what_cannot_be_told_is_unknown(
    path: str, changes: dict[str, object], expected: str
):
    with service_process() as process:
        assert liveness({**state_of(process), **changes}, path) == expected


@pytest.mark.parametrize(
    "word",
    [
        "--status-file={path}",
        "{path}",
        "source conda.sh && exec hashserver --status-file {path} x",
        "{folder}/../server/k.json",
    ],
)
def test_state_of_another_implementation_is_known_by_its_command_line(path: str, word: str):
    with service_process(word.format(path=path, folder=server_folder())) as process:
        assert liveness({"pid": process.pid, "status": "running"}, path) == "alive"
        assert liveness({"pid": process.pid, "status": "running"}, path.replace("k.json", "j.json")) == "dead"


@pytest.mark.parametrize("word", ["{path}.bak", "/prefix{path}", "{folder}/kk.json"])
def test_command_line_that_names_a_similar_file_is_a_stranger(path: str, word: str):
    with service_process(word.format(path=path, folder=server_folder())) as process:
        assert liveness({"pid": process.pid}, path) == "dead"


@pytest.mark.invariant("I-187")
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
@pytest.mark.parametrize("is_foreign", [False, True], ids=["ours", "of another implementation"])
def test_recycled_pid_is_never_signalled(path: str, number: int, is_foreign: bool):
    with service_process() as stranger:
        recorded = {**state_of(stranger), "start_time": 1}
        state = {"pid": stranger.pid, "status": "running"} if is_foreign else recorded
        assert signal_process(state, path, number) == "gone"
        assert stop_processes([(state, path)], grace_s=0.1) == ["already gone"]
        assert stranger.poll() is None
        assert not is_ours(state, path)


@pytest.mark.parametrize("changes", [{"pid_namespace": "pid:[1]"}, {"boot_id": "b", "machine_id": "m"}])
def test_process_that_may_be_elsewhere_is_never_signalled(path: str, changes: dict[str, object]):
    with service_process() as process:
        state = {**state_of(process), **changes}
        assert signal_process(state, path, signal.SIGKILL) == "unknown"
        assert stop_processes([(state, path)], grace_s=0.1) == ["cannot tell"]
        assert process.poll() is None


def test_signal_reaches_the_group_of_a_leader(path: str):
    with service_process(n_children=2) as process:
        assert len(processes.group_members(process.pid)) == 3
        assert signal_process(state_of(process), path, signal.SIGTERM) == "sent"
        wait_until(lambda: processes.group_members(process.pid) == [])


def test_signal_to_a_process_that_leads_no_group_reaches_it_alone(path: str):
    with service_process(own_session=False) as process:
        assert signal_process(state_of(process), path, signal.SIGTERM) == "sent"
        assert process.wait(10) == -signal.SIGTERM


def test_without_pidfd_the_signal_arrives_too(path: str, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.delattr(os, "pidfd_open", raising=False)
    with service_process(own_session=False) as process:
        assert signal_process(state_of(process), path, signal.SIGTERM) == "sent"
        assert process.wait(10) == -signal.SIGTERM


def test_own_process_is_never_signalled(path: str):
    assert signal_process(identity_of(os.getpid()), path, signal.SIGKILL) == "unknown"


def test_signal_to_a_process_of_another_user_is_denied(path: str, monkeypatch: pytest.MonkeyPatch):
    with service_process() as process, monkeypatch.context() as patch:
        patch.setattr(os, "killpg", _denied)
        assert signal_process(state_of(process), path, signal.SIGINT) == "denied"
        assert stop_processes([(state_of(process), path)], grace_s=0.1) == ["permission denied"]


def test_without_start_time_and_state_file_nothing_is_certain():
    with service_process() as process:
        assert liveness({**state_of(process), "start_time": None}, "") == "unknown"


def test_without_proc_only_a_missing_process_is_certain(path: str, monkeypatch: pytest.MonkeyPatch):
    with service_process() as process:
        state = state_of(process)
        gone = {**state, "pid": dead_pid()}
        monkeypatch.setattr(processes, "_stat", lambda pid: None)
        assert liveness(state, path) == "unknown"
        assert liveness(gone, path) == "dead"


@pytest.mark.parametrize("pid", [0, -1, True, 1.0, "1", None, [], 2**31])
def test_pid_is_a_positive_integer(pid: object):
    assert pid_of({"pid": pid}) is None


def test_listener_of_a_port_is_known():
    import socket

    with socket.create_server(("127.0.0.1", 0)) as server, service_process() as other:
        port = server.getsockname()[1]
        assert listens_on(os.getpid(), port) is True
        assert listens_on(other.pid, port) is False
    assert listens_on(os.getpid(), port) is False


def test_start_time_of_a_name_with_brackets_and_blanks(tmp_path: Path):
    import shutil
    import subprocess
    import sys

    program = tmp_path / "a) R 1 (b"
    shutil.copy(os.path.realpath("/bin/sleep"), program)
    process = subprocess.Popen([str(program), "60"])
    try:
        wait_until(lambda: b"a) R 1 (b" in Path(f"/proc/{process.pid}/stat").read_bytes())
        assert identity_of(process.pid)["start_time"] > 100
        assert liveness(identity_of(process.pid), "x") == "alive"
    finally:
        process.kill()
        process.wait()
    assert sys.platform == "linux"


def _denied(*_: object) -> None:
    raise PermissionError(1, "Operation not permitted")

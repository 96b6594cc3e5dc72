"""rhl-stop ends the service and its group, whatever they ignore, and nobody else."""

from __future__ import annotations

import json
import os
import signal
from pathlib import Path

import pytest
from remote_http_launcher.helpers import stop
from remote_http_launcher.processes import group_members, identity_of
from remote_http_launcher.state_files import read_state, write_state
from remote_http_launcher.stopping import stop_processes
from remote_http_launcher.testing.processes import (
    dead_pid,
    server_folder,
    service_process,
    state_of,
    wait_until,
)


def _write(key: str, state: dict[str, object]) -> str:
    path = str(server_folder() / f"{key}.json")
    write_state(path, state)
    return path


@pytest.mark.invariant("I-189")
def test_service_that_ignores_signals_and_has_children_is_gone_wholly(capsys: pytest.CaptureFixture[str]):
    with service_process(ignoring="SIGINT,SIGTERM", n_children=3) as process:
        _write("k", state_of(process))
        assert stop.main(["k", "--grace", "0.2"]) == 0
        assert group_members(process.pid) == []
        assert process.wait(10) == -signal.SIGKILL
    assert capsys.readouterr().out == "k: kill required\n"
    assert read_state(str(server_folder() / "k.json"))["status"] == "stale"


def test_children_that_outlive_their_leader_are_ended_too():
    code_ignores_in_children = "SIGINT,SIGTERM"
    with service_process(ignoring=code_ignores_in_children, n_children=2) as process:
        state = state_of(process)
        path = _write("k", state)
        os.kill(process.pid, 0)
        leader_ends = _ending_on_signal(process.pid)
        assert stop_processes([(state, path)], grace_s=0.3) == ["kill required"]
        leader_ends.join(10)
        assert group_members(process.pid) == []


def test_service_that_obeys_gets_one_sigint(tmp_path: Path):
    with service_process() as process:
        path = _write("k", state_of(process))
        assert stop_processes([(read_state(path), path)]) == ["stopped"]
        assert process.wait(10) == -signal.SIGINT


def test_several_services_share_the_waiting(capsys: pytest.CaptureFixture[str]):
    with service_process(ignoring="SIGINT") as first, service_process(ignoring="SIGINT,SIGTERM") as second:
        _write("a", state_of(first))
        _write("b", state_of(second))
        _write("c", {**identity_of(os.getpid()), "pid": dead_pid(), "status": "running"})
        assert stop.main(["b", "a", "nobody", "c", "--grace=0.2"]) == 0
    assert capsys.readouterr().out == "b: kill required\na: stopped\nnobody: missing state\nc: already gone\n"


@pytest.mark.invariant("I-187")
def test_stranger_with_the_recorded_pid_survives_rhl_stop(capsys: pytest.CaptureFixture[str]):
    with service_process() as stranger:
        _write("ours", {**state_of(stranger), "start_time": 1})
        _write("theirs", {"pid": stranger.pid, "status": "running", "port": 1})
        assert stop.main(["ours", "theirs"]) == 0
        assert stranger.poll() is None
    assert capsys.readouterr().out == "ours: already gone\ntheirs: already gone\n"
    assert read_state(str(server_folder() / "theirs.json"))["status"] == "stale"


def test_service_of_another_host_is_left_alone_and_its_host_named(capsys: pytest.CaptureFixture[str]):
    state = {**identity_of(os.getpid()), "boot_id": "b", "machine_id": "m", "host": "login2"}
    path = _write("k", {**state, "status": "running"})
    before = read_state(path)
    assert stop.main(["k"]) == 1
    out, err = capsys.readouterr()
    assert out == "k: cannot tell\n"
    assert "login2" in err
    assert read_state(path) == before


def test_one_bad_state_keeps_all_services_from_being_signalled(capsys: pytest.CaptureFixture[str]):
    with service_process() as process:
        _write("good", state_of(process))
        (server_folder() / "bad.json").write_text("{")
        assert stop.main(["good", "bad"]) == 1
        assert process.poll() is None
    assert "malformed JSON" in capsys.readouterr().err


def test_dry_run_only_says_it(capsys: pytest.CaptureFixture[str]):
    with service_process() as process:
        _write("k", state_of(process))
        assert stop.main(["k", "--dry-run"]) == 0
        assert process.poll() is None
    assert capsys.readouterr().out == f"k: would stop process {process.pid}\n"


def test_state_that_was_replaced_meanwhile_stays_as_it_is():
    with service_process() as old, service_process() as new:
        state = state_of(old)
        path = _write("k", state_of(new))
        assert stop_processes([(state, path)]) == ["stopped"]
        assert json.loads(Path(path).read_text())["status"] == "running"
        assert new.poll() is None


def _ending_on_signal(pid: int):
    """Kill the leader alone, as soon as its group has been signalled (all ignore it)."""
    import threading

    def kill() -> None:
        wait_until(lambda: len(group_members(pid)) == 3)
        os.kill(pid, signal.SIGKILL)

    thread = threading.Thread(target=kill)
    thread.start()
    return thread

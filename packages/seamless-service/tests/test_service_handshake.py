"""The status file: what a launcher reads there, whatever happens to the service."""

from __future__ import annotations

import json
import signal
import socket
from pathlib import Path

import pytest
from seamless_service.failures import StartFailed
from seamless_service.status_file import StatusFile


def test_the_file_says_running_with_the_port_and_keeps_what_the_launcher_wrote(launch):
    state = {"meta": {"service": "echo"}, "parameters": {"a": [1, None]}, "command": "echo", "port": 1}

    service = launch(state=state)

    found = service.state()
    assert found["status"] == "running"
    assert found["port"] == service.port != 1
    assert found["pid"] == service.pid
    assert found["meta"] == {"service": "echo"}
    assert found["parameters"] == {"a": [1, None]}
    assert service.status_path.read_bytes().endswith(b"}\n")
    assert not service.status_path.with_name("service.json.tmp").exists()


def test_the_service_is_given_what_the_launcher_wrote_and_its_key(launch):
    service = launch(state={"parameters": {"n": 3}}, key="echo-alps-rw-p")

    body = json.loads(service.get("/state")[1])

    assert body["key"] == "echo-alps-rw-p"
    assert body["state"]["parameters"] == {"n": 3}


def test_the_file_is_left_as_it_is_at_the_end(launch):
    service = launch()
    before = service.status_path.read_bytes()

    assert service.stop() == 0

    assert service.status_path.read_bytes() == before


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_each_signal_that_asks_for_an_end_ends_it_with_0(launch, number):
    service = launch()

    assert service.stop(number) == 0

    assert "stopped" in service.log()
    assert signal.Signals(number).name in service.log()


@pytest.mark.invariant("I-110")
@pytest.mark.provokes("StartFailed")
@pytest.mark.parametrize("case", ["service", "port", "range", "reversed", "host", "exposed", "token"])
def test_whatever_fails_before_running_is_in_the_file_with_its_cause(launch, tmp_path, case):
    taken = socket.create_server(("127.0.0.1", 0))
    port = str(taken.getsockname()[1])
    arguments, words = {
        "service": (["--fail"], "There is nothing to echo."),
        "port": (["--port", port], f"Port {port} on 127.0.0.1 is in use"),
        "range": (["--port-range", port, port], f"Port {port} on 127.0.0.1 is in use"),
        "reversed": (["--port-range", "5001", "5000"], "--port-range 5000 5001"),
        "host": (["--host", "203.0.113.7"], "Cannot listen on 203.0.113.7"),
        "exposed": (["--host", "0.0.0.0"], "without a token"),
        "token": (["--auth", "token"], "cannot be read"),
    }[case]
    with taken:
        service = launch(*arguments, start=False, state={"schema": 1, "workdir": "/w"})
        service.launch()
        code = service.wait()

    state = service.state()
    assert code == 1
    assert state["status"] == "failed"
    assert "port" not in state
    assert state["workdir"] == "/w"
    assert words in state["error"]["message"] + state["error"]["hint"]
    assert state["error"]["hint"]
    assert state["error"]["message"] in service.log().replace('\\"', '"')


@pytest.mark.parametrize("text", ["no json", "[1]", "3", ""])
def test_a_file_that_holds_no_object_is_left_alone(tmp_path, text):
    path = tmp_path / "key.json"
    path.write_text(text)

    with pytest.raises(StartFailed, match="holds no JSON"):
        StatusFile(path).wait()

    assert path.read_text() == text


def test_a_file_that_never_comes_is_waited_for_as_long_as_documented(tmp_path):
    now = [0.0]

    def sleep(seconds: float) -> None:
        now[0] += seconds

    with pytest.raises(StartFailed, match="did not appear within 20 s"):
        StatusFile(tmp_path / "absent.json").wait(clock=lambda: now[0], sleep=sleep)

    assert 20 <= now[0] < 20.1


def test_a_file_that_comes_late_is_taken(tmp_path):
    path = tmp_path / "key.json"

    def sleep(seconds: float) -> None:
        path.write_text('{"status": "starting"}')

    assert StatusFile(path).wait(sleep=sleep) == {"status": "starting"}


def test_a_failure_to_write_is_told_and_leaves_the_old_file(tmp_path):
    path = tmp_path / "key.json"
    path.write_text('{"status": "starting"}')
    status = StatusFile(path)
    status.wait()
    (tmp_path / "key.json.tmp").mkdir()

    with pytest.raises(StartFailed, match="cannot be written"):
        status.running(1)

    assert json.loads(path.read_text()) == {"status": "starting"}


def test_a_link_in_the_way_of_the_temporary_file_is_not_followed(tmp_path):
    path, victim = tmp_path / "key.json", tmp_path / "victim"
    path.write_text('{"status": "starting"}')
    victim.write_text("precious")
    (tmp_path / "key.json.tmp").symlink_to(victim)
    status = StatusFile(path)
    status.wait()

    with pytest.raises(StartFailed):
        status.running(1)

    assert victim.read_text() == "precious"


def test_the_mode_of_the_file_is_kept(tmp_path):
    path = tmp_path / "key.json"
    path.write_text('{"status": "starting"}')
    path.chmod(0o640)
    status = StatusFile(path)
    status.wait()

    status.running(1)

    assert path.stat().st_mode & 0o777 == 0o640


def test_without_a_file_nothing_is_waited_for_or_written(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    status = StatusFile(None)

    status.wait()
    status.running(1)
    status.failed(StartFailed("no"))

    assert status.key == ""
    assert list(Path().iterdir()) == []

"""Launch on this machine: one process for a key, the right one, and what is left when it fails."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from remote_http_launcher import run
from remote_http_launcher.command_line import main
from remote_http_launcher.dry_run import dry_run_configuration
from remote_http_launcher.executors import LocalExecutor
from remote_http_launcher.launch_errors import (
    LaunchRefused,
    ReuseRefused,
    ServiceElsewhere,
    ServiceNotReachable,
    StartFailed,
    StartTimedOut,
    StrangerOnPort,
)
from remote_http_launcher.launcher import run_configuration
from remote_http_launcher.processes import identity_of

HASHSERVER = {
    "key": "hashserver-local-rw-p",
    "command": "hashserver --status-file {status_file} --host {network_interface} --timeout 30 {workdir} --writable",
}


def _get(url: str, token: str | None = None) -> int:
    request = urllib.request.Request(
        url, headers={} if token is None else {"Authorization": f"Bearer {token}"}
    )
    try:
        with urllib.request.urlopen(request, timeout=10) as answer:
            return int(answer.status)
    except urllib.error.HTTPError as exc:
        return exc.code


def test_real_service_is_launched_once_and_found_again(world):
    config = world.config(**HASHSERVER)
    first = run(config)
    second = run(config)
    (world.client / "hashserver-local-rw-p.json").unlink()
    third = run(config)
    assert first == second == third
    state = world.state("hashserver-local-rw-p")
    assert (state["status"], state["port"]) == ("running", first["port"])
    assert state["schema"] == 1
    assert first["identity"]["pid"] == state["pid"]


@pytest.mark.invariant("I-201")
def test_token_is_demanded_and_stands_in_private_files_only(world):
    found = run(world.config(**HASHSERVER))
    url = f"http://{found['hostname']}:{found['port']}/{'0' * 64}"
    token = Path(found["token_file"]).read_text().strip()
    assert (_get(url), _get(url, token)) == (401, 404)
    holders = [
        path for path in world.home.rglob("*") if path.is_file() and token in path.read_text(errors="replace")
    ]
    assert sorted(path.relative_to(world.home).as_posix() for path in holders) == [
        ".remote-http-launcher/client/hashserver-local-rw-p.token",
        ".remote-http-launcher/server/hashserver-local-rw-p.token",
    ]
    pid = world.state("hashserver-local-rw-p")["pid"]
    assert token.encode() not in Path(f"/proc/{pid}/cmdline").read_bytes()
    assert token.encode() not in Path(f"/proc/{pid}/environ").read_bytes()
    files = [path for path in (world.home / ".remote-http-launcher").rglob("*") if path.is_file()]
    assert {path.name for path in files if path.stat().st_mode & 0o077} == set()


def test_service_without_token_is_asked_for_by_auth_none(world):
    found = run(world.config(**HASHSERVER, auth="none"))
    assert "token_file" not in found
    assert _get(f"http://{found['hostname']}:{found['port']}/{'0' * 64}") == 404


@pytest.mark.slow
@pytest.mark.timeout(120)
@pytest.mark.invariant("I-196")
def test_twenty_clients_at_once_get_one_server_and_equal_answers(world, tmp_path):
    code = (
        "import json, os, sys, time; from remote_http_launcher import run; import remote_http_launcher.launcher\n"
        "open(sys.argv[2] + '.' + str(os.getpid()), 'w').close()\n"
        "while not os.path.exists(sys.argv[2]): time.sleep(0.002)\n"
        "print(json.dumps(run(json.loads(sys.argv[1])), sort_keys=True))"
    )
    go = tmp_path / "go"
    words = [sys.executable, "-c", code, json.dumps(world.config("slow")), str(go)]
    clients = [subprocess.Popen(words, stdout=subprocess.PIPE) for _ in range(20)]
    try:
        world.wait_until(lambda: len(list(tmp_path.glob("go.*"))) == 20, 60)
        go.touch()
        answers = [client.communicate(timeout=60)[0] for client in clients]
    finally:
        for client in clients:
            client.kill()
            client.wait()
    assert [client.returncode for client in clients] == [0] * 20
    assert len(set(answers)) == 1
    assert len(world.starts()) == 1


def test_twenty_threads_of_one_client_get_one_server(world):
    answers: list[dict[str, object]] = []
    threads = [threading.Thread(target=lambda: answers.append(run(world.config()))) for _ in range(20)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(answers) == 20
    assert all(answer == answers[0] for answer in answers)
    assert len(world.starts()) == 1


@pytest.mark.provokes("StartFailed")
@pytest.mark.invariant("I-197")
@pytest.mark.parametrize(
    "mode", ["crash", "crash-late", pytest.param("crash-stubborn", marks=pytest.mark.slow)]
)
def test_service_that_ends_at_its_start_leaves_cause_log_and_no_process(world, mode):
    with pytest.raises(StartFailed, match="with exit code 1") as caught:
        run(world.config(mode))
    assert "cannot find the flux capacitor" in caught.value.log_tail
    assert "cannot find the flux capacitor" in str(caught.value)
    state = world.state()
    assert state["status"] == "failed"
    assert "flux capacitor" in state["error"]["log_tail"]
    assert world.running() == []
    assert len(world.starts()) == 1


@pytest.mark.slow
@pytest.mark.provokes("StartTimedOut")
@pytest.mark.invariant("I-197")
def test_service_that_takes_too_long_is_ended_with_its_children_whatever_they_ignore(world):
    with pytest.raises(StartTimedOut, match="not ready within 1 s"):
        run(world.config("hang-stubborn", start_timeout=1))
    assert (world.state()["status"], world.state()["error"]["kind"]) == ("failed", "timeout")
    assert len(world.starts()) == 1
    assert world.running() == []


def test_cause_that_the_service_names_is_passed_on(world):
    command = "hashserver --status-file {status_file} /no/such/directory"
    with pytest.raises(StartFailed, match="/no/such/directory") as caught:
        run(world.config(command=command))
    assert "mkdir" in (caught.value.hint or "")
    assert "port" not in world.state()


def test_failed_start_is_tried_again_by_the_next_call_and_its_log_is_kept(world):
    with pytest.raises(StartFailed):
        run(world.config("crash"))
    run(world.config("ok"))
    assert world.state()["status"] == "running"
    assert "flux capacitor" in (world.server / "svc.log.1").read_text()
    assert len(world.starts()) == 2


@pytest.mark.provokes("LaunchRefused")
@pytest.mark.parametrize(
    ("more", "cause"),
    [
        ({"command": "sh -c true --status-file {status_file}"}, "not whitelisted: 'sh'"),
        ({"command": "/bin/svc-test --status-file {status_file}"}, "not whitelisted"),
        ({"command": "svc-test --status-file /tmp/x.json"}, "--status-file must"),
        ({"command": "svc-test --status-file={status_file}.json"}, "--status-file must"),
        ({"workdir": "/etc"}, "system directory"),
        ({"workdir": "rel"}, "must be absolute"),
        ({"workdir": "/tmp/../tmp/x"}, "'..'"),
    ],
)
def test_what_the_helper_may_not_start_is_refused(world, more, cause):
    with pytest.raises(LaunchRefused, match=cause):
        run(world.config(**more))
    assert world.starts() == []


def test_program_that_is_not_installed_is_named(world):
    (world.programs / "svc-test").unlink()
    with pytest.raises(LaunchRefused, match="svc-test cannot be started: No such file"):
        run(world.config())
    assert world.state()["status"] == "failed"


@pytest.mark.provokes("StartInterrupted")
@pytest.mark.invariant("I-197")
def test_interrupted_launch_leaves_no_process(world, tmp_path):
    path = tmp_path / "config.json"
    path.write_text(json.dumps(world.config("hang")))
    words = [sys.executable, "-m", "remote_http_launcher.command_line", str(path)]
    words[1:3] = ["-c", "import sys; from remote_http_launcher.command_line import main; sys.exit(main())"]
    client = subprocess.Popen(words, stderr=subprocess.PIPE)
    world.wait_until(world.starts)
    client.send_signal(signal.SIGINT)
    _, said = client.communicate(timeout=30)
    assert client.returncode == 130, said
    assert (world.state()["status"], world.state()["error"]["kind"]) == ("failed", "interrupted")
    assert world.running() == []


def test_another_client_that_waited_for_an_interrupted_start_starts_it_itself(world, tmp_path):
    path = tmp_path / "config.json"
    path.write_text(json.dumps(world.config("hang")))
    code = "import sys; from remote_http_launcher.command_line import main; sys.exit(main())"
    client = subprocess.Popen([sys.executable, "-c", code, str(path)], stderr=subprocess.DEVNULL)
    world.wait_until(lambda: (world.server / "svc.json").exists())
    answers: list[dict[str, object]] = []
    second = threading.Thread(target=lambda: answers.append(run(world.config("ok"))))
    second.start()
    client.send_signal(signal.SIGINT)
    client.wait(30)
    second.join(30)
    assert len(answers) == 1
    assert len(world.starts()) == 2


class _Stranger(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        self.send_response(200)
        self.send_header("Content-Length", "2")
        self.end_headers()
        self.wfile.write(b"OK")

    def log_message(self, *rest: object) -> None:
        pass


@pytest.fixture
def stranger():
    """A server of somebody else, which answers OK to everything."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Stranger)
    thread = threading.Thread(target=server.serve_forever, name="stranger")
    thread.start()
    yield server.server_port
    server.shutdown()
    server.server_close()
    thread.join()


@pytest.mark.invariant("I-199")
@pytest.mark.parametrize("mode", ["ok", "plain"])
def test_stranger_on_the_port_of_a_dead_service_is_never_adopted(world, stranger, mode):
    first = run(world.config(mode))
    os.killpg(world.starts()[0], signal.SIGKILL)
    world.wait_until(lambda: not world.running())
    for folder in (world.client, world.server):
        state = json.loads((folder / "svc.json").read_text())
        (folder / "svc.json").write_text(json.dumps({**state, "port": stranger}))
    found = run(world.config(mode))
    assert found["port"] not in (stranger, first["port"])
    assert len(world.starts()) == 2


@pytest.mark.invariant("I-199")
@pytest.mark.parametrize("mode", ["ok", "plain"])
def test_stranger_that_took_the_port_of_a_living_service_is_not_adopted_and_the_service_replaced(
    world, stranger, mode
):
    run(world.config(mode))
    first = world.starts()[0]
    for folder in (world.client, world.server):
        state = json.loads((folder / "svc.json").read_text())
        (folder / "svc.json").write_text(json.dumps({**state, "port": stranger}))
    found = run(world.config(mode))
    assert found["port"] != stranger
    assert world.running() == world.starts()[1:]
    assert first not in world.running()


@pytest.mark.invariant("I-199")
def test_unrelated_process_with_the_recorded_pid_is_neither_signalled_nor_adopted(world, stranger):
    run(world.config())
    os.killpg(world.starts()[0], signal.SIGKILL)
    world.wait_until(lambda: not world.running())
    with subprocess.Popen(["sleep", "60"], start_new_session=True) as unrelated:
        state = world.state()
        (world.server / "svc.json").write_text(json.dumps({**state, "pid": unrelated.pid, "port": stranger}))
        (world.client / "svc.json").unlink()
        found = run(world.config())
        assert unrelated.poll() is None
        unrelated.kill()
    assert found["port"] != stranger
    assert len(world.starts()) == 2


@pytest.mark.invariant("I-199")
def test_state_of_another_implementation_with_an_unrelated_process_is_not_adopted(world, stranger):
    world.server.mkdir(parents=True)
    with subprocess.Popen(["sleep", "60"], start_new_session=True) as unrelated:
        state = {"workdir": str(world.home / "work"), "command": "svc-test", "uid": 0, "pid": unrelated.pid}
        state |= {"status": "running", "port": stranger, "network_interface": "127.0.0.1"}
        (world.server / "svc.json").write_text(json.dumps(state))
        found = run(world.config())
        assert unrelated.poll() is None
        unrelated.kill()
    assert found["port"] != stranger


@pytest.mark.provokes("StrangerOnPort")
def test_service_that_says_it_is_another_is_refused(world):
    with pytest.raises(StrangerOnPort, match="pid 1"):
        run(world.config("liar"))
    assert not (world.client / "svc.json").exists()


@pytest.mark.slow
@pytest.mark.provokes("ServiceNotReachable")
def test_service_that_answers_with_errors_is_not_given_out(world):
    with pytest.raises(ServiceNotReachable, match="HTTP 500"):
        run(world.config("sick"))


def test_service_without_identity_is_reused_by_its_socket(world):
    first = run(world.config("plain"))
    assert run(world.config("plain")) == first
    assert len(world.starts()) == 1


@pytest.mark.provokes("ServiceElsewhere")
@pytest.mark.invariant("I-200")
@pytest.mark.parametrize("status", ["running", "starting"])
def test_state_of_another_machine_is_never_launched_over(world, status):
    world.server.mkdir(parents=True)
    other = {**identity_of(os.getpid()), "host": "login2", "machine_id": "f" * 32, "boot_id": "other"}
    state = {
        "workdir": "/w",
        "command": "svc-test",
        "status": status,
        "port": 9,
        "network_interface": "127.0.0.1",
    }
    (world.server / "svc.json").write_text(json.dumps({**other, **state, "schema": 1}))
    with pytest.raises(ServiceElsewhere, match="login2"):
        run(world.config(start_timeout=1))
    assert world.starts() == []
    assert world.state()["host"] == "login2"


def test_state_of_the_boot_before_is_launched_over(world):
    world.server.mkdir(parents=True)
    state = {**identity_of(os.getpid()), "boot_id": "before", "status": "running", "port": 9, "schema": 1}
    (world.server / "svc.json").write_text(json.dumps(state))
    run(world.config())
    assert len(world.starts()) == 1


@pytest.mark.parametrize(
    "content", ["", "{", "[1]", "null", '{"status": "stale"}', '{"port": "x", "hostname": 3}']
)
def test_unusable_state_files_on_either_side_are_replaced(world, content):
    for folder in (world.server, world.client):
        folder.mkdir(parents=True)
        (folder / "svc.json").write_text(content)
    assert run(world.config())["port"] == world.state()["port"]


@pytest.mark.invariant("I-198")
def test_running_service_with_another_directory_is_refused_and_left_alone(world):
    run(world.config())
    other = world.config(workdir=str(world.home / "other"))
    for _ in range(2):  # by the client state, and by that of the server
        with pytest.raises(ReuseRefused) as caught:
            run(other)
        assert caught.value.field == "workdir"
        (world.client / "svc.json").unlink(missing_ok=True)
    assert world.running() == world.starts()


def test_other_difference_is_a_warning(world, capsys):
    run(world.config(command="svc-test --mode ok --status-file {status_file} --timeout 5"))
    run(world.config(command="svc-test --mode ok --status-file {status_file} --timeout 6"))
    assert "svc: warning: it runs with" in capsys.readouterr().err
    assert len(world.starts()) == 1


def test_parameters_and_meta_are_in_both_states(world):
    found = run(world.config(file_parameters={"a": [1]}, meta={"service": "x", "stage": None}))
    for state in (found, world.state()):
        assert state["parameters"] == {"a": [1]}
        assert state["meta"] == {"service": "x", "stage": None}


def test_connection_directory_is_the_callers(world, tmp_path):
    found = run(world.config(), connection_dir=tmp_path / "c")
    assert json.loads((tmp_path / "c" / "svc.json").read_text()) == found
    assert not world.client.exists()


def test_everything_lies_below_the_directory_of_the_variable(world, tmp_path, monkeypatch):
    monkeypatch.setenv("REMOTE_HTTP_LAUNCHER_DIR", str(tmp_path / "d"))
    run(world.config())
    assert not (world.home / ".remote-http-launcher").exists()
    assert (tmp_path / "d" / "server" / "svc.json").exists()
    assert (tmp_path / "d" / "client" / "svc.json").exists()


def test_command_line_launches_and_says_what_failed(world, tmp_path, capsys):
    path = tmp_path / "config.yaml"
    path.write_text(json.dumps(world.config(log_level="basic")))
    assert main([str(path)]) == 0
    captured = capsys.readouterr()
    assert captured.out == ""
    phases = [line.split("s ", 1)[1] for line in captured.err.splitlines()]
    assert phases[0] == "local_check: missing"
    assert phases[-1] == "done: launched"
    assert main([str(path)]) == 0
    assert "done: reused-local" in capsys.readouterr().err
    path.write_text("workdir: /w\nkey: a b\ncommand: c\n")
    assert main([str(path)]) == 1
    assert "config.yaml:2:" in capsys.readouterr().err


def test_wrong_options_are_code_2(capsys):
    for words in ([], ["a", "--dry"], ["a", "b"]):
        with pytest.raises(SystemExit) as caught:
            main(words)
        assert caught.value.code == 2


def test_help_and_version(capsys):
    for option in ("--help", "--version"):
        with pytest.raises(SystemExit) as caught:
            main([option])
        assert caught.value.code == 0
        assert "remote-http-launcher" in capsys.readouterr().out


def test_dry_run_prints_the_command_and_is_no_service(world, tmp_path, capsys):
    path = tmp_path / "config.json"
    path.write_text(json.dumps(world.config(meta={"a": 1})))
    assert main([str(path), "--dry-run"]) == 0
    command = "svc-test --mode ok --status-file ~/.remote-http-launcher/server/svc.json"
    assert capsys.readouterr().out == command + "\n"
    log = str(world.server / "svc.log")
    assert world.state() == {
        "workdir": str(world.home / "work"), "log": log, "command": command, "network_interface": "127.0.0.1",
        "parameters": None, "dry_run": True, "meta": {"a": 1},
    }  # fmt: skip
    assert world.starts() == []
    run(world.config())
    assert world.state()["status"] == "running"


def test_dry_run_of_another_machine_is_refused(world):
    with pytest.raises(RuntimeError, match="this machine only"):
        dry_run_configuration(world.checked(hostname="h"))


def test_minimal_level_says_nothing_when_it_was_fast_and_errors_always(world, capsys):
    run(world.config())
    assert capsys.readouterr().err == ""
    with pytest.raises(StartFailed):
        run(world.config("crash", key="other"))
    assert capsys.readouterr().err.startswith("  other: error: 'other' did not start")


def test_logs_of_the_launch_are_written(world, tmp_path):
    logs = {"log_file": str(tmp_path / "a" / "l"), "debug_log_file": str(tmp_path / "d")}
    run(world.config(**logs))
    for path in (tmp_path / "a" / "l", tmp_path / "d"):
        assert "done: launched" in path.read_text()


def test_interrupt_of_the_wait_for_another_leaves_that_alone(world):
    first = threading.Thread(target=lambda: run(world.config("slow")))
    first.start()
    world.wait_until(lambda: (world.server / "svc.json").exists())

    class Interrupting:
        host = None
        name = "interrupting"

        def call(self, *rest, **more):
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run_configuration(world.checked("slow", key="another"), executor=Interrupting())
    first.join()
    assert world.state()["status"] == "running"


def test_services_children_of_nobody(world):
    run(world.config())
    stat = Path(f"/proc/{world.starts()[0]}/stat").read_text().rpartition(")")[2].split()
    assert int(stat[1]) != os.getpid()
    assert int(stat[2]) == world.starts()[0]


def test_import_of_the_launcher_is_light():
    heavy = ("yaml", "asyncio", "subprocess", "http.client", "argparse", "json", "typing")
    code = "import sys; before = set(sys.modules); import remote_http_launcher.launcher; "
    code += f"print([m for m in {heavy} if m in sys.modules and m not in before])"
    found = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=30, check=True
    )
    assert found.stdout == "[]\n"


def test_waiting_is_measured_on_the_machine_of_the_service_alone(world, monkeypatch):
    monkeypatch.setattr(time, "time", lambda: 0.0)
    run(world.config("slow"))
    assert world.state()["status"] == "running"


def test_dry_run_leaves_the_state_of_a_running_service_alone(world):
    run(world.config())
    before = world.state()
    assert dry_run_configuration(world.checked()).startswith("svc-test --mode ok")
    assert world.state() == before


def test_dry_run_names_the_status_file_below_the_directory_of_the_variable(world, tmp_path, monkeypatch):
    monkeypatch.setenv("REMOTE_HTTP_LAUNCHER_DIR", str(tmp_path / "d"))
    assert dry_run_configuration(world.checked()).endswith(f" {tmp_path}/d/server/svc.json")


def test_client_with_less_patience_does_not_end_the_start_of_another(world):
    answers: list[dict[str, object]] = []
    first = threading.Thread(target=lambda: answers.append(run(world.config("slow"))))
    first.start()
    world.wait_until(lambda: (world.server / "svc.json").exists())
    with pytest.raises(StartTimedOut, match="left alone"):
        run(world.config("slow", start_timeout=0.1))
    words = [
        "--key",
        "svc",
        "--workdir",
        str(world.home / "work"),
        "--wait",
        "0.1",
        "--",
        "svc-test",
        "--mode",
        "slow",
    ]
    assert LocalExecutor().call("rhl-launch-service", words).exit_code == 1
    first.join()
    assert len(answers) == 1
    assert world.running() == world.starts()


def test_command_line_tells_a_failure_once(world, tmp_path, capsys):
    path = tmp_path / "config.json"
    path.write_text(json.dumps(world.config("crash")))
    assert main([str(path)]) == 1
    said = capsys.readouterr().err
    assert said.count("did not start") == 1
    assert said.rstrip().endswith("hint:  rhl-logs svc")

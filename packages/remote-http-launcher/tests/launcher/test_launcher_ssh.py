"""Launch on another host, through a real sshd: few calls, one handshake, clear errors, tunnels that are found again."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import threading
import urllib.request
from pathlib import Path

import pytest
from remote_http_launcher import run
from remote_http_launcher.bootstrap import archive
from remote_http_launcher.errors import LauncherError
from remote_http_launcher.executors import Answer
from remote_http_launcher.launch_errors import StartFailed, TunnelFailed
from remote_http_launcher.processes import liveness
from remote_http_launcher.ssh import SshExecutor
from remote_http_launcher.ssh_errors import (
    HelperMissing,
    HelperTooOld,
    SshAuthenticationFailed,
    SshConnectionCut,
    SshFailed,
    SshHostKeyRejected,
    SshHostUnknown,
    SshRefused,
    SshUnreachable,
    ssh_error,
)
from remote_http_launcher.ssh_master import ssh_master
from remote_http_launcher.tunnels import close_tunnel, list_tunnels, tunnels_directory

CLIENT = "import sys; from remote_http_launcher.command_line import main; sys.exit(main())"


def _identity(found: dict) -> dict:
    request = urllib.request.Request(
        f"http://{found['hostname']}:{found['port']}/healthcheck", headers={"Accept": "application/json"}
    )
    with urllib.request.urlopen(request, timeout=10) as answer:
        return json.loads(answer.read())


@pytest.mark.invariant("I-202")
def test_cold_launch_takes_two_calls_and_reuse_one_over_one_handshake(ssh_host):
    first = run(ssh_host.config())
    assert ssh_host.calls() == 2
    (ssh_host.world.client / "svc.json").unlink()
    second = run(ssh_host.config())
    assert ssh_host.calls() == 3
    assert run(ssh_host.config()) == first == second
    assert ssh_host.calls() == 3
    assert ssh_host.handshakes() == 1
    assert (first["hostname"], first["ssh_hostname"]) == ("localhost", "tb-host")
    assert Path(first["token_file"]).read_text() == (ssh_host.server / "svc.token").read_text()
    assert _identity(first)["pid"] == ssh_host.state()["pid"]


@pytest.mark.slow
@pytest.mark.timeout(120)
@pytest.mark.invariant("I-196")
@pytest.mark.invariant("I-202")
def test_twenty_clients_at_once_over_ssh_get_one_server_over_one_handshake(ssh_host):
    answers: list[dict] = []
    threads = [threading.Thread(target=lambda: answers.append(run(ssh_host.config()))) for _ in range(20)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(answers) == 20
    assert all(answer == answers[0] for answer in answers)
    assert len(ssh_host.world.starts()) == 1
    assert ssh_host.handshakes() == 1


def test_ssh_configuration_with_a_shared_connection_of_its_own_is_used_as_it_is(ssh_host):
    path = Path(os.environ["XDG_RUNTIME_DIR"]) / "mine"
    ssh_host.write_client_config(f"ControlMaster auto\n  ControlPath {path}\n  ControlPersist 30")
    try:
        run(ssh_host.config())
        assert not ssh_master("tb-host").is_ours
        assert ssh_host.handshakes() == 1
    finally:
        subprocess.run(["ssh", "-O", "exit", "tb-host"], capture_output=True, timeout=20, check=False)


def test_failed_start_says_host_cause_and_last_words(ssh_host):
    with pytest.raises(StartFailed, match="on localhost: The service ended .* exit code 1") as caught:
        run(ssh_host.config("crash"))
    assert "flux capacitor" in caught.value.log_tail
    assert caught.value.host == "localhost"
    assert ssh_host.world.running() == []


# ---- tunnels


@pytest.mark.invariant("I-203")
def test_tunnel_is_recorded_found_again_and_closed(ssh_host):
    config = ssh_host.config(tunnel=True)
    first = run(config)
    assert (first["hostname"], first["tunneled-host"]) == ("localhost", "tb-host")
    assert first["tunneled-port"] == ssh_host.state()["port"] != first["port"]
    assert _identity(first)["pid"] == ssh_host.state()["pid"]
    (ssh_host.world.client / "svc.json").unlink()
    assert run(config) == first
    (tunnel,) = list_tunnels()
    assert (tunnel["key"], tunnel["live"], tunnel["ssh_host"]) == ("svc", True, "tb-host")
    assert tunnel["forwards"] == [[first["port"], "127.0.0.1", first["tunneled-port"]]]
    assert close_tunnel("svc")
    assert list_tunnels() == []
    assert not close_tunnel("svc")
    again = run(config)
    assert _identity(again)["pid"] == _identity(run(config))["pid"]
    assert len(ssh_host.world.starts()) == 1


def test_clients_at_once_share_one_tunnel(ssh_host):
    answers: list[dict] = []
    threads = [
        threading.Thread(target=lambda: answers.append(run(ssh_host.config(tunnel=True)))) for _ in range(6)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len({answer["port"] for answer in answers}) == 1
    assert len(list_tunnels()) == 1
    assert ssh_host.handshakes() == 2


@pytest.mark.invariant("I-203")
def test_tunnel_whose_monitor_was_killed_is_cleaned_up_and_replaced(ssh_host):
    config = ssh_host.config(tunnel=True)
    run(config)
    (tunnel,) = list_tunnels()
    os.kill(tunnel["pid"], signal.SIGKILL)
    path = str(Path(tunnels_directory()) / "svc.json")
    ssh_host.world.wait_until(lambda: liveness(tunnel, path) == "dead")
    (ssh_host.world.client / "svc.json").unlink()
    run(config)
    (new,) = list_tunnels()
    assert new["live"]
    assert new["pid"] != tunnel["pid"]
    old_ssh = {**tunnel, "pid": tunnel["ssh_pid"], "start_time": tunnel["ssh_start_time"]}
    assert liveness(old_ssh, path) == "dead"


def test_tunnel_ends_with_its_connection(ssh_host):
    run(ssh_host.config(tunnel=True))
    ssh_host.cut()
    ssh_host.world.wait_until(lambda: list_tunnels() == [])


def test_unrelated_process_with_the_pid_of_a_tunnel_is_not_signalled(ssh_host):
    run(ssh_host.config(tunnel=True))
    (tunnel,) = list_tunnels()
    close_tunnel("svc")
    path = Path(tunnels_directory()) / "svc.json"
    with subprocess.Popen(["sleep", "60"]) as unrelated:
        path.write_text(json.dumps({**tunnel, "pid": unrelated.pid, "ssh_pid": unrelated.pid}))
        assert not close_tunnel("svc")
        assert unrelated.poll() is None
        unrelated.kill()


@pytest.mark.slow
@pytest.mark.provokes("TunnelFailed")
def test_tunnel_that_the_host_forbids_says_so(ssh_host):
    with open(ssh_host.folder / "sshd_config", "a") as file:
        file.write("AllowTcpForwarding no\n")
    ssh_host.stop()
    ssh_host.start()
    with pytest.raises(TunnelFailed, match="administratively prohibited"):
        run(ssh_host.config(tunnel=True))
    assert list_tunnels() == []


def test_tunnel_that_does_not_come_up_says_what_ssh_said(ssh_host):
    ssh = ssh_host.world.programs / "ssh"
    ssh.write_text(
        ssh.read_text().replace("exec", 'case "$*" in *" -N -o Exit"*) echo no way >&2; exit 1;; esac; exec')
    )
    with pytest.raises(TunnelFailed, match="no way"):
        run(ssh_host.config(tunnel=True))
    assert list_tunnels() == []


# ---- hosts with other installations


@pytest.mark.invariant("I-204")
def test_host_without_helpers_gets_them_once(ssh_host):
    ssh_host.remove_helpers()
    first = run(ssh_host.config())
    (brought,) = (ssh_host.home / ".remote-http-launcher" / "bootstrap").iterdir()
    assert brought.read_bytes() == archive()
    assert brought.stat().st_mode & 0o077 == 0
    (ssh_host.world.client / "svc.json").unlink()
    assert run(ssh_host.config()) == first
    assert len(ssh_host.world.starts()) == 1


@pytest.mark.provokes("HelperMissing")
def test_host_without_helpers_and_python_says_what_to_install(ssh_host):
    ssh_host.remove_helpers(python=False)
    with pytest.raises(HelperMissing, match="rhl-look is not installed") as caught:
        run(ssh_host.config())
    assert "pip install remote-http-launcher" in (caught.value.hint or "")


def test_bootstrap_can_be_forbidden(ssh_host):
    ssh_host.remove_helpers()
    with pytest.raises(HelperMissing):
        SshExecutor("tb-host", may_bootstrap=False).call("rhl-look", ["svc"])
    assert not (ssh_host.home / ".remote-http-launcher").exists()


def test_helpers_in_a_conda_base_are_found(ssh_host):
    ssh_host.remove_helpers()
    base = ssh_host.home / "miniforge3" / "bin"
    base.mkdir(parents=True)
    for path in Path(sys.executable).parent.glob("rhl-*"):
        (base / path.name).symlink_to(path)
    run(ssh_host.config())
    assert not (ssh_host.home / ".remote-http-launcher" / "bootstrap").exists()


CSH = """\
#!/bin/sh
case "$SSH_ORIGINAL_COMMAND" in
    PATH=*) echo "PATH=/nowhere:/bin: Command not found." >&2; exit 1 ;;
    *) exec /bin/sh -c "$SSH_ORIGINAL_COMMAND" ;;
esac
"""


def test_login_shell_that_knows_no_assignments_before_a_command_will_do(ssh_host):
    shell = ssh_host.folder / "csh"  # in the one respect that matters
    shell.write_text(CSH)
    shell.chmod(0o700)
    with open(ssh_host.folder / "sshd_config", "a") as file:
        file.write(f"ForceCommand {shell}\n")
    ssh_host.stop()
    ssh_host.start()
    run(ssh_host.config())
    assert len(ssh_host.world.starts()) == 1
    assert ssh_host.log.read_text().count("Starting session: forced-command") == 3  # one more, once


@pytest.mark.provokes("HelperTooOld")
@pytest.mark.parametrize(
    "script",
    ["echo rhl-guard: unknown helper: rhl-look >&2; exit 1", "echo unrecognized arguments: --x >&2; exit 2"],
)
def test_helpers_of_another_version_are_named(ssh_host, script):
    helper = ssh_host.world.programs / "rhl-look"
    helper.write_text(f"#!/bin/sh\n{script}\n")
    helper.chmod(0o700)
    with pytest.raises(HelperTooOld, match="do not know"):
        run(ssh_host.config())


@pytest.mark.parametrize("tunnel", [False, True])
def test_guarded_key_can_launch_and_reuse_and_nothing_else(ssh_host, tunnel):
    command = "hashserver --status-file {status_file} --host 127.0.0.1 --timeout 30 {workdir} --writable"
    config = ssh_host.config(ssh_hostname="tb-guarded", command=command, tunnel=tunnel)
    first = run(config)
    (ssh_host.world.client / "svc.json").unlink()
    assert run(config) == first
    with pytest.raises(LauncherError):
        run({**config, "key": "other", "workdir": "/tmp/elsewhere"})
    assert not Path("/tmp/elsewhere").exists()
    done = subprocess.run(
        ["ssh", "tb-guarded", "touch", str(ssh_host.home / "hit")], capture_output=True, timeout=20
    )
    assert done.returncode == 1
    assert not (ssh_host.home / "hit").exists()


# ---- what goes wrong


@pytest.mark.invariant("I-205")
@pytest.mark.provokes("SshHostUnknown")
@pytest.mark.provokes("SshRefused")
@pytest.mark.provokes("SshAuthenticationFailed")
@pytest.mark.provokes("SshHostKeyRejected")
@pytest.mark.parametrize(
    ("host", "error"),
    [
        ("nowhere.invalid", SshHostUnknown),
        ("tb-refused", SshRefused),
        ("tb-badkey", SshAuthenticationFailed),
        ("tb-badhost", SshHostKeyRejected),
    ],
)
def test_errors_of_ssh_are_told_apart(ssh_host, host, error):
    with pytest.raises(SshFailed, match=host) as caught:
        run(ssh_host.config(ssh_hostname=host))
    assert type(caught.value) is error
    assert caught.value.hint
    assert (caught.value.host, caught.value.layer) == (host, "ssh")


@pytest.mark.provokes("SshUnreachable")
@pytest.mark.parametrize(
    ("said", "error"),
    [
        ("ssh: connect to host h port 22: Connection timed out", SshUnreachable),
        ("ssh: connect to host h port 22: No route to host", SshUnreachable),
        ("Connection timed out during banner exchange", SshUnreachable),
        ("ssh: connect to host h port 22: Connection refused", SshRefused),
        ("client_loop: send disconnect: Broken pipe", SshConnectionCut),
        ("Connection to h closed by remote host.", SshConnectionCut),
        ("kex_exchange_identification: Connection closed by remote host", SshConnectionCut),
        ("Host key verification failed.", SshHostKeyRejected),
        ("u@h: Permission denied (publickey).", SshAuthenticationFailed),
        ("something else", SshFailed),
        ("", SshFailed),
    ],
)
def test_what_ssh_says_becomes_an_error_of_its_own(said, error):
    found = ssh_error("h", said)
    assert type(found) is error
    with pytest.raises(error):
        raise found


@pytest.mark.provokes("SshFailed")
def test_missing_ssh_is_named(monkeypatch, world):
    monkeypatch.setenv("PATH", str(world.programs))
    with pytest.raises(SshFailed, match="not installed here"):
        run(world.config(hostname="somewhere"))


@pytest.mark.slow
@pytest.mark.provokes("SshConnectionCut")
@pytest.mark.invariant("I-206")
def test_connection_cut_in_the_middle_of_a_launch_orphans_nothing(ssh_host):
    caught: list[Exception] = []

    def client() -> None:
        try:
            run(ssh_host.config("slow"))
        except LauncherError as exc:
            caught.append(exc)

    thread = threading.Thread(target=client)
    thread.start()
    ssh_host.world.wait_until(ssh_host.world.starts)
    ssh_host.cut()
    thread.join(30)
    assert [type(exc) for exc in caught] == [SshConnectionCut]
    found = run(ssh_host.config("slow"))
    assert len(ssh_host.world.starts()) == 1
    assert _identity(found)["pid"] == ssh_host.world.starts()[0]


def test_interrupt_over_ssh_leaves_no_process(ssh_host, tmp_path):
    path = tmp_path / "config.json"
    path.write_text(json.dumps(ssh_host.config("hang")))
    client = subprocess.Popen(
        [sys.executable, "-c", CLIENT, str(path)], stderr=subprocess.PIPE, start_new_session=True
    )
    ssh_host.world.wait_until(lambda: (ssh_host.server / "svc.json").exists())
    os.killpg(client.pid, signal.SIGINT)
    _, said = client.communicate(timeout=60)
    ssh_master("tb-host").ensure()  # for this process to close what the client had opened
    assert client.returncode == 130, said
    ssh_host.world.wait_until(lambda: ssh_host.world.running() == [])
    ssh_host.world.wait_until(lambda: ssh_host.state()["status"] in ("failed", "stale"))


SHIM = """
#define _GNU_SOURCE
#include <dlfcn.h>
#include <time.h>
int clock_gettime(clockid_t id, struct timespec *t) {
    static int (*real)(clockid_t, struct timespec *);
    if (!real) real = dlsym(RTLD_NEXT, "clock_gettime");
    int code = real(id, t);
    if (id == CLOCK_REALTIME) t->tv_sec -= 300;
    return code;
}
"""


def test_host_with_a_clock_that_is_five_minutes_off(ssh_host, tmp_path):
    if shutil.which("gcc") is None:
        pytest.skip("no C compiler here, for a clock that is off")
    (tmp_path / "shim.c").write_text(SHIM)
    shim = tmp_path / "shim.so"
    subprocess.run(
        ["gcc", "-shared", "-fPIC", "-o", str(shim), str(tmp_path / "shim.c"), "-ldl"], check=True, timeout=60
    )
    for helper in ("rhl-look", "rhl-launch-service"):
        wrapper = ssh_host.world.programs / helper
        wrapper.write_text(f'#!/bin/sh\nLD_PRELOAD={shim} exec {Path(sys.executable).parent / helper} "$@"\n')
        wrapper.chmod(0o700)
    run(ssh_host.config("slow"))
    (ssh_host.world.client / "svc.json").unlink()
    run(ssh_host.config("slow"))
    with pytest.raises(StartFailed):
        run(ssh_host.config("crash", key="other"))
    assert len(ssh_host.world.starts()) == 2


def test_a_refusal_by_policy_is_not_taken_for_an_old_helper():
    said = b"rhl-guard: rejected: rhl-launch-service: path is outside configured --data-roots\n"

    SshExecutor("host")._check_age("rhl-launch-service", Answer(1, b"", said))

    with pytest.raises(HelperTooOld):
        SshExecutor("host")._check_age(
            "rhl-look", Answer(1, b"", b"rhl-guard: command not in whitelist: rhl-look\n")
        )

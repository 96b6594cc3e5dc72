"""Ways past a guard that others have had: each is closed."""

from __future__ import annotations

import os
import sys

import pytest
from remote_http_launcher.guard import addresses, command
from remote_http_launcher.guard.addresses import check_host
from remote_http_launcher.guard.refusal import Refused

ROOTS = ("--data-roots", "{HOME}/cfg/roots")
SEAMLESS = ("--clear-policy", "seamless")
LAUNCH = "rhl-launch-service --key k --workdir ~/data/new"
DATA = "{HOME}/data/proj"


def _refused(host, text: str, *arguments: str) -> None:
    assert host.ask(text, *arguments) == 1
    assert host.calls == []


@pytest.mark.parametrize(
    "text",
    [
        f"rhl-ps-persistent --fil x {DATA}",
        f"rhl-ps-persistent --mark=x {DATA}",
        f"rhl-ps-persistent --lev 2 {DATA}",
        f"rhl-clear --forc {DATA}",
        f"rhl-clear --dry {DATA}",
        "rhl-ps --js",
        "rhl-ps --stat running",
        "rhl-logs k --foll",
        "rhl-launch-service --key k --work {ROOT}/outside -- hashserver x",
        "rhl-launch-service --key k --workdir ~/data/a --work {ROOT}/outside -- hashserver x",
        "rhl-launch-service --ke k --workdir ~/data/a -- hashserver x",
        f"{LAUNCH} -- hashserver --writ ~/data/new",
        f"{LAUNCH} -- hashserver --extra {{ROOT}}/outside ~/data/new",
        f"{LAUNCH} -- hashserver --stat ~/data/s.json ~/data/new",
    ],
)
@pytest.mark.invariant("I-212")
def test_option_may_not_be_shortened(recorded, text: str):
    _refused(recorded, text, *ROOTS)


@pytest.mark.parametrize(
    "text",
    [
        f"rhl-ps-persistent --file {{ROOT}}/outside/secret.txt {DATA}",
        f"rhl-ps-persistent --file=../../../outside/secret.txt {DATA}",
        f"rhl-ps-persistent --file=.. {DATA}",
        f"rhl-ps-persistent --marker a/b {DATA}",
        "rhl-ps-persistent --json={ROOT}/outside",
        f"rhl-ps-persistent --file --json {DATA}",
        f"rhl-ps-persistent --file a --file b {DATA}",
        "rhl-ps-persistent --level {ROOT}/outside {ROOT}/outside",
        "rhl-ps-persistent -- {ROOT}/outside",
        f"rhl-ps-persistent {DATA} -- {{ROOT}}/outside",
        f"rhl-clear {DATA} {{ROOT}}/outside",
        "rhl-clear --dry-run {ROOT}/outside",
        "rhl-clear --force={ROOT}/outside",
    ],
)
@pytest.mark.invariant("I-212")
def test_value_of_an_option_is_no_way_to_another_path(recorded, text: str):
    _refused(recorded, text, *ROOTS)


@pytest.mark.parametrize("policy", [ROOTS, SEAMLESS])
@pytest.mark.parametrize(
    "service",
    [
        "hashserver ~/.ssh",
        "hashserver ~",
        "hashserver /etc",
        "hashserver ../../.ssh",
        "hashserver ~/data/new ~/data/b",
        "hashserver --extra-dirs {ROOT}/outside ~/data/new",
        "hashserver --token-file {ROOT}/outside/secret.txt ~/data/new",
        "hashserver --auth none ~/data/new",
        "hashserver --host=-x ~/data/new",
        "hashserver --port-range 1 ~/data/new",
        "hashserver --port-range 1",
        "seamless-database ~/.ssh/authorized_keys",
        "seamless-database ~/.bashrc",
        "seamless-database ~/data/new/other.db",
        "seamless-database seamless.db/",
        "seamless-database --busy-timeout 1 seamless.db",
        "seamless-jobserver {ROOT}/outside",
        "seamless-jobserver --workers $(id)",
        "seamless-dask-wrapper os::system",
        "seamless-dask-wrapper dask",
        "seamless-dask-wrapper dask_jobqueue::a;b",
        "seamless-dask-wrapper dask.../x::y",
        "bash -c id",
        "/usr/bin/hashserver x",
        "./hashserver x",
        "other",
    ],
)
@pytest.mark.invariant("I-213")
def test_service_may_be_pointed_nowhere_else(recorded, service: str, policy: tuple[str, ...]):
    _refused(recorded, f"{LAUNCH} -- {service}", *policy)


@pytest.mark.parametrize(
    "service",
    [
        "hashserver {ROOT}/outside",
        "hashserver ~/data/link-out",
        "hashserver ~/data/link-out/db --writable",
        "seamless-database ~/data/link-out/db/seamless.db",
        "seamless-database --writable {ROOT}/outside/seamless.db",
    ],
)
@pytest.mark.invariant("I-213")
def test_service_keeps_its_data_below_the_roots(recorded, service: str):
    _refused(recorded, f"{LAUNCH} -- {service}", *ROOTS)


@pytest.mark.parametrize(
    "service",
    [
        "hashserver --port-range 60100 60199 --status-file F --host 0.0.0.0 --timeout 600 ~/data/new --writable",
        "seamless-database --port-range 1 2 --status-file F --host localhost --writable ~/data/new/seamless.db",
        "seamless-jobserver --workers 4 --port-range 1 2 --status-file F --host 127.0.0.1 --timeout 600",
        "seamless-dask-wrapper dask_jobqueue::SLURMCluster --port-range 1 2 --status-file F --timeout 600.5",
        "seamless-dask-wrapper distributed::LocalCluster --status-file=F",
    ],
)
def test_stock_command_of_each_service_is_allowed(recorded, service: str):
    text = service.replace("F", "~/.remote-http-launcher/server/k.json")
    assert recorded.ask(f"{LAUNCH} --conda-env e.1 --parameters '{{}}' -- {text}", *ROOTS) == 0
    words = recorded.calls[0][1]
    assert words[words.index("--status-file") + 1] == str(recorded.server / "k.json")
    assert not [word for word in words[words.index("--") :] if "~" in word]


@pytest.mark.parametrize(
    "place",
    [
        "{HOME}/s.json",
        "~/data/k.json",
        "~/.remote-http-launcher/server/other.json",
        "~/.remote-http-launcher/server/../server/k.json",
        "~/.remote-http-launcher/server/../client/k.json",
        "~/.remote-http-launcher/server/k.json/x",
        "~/.ssh/authorized_keys",
        "k.json",
        "",
    ],
)
@pytest.mark.invariant("I-213")
def test_status_file_is_that_of_the_key(recorded, place: str):
    _refused(recorded, f"{LAUNCH} -- hashserver --status-file '{place}' ~/data/new", *ROOTS)
    _refused(recorded, f"{LAUNCH} -- hashserver '--status-file={place}' ~/data/new", *ROOTS)


def test_status_file_without_key_is_refused(recorded):
    text = "rhl-launch-service --workdir ~/data/new -- hashserver --status-file ~/.remote-http-launcher/server/.json x"
    _refused(recorded, text, *ROOTS)


@pytest.mark.parametrize(
    ("policy", "service"),
    [
        (SEAMLESS, "hashserver ~/data/plain --writable"),
        (SEAMLESS, "seamless-database --writable ~/data/plain/seamless.db"),
        (("--clear-policy", "marker:.rhl-ok"), "hashserver ~/data/plain"),
        (("--clear-policy", "marker:.rhl-ok"), "seamless-database --writable ~/data/plain/.rhl-ok"),
        (("--clear-policy", "marker:.rhl-ok"), "seamless-database --writable ~/data/new/.rhl-ok"),
        (SEAMLESS, "hashserver ~/fakedb/.. --writable"),
    ],
)
@pytest.mark.invariant("I-214")
def test_no_service_puts_the_marker_into_a_directory_of_other_files(recorded, policy, service: str):
    _refused(recorded, f"{LAUNCH} -- {service}", *policy)


@pytest.mark.parametrize("directory", ["new", "empty", "buffers", "nested"])
@pytest.mark.invariant("I-214")
def test_service_starts_on_a_directory_that_is_new_or_holds_data_of_seamless(recorded, directory: str):
    digest = "ab" * 32
    recorded.make(
        [
            {"dir": "{HOME}/data/empty"},
            {"file": f"{{HOME}}/data/buffers/ab/{digest}.zst", "text": ""},
            {"file": "{HOME}/data/buffers/seamless.db-wal", "text": ""},
            {"file": f"{{HOME}}/data/nested/sub/STAGE-s/{digest}", "text": ""},
            {"dir": "{HOME}/data/nested/.running/x"},
        ]
    )
    assert recorded.ask(f"{LAUNCH} -- hashserver ~/data/{directory} --writable", *SEAMLESS) == 0


@pytest.mark.parametrize(
    "text", ["rhl-guard", "rhl-guard --permissive-paths", "A=1 rhl-guard", "rhl-new", "rhl"]
)
def test_guard_and_unknown_helpers_are_no_commands(recorded, text: str):
    _refused(recorded, text, "--permissive-paths")


def test_no_program_beside_the_guard_or_on_the_path_is_run(host, monkeypatch, capsys):
    beside = host.root / "bin"
    beside.mkdir()
    for name in ("rhl-ps", "rhl-logs", "python3", "bash"):
        (beside / name).write_text(f"#!/bin/sh\ntouch {host.root}/ran\n")
        (beside / name).chmod(0o755)
    (beside / "json.py").write_text(f"open({str(host.root / 'ran')!r}, 'w')\n")
    monkeypatch.setenv("PATH", str(beside))
    monkeypatch.setattr(sys, "argv", [str(beside / "rhl-guard")])
    monkeypatch.syspath_prepend(str(beside))
    host.ask(f"PATH={beside} rhl-ps --json")
    assert not (host.root / "ran").exists()
    assert str(beside) not in sys.path


def test_assignments_and_variables_that_choose_code_do_not_reach_the_helper(host, monkeypatch):
    seen: dict[str, str] = {}
    monkeypatch.setattr(command, "run_helper", lambda call: seen.update(os.environ) or 0)
    for name in ("RHL_TOOLS_YAML", "BASH_ENV", "ENV", "BASH_FUNC_x%%", "PYTHONPATH", "PYTHONSTARTUP"):
        monkeypatch.setenv(name, "/evil")
    assert host.ask("PATH=/evil LD_PRELOAD=/evil rhl-ps") == 0
    assert "HOME" in seen
    assert [name for name, value in seen.items() if "/evil" in value] == []
    assert "SSH_ORIGINAL_COMMAND" not in seen


@pytest.mark.parametrize(
    "text",
    [
        "rhl-verify-port 8.8.8.8 53",
        "rhl-verify-port 169.254.169.254 80",
        "rhl-verify-port -x 80",
        "rhl-verify-port 'a b' 80",
        "rhl-handshake http://169.254.169.254/latest",
        "rhl-handshake http://127.0.0.1@8.8.8.8/",
        "rhl-handshake http://8.8.8.8#@127.0.0.1/",
        "rhl-handshake 'http://8.8.8.8\\@127.0.0.1/'",
        "rhl-handshake file:///etc/passwd",
        "rhl-handshake ftp://127.0.0.1/",
        "rhl-handshake http://127.0.0.1:x/",
        "rhl-handshake http://[::1/",
        "rhl-handshake http:///x",
        "rhl-look k --handshake //169.254.169.254/latest",
        "rhl-launch-service --key k --workdir ~/data/n --network-interface 169.254.169.254 -- hashserver x",
        "rhl-launch-service --key k --workdir ~/data/n -- hashserver --host 8.8.8.8 x",
    ],
)
@pytest.mark.invariant("I-215")
def test_only_this_machine_may_be_tried(recorded, text: str):
    _refused(recorded, text, *ROOTS)


@pytest.mark.parametrize("host_name", ["127.0.0.1", "localhost", "0.0.0.0"])
def test_own_address_may_be_tried(host_name: str):
    check_host(host_name)


def test_name_of_another_machine_is_refused_also_when_one_of_its_addresses_is_ours():
    with pytest.raises(Refused, match="only addresses of this machine"):
        check_host("example", lambda name: ["127.0.0.1", "192.0.2.1"])
    with pytest.raises(Refused, match="only addresses of this machine"):
        check_host("example", lambda name: [])
    check_host("example", lambda name: ["127.0.0.1"])


def test_host_in_brackets_and_port_are_read_from_a_url():
    assert addresses.host_of_url("http://[::1]:80/x?y") == "::1"
    assert addresses.host_of_url("https://a.b:1") == "a.b"


@pytest.mark.parametrize("name", ["/evil/env", "../env", "-x", "a b", "a;b", "$(id)", "", "."])
def test_conda_environment_is_a_name_or_listed(recorded, name: str):
    _refused(recorded, f"{LAUNCH} --conda-env '{name}' -- hashserver ~/data/new", *ROOTS)


def test_listed_conda_environment_may_be_given_by_its_path(recorded):
    cache = recorded.home / ".remote-http-launcher" / "conda-setup.json"
    cache.parent.mkdir()
    cache.write_text('{"conda_source": null, "conda_base": "/b", "envs": ["/b/envs/e"]}')
    assert recorded.ask(f"{LAUNCH} --conda-env /b/envs/e -- hashserver ~/data/new", *ROOTS) == 0


@pytest.mark.parametrize("text", ["[1]", "{", "1", '{"a": ' * 5000, '{"a": "' + "x" * 70_000 + '"}'])
def test_parameters_are_a_bounded_object(recorded, text: str):
    _refused(recorded, f"{LAUNCH} --parameters '{text}' -- hashserver ~/data/new", *ROOTS)


@pytest.mark.parametrize(
    ("role", "allowed"),
    [
        ("observe", {"rhl-ps", "rhl-ps-persistent"}),
        (
            "operate",
            {"rhl-ps", "rhl-ps-persistent", "rhl-stop", "rhl-rm", "rhl-launch-service", "rhl-cache-conda"},
        ),
        ("clear", {"rhl-ps", "rhl-ps-persistent", "rhl-clear"}),
        (
            "all",
            {
                "rhl-ps",
                "rhl-ps-persistent",
                "rhl-stop",
                "rhl-rm",
                "rhl-launch-service",
                "rhl-cache-conda",
                "rhl-clear",
            },
        ),
    ],
)
@pytest.mark.invariant("I-216")
def test_role_says_which_helpers_run(recorded, role: str, allowed: set[str]):
    for text in (
        "rhl-ps",
        f"rhl-ps-persistent {DATA}",
        "rhl-stop k",
        "rhl-rm k",
        f"{LAUNCH} -- hashserver ~/data/new",
        "rhl-cache-conda",
        f"rhl-clear {DATA}",
    ):
        recorded.ask(text, *ROOTS, "--role", role)
    assert {helper for helper, _ in recorded.calls} == allowed


def test_every_descriptor_is_given_back(recorded):
    before = os.listdir("/proc/self/fd")
    for text in (
        f"rhl-clear {DATA}",
        f"rhl-ps-persistent {DATA} {{ROOT}}/outside",
        f"{LAUNCH} -- hashserver ~/data/x",
    ):
        recorded.ask(text, *ROOTS)
        recorded.ask(text, *SEAMLESS)
    assert os.listdir("/proc/self/fd") == before


def test_helper_that_this_version_has_not_got_is_one_sentence(host, monkeypatch, capsys):
    monkeypatch.setitem(
        sys.modules["remote_http_launcher.guard.dispatch"].MODULES,
        "rhl-ps",
        "remote_http_launcher.helpers.none",
    )
    assert host.ask("rhl-ps") == 1
    assert capsys.readouterr().err == "rhl-guard: this version of remote-http-launcher has not got rhl-ps\n"


def test_what_the_client_sent_cannot_write_to_the_terminal(recorded, capsys):
    recorded.ask("\x1b]0;x\x07\udcff")
    error = capsys.readouterr().err
    assert error.isascii()
    assert error[:-1].isprintable()


@pytest.mark.parametrize("directory", ["own", "own/server", "own/server/x", ""])
def test_files_of_the_launcher_itself_cannot_be_cleared(recorded, monkeypatch, directory: str):
    monkeypatch.setenv("REMOTE_HTTP_LAUNCHER_DIR", str(recorded.home / "data" / "own"))
    for text in (f"rhl-clear ~/data/{directory}", f"{LAUNCH} -- hashserver ~/data/{directory}"):
        _refused(recorded, text, *ROOTS)
    assert recorded.ask("rhl-clear ~/data/proj", *ROOTS) == 0


def test_directory_of_everybody_is_only_to_work_in(recorded, monkeypatch):
    monkeypatch.setenv("HOME", "/nowhere/svc")
    monkeypatch.setenv("REMOTE_HTTP_LAUNCHER_DIR", str(recorded.root / "own"))
    start = "rhl-launch-service --key k --workdir /tmp --"
    for text in (
        "rhl-clear /tmp",
        "rhl-ps-persistent /tmp",
        f"{start} hashserver /tmp",
        f"{start} hashserver .",
    ):
        _refused(recorded, text, "--permissive-paths")
    assert recorded.ask(f"{start} seamless-jobserver --workers 1", "--permissive-paths") == 0

"""A configuration is right as a whole, or names the field that is wrong."""

from __future__ import annotations

import json
import shlex
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from remote_http_launcher.client_state import client_state, extra_ports, reachable_interface
from remote_http_launcher.configuration import Configuration, Handshake, split_words
from remote_http_launcher.configuration_file import read_configuration
from remote_http_launcher.handshake_url import handshake_url
from remote_http_launcher.launch_errors import ConfigurationError, ReuseRefused
from remote_http_launcher.reuse import check_reuse, same_process

VECTORS = json.loads(
    (Path(__file__).resolve().parents[4] / "contracts" / "vectors" / "launcher_cases.json").read_text()
)
BASE = {"workdir": "/w", "key": "k", "command": "c"}
GOOD = [case for case in VECTORS["config_cases"] if case["ok"]]
BAD = [case for case in VECTORS["config_cases"] if not case["ok"]]


def _config(**more):
    return Configuration.from_mapping({**BASE, **more})


@pytest.mark.parametrize("case", GOOD, ids=lambda case: json.dumps(case["config"]))
def test_configuration_of_the_vectors_is_accepted(case):
    found = Configuration.from_mapping(case["config"])
    assert {name: getattr(found, name) for name in case if name not in ("config", "ok")} == {
        name: value for name, value in case.items() if name not in ("config", "ok")
    }


@pytest.mark.provokes("ConfigurationError")
@pytest.mark.parametrize("case", BAD, ids=lambda case: json.dumps(case["config"]))
def test_wrong_configuration_of_the_vectors_is_refused_with_the_field(case):
    with pytest.raises(ConfigurationError) as caught:
        Configuration.from_mapping(case["config"])
    assert caught.value.message.startswith(case["message"])
    assert caught.value.field


@pytest.mark.parametrize(
    ("more", "field"),
    [
        ({"tunnel": True}, "tunnel"),
        ({"start_timeout": 0}, "start_timeout"),
        ({"start_timeout": True}, "start_timeout"),
        ({"start_timeout": float("nan")}, "start_timeout"),
        ({"auth": "maybe"}, "auth"),
        ({"conda": "a; b"}, "conda"),
        ({"conda": "-x"}, "conda"),
        ({"hostname": "a" * 64}, "hostname"),
        ({"hostname": "fe80::1%eth0"}, "hostname"),
        ({"hostname": "-a"}, "hostname"),
        ({"hostname": "a\n"}, "hostname"),
        ({"meta": {"a": {1, 2}}}, "meta"),
        ({"meta": {"a": float("inf")}}, "meta"),
        ({"handshake": {"path": 1}}, "handshake"),
        ({"handshake": {"parameters": [1]}}, "handshake"),
        ({"key": "k\n"}, "key"),
    ],
)
def test_more_that_is_wrong(more, field):
    with pytest.raises(ConfigurationError) as caught:
        _config(**more)
    assert caught.value.field == field


@pytest.mark.parametrize("value", [None, 5, "text", [1]])
def test_configuration_that_is_no_mapping_is_refused(value):
    with pytest.raises(ConfigurationError, match="not a mapping"):
        Configuration.from_mapping(value)


@pytest.mark.parametrize("command", [" ", "{'a'}\n{'b'}", "'unbalanced"])
def test_command_must_be_one_line_of_words(command):
    with pytest.raises(ConfigurationError) as caught:
        _config(command=command).words("/s.json")
    assert caught.value.field == "command"


def test_command_sees_key_status_file_meta_and_every_field():
    found = _config(
        command="x {key} {status_file} {meta['a']} {n} '{config['workdir']} y'", meta={"a": 1}, n=2
    )
    assert found.words("/s f.json") == ["x", "k", "/s", "f.json", "1", "2", "/w y"]


def test_log_fields_are_hidden_from_templates():
    with pytest.raises(ConfigurationError, match="log_level"):
        _config(command="{log_level}", log_level="debug").command("/s")


@pytest.mark.parametrize("case", VECTORS["handshake_url_cases"], ids=lambda case: case["url"])
def test_handshake_address_of_the_vectors(case):
    config = _config(handshake=case["handshake"])
    assert handshake_url(case["host"], case["port"], config.handshake) == case["url"]


def test_ipv6_address_is_put_into_brackets():
    assert handshake_url("::1", 80, Handshake("/x", {})) == "http://[::1]:80/x"


@pytest.mark.parametrize("case", VECTORS["client_state_cases"], ids=lambda case: json.dumps(case["config"]))
def test_client_state_of_the_vectors(case):
    ports = iter(case["allocated_local_ports"])
    found = client_state(_config(**case["config"]), case["server_state"], lambda: next(ports))
    assert found.mapping == case["client_state"]
    recorded = case["tunnels_ssh_host_target_host_target_port_local_port_pid"]
    assert [(forward.port, forward.local_port) for forward in found.forwards] == [
        (tunnel[2], tunnel[3]) for tunnel in recorded
    ]


def test_tunnel_leads_to_the_interface_that_the_service_bound():
    state = {"port": 6000, "network_interface": "10.0.0.7"}
    config = _config(hostname="h", tunnel=True)
    assert client_state(config, state, lambda: 1).forwards[0].host == "10.0.0.7"
    assert (
        client_state(config, {**state, "network_interface": "0.0.0.0"}, lambda: 1).forwards[0].host
        == "127.0.0.1"
    )


def test_service_that_listens_everywhere_is_reached_on_loopback_from_its_own_machine():
    state = {"port": 6000, "network_interface": "0.0.0.0"}
    assert client_state(_config(), state, lambda: 1).mapping["hostname"] == "127.0.0.1"
    assert reachable_interface("::") == "::1"


def test_only_ports_are_extra_ports():
    state = {
        "port": 1,
        "a_port": 2,
        "b-port": "3",
        "c_port": 0,
        "d_port": True,
        "e_port": "x",
        "f_port": "99999",
    }
    assert extra_ports(state) == {"a_port": 2, "b-port": 3}


def test_error_in_a_file_names_path_line_and_the_line_itself(tmp_path):
    path = tmp_path / "config.yaml"
    path.write_text("workdir: /w\nkey: k\n\nhostname: a_b\ncommand: c\n")
    with pytest.raises(ConfigurationError, match=r"config\.yaml:4: .*\n    hostname: a_b") as caught:
        read_configuration(str(path))
    assert (caught.value.field, caught.value.line, caught.value.path) == ("hostname", 4, str(path))


@pytest.mark.parametrize("text", ["a: [", "- 1", "x", "", "a: !!python/object:os.system x", "a: &a [*a"])
def test_file_that_is_no_mapping_is_refused(tmp_path, text):
    path = tmp_path / "config.yaml"
    path.write_text(text)
    with pytest.raises(ConfigurationError, match=r"config\.yaml"):
        read_configuration(str(path))


def test_missing_file_is_named(tmp_path):
    with pytest.raises(ConfigurationError, match="No such file"):
        read_configuration(str(tmp_path / "none.yaml"))


@pytest.mark.invariant("I-198")
@pytest.mark.provokes("ReuseRefused")
@pytest.mark.parametrize(
    ("workdir", "command", "field"),
    [
        ("/other", "hashserver /w --status-file /s --writable", "workdir"),
        ("/w", "hashserver /w --status-file /s", "mode"),
        ("/w", "hashserver /v --status-file /s --writable", "data directory"),
        ("/w", "hashserver --status-file /s --writable", "data directory"),
        ("/w", "seamless-database /w --status-file /s --writable", "program"),
    ],
)
def test_service_of_other_data_or_mode_is_not_reused(workdir, command, field):
    config = _config(command="hashserver {workdir} --status-file {status_file} --writable")
    with pytest.raises(ReuseRefused) as caught:
        check_reuse(config, {"workdir": workdir, "command": command})
    assert caught.value.field == field
    assert caught.value.running in caught.value.message
    assert caught.value.wanted in caught.value.message


def test_what_differs_without_harm_is_told():
    config = _config(command="hashserver ~/b --status-file {status_file} --timeout 5", workdir="~/b")
    state = {"workdir": "~/b", "command": "hashserver /home/u/b --status-file /x --timeout 6"}
    assert len(check_reuse(config, state)) == 1
    assert (
        check_reuse(config, {**state, "command": "hashserver /home/u/b --status-file=/x --timeout 5"}) == []
    )


def test_process_is_the_same_only_if_nothing_contradicts():
    state = {"pid": 7, "start_time": 5, "boot_id": "b"}
    identity = {"key": "k", "pid": 7, "start_time": 5, "boot_id": "b"}
    assert same_process(identity, state, "k")
    for name, value in (("key", "other"), ("key", ""), ("pid", 8), ("start_time", 6), ("boot_id", "c")):
        assert not same_process({**identity, name: value}, state, "k")


@given(st.text(alphabet=st.sampled_from("ab '\"\\#$\t\n\u00a0\u2028~-=|;&<>"), max_size=12))
def test_words_are_those_of_a_shell(text):
    try:
        expected: list[str] | None = shlex.split(text)
    except ValueError:
        expected = None
    try:
        found: list[str] | None = split_words(text)
    except ValueError:
        found = None
    assert found == expected

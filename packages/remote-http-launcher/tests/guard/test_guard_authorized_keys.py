"""The line for authorized_keys says what the options say, quoted for shell and sshd."""

from __future__ import annotations

import shlex
import sys

import pytest
from remote_http_launcher.guard.authorized_keys import authorized_keys_line, ports_named
from remote_http_launcher.guard.refusal import GuardMisconfigured


def test_command_survives_both_quotings():
    words = ["/a b/rhl-guard", "--clear-policy", 'marker:a"b\\c']
    line = authorized_keys_line(words)
    assert line.startswith('restrict,command="')
    command = line.removeprefix('restrict,command="').removesuffix('" PUBLIC-KEY')
    assert shlex.split(command.replace('\\"', '"').replace("\\\\", "\\")) == words


def test_ports_are_permitted_one_by_one_and_listening_is_not():
    line = authorized_keys_line(["rhl-guard"], ports_named("60100-60101"))
    for port in (60100, 60101):
        assert f'permitopen="127.0.0.1:{port}"' in line
    assert 'permitlisten="127.0.0.1:1"' in line
    assert line.count("permitopen") == 4


@pytest.mark.parametrize("text", ["", "x", "1-", "-1", "0", "65536", "2-1", "1-1000", "1,2", "1 - 2"])
def test_wrong_ports_are_refused(text: str):
    with pytest.raises(GuardMisconfigured, match="--ports"):
        ports_named(text)


def test_line_is_printed_for_checked_options_only(host, capsys):
    assert (
        host.ask(
            None, "--print-authorized-keys-line", "--data-roots", "{HOME}/cfg/roots", "--role", "observe"
        )
        == 0
    )
    captured = capsys.readouterr()
    assert captured.out == (
        f'restrict,command="{sys.executable} -I /nowhere/rhl-guard --data-roots {host.home}/cfg/roots --role observe" '
        "PUBLIC-KEY\n"
    )
    assert "authorized_keys" in captured.err
    assert host.ask(None, "--print-authorized-keys-line", "--data-roots", "{HOME}/cfg/roots-empty") == 1
    assert host.ask(None, "--print-authorized-keys-line", "--bogus") == 1
    assert host.ask(None, "--print-authorized-keys-line") == 0
    assert "Without a path policy" in capsys.readouterr().err


def test_help_and_version_are_for_people_and_not_for_clients(host, capsys):
    assert host.ask(None, "--help") == 0
    assert "--print-authorized-keys-line" in capsys.readouterr().out
    assert host.ask(None, "--version") == 0
    assert capsys.readouterr().out.startswith("rhl-guard ")
    assert host.ask("rhl-ps", "--version") == 1

"""The guard in front of the real helpers, in this process."""

from __future__ import annotations

import importlib
import json
import os
import re
from pathlib import Path

import pytest
from remote_http_launcher.guard import command
from remote_http_launcher.guard.dispatch import MODULES, Call, decide, run_helper
from remote_http_launcher.guard.options import FORMS
from remote_http_launcher.guard.policy import Policy, policy_of
from remote_http_launcher.guard.service_words import OWN_OPTIONS

ROOTS = ("--data-roots", "{HOME}/cfg/roots")
SEAMLESS = ("--clear-policy", "seamless")
NOT_THROUGH_A_GUARD = {"rhl-clear": {"--help"}, "rhl-launch-service": {"--help", "--status-file"}}
NOT_HERE_YET = {
    "rhl-ps": {"--tunnels"}
}  # asked for by newer clients; the helper refuses what it does not know


def _decided(host, text: str, policy: Policy) -> Call:
    return decide(
        host.filled(text),
        policy,
        home=str(host.home),
        server_directory=str(host.server),
        conda_cache=str(host.server.parent / "conda-setup.json"),
    )


@pytest.mark.parametrize("helper", sorted(FORMS))
def test_guard_knows_exactly_the_options_of_the_helper(helper: str):
    module = importlib.import_module(MODULES[helper])
    form = FORMS[helper]
    known = form.flags | set(form.values) | (set(OWN_OPTIONS) if helper == "rhl-launch-service" else set())
    text = getattr(module, "HELP", "") or str(module.__doc__)
    described = set(re.findall(r"(?<![\w-])--[a-z][a-z-]*", text.partition("\nexamples:")[0]))
    assert described - known - NOT_THROUGH_A_GUARD.get(helper, set()) == set()
    universal = {"--help", "--version", "-h"}
    assert known - described - universal - NOT_HERE_YET.get(helper, set()) == set()


def test_clearing_below_a_root_removes_what_is_there(host, capsys):
    assert host.ask("rhl-clear ~/data/proj", *ROOTS) == 0
    assert capsys.readouterr().out == "removed 1 item(s) from ~/data/proj\n"
    assert os.listdir(host.home / "data" / "proj") == []


@pytest.mark.invariant("I-214")
def test_clearing_under_a_marker_removes_only_what_seamless_wrote(host, capsys):
    digest = "ab" * 32
    project = host.home / "data" / "buf"
    host.make(
        [
            {"file": f"{{HOME}}/data/buf/ab/{digest}", "text": "x"},
            {"file": "{HOME}/data/buf/thesis.tex", "text": "x"},
            {"file": f"{{HOME}}/data/buf/sub/ab/{digest}", "text": "x"},
        ]
    )
    assert host.ask("rhl-clear ~/data/buf", *SEAMLESS) == 0
    assert sorted(os.listdir(project)) == [".HASHSERVER_PREFIX", "sub", "thesis.tex"]
    assert (project / "sub" / "ab" / digest).exists()


def test_clearing_with_dry_run_removes_nothing(host):
    assert host.ask("rhl-clear --dry-run ~/data/proj", *ROOTS) == 0
    assert os.listdir(host.home / "data" / "proj") == ["seamless.db"]


def test_sizes_are_shown_of_directories_as_they_were_written(host, capsys):
    assert host.ask("rhl-ps-persistent ~/data/link-in --json", *ROOTS) == 0
    assert json.loads(capsys.readouterr().out)["path"] == "~/data/link-in"


@pytest.mark.parametrize("text", ["rhl-clear {ROOT}/turning", "rhl-ps-persistent {ROOT}/turning --json"])
@pytest.mark.invariant("I-211")
def test_helper_acts_on_what_was_resolved_when_the_path_is_exchanged(host, text: str, capsys):
    turning = host.root / "turning"
    turning.symlink_to(host.home / "data" / "proj")
    call = _decided(host, text, Policy(roots=[str(host.home / "data")]))
    turning.unlink()
    turning.symlink_to(host.root / "outside")
    assert run_helper(call) == 0
    call.close()
    assert (host.root / "outside" / "secret.txt").exists()
    assert "secret" not in capsys.readouterr().out
    assert (host.home / "data" / "proj" / "seamless.db").exists() == text.startswith("rhl-ps")


def test_helpers_that_need_no_path_run_without_policy(host, capsys):
    host.server.mkdir(parents=True)
    (host.server / "k.json").write_text('{"status": "failed"}')
    (host.server / "k.log").write_text("a\nb\n")
    assert host.ask("PATH=$HOME/miniforge3/bin:$PATH rhl-ps --json") == 0
    assert json.loads(capsys.readouterr().out)["key"] == "k"
    assert host.ask("rhl-logs k --tail 1") == 0
    assert capsys.readouterr().out == "b\n"
    assert host.ask("rhl-rm --server k") == 0
    assert not (host.server / "k.json").exists()


def test_exit_code_is_that_of_the_helper(host, capsys):
    assert host.ask(f"rhl-pid-alive {os.getpid()}") == 0
    assert host.ask("rhl-pid-alive 2147483646") == 1
    assert host.ask("rhl-logs 'my key'") == 1
    assert host.ask("rhl-clear", *ROOTS) == 1
    assert "exactly one path" in capsys.readouterr().err


@pytest.mark.parametrize("key", ["rhl-guard.audit", "../rhl-guard.audit", "..", "."])
def test_audit_log_cannot_be_read_or_removed_by_a_key(host, key: str, capsys):
    host.ask("rhl-ps", "--role", "all")
    capsys.readouterr()
    host.ask(f"rhl-logs {key}")
    host.ask(f"rhl-rm {key}")
    assert "decision" not in capsys.readouterr().out
    assert len(host.audit) == 3


@pytest.mark.invariant("I-216")
def test_key_that_may_only_look_gets_no_token(recorded):
    assert recorded.ask("rhl-look k --with-token", "--role", "observe") == 1
    assert recorded.ask("rhl-look k --tail 5", "--role", "observe") == 0
    assert recorded.ask("rhl-look k --with-token", "--role", "operate") == 0


def test_every_helper_is_a_module_of_this_package():
    assert {name.rpartition(".")[0] for name in MODULES.values()} == {"remote_http_launcher.helpers"}
    assert "rhl-guard" not in MODULES
    assert callable(importlib.import_module(MODULES["rhl-ps"]).main)


def test_options_of_the_guard_may_be_joined_by_an_equals_sign(host):
    roots = host.home / "cfg" / "roots"
    assert policy_of([f"--data-roots={roots}", "--role=clear"], str(host.home)).role == "clear"


def test_interrupt_ends_with_130(host, monkeypatch):
    def interrupted(call: Call) -> int:
        raise KeyboardInterrupt

    monkeypatch.setattr(command, "run_helper", interrupted)
    assert host.ask("rhl-ps") == 130


def test_guard_makes_no_file_but_its_log(host):
    host.ask("rhl-ps")
    assert sorted(path.name for path in Path(host.server).iterdir()) == ["rhl-guard.audit"]

"""A service started through the guard runs in the very directory that was resolved, and is recorded as asked for."""

from __future__ import annotations

import contextlib
import json
import os
import signal
from pathlib import Path

import pytest
from remote_http_launcher.guard.dispatch import Call, decide, run_helper
from remote_http_launcher.guard.policy import Policy

SERVICE = """#!/bin/sh
pwd -P > {root}/where
echo "$@" > {root}/words
env > {root}/environment
exec sleep 60
"""


@pytest.fixture
def service(host, monkeypatch, tmp_path):
    """The host, with a service in place of hashserver; it is ended afterwards."""
    programs = tmp_path / "programs"
    programs.mkdir()
    (programs / "hashserver").write_text(SERVICE.format(root=host.root))
    (programs / "hashserver").chmod(0o755)
    monkeypatch.setenv("PATH", f"{programs}:{os.environ['PATH']}")
    monkeypatch.chdir(tmp_path)
    yield host
    for state in host.server.glob("*.json"):
        pid = json.loads(state.read_text()).get("pid")
        with contextlib.suppress(ProcessLookupError, ChildProcessError):
            os.kill(pid, signal.SIGKILL)
            os.waitpid(pid, 0)


def _decided(host, text: str, policy: Policy) -> Call:
    return decide(
        text,
        policy,
        home=str(host.home),
        server_directory=str(host.server),
        conda_cache=str(host.server.parent / "conda-setup.json"),
    )


def _read_when_there(path: Path) -> str:
    for _ in range(2000):
        if path.exists() and path.read_text().endswith("\n"):
            return path.read_text()
        os.sched_yield()
        signal.sigtimedwait([], 0.005)
    raise AssertionError(f"{path} does not come")


COMMAND = "rhl-launch-service --key k --workdir ~/data/link-in --auth none -- hashserver ~/data/link-in/new --writable"


def test_service_is_recorded_as_asked_for_and_gets_the_resolved_path(service):
    assert service.ask(COMMAND, "--data-roots", "{HOME}/cfg/roots") == 0
    state = json.loads((service.server / "k.json").read_text())
    assert state["workdir"] == "~/data/link-in"
    assert state["command"] == f"hashserver {service.home}/data/link-in/new --writable"
    assert _read_when_there(service.root / "words").split() == [
        f"{service.home}/data/plain/new",
        "--writable",
    ]
    assert "SSH_ORIGINAL_COMMAND" not in _read_when_there(service.root / "environment")


@pytest.mark.invariant("I-211")
def test_service_runs_where_it_was_allowed_when_paths_are_exchanged(service):
    call = _decided(service, COMMAND, Policy(roots=[str(service.home / "data")]))
    link = service.home / "data" / "link-in"
    link.unlink()
    link.symlink_to(service.root / "outside")
    assert run_helper(call) == 0
    call.close()
    assert _read_when_there(service.root / "where").strip() == str(service.home / "data" / "plain")
    assert _read_when_there(service.root / "words").split()[0] == f"{service.home}/data/plain/new"


def test_missing_working_directory_is_made_below_what_was_resolved(service):
    text = COMMAND.replace("~/data/link-in ", "~/data/a/b ")
    call = _decided(service, text, Policy(roots=[str(service.home / "data")]))
    (service.home / "data").rename(service.home / "moved")
    (service.home / "data").symlink_to(service.root / "outside")
    assert run_helper(call) == 0
    call.close()
    assert _read_when_there(service.root / "where").strip() == str(service.home / "moved" / "a" / "b")
    assert not (service.root / "outside" / "a").exists()

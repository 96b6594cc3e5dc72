"""The monitor of a tunnel ends with what the tunnel is for, and takes ssh and the record with it."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import pytest
from remote_http_launcher import run
from remote_http_launcher.configuration import Configuration
from remote_http_launcher.processes import liveness
from remote_http_launcher.tunnels import list_tunnels, open_tunnel, tunnels_directory

CHECK_S = 0.1


@pytest.fixture
def tunnel(ssh_host) -> dict:
    """The record of a tunnel to a running service, whose monitor looks ten times a second."""
    run(ssh_host.config())
    return _open(ssh_host)


def _open(ssh_host) -> dict:
    config = Configuration.from_mapping(ssh_host.config(tunnel=True))
    open_tunnel(config, ssh_host.state(), check_s=CHECK_S)
    (found,) = list_tunnels()
    assert found["live"]
    return found


def _processes(tunnel: dict) -> list[str]:
    """Return whether monitor and ssh live."""
    path = str(Path(tunnels_directory()) / "svc.json")
    ssh = {**tunnel, "pid": tunnel["ssh_pid"], "start_time": tunnel["ssh_start_time"]}
    return [liveness(process, path) for process in (tunnel, ssh)]


def _end_service(ssh_host) -> None:
    for pid in ssh_host.world.starts():
        os.kill(pid, signal.SIGKILL)


@pytest.mark.invariant("I-220")
def test_tunnel_is_closed_once_the_process_on_the_other_side_is_gone(ssh_host, tunnel):
    calls = ssh_host.calls()
    ssh_host.world.wait_until(lambda: ssh_host.calls() >= calls + 3)  # it has looked, and
    assert _processes(tunnel) == ["alive", "alive"]
    _end_service(ssh_host)
    ssh_host.world.wait_until(lambda: _processes(tunnel) == ["dead", "dead"])
    assert list_tunnels() == []


def test_tunnel_of_a_host_without_helpers_is_closed_too(ssh_host):
    ssh_host.remove_helpers()
    run(ssh_host.config())
    tunnel = _open(ssh_host)
    _end_service(ssh_host)
    ssh_host.world.wait_until(lambda: _processes(tunnel) == ["dead", "dead"])
    assert list_tunnels() == []


@pytest.mark.invariant("I-220")
def test_monitor_ends_when_ssh_dies(ssh_host, tunnel):
    os.kill(tunnel["ssh_pid"], signal.SIGKILL)
    ssh_host.world.wait_until(lambda: _processes(tunnel) == ["dead", "dead"])
    assert list_tunnels() == []
    assert ssh_host.world.running()  # the service is none of its business


@pytest.mark.invariant("I-220")
def test_look_that_gives_no_answer_closes_nothing(ssh_host, tunnel):
    helper = ssh_host.world.programs / "rhl-pid-alive"
    helper.write_text(f"#!/bin/sh\necho asked >> {ssh_host.folder}/asked\necho no idea >&2\nexit 1\n")
    helper.chmod(0o700)
    asked = ssh_host.folder / "asked"
    ssh_host.world.wait_until(lambda: asked.exists() and asked.read_text().count("asked") >= 3)
    assert _processes(tunnel) == ["alive", "alive"]


def test_monitor_whose_record_is_another_ones_ends_and_leaves_that(ssh_host, tunnel):
    path = Path(tunnels_directory()) / "svc.json"
    other = path.read_text().replace(tunnel["nonce"], "0" * 32)
    path.write_text(other)
    ssh_host.world.wait_until(lambda: _processes(tunnel) == ["dead", "dead"])
    assert path.read_text() == other

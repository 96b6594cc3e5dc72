"""A world for launches, and a host behind ssh: see remote_http_launcher.testing."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from remote_http_launcher.testing.launch_world import World, launch_world
from remote_http_launcher.testing.ssh_host import SshHost, has_ssh, running_ssh_host


@pytest.fixture
def world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[World]:
    """A home and a PATH of its own, with the service for tests and the programs of this installation."""
    with launch_world(tmp_path, monkeypatch) as found:
        yield found


@pytest.fixture
def ssh_host(world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[SshHost]:
    """A host behind a real sshd, with the helpers of this installation on its PATH."""
    if not has_ssh():
        pytest.skip("no OpenSSH server here (Debian: openssh-server)")
    with running_ssh_host(world, tmp_path, monkeypatch) as host:
        yield host

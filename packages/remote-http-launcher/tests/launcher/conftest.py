"""A world for launches: see remote_http_launcher.testing.ssh_hosts."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from remote_http_launcher.testing.ssh_hosts import SshHost, World, has_sshd, make_world, running_hosts


@pytest.fixture
def world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[World]:
    """A home and a PATH of its own, with the service for tests and the programs of this installation."""
    found = make_world(tmp_path, Path(os.environ["HOME"]), monkeypatch.setenv)
    try:
        yield found
    finally:
        found.end_all()


@pytest.fixture
def ssh_host(world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[SshHost]:
    """A host behind a real sshd, with the helpers of this installation on its PATH."""
    if not has_sshd():
        pytest.skip("no OpenSSH server here (Debian: openssh-server)")
    with running_hosts(world, tmp_path, monkeypatch.setenv) as hosts:
        yield hosts[0]

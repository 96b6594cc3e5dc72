"""A world with clusters. Modules that these tests share: `config_vectors`, `cluster_world`."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from remote_http_launcher.testing.ssh_hosts import SshHost, World, has_sshd, make_world, running_hosts

if TYPE_CHECKING:
    from cluster_world import ClusterWorld

HERE = str(Path(__file__).parent)
if HERE not in sys.path:
    sys.path.insert(0, HERE)


@pytest.fixture
def launches(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[World]:
    """A home and a PATH of its own; services that were launched there end with the test."""
    found = make_world(tmp_path, Path(os.environ["HOME"]), monkeypatch.setenv)
    try:
        yield found
    finally:
        found.end_all()


@pytest.fixture
def clusters(launches: World, tmp_path: Path) -> ClusterWorld:
    """A project folder, and whatever clusters the test defines."""
    from cluster_world import ClusterWorld

    return ClusterWorld(launches, tmp_path)


@pytest.fixture
def ssh_host(launches: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[SshHost]:
    """A host behind a real sshd."""
    if not has_sshd():
        pytest.skip("no OpenSSH server here (Debian: openssh-server)")
    with running_hosts(launches, tmp_path, monkeypatch.setenv) as (host,):
        yield host

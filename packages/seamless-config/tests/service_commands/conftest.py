"""A site for the service commands: clusters in a home of its own, a project folder, real servers and hosts."""

from __future__ import annotations

import importlib
import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from remote_http_launcher.testing.ssh_hosts import SshHost, World, has_sshd, make_world, running_hosts

LOCAL = """\
local_cluster: loc
loc:
  type: local
  frontends:
  - hashserver: {{bufferdir: {root}/buffers, network_interface: 127.0.0.1}}
    database: {{database_dir: {root}/db, network_interface: 127.0.0.1}}
    jobserver: {{conda: js, network_interface: 127.0.0.1, port_start: 55300, port_end: 55399}}
    daskserver: {{network_interface: 127.0.0.1, port_start: 55400, port_end: 55499}}
  workers: 2
  default_queue: dq
  queues:
    dq: {{conda: dk, walltime: "01:00:00", memory: 8GB, maximum_jobs: 2,
      unknown_task_duration: 1m, target_duration: 10m}}
"""
FAR = """\
far:
  type: slurm
  tunnel: true
  frontends:
  - hostname: localhost
    ssh_hostname: tb-front
    hashserver: {{bufferdir: "{front}/buffers", network_interface: 127.0.0.1}}
  - hostname: node.example
    ssh_hostname: tb-node
    database: {{database_dir: "{node}/db", network_interface: 127.0.0.1}}
"""


class Result:
    """How a command ended, and what it printed."""

    def __init__(self, code: int, out: str, err: str) -> None:
        self.code = code
        self.out = out
        self.err = err

    def __repr__(self) -> str:
        return f"Result({self.code}, {self.out!r}, {self.err!r})"

    @property
    def rows(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.out.splitlines()]

    @property
    def lines(self) -> list[str]:
        """The lines, each with single blanks."""
        return [" ".join(line.split()) for line in self.out.splitlines()]


class Site:
    """root: for directories of data. project: the folder of the project files, which is the current one."""

    def __init__(self, world: World, root: Path, project: Path, capture: pytest.CaptureFixture[str]) -> None:
        self.world = world
        self.root = root
        self.project = project
        self._capture = capture

    def run(self, command: str, *words: str) -> Result:
        """Run seamless-service-COMMAND in this process."""
        self._capture.readouterr()
        module = importlib.import_module(f"seamless_config.service_commands.{command}")
        code = module.main([word for text in words for word in text.split(" ")])
        out, err = self._capture.readouterr()
        return Result(code, out, err)

    def done(self, command: str, *words: str) -> Result:
        """Run it; it must succeed."""
        found = self.run(command, *words)
        assert found.code == 0, found
        return found

    def write_clusters(self, text: str) -> None:
        folder = self.world.home / ".seamless"
        folder.mkdir(exist_ok=True)
        (folder / "clusters.yaml").write_text(text)

    def write_project(self, text: str) -> None:
        (self.project / "seamless.yaml").write_text(text)

    def state_path(self, key: str) -> Path:
        return self.world.server / f"{key}.json"

    def add_buffers(self, *parts: str, n: int = 1, size_bytes: int = 100) -> Path:
        """Make a buffer directory below `root/buffers` as a hashserver does, with n buffers."""
        folder = self.root.joinpath("buffers", *parts)
        (folder / "ab").mkdir(parents=True)
        (folder / ".HASHSERVER_PREFIX").write_text("")
        for number in range(n):
            (folder / "ab" / f"ab{number:062x}").write_bytes(b"x" * size_bytes)
        return folder

    def add_database(self, *parts: str, size_bytes: int = 3000) -> Path:
        folder = self.root.joinpath("db", *parts)
        folder.mkdir(parents=True)
        (folder / "seamless.db").write_bytes(b"x" * size_bytes)
        return folder


@pytest.fixture
def world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[World]:
    found = make_world(tmp_path, Path(os.environ["HOME"]), monkeypatch.setenv)
    monkeypatch.delenv("RHL_TOOLS_YAML")
    try:
        yield found
    finally:
        found.end_all()


@pytest.fixture
def site(
    world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> Site:
    """Cluster `loc` on this machine; the project files select it and project `p`."""
    project = tmp_path / "project"
    project.mkdir()
    monkeypatch.chdir(project)
    found = Site(world, tmp_path / "data", project, capfd)
    found.write_clusters(LOCAL.format(root=found.root))
    found.write_project("- project: p\n- cluster: loc\n- stage prod:\n  - subproject: sub\n")
    return found


class FarSite(Site):
    """A site with cluster `far`: its hashserver on host tb-front, its database on host tb-node."""

    front: SshHost
    node: SshHost

    def state(self, host: str) -> dict[str, Any]:
        """Return the state of the service on host `front` or `node`."""
        key = {"front": "hashserver-far-rw-p", "node": "database-far-rw-p"}[host]
        found: dict[str, Any] = getattr(self, host).state(key)
        return found


@pytest.fixture
def far_site(
    world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> Iterator[FarSite]:
    if not has_sshd():
        pytest.skip("no OpenSSH server here (Debian: openssh-server)")
    monkeypatch.setenv("RHL_TOOLS_YAML", str(tmp_path / "tools.yaml"))
    with running_hosts(world, tmp_path, monkeypatch.setenv, ("tb-front", "tb-node")) as hosts:
        project = tmp_path / "project"
        project.mkdir()
        monkeypatch.chdir(project)
        found = FarSite(world, tmp_path / "data", project, capfd)
        found.front, found.node = hosts
        text = LOCAL.format(root=found.root) + FAR.format(front=found.front.home, node=found.node.home)
        found.write_clusters(text)
        found.write_project("- project: p\n- cluster: far\n")
        yield found

"""A project of a user whose clusters are on this machine, or behind a real ssh: files and commands."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import textwrap
from pathlib import Path
from typing import Any

from remote_http_launcher.testing.ssh_hosts import World

__all__ = ("STEP", "ClusterWorld", "local_cluster", "ssh_cluster")

# Prints the value, how many steps ran in this process, and where results are kept.
STEP = """
    import seamless.config
    seamless.config.init()
    from seamless.active import get_active
    from seamless.transformer import delayed, step_counters
    step = delayed("a * 2")
    step.celltypes.a = "int"
    print(step(a=21).run(), step_counters().executed, get_active().location, sep="|")
"""


def local_cluster(folder: Path, name: str = "mine", **more: Any) -> dict[str, Any]:
    """Return the definition of a cluster of this machine whose data are below a folder."""
    frontend = {
        "hashserver": {"bufferdir": f"{folder}/buffers", "network_interface": "127.0.0.1"},
        "database": {"database_dir": f"{folder}/databases", "network_interface": "127.0.0.1"},
    }
    return {name: {"type": "local", "frontends": [frontend], **more}}


def ssh_cluster(ssh_hostname: str, name: str = "far", **more: Any) -> dict[str, Any]:
    """Return the definition of a cluster that ssh reaches; its data are in the home there."""
    frontend = {
        "hostname": "localhost",
        "ssh_hostname": ssh_hostname,
        "hashserver": {"bufferdir": "~/buffers", "network_interface": "127.0.0.1"},
        "database": {"database_dir": "~/databases", "network_interface": "127.0.0.1"},
    }
    return {name: {"type": "slurm", "frontends": [frontend], **more}}


class ClusterWorld:
    """A project folder, and homes of users. Services end with the launch world."""

    def __init__(self, launches: World, folder: Path) -> None:
        self.launches = launches
        self.folder = folder
        self.project = folder / "project"
        self.project.mkdir()
        self.home = launches.home

    def define(self, clusters: dict[str, Any], home: Path | None = None) -> None:
        """Write `~/.seamless/clusters.yaml`."""
        path = (home or self.home) / ".seamless" / "clusters.yaml"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(clusters))

    def configure(self, *commands: dict[str, Any], folder: Path | None = None) -> Path:
        """Write the project file; return its folder."""
        folder = folder or self.project
        folder.mkdir(exist_ok=True)
        (folder / "seamless.yaml").write_text(json.dumps(list(commands)))
        return folder

    def other_home(self, name: str = "other") -> Path:
        """Return a home of another user, who has the same clusters."""
        home = self.folder / name
        (home / ".seamless").mkdir(parents=True)
        (home / ".seamless" / "clusters.yaml").write_bytes(
            (self.home / ".seamless" / "clusters.yaml").read_bytes()
        )
        self.launches.server_folders.append(home / ".remote-http-launcher" / "server")
        return home

    def start(
        self, *words: str, home: Path | None = None, cwd: Path | None = None, **variables: str
    ) -> subprocess.Popen[str]:
        """Start a command in the project folder."""
        return subprocess.Popen(
            words,
            cwd=cwd or self.project,
            env={**os.environ, "HOME": str(home or self.home), **variables},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )

    def run(self, *words: str, **options: Any) -> subprocess.CompletedProcess[str]:
        """Run a command in the project folder to its end."""
        with self.start(*words, **options) as process:
            try:
                out, err = process.communicate(timeout=55)
            except BaseException:
                process.kill()
                raise
        return subprocess.CompletedProcess(words, process.returncode, out, err)

    def answer(self, *words: str, **options: Any) -> str:
        """Run a command that must succeed; return what it printed."""
        done = self.run(*words, **options)
        assert done.returncode == 0, done.stderr
        return done.stdout

    def python(self, code: str, **options: Any) -> str:
        """Run a program; return what it printed."""
        return self.answer(sys.executable, "-c", textwrap.dedent(code), **options)

    def step(self, **options: Any) -> tuple[str, str, str]:
        """Run STEP; return value, number of steps that ran, and where results are kept."""
        value, executed, location = self.python(STEP, **options).strip().split("|")
        return value, executed, location

    def states(self, folder: Path | None = None) -> dict[str, dict[str, Any]]:
        """Return the states of all services of a server folder, by key."""
        folder = folder or self.launches.server
        return {path.stem: json.loads(path.read_text()) for path in sorted(folder.glob("*.json"))}

"""One project, one cluster, both implementations: each finds the results of the other, ours on its servers too.

Needs the reference in `.bench/reference-venv`, which `make bench` makes:

    make test ARGS="-m reference"
"""

from __future__ import annotations

import json
import os
import subprocess
import sysconfig
from collections.abc import Iterator
from pathlib import Path

import pytest
from remote_http_launcher.testing.processes import server_folder

REFERENCE = Path(__file__).resolve().parent.parent / ".bench" / "reference-venv" / "bin"
OURS = Path(sysconfig.get_path("scripts"))
KEYS = ["database-lab-rw-p", "hashserver-lab-rw-p"]

pytestmark = [
    pytest.mark.reference,
    pytest.mark.timeout(180),
    pytest.mark.skipif(
        not REFERENCE.exists(),
        reason="the reference implementation is not installed here; 'make bench' does it",
    ),
]


class Project:
    """A folder with project files of a local cluster; ran: the file that the step appends to when it runs."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder / "project"
        self.folder.mkdir()
        self.ran = folder / "ran"
        clusters = Path(os.environ["HOME"], ".seamless", "clusters.yaml")
        clusters.parent.mkdir()
        frontend = {
            "hashserver": {"bufferdir": f"{folder}/buffers", "network_interface": "127.0.0.1"},
            "database": {"database_dir": f"{folder}/results", "network_interface": "127.0.0.1"},
        }
        clusters.write_text(
            json.dumps({"local_cluster": "lab", "lab": {"type": "local", "frontends": [frontend]}})
        )
        (self.folder / "seamless.yaml").write_text("- project: p\n")
        (self.folder / "seamless.profile.yaml").write_text("- cluster: lab\n- execution: process\n")

    def run(self, programs: Path, *words: str) -> str:
        environment = {**os.environ, "PATH": f"{programs}:{os.environ['PATH']}"}
        environment.pop("SEAMLESS_CACHE", None)
        done = subprocess.run(
            [str(programs / words[0]), *words[1:]],
            cwd=self.folder,
            env=environment,
            capture_output=True,
            text=True,
            timeout=80,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    def step(self, programs: Path) -> str:
        return self.run(programs, "seamless-run", "-c", f"echo ran >> {self.ran}; echo answer")

    def n_runs(self) -> int:
        return len(self.ran.read_text().split()) if self.ran.exists() else 0

    def stop(self) -> dict[str, str]:
        said = self.run(OURS, "seamless-service-stop", "--cluster", "lab")
        return dict(line.split(": ") for line in said.splitlines())

    def pids(self) -> dict[str, int]:
        return {key: json.loads((server_folder() / f"{key}.json").read_text())["pid"] for key in KEYS}


@pytest.fixture
def project(tmp_path: Path) -> Iterator[Project]:
    found = Project(tmp_path)
    try:
        yield found
    finally:
        found.stop()


def test_results_of_the_reference_are_found_on_its_own_servers(project: Project):
    assert project.step(REFERENCE) == "answer\n"
    pids = project.pids()
    assert project.step(OURS) == "answer\n"
    assert project.n_runs() == 1
    assert project.pids() == pids
    assert project.stop() == dict.fromkeys(KEYS, "stopped")


def test_results_of_the_reference_are_found_on_our_servers(project: Project):
    assert project.step(REFERENCE) == "answer\n"
    project.stop()
    assert project.step(OURS) == "answer\n"
    assert project.n_runs() == 1


def test_results_of_ours_are_found_by_the_reference(project: Project):
    assert project.step(OURS) == "answer\n"
    assert project.stop() == dict.fromkeys(KEYS, "stopped")
    assert project.step(REFERENCE) == "answer\n"
    assert project.n_runs() == 1

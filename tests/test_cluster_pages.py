"""The pages and the example about clusters, run as a reader would, with a host of our own where one is needed."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from remote_http_launcher.testing.ssh_hosts import has_sshd, make_world, running_hosts

from tools.doc_blocks import run_page
from tools.workspace import ROOT


@pytest.fixture
def launches(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    world = make_world(tmp_path, Path(os.environ["HOME"]), monkeypatch.setenv)
    try:
        yield world
    finally:
        world.end_all()


@pytest.mark.slow
def test_page_about_clusters_behind_ssh_does_what_it_says(launches, tmp_path: Path, monkeypatch):
    if not has_sshd():
        pytest.skip("no OpenSSH server here (Debian: openssh-server)")
    with running_hosts(launches, tmp_path, monkeypatch.setenv) as (host,):
        text = (ROOT / "docs/howto/ssh-cluster.md").read_text()
        assert text.count("<!-- not run") == 1
        for mine, ours in (
            ("<!-- not run: a test runs this page with a host of its own -->\n", ""),
            ("alps-login", host.name),
            ("login.alps.example", "localhost"),
        ):
            text = text.replace(mine, ours)
        page, folder = tmp_path / "ssh-cluster.md", tmp_path / "page"
        page.write_text(text)
        folder.mkdir()
        assert run_page(page, folder, dict(os.environ)) >= 1
        assert (host.home / "seamless/databases/demo/seamless.db").exists()


@pytest.mark.slow
def test_example_of_a_local_cluster_computes_once(launches, tmp_path: Path):
    folder = tmp_path / "local_cluster"
    shutil.copytree(ROOT / "examples/local_cluster", folder)
    home = Path(os.environ["HOME"]) / ".seamless"
    home.mkdir()
    shutil.copy(folder / "clusters.yaml", home)
    said = [
        subprocess.run(
            [sys.executable, "letters.py"],
            cwd=folder,
            capture_output=True,
            text=True,
            check=True,
            timeout=50,
        ).stdout.splitlines()
        for _ in range(2)
    ]
    assert said[0][0] == said[1][0]
    assert [lines[1].partition(" ")[0] for lines in said] == ["5", "0"]

"""tools/make_venv.sh says what is missing, and never asks for a password."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tools.workspace import ROOT

NEEDED = ("env", "id", "printf", "rm", "sh")


@pytest.fixture
def bare_system(tmp_path: Path) -> Path:
    """A PATH with next to nothing on it: no apt-get, no sudo, no uv."""
    folder = tmp_path / "bin"
    folder.mkdir()
    for name in NEEDED:
        (folder / name).symlink_to(str(shutil.which(name)))
    return folder


def _interpreter(folder: Path, *, lacks: tuple[str, ...]) -> Path:
    """Make an interpreter that lacks these modules."""
    hidden = folder / "hidden"
    hidden.mkdir()
    for name in lacks:
        (hidden / f"{name}.py").write_text("raise ImportError('hidden by a test')\n")
    python = folder / "python-that-lacks"
    python.write_text(f'#!/bin/sh\nPYTHONPATH="{hidden}" exec "{sys.executable}" "$@"\n')
    python.chmod(0o755)
    return python


def _make_venv(python: Path | str, venv: Path, path: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        ["sh", str(ROOT / "tools" / "make_venv.sh"), str(python), str(venv), str(ROOT / "constraints.txt")],
        env={"PATH": str(path)},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=40,
        check=False,
    )


def test_missing_interpreter_is_named(tmp_path: Path, bare_system: Path):
    done = _make_venv("python9", tmp_path / "venv", bare_system)
    assert done.returncode == 1
    assert "error: there is no interpreter 'python9' on PATH" in done.stderr
    assert "hint:  sudo apt-get install python3 python3-venv" in done.stderr


def test_old_interpreter_is_refused_with_its_version(tmp_path: Path, bare_system: Path):
    old = tmp_path / "python2"
    old.write_text('#!/bin/sh\n[ "$1" = --version ] && echo Python 2.7.18\nexit 1\n')
    old.chmod(0o755)
    done = _make_venv(old, tmp_path / "venv", bare_system)
    assert done.returncode == 1
    assert "is Python 2.7.18; Seamless needs Python 3.10 or newer" in done.stderr


def test_without_ensurepip_pip_and_rights_the_command_to_type_is_printed(tmp_path: Path, bare_system: Path):
    python = _interpreter(tmp_path, lacks=("ensurepip", "pip"))
    done = _make_venv(python, tmp_path / "venv", bare_system)
    major, minor = sys.version_info[:2]
    assert done.returncode == 1
    assert done.stderr.endswith(f"hint:  sudo apt-get install python{major}.{minor}-venv\n")
    assert not (tmp_path / "venv").exists()

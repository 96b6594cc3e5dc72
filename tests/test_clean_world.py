"""The conftest.py of the repository: tests see nothing of the user, and what they leave behind fails them."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tools.workspace import ROOT

LEAVE_THREAD = """
import threading
release = threading.Event()
def test_thread():
    threading.Thread(target=release.wait, name="forgotten", args=(30,)).start()
def teardown_module():
    release.set()
"""
LEAVE_CHILD = """
import subprocess
kept = []
def test_child():
    kept.append(subprocess.Popen(["sleep", "51"]))
def teardown_module():
    kept[0].wait()
"""
LEAVE_ORPHAN = """
import subprocess
def test_orphan():
    subprocess.run(["sh", "-c", "sleep 52 > /dev/null 2>&1 &"], check=True)
"""
LEAVE_FILE = """
import pathlib
def test_file():
    pathlib.Path(__file__).with_name("forgotten.txt").touch()
"""
SEE_USER = """
import os, pathlib
def test_seen():
    assert "SEAMLESS_CACHE" not in os.environ
    assert "XDG_CACHE_HOME" not in os.environ
    assert list(pathlib.Path.home().iterdir()) == []
    (pathlib.Path.home() / "mine").touch()
def test_seen_again():
    test_seen()
"""
END_IN_TIME = """
import subprocess, threading, time
def test_threads_and_children_that_end_by_themselves():
    threading.Thread(target=time.sleep, args=(0.05,)).start()
    subprocess.run(["true"], check=True)
"""


def _run_tests(folder: Path, text: str) -> subprocess.CompletedProcess[str]:
    """Run a test file under a copy of our conftest.py, which waits less long."""
    conftest = (ROOT / "conftest.py").read_text()
    assert "GRACE_S = 2.0" in conftest
    (folder / "conftest.py").write_text(conftest.replace("GRACE_S = 2.0", "GRACE_S = 0.3"))
    (folder / "pytest.ini").write_text("[pytest]\n")
    (folder / "test_example.py").write_text(text)
    return subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider"],
        cwd=folder,
        env=os.environ | {"SEAMLESS_CACHE": "/the/user's", "XDG_CACHE_HOME": "/the/user's"},
        capture_output=True,
        text=True,
        timeout=40,
        check=False,
    )


@pytest.mark.invariant("I-2")
@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        (LEAVE_THREAD, "thread 'forgotten'"),
        (LEAVE_CHILD, "(sleep 51)"),
        (LEAVE_ORPHAN, "sleep 52 (of test_example.py::test_orphan (call))"),
        (LEAVE_FILE, "file forgotten.txt"),
    ],
    ids=["thread", "child", "orphan", "file"],
)
def test_what_a_test_leaves_behind_fails_it(tmp_path: Path, text: str, complaint: str):
    done = _run_tests(tmp_path, text)
    assert complaint in done.stdout
    assert "1 passed, 1 error" in done.stdout
    assert done.returncode == 1


@pytest.mark.invariant("I-3")
def test_nothing_of_the_user_is_seen(tmp_path: Path):
    done = _run_tests(tmp_path, SEE_USER)
    assert "2 passed" in done.stdout, done.stdout


def test_what_ends_by_itself_is_no_fault(tmp_path: Path):
    done = _run_tests(tmp_path, END_IN_TIME)
    assert "1 passed" in done.stdout, done.stdout

"""What holds for every test of the repository: a world of its own, and nothing left behind.

Each test has its own HOME, no SEAMLESS_* variable, no cache. A test that leaves a child process or a
non-daemon thread fails; so does the session when a process that outlived its parent, or a file in the
working tree, remains. What is found is stopped (only processes that this session started).

A thread that is meant to live as long as the process gets a name that starts with one of
`PROCESS_LIFETIME_THREADS`; everything else has an owner that joins it.
"""

from __future__ import annotations

import contextlib
import os
import signal
import threading
import time
import uuid
from collections.abc import Iterator, Mapping
from pathlib import Path

import hypothesis
import hypothesis.configuration
import hypothesis.database
import pytest

ROOT = Path(__file__).resolve().parent
GRACE_S = 2.0  # what is ending when a test returns may take this long
RUN_MARK = "SEAMLESS_TEST_RUN"  # in the environment of every process that this session starts
PROCESS_LIFETIME_THREADS = ("pytest_timeout",)
HELPERS_OF_MULTIPROCESSING = ("multiprocessing.resource_tracker", "multiprocessing.forkserver")
ISOLATED_PREFIXES = ("SEAMLESS_", "HASHSERVER_", "REMOTE_HTTP_LAUNCHER_", "RHL_", "XDG_", "DASK_")
NOT_OURS = {".git", "__pycache__", "node_modules", "site", "wheelhouse"}
NOT_OURS_PREFIXES = (".venv", ".pytest_cache", ".mypy_cache", ".ruff_cache", ".import_linter_cache", ".bench")
NOT_OURS_SUFFIXES = (".egg-info", ".swp", "~")

_hypothesis_home = ROOT / ".pytest_cache" / "hypothesis"
hypothesis.configuration.set_hypothesis_home_dir(_hypothesis_home)
hypothesis.settings.register_profile(
    "local",
    deadline=None,
    max_examples=60,
    print_blob=True,
    database=hypothesis.database.DirectoryBasedExampleDatabase(_hypothesis_home / "examples"),
)
hypothesis.settings.register_profile(  # one commit, one verdict; other examples are tried by hand
    "ci", deadline=None, max_examples=60, print_blob=True, database=None, derandomize=True
)
hypothesis.settings.load_profile("ci" if os.environ.get("CI") else "local")


# ---- a world of its own


@pytest.fixture(scope="session")
def outer_environment() -> Mapping[str, str]:
    """The environment before isolation, for tests that need the user's caches (package installers)."""
    return _OUTER_ENVIRONMENT


_OUTER_ENVIRONMENT = dict(os.environ)


@pytest.fixture(autouse=True)
def _own_world(
    _nothing_left_by_test: None, monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory
) -> None:
    for name in list(os.environ):
        if name.startswith(ISOLATED_PREFIXES) and name != RUN_MARK:
            monkeypatch.delenv(name)
    monkeypatch.setenv("HOME", str(tmp_path_factory.mktemp("home")))


# ---- nothing left behind


@pytest.fixture(autouse=True)
def _nothing_left_by_test() -> Iterator[None]:
    threads_before = set(threading.enumerate())
    children_before = set(_running_children())
    yield
    deadline = time.monotonic() + GRACE_S
    while True:
        threads = _lasting_threads() - threads_before
        children = {pid: text for pid, text in _running_children().items() if pid not in children_before}
        if not threads and not children:
            return
        if time.monotonic() > deadline:
            break
        time.sleep(0.01)
    for pid in children:
        _kill(pid)
    pytest.fail(
        "this test left behind: "
        + ", ".join(
            [f"thread {t.name!r}" for t in threads] + [f"process {p} ({c})" for p, c in children.items()]
        )
        + ". Join the thread, stop the process; see conftest.py.",
        pytrace=False,
    )


@pytest.fixture(scope="session", autouse=True)
def _nothing_left_by_session() -> Iterator[None]:
    os.environ[RUN_MARK] = run = uuid.uuid4().hex
    files_before = _files_of_working_tree()
    yield
    deadline = time.monotonic() + GRACE_S
    while (orphans := _processes_of_run(run)) and time.monotonic() < deadline:
        time.sleep(0.05)
    for pid in orphans:
        _kill(pid)
    complaints = [f"process {pid}: {text}" for pid, text in orphans.items()]
    complaints += [f"file {path}" for path in sorted(_files_of_working_tree() - files_before)]
    if complaints:
        pytest.fail("the tests left behind:\n  " + "\n  ".join(complaints), pytrace=False)


def _lasting_threads() -> set[threading.Thread]:
    return {
        thread
        for thread in threading.enumerate()
        if not thread.daemon and thread.is_alive() and not thread.name.startswith(PROCESS_LIFETIME_THREADS)
    }


def _running_children() -> dict[int, str]:
    """Return pid -> command line of our children that run; empty where the system has no /proc."""
    found = {}
    for task in Path("/proc/self/task").glob("*"):
        for pid in _read(task / "children").split():
            command = _command_line(int(pid))
            if command and not any(helper in command for helper in HELPERS_OF_MULTIPROCESSING):
                found[int(pid)] = command
    return found


def _processes_of_run(run: str) -> dict[int, str]:
    """Return pid -> description of every process that carries the mark of this run, orphans too."""
    found = {}
    mark = f"{RUN_MARK}={run}"
    for folder in Path("/proc").glob("[0-9]*"):
        pid = int(folder.name)
        variables = _read(folder / "environ").split("\0")
        command = _command_line(pid) if mark in variables and pid != os.getpid() else ""
        if command and not any(helper in command for helper in HELPERS_OF_MULTIPROCESSING):
            test = next((v for v in variables if v.startswith("PYTEST_CURRENT_TEST=")), "=a fixture")
            found[pid] = f"{command} (of {test.partition('=')[2]})"
    return found


def _command_line(pid: int) -> str:
    """Return the command line; empty for a process that is gone or has ended and waits for its parent."""
    name, _, state = _read(Path(f"/proc/{pid}/stat")).partition("(")[2].rpartition(") ")
    if not state or state.startswith(("Z", "X")):
        return ""
    arguments = _read(Path(f"/proc/{pid}/cmdline")).replace("\0", " ").strip()
    return arguments or name  # a process that is about to exec has no arguments for a moment


def _read(path: Path) -> str:
    try:
        return path.read_text(errors="replace")
    except OSError:  # the process is gone, or another user's
        return ""


def _kill(pid: int) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, signal.SIGKILL)


def _files_of_working_tree() -> set[str]:
    found: set[str] = set()
    for folder, subfolders, names in os.walk(ROOT):
        subfolders[:] = [name for name in subfolders if not _is_not_ours(name)]
        found.update(
            os.path.relpath(os.path.join(folder, name), ROOT) for name in names if not _is_not_ours(name)
        )
    return found


def _is_not_ours(name: str) -> bool:
    return name in NOT_OURS or name.startswith(NOT_OURS_PREFIXES) or name.endswith(NOT_OURS_SUFFIXES)

"""A cold cache for every test, the user's modules, and subprocesses that run a script."""

from __future__ import annotations

import importlib.util
import linecache
import os
import subprocess
import sys
import textwrap
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from seamless.active import ActiveSet, replace_active
from seamless.embedded import memory_set, open_embedded
from seamless_transformer import StepCounters, step_counters

DEADLINE_S = 30.0


class Counted:
    """Counts what happened inside a `with` block."""

    def __enter__(self) -> Counted:
        self._before = step_counters()
        return self

    def __exit__(self, *_: object) -> None:
        self._total = step_counters() - self._before

    @property
    def executed(self) -> int:
        return self._total.executed

    @property
    def total(self) -> StepCounters:
        return self._total


def wait_until(condition: Callable[[], Any], what: str = "the condition") -> None:
    deadline = time.monotonic() + DEADLINE_S
    while not condition():
        assert time.monotonic() < deadline, f"{what} did not come true within {DEADLINE_S} s"
        threading.Event().wait(0.005)


@pytest.fixture(autouse=True)
def active() -> Iterator[ActiveSet]:
    """A memory set of the test's own: cold."""
    active = memory_set()
    replace_active(active)
    yield active
    replace_active(memory_set())


@pytest.fixture(params=["memory", "embedded"])
def any_cache(request: pytest.FixtureRequest, active: ActiveSet, tmp_path: Path) -> Iterator[ActiveSet]:
    """Each kind of cache in turn, cold."""
    chosen = active if request.param == "memory" else open_embedded(tmp_path / "cache")
    replace_active(chosen)
    yield chosen
    replace_active(memory_set())
    chosen.close()


@pytest.fixture
def counted() -> type[Counted]:
    return Counted


@pytest.fixture
def load(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[str], ModuleType]]:
    """Return a function that makes a module of source text, as a user would have it in a file."""
    loaded: list[str] = []

    def load_module(source: str, name: str | None = None) -> ModuleType:
        name = name or f"steps_{uuid.uuid4().hex}"
        path = tmp_path / f"{name}.py"
        path.write_text(textwrap.dedent(source))
        spec = importlib.util.spec_from_file_location(name, path)
        assert spec is not None
        assert spec.loader is not None
        module = importlib.util.module_from_spec(spec)
        sys.modules[name] = module
        loaded.append(name)
        spec.loader.exec_module(module)
        return module

    yield load_module
    for name in loaded:
        sys.modules.pop(name, None)
    linecache.clearcache()


class Script:
    """A program of the user in a directory of its own, with a home of temporary files of its own."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.temporary = directory / "tmp"
        self.temporary.mkdir()
        self._started: list[subprocess.Popen[str]] = []

    def environment(self, **more: str) -> dict[str, str]:
        environment = {k: v for k, v in os.environ.items() if not k.startswith(("SEAMLESS_", "PYTEST"))}
        return environment | {"TMPDIR": str(self.temporary), "PYTHONUNBUFFERED": "1"} | more

    def start(self, source: str, **environment: str) -> subprocess.Popen[str]:
        path = self.directory / "program.py"
        path.write_text(textwrap.dedent(source))
        process = subprocess.Popen(
            [sys.executable, str(path)],
            cwd=self.directory,
            env=self.environment(**environment),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )
        self._started.append(process)
        return process

    def run(self, source: str, **environment: str) -> subprocess.CompletedProcess[str]:
        process = self.start(source, **environment)
        stdout, stderr = process.communicate(timeout=DEADLINE_S)
        return subprocess.CompletedProcess(process.args, process.returncode, stdout, stderr)

    def left_over(self) -> list[str]:
        """Return the temporary files that the program left behind."""
        return [path.name for path in self.temporary.iterdir()]

    def close(self) -> None:
        for process in self._started:
            if process.poll() is None:
                process.kill()
            process.communicate()


@pytest.fixture
def script(tmp_path: Path) -> Iterator[Script]:
    directory = tmp_path / "script"
    directory.mkdir()
    script = Script(directory)
    yield script
    script.close()


class Gate:
    """A step of the test enters it and waits until the test opens it. Steps find it by name: `threading.NAME`."""

    def __init__(self) -> None:
        self.name = f"gate_{uuid.uuid4().hex}"
        self.entered = threading.Semaphore(0)
        self.opened = threading.Event()
        self.n_entered = 0
        setattr(threading, self.name, self)

    def passage(self) -> None:
        self.n_entered += 1
        self.entered.release()
        assert self.opened.wait(DEADLINE_S)

    def wait_for_entry(self) -> None:
        assert self.entered.acquire(timeout=DEADLINE_S)

    def close(self) -> None:
        self.opened.set()
        delattr(threading, self.name)


@pytest.fixture
def gate() -> Iterator[Gate]:
    gate = Gate()
    yield gate
    gate.close()


class InThread:
    """Calls a function on a thread of its own and keeps what came of it."""

    def __init__(self, function: Callable[..., Any], *args: Any) -> None:
        self.result: Any = None
        self.error: BaseException | None = None
        self._thread = threading.Thread(target=self._call, args=(function, args), daemon=True)
        self._thread.start()

    def _call(self, function: Callable[..., Any], args: tuple[Any, ...]) -> None:
        try:
            self.result = function(*args)
        except BaseException as exc:
            self.error = exc

    def join(self) -> InThread:
        self._thread.join(DEADLINE_S)
        assert not self._thread.is_alive(), "the call did not return"
        return self


@pytest.fixture
def in_thread() -> type[InThread]:
    return InThread


@pytest.fixture
def until() -> Callable[..., None]:
    return wait_until

"""A user's directory, and the console scripts of this environment to run in it."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest

SCRIPTS = Path(sys.executable).parent


class Shell:
    """Runs commands in a directory of its own, with an empty cache of its own (`cache=False`: in memory)."""

    def __init__(self, folder: Path, home: Path) -> None:
        self.folder = folder
        self.home = home
        self.cache = folder.parent / "cache"
        self.environment = {
            "HOME": str(home),
            "PATH": os.pathsep.join([str(SCRIPTS), "/usr/local/bin", "/usr/bin", "/bin"]),
            "LC_ALL": "C.UTF-8",
            "SEAMLESS_CACHE": str(self.cache),
            "SEAMLESS_TEST_RUN": os.environ.get("SEAMLESS_TEST_RUN", ""),
        }

    def run(
        self,
        *argv: str | bytes,
        environment: Mapping[str, str] | None = None,
        cache: bool = True,
        cwd: str = ".",
        stdin: bytes = b"",
        timeout_s: float = 30,
    ) -> subprocess.CompletedProcess[bytes]:
        """Run the command to its end."""
        return subprocess.run(
            argv,
            cwd=self.folder / cwd,
            env=self.variables(environment, cache=cache),
            input=stdin,
            capture_output=True,
            timeout=timeout_s,
            check=False,
        )

    def start(
        self, *argv: str, environment: Mapping[str, str] | None = None, **options: object
    ) -> subprocess.Popen[bytes]:
        """Start the command; the caller sees to its end."""
        return subprocess.Popen(  # type: ignore[call-overload,no-any-return]
            argv, cwd=self.folder, env=self.variables(environment), **options
        )

    def variables(self, environment: Mapping[str, str] | None, *, cache: bool = True) -> dict[str, str]:
        variables = {**self.environment, **(environment or {})}
        if not cache:
            variables.pop("SEAMLESS_CACHE", None)
        return variables

    def answer(self, *argv: str, **options: object) -> bytes:
        """Return what a command prints; it must succeed."""
        done = self.run(*argv, **options)  # type: ignore[arg-type]
        assert done.returncode == 0, done.stderr.decode(errors="replace")
        return done.stdout

    def write(self, name: str, content: str | bytes) -> Path:
        path = self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content.encode() if isinstance(content, str) else content)
        return path

    def files(self) -> dict[str, bytes]:
        """Return every file below the directory."""
        return {
            path.relative_to(self.folder).as_posix(): path.read_bytes()
            for path in self.folder.rglob("*")
            if path.is_file()
        }


@pytest.fixture
def shell(tmp_path: Path, _own_world: None) -> Shell:
    folder = tmp_path / "proj"
    folder.mkdir()
    return Shell(folder, Path(os.environ["HOME"]))


class RunCounter:
    """Counts how often a command ran, by a file that the command appends to."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def counted(self, command: str) -> str:
        return f"echo ran >> {self.path}; {command}"

    @property
    def n_runs(self) -> int:
        return len(self.path.read_text().splitlines()) if self.path.exists() else 0


@pytest.fixture
def runs(tmp_path: Path) -> RunCounter:
    return RunCounter(tmp_path / "ran")


@pytest.fixture
def wait_until() -> Callable[[Callable[[], object]], None]:
    import time

    def wait(condition: Callable[[], object], timeout_s: float = 15) -> None:
        deadline_s = time.monotonic() + timeout_s
        while not condition():
            assert time.monotonic() < deadline_s, "it did not happen in time"
            time.sleep(0.01)

    return wait

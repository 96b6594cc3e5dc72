"""The peers: their virtual environments, how a workload runs under one, and what it leaves behind.

The bench-only environments live in `.bench/` and are made once: the reference (Seamless suite
1.4.3) and joblib never enter the project's own environment.
"""

from __future__ import annotations

import atexit
import contextlib
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

__all__ = ("PeerFailed", "PeerMissing", "Peers", "RunOutput", "signal_launched_servers")

ROOT = Path(__file__).resolve().parent.parent
BENCH_DIR = ROOT / ".bench"
PIP = ("pip", "install", "--quiet", "--compile-bytecode")
REQUIREMENTS = {"reference": "seamless-suite==1.4.3", "joblib": "joblib==1.6.0 numpy==2.4.6"}
MISSING_MARKS = ("ModuleNotFoundError: No module named 'seamless", "(unknown location)", "from 'seamless")
STOP_DEADLINE_S = 10.0


class PeerFailed(RuntimeError):
    """A workload ended without figures."""


class PeerMissing(PeerFailed):
    """This peer does not offer what the workload imports."""


@dataclass(frozen=True)
class RunOutput:
    figures: dict[str, float]
    seconds: float


@dataclass(frozen=True)
class Peers:
    """The interpreters of the peers by name."""

    python: dict[str, Path]

    @classmethod
    def prepare(cls, wanted: set[str]) -> Peers:
        """Find the project's environment and make the missing ones of the others."""
        ours = ROOT / ".venv" / "bin" / "python"
        if not ours.exists():
            raise SystemExit(f"error: the project's environment {ours} does not exist.\nhint:  make venv")
        python = {"ours": ours, "floor": ours}
        python |= {name: _make_environment(name, ours) for name in REQUIREMENTS if name in wanted}
        return cls(python)

    def run(self, module: str, peer: str, case: str, *, timeout_s: float) -> RunOutput:
        """Run one workload in a fresh process, home and directory; return its figures."""
        python = self.python[peer]
        with _scratch() as scratch:
            command = [str(python), "-m", module, peer, case]
            start = time.monotonic()
            what = f"{module} {peer} {case}".rstrip()
            stdout = _run_in_group(command, scratch, _environment(python, scratch), timeout_s, what)
            seconds = time.monotonic() - start
        try:
            return RunOutput(json.loads(stdout.splitlines()[-1]), seconds)
        except (IndexError, ValueError) as exc:
            raise PeerFailed(f"{what} printed no figures, but: {stdout[-500:]!r}") from exc


def _make_environment(name: str, ours: Path) -> Path:
    python = BENCH_DIR / f"{name}-venv" / "bin" / "python"
    requirements = REQUIREMENTS[name].split()
    stamp = BENCH_DIR / f"{name}-venv" / ".made-for"
    if stamp.exists() and stamp.read_text() == REQUIREMENTS[name]:
        return python
    uv = str(ours.with_name("uv"))
    BENCH_DIR.mkdir(exist_ok=True)
    place = python.parent.parent
    print(f"making {place.relative_to(ROOT)} ({REQUIREMENTS[name]}) ...", file=sys.stderr)
    base = subprocess.check_output([ours, "-c", "import sys; print(sys._base_executable)"], text=True).strip()
    subprocess.run([uv, "venv", "--quiet", "--clear", "--python", base, str(place)], check=True)
    subprocess.run([uv, *PIP, "--python", str(python), *requirements], check=True)
    stamp.write_text(REQUIREMENTS[name])
    return python


def _environment(python: Path, scratch: Path) -> dict[str, str]:
    """Return the caller's environment without what would steer a peer, with a home of its own."""
    dropped = ("SEAMLESS_", "PYTHON", "VIRTUAL_ENV", "REMOTE_HTTP_LAUNCHER")
    kept = {name: value for name, value in os.environ.items() if not name.startswith(dropped)}
    path = os.pathsep.join([str(python.parent), kept.get("PATH", os.defpath)])
    return kept | {"HOME": str(scratch / "home"), "PATH": path, "PYTHONPATH": str(ROOT)}


@cache
def _scratch_parent() -> Path:
    BENCH_DIR.mkdir(exist_ok=True)
    parent = Path(tempfile.mkdtemp(prefix="scratch-", dir=BENCH_DIR))
    atexit.register(shutil.rmtree, parent, ignore_errors=True)
    return parent


@contextlib.contextmanager
def _scratch() -> Iterator[Path]:
    """Make an empty directory on the disk of the repository; afterwards stop its servers.

    All are removed at the end of the program: ext4 makes files more slowly for seconds after many were deleted.
    """
    scratch = Path(tempfile.mkdtemp(dir=_scratch_parent()))
    (scratch / "home").mkdir()
    try:
        yield scratch
    finally:
        _stop_launched_servers(scratch)


def _run_in_group(command: list[str], cwd: Path, env: dict[str, str], timeout_s: float, what: str) -> str:
    with open(cwd / "stdout", "w") as stdout, open(cwd / "stderr", "w") as stderr:
        process = subprocess.Popen(
            command, cwd=cwd, env=env, stdin=subprocess.DEVNULL, stdout=stdout, stderr=stderr,
            start_new_session=True,
        )  # fmt: skip
        try:
            returncode = process.wait(timeout=timeout_s)
        except subprocess.TimeoutExpired:
            raise PeerFailed(f"{what} took longer than {timeout_s:g} s and was ended") from None
        finally:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)  # the session that we made: its children too
            process.wait()
    if returncode:
        story = (cwd / "stderr").read_text()
        kind = PeerMissing if any(mark in story for mark in MISSING_MARKS) else PeerFailed
        raise kind(f"{what} ended with exit code {returncode}:\n{story[-2000:]}")
    return (cwd / "stdout").read_text()


def signal_launched_servers(scratch: Path) -> list[int]:
    """Ask the servers to end that a launcher started with its state below this scratch home."""
    states = scratch.glob("home/.remote-http-launcher/server/*.json")
    pids = [pid for state in states for pid in [_launched_pid(state)] if pid is not None]
    for pid in pids:
        os.kill(pid, signal.SIGTERM)
    return pids


def _stop_launched_servers(scratch: Path) -> None:
    deadline = time.monotonic() + STOP_DEADLINE_S
    for pid in signal_launched_servers(scratch):
        while Path(f"/proc/{pid}").exists():
            if time.monotonic() > deadline:
                os.kill(pid, signal.SIGKILL)
                break
            time.sleep(0.01)


def _launched_pid(state: Path) -> int | None:
    """Return the pid in a state file if that process lives and names the file on its command line."""
    try:
        pid = int(json.loads(state.read_text())["pid"])
        command_line = Path(f"/proc/{pid}/cmdline").read_bytes()
    except (OSError, ValueError, KeyError):
        return None
    return pid if os.fsencode(str(state)) in command_line else None

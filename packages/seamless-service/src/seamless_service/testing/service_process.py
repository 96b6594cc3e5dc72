"""Start a service as its launcher does: a real process, a status file, a port of its own."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import socket
import subprocess
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any
from urllib.request import Request, urlopen

__all__ = ("ServiceProcess", "ServiceProcessFailed")


class ServiceProcessFailed(AssertionError):
    """A service that a test started did not come up, or did not end. The text has its log."""


class ServiceProcess:
    """A running service; use it as a context manager.

    command: without --status-file. folder: where status file, token and log go, made if missing.
    token: written to the token file, which makes the state one of a launcher that knows tokens.
    state: more members of the launcher's state.

    Attributes: port, pid, url, status_path, token_path, log_path.
    """

    def __init__(
        self,
        command: Sequence[str],
        folder: Path,
        *,
        key: str = "service",
        token: str | None = None,
        state: Mapping[str, Any] | None = None,
        environ: Mapping[str, str] | None = None,
        start_timeout_s: float = 30.0,
    ) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.status_path = folder / f"{key}.json"
        self.token_path = folder / f"{key}.token"
        self.log_path = folder / f"{key}.log"
        self.token = token
        self.port = 0
        self._command = [*command, "--status-file", str(self.status_path)]
        self._state = dict(state or {})
        self._environ = None if environ is None else {**os.environ, **environ}
        self._start_timeout_s = start_timeout_s
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def pid(self) -> int:
        assert self._process is not None
        return self._process.pid

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def __enter__(self) -> ServiceProcess:
        return self.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.stop()

    def start(self) -> ServiceProcess:
        """Start it, and wait until it says `running`. Raises ServiceProcessFailed."""
        self.launch()
        self.wait_for_status("running")
        self.port = int(self.state()["port"])
        return self

    def launch(self) -> None:
        """Start the process and write its status file, without waiting."""
        self.status_path.unlink(missing_ok=True)
        with open(self.log_path, "ab") as log:
            self._process = subprocess.Popen(
                self._command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, env=self._environ
            )
        state = {
            "workdir": str(self.status_path.parent),
            "pid": self._process.pid,
            "status": "starting",
            **self._state,
        }
        if self.token is not None:
            state.setdefault("schema", 1)
            self.token_path.touch(mode=0o600)
            self.token_path.write_text(self.token + "\n")
        temporary = self.status_path.with_suffix(".new")
        temporary.write_text(json.dumps(state))
        temporary.replace(self.status_path)

    def wait_for_status(self, wanted: str) -> None:
        """Wait until the status file says so."""
        deadline = time.monotonic() + self._start_timeout_s
        while (found := self.state().get("status")) != wanted:
            assert self._process is not None
            has_ended = self._process.poll() is not None and self.state().get("status") != wanted
            if has_ended or time.monotonic() > deadline or found in ("failed", "running"):
                self.kill()
                raise ServiceProcessFailed(f"{self._command} has status {found}, not {wanted}:\n{self.log()}")
            time.sleep(0.01)

    def wait_for_port(self) -> None:
        """Wait until it accepts connections: services of the reference say `running` a little before they do."""
        deadline = time.monotonic() + self._start_timeout_s
        while True:
            with socket.socket() as connection:
                if connection.connect_ex(("127.0.0.1", self.port)) == 0:
                    return
            if not self.is_running() or time.monotonic() > deadline:
                raise ServiceProcessFailed(f"{self._command} does not listen on {self.port}:\n{self.log()}")
            time.sleep(0.01)

    def state(self) -> dict[str, Any]:
        """Return what the status file holds."""
        state: dict[str, Any] = json.loads(self.status_path.read_text())
        return state

    def log(self) -> str:
        """Return what the service wrote to stdout and stderr."""
        return self.log_path.read_text(errors="replace")

    def get(self, path: str = "/healthcheck", **headers: str) -> tuple[int, bytes]:
        """Return status and body of one GET, with the token if there is one. For small answers."""
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        if self.token is not None:
            named.setdefault("Authorization", f"Bearer {self.token}")
        with urlopen(Request(self.url + path, headers=named), timeout=30) as answer:
            return answer.status, answer.read()

    def is_running(self) -> bool:
        return self._process is not None and self._process.poll() is None

    def wait(self, timeout_s: float = 30.0) -> int:
        """Wait for the end of the process; return its exit code, negative for a signal."""
        assert self._process is not None
        return self._process.wait(timeout_s)

    def send_signal(self, number: int) -> None:
        assert self._process is not None
        self._process.send_signal(number)

    def stop(self, number: int = signal.SIGTERM, timeout_s: float = 20.0) -> int:
        """Ask it to end; return the exit code. Raises ServiceProcessFailed if it does not end in time."""
        if self._process is None:
            return 0
        if self._process.poll() is None:
            self._process.send_signal(number)
        try:
            return self._process.wait(timeout_s)
        except subprocess.TimeoutExpired:
            self.kill()
            raise ServiceProcessFailed(
                f"{self._command} did not end within {timeout_s} s:\n{self.log()}"
            ) from None

    def kill(self) -> None:
        """End it as a power cut would (SIGKILL)."""
        if self._process is not None:
            with contextlib.suppress(ProcessLookupError):
                self._process.kill()
            self._process.wait(10)

"""A host with files, on which a guarded key asks for things."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from remote_http_launcher.guard import command, dispatch

VECTORS = Path(__file__).parents[4] / "contracts" / "vectors" / "launcher_cases.json"


@dataclass
class Host:
    """The host behind the guard. calls: what was handed to helpers, where `recorded` has taken their place."""

    root: Path
    home: Path
    setenv: Callable[[str, str], None]
    delenv: Callable[[str], None]
    calls: list[tuple[str, list[str]]] = field(default_factory=list)

    def filled(self, value: Any) -> Any:
        """Return the value with the places of this host in it."""
        if isinstance(value, str):
            return value.replace("{HOME}", str(self.home)).replace("{ROOT}", str(self.root))
        return [self.filled(item) for item in value] if isinstance(value, list) else value

    def make(self, items: Sequence[dict[str, str]]) -> None:
        for item in items:
            if "dir" in item:
                Path(self.filled(item["dir"])).mkdir(parents=True, exist_ok=True)
            elif "file" in item:
                path = Path(self.filled(item["file"]))
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_text(self.filled(item["text"]))
            else:
                path = Path(self.filled(item["symlink"]))
                path.parent.mkdir(parents=True, exist_ok=True)
                path.symlink_to(self.filled(item["target"]))

    def ask(self, original: str | None, *arguments: str) -> int:
        """Run the guard as sshd does; return its exit code."""
        self.delenv("SSH_ORIGINAL_COMMAND")
        if original is not None:
            self.setenv("SSH_ORIGINAL_COMMAND", self.filled(original))
        return command.main([self.filled(argument) for argument in arguments])

    @property
    def server(self) -> Path:
        return self.home / ".remote-http-launcher" / "server"

    @property
    def audit_path(self) -> Path:
        return self.server / "rhl-guard.audit"

    @property
    def audit(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.audit_path.read_text().splitlines()]


@pytest.fixture(scope="session")
def launcher_cases() -> dict[str, Any]:
    cases: dict[str, Any] = json.loads(VECTORS.read_text())
    return cases


@pytest.fixture
def host(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, launcher_cases: dict[str, Any]) -> Host:
    """The host of the recorded cases, with the real helpers."""
    root = tmp_path / "host"
    home = root / "home" / "svc"
    home.mkdir(parents=True)
    monkeypatch.setenv("HOME", str(home))
    monkeypatch.setattr(sys, "path", list(sys.path))
    monkeypatch.setattr(sys, "argv", ["/nowhere/rhl-guard"])
    monkeypatch.setattr(command, "system_log", lambda: None)
    for name in os.environ:
        if name.startswith("PYTHON"):
            monkeypatch.setenv(name, os.environ[name])  # the guard drops them; put back afterwards
    made = Host(root, home, monkeypatch.setenv, lambda name: monkeypatch.delenv(name, raising=False))
    made.make(launcher_cases["guard_setup"])
    return made


@pytest.fixture
def recorded(host: Host, monkeypatch: pytest.MonkeyPatch) -> Host:
    """The same host, where helpers only record that they would run."""

    def record(call: dispatch.Call) -> int:
        host.calls.append((call.helper, list(call.words)))
        return 0

    monkeypatch.setattr(command, "run_helper", record)
    return host

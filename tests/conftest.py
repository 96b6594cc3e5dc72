"""Running services of ours, and a directory of a user whose commands use them."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import apsw
import pytest
from seamless import Buffer
from seamless_service.testing.service_process import ServiceProcess

SCRIPTS = Path(sys.executable).parent


class Services:
    """A hashserver and a database in a folder of their own."""

    def __init__(self, folder: Path, *, token: str | None = None) -> None:
        self.folder = folder
        self.buffers_path = folder / "buffers"
        self.database_path = folder / "seamless.db"
        self.buffers_path.mkdir(parents=True)
        state = folder / "state"
        python = sys.executable
        self.hashserver = ServiceProcess(
            [python, "-m", "hashserver", str(self.buffers_path), "--writable"], state, key="hs", token=token
        )
        self.database = ServiceProcess(
            [python, "-m", "seamless_database", str(self.database_path), "--writable"],
            state,
            key="db",
            token=token,
        )

    def start(self) -> Services:
        self.hashserver.start()
        try:
            self.database.start()
        except BaseException:
            self.hashserver.kill()
            raise
        return self

    def stop(self) -> None:
        try:
            self.hashserver.stop()
        finally:
            self.database.stop()

    def clients(self, *, readonly: bool = False, database: bool = True) -> str:
        def entry(service: ServiceProcess) -> dict[str, object]:
            fields: dict[str, object] = {"readonly": readonly, "remote_url": service.url}
            if service.token is not None:
                fields["token_file"] = str(service.token_path)
            return fields

        return json.dumps(
            {"buffer": [entry(self.hashserver)], "database": [entry(self.database)] if database else []}
        )

    def rows(self, query: str) -> list[tuple[object, ...]]:
        connection = apsw.Connection(str(self.database_path))
        try:
            return list(connection.execute(query))
        finally:
            connection.close()

    def missing_buffers(self) -> list[str]:
        """Return what rows name and the hashserver's directory lacks, or holds damaged."""
        missing = []
        for tf, result in self.rows("select checksum, result from transformation"):
            for name in (str(tf), str(result)):
                path = self.buffers_path / name[:2] / name
                if not path.exists() or Buffer(path.read_bytes()).get_checksum().hex() != name:
                    missing.append(name)
        return missing


class Shell:
    """A user's directory, and the console scripts of this environment to run in it."""

    def __init__(self, folder: Path, environment: Mapping[str, str]) -> None:
        self.folder = folder
        self.folder.mkdir(exist_ok=True)
        self.environment = {
            **os.environ,
            "PATH": os.pathsep.join([str(SCRIPTS), "/usr/local/bin", "/usr/bin", "/bin"]),
            **environment,
        }

    def run(self, *argv: str, **options: object) -> subprocess.CompletedProcess[bytes]:
        return subprocess.run(  # type: ignore[call-overload,no-any-return]
            argv,
            cwd=self.folder,
            env=self.environment,
            capture_output=True,
            timeout=50,
            check=False,
            **options,
        )

    def answer(self, *argv: str) -> bytes:
        done = self.run(*argv)
        assert done.returncode == 0, done.stderr.decode()
        return done.stdout


@pytest.fixture
def make_services(tmp_path: Path) -> Iterator[Callable[..., Services]]:
    """Return a function that starts a hashserver and a database in a folder of their own."""
    with ExitStack() as stack:

        def make(**options: Any) -> Services:
            services = Services(tmp_path / "services", **options).start()
            stack.callback(services.stop)
            return services

        yield make


@pytest.fixture
def services(make_services: Callable[..., Services]) -> Services:
    return make_services()


@pytest.fixture
def make_shell(tmp_path: Path) -> Callable[[Mapping[str, str]], Shell]:
    """Return a function that makes a directory for commands with these settings."""
    return lambda environment: Shell(tmp_path / "proj", environment)


@pytest.fixture
def shell(make_shell: Callable[[Mapping[str, str]], Shell], services: Services) -> Shell:
    return make_shell({"SEAMLESS_REMOTE_CLIENTS": services.clients()})

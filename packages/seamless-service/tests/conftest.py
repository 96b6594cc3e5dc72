"""The echo service in a process of its own."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
from seamless_service.testing.service_process import ServiceProcess

ECHO = [sys.executable, str(Path(__file__).with_name("echo_service.py"))]


@pytest.fixture
def launch(tmp_path: Path) -> Iterator[Callable[..., ServiceProcess]]:
    """Return a function that makes a ServiceProcess of the echo service, stopped at the end of the test."""
    with ExitStack() as stack:

        def make(*arguments: str, start: bool = True, folder: str = "run", **more: Any) -> ServiceProcess:
            process = ServiceProcess([*ECHO, *arguments], tmp_path / folder, **more)
            stack.callback(process.kill)
            return process.start() if start else process

        yield make

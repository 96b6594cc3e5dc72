"""A hashserver as its own process, and a client of it."""

from __future__ import annotations

import contextlib
import sys

import pytest
from hashserver.testing.client import Client
from seamless_service.testing.service_process import ServiceProcess


@pytest.fixture
def serve(tmp_path):
    """Start a server on a directory; returns its client. More words go onto its command line."""
    with contextlib.ExitStack() as stack:

        def start(*words, folder=None, name="buffers", writable=True, **process):
            folder = folder or tmp_path / name
            folder.mkdir(exist_ok=True)
            command = [sys.executable, "-m", "hashserver", str(folder), *words]
            command += ["--writable"] if writable else []
            server = ServiceProcess(command, tmp_path / f"launch-{len(list(tmp_path.iterdir()))}", **process)
            client = Client(stack.enter_context(server), folder)
            stack.callback(client.close)
            return client

        yield start


@pytest.fixture
def client(serve):
    return serve()

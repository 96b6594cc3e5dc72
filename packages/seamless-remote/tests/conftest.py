"""Fakes for the tests of the ports."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path

import pytest

_spec = importlib.util.spec_from_file_location("fake_servers", Path(__file__).with_name("fake_servers.py"))
assert _spec is not None
assert _spec.loader is not None
fake_servers = importlib.util.module_from_spec(_spec)
sys.modules["fake_servers"] = fake_servers
_spec.loader.exec_module(fake_servers)


@pytest.fixture
def server():
    return fake_servers.FakeBufferServer()


@pytest.fixture
def database():
    return fake_servers.FakeDatabase()

"""Clients whose keepalive thread and connections end with the test, and small servers."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack

import pytest
import seamless.lifecycle
from seamless_remote import buffer_remote, database_remote, launched, retrying
from seamless_remote.buffer_client import BufferClient
from seamless_remote.client import close_all_clients
from seamless_remote.database_client import DatabaseClient
from seamless_remote.testing.fake_services import FakeDatabase, FakeHashserver


@pytest.fixture(autouse=True)
def _own_clients() -> Iterator[None]:
    yield
    close_all_clients()
    launched.set_launcher(None)
    launched.set_selection(None)
    for module in (buffer_remote, database_remote):
        module.deactivate()
        module._extern_clients.clear()
        module._launched_clients.clear()
    seamless.lifecycle.set_is_worker(False)


@pytest.fixture
def no_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    """Retries follow at once."""
    monkeypatch.setattr(retrying, "FIRST_WAIT_S", 0.0)


@pytest.fixture
def hashserver() -> Iterator[Callable[..., FakeHashserver]]:
    """Return a function that starts a small hashserver: capabilities as arguments, none: an earlier one."""
    with ExitStack() as stack:
        yield lambda *names: stack.enter_context(FakeHashserver(capabilities=names or None))


@pytest.fixture
def database() -> Iterator[Callable[..., FakeDatabase]]:
    """Return a function that starts a small database: capabilities as arguments, none: an earlier one."""
    with ExitStack() as stack:
        yield lambda *names: stack.enter_context(FakeDatabase(capabilities=names or None))


@pytest.fixture
def buffer_client() -> Callable[..., BufferClient]:
    def make(url: str | None, *, readonly: bool = False, directory: str | None = None) -> BufferClient:
        client = BufferClient(readonly)
        client.url = url
        client.directory = directory
        return client

    return make


@pytest.fixture
def database_client() -> Callable[..., DatabaseClient]:
    def make(url: str, *, readonly: bool = False) -> DatabaseClient:
        client = DatabaseClient(readonly)
        client.url = url
        return client

    return make

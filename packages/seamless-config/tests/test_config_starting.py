"""Starts beside others: an interrupt of one that ends by itself meets no later thread."""

from __future__ import annotations

import threading

import pytest
from remote_http_launcher import executors
from seamless_config.starting import OtherStarts, _Start, start_services


class Client:
    """A client whose service starts when `go` is set, without asking any helper."""

    service = "hashserver"

    def __init__(self, failure: BaseException | None = None) -> None:
        self.go = threading.Event()
        self.failure = failure

    def ensure_initialized_sync(self) -> None:
        assert self.go.wait(20)
        if self.failure is not None:
            raise self.failure


def test_interrupt_of_a_start_that_ends_by_itself_is_forgotten():
    client = Client()
    others = OtherStarts()
    others._starts.append(_Start(client, 0))
    others._starts[0].thread.start()
    release = threading.Timer(0.2, client.go.set)
    release.start()
    others.interrupt()
    release.join()
    assert others._starts[0].ended.is_set()
    assert executors._interrupted == set()


@pytest.mark.parametrize("failure", [None, ValueError("no")])
def test_what_went_wrong_is_returned_for_each(failure):
    clients = [Client(), Client(failure)]
    for client in clients:
        client.go.set()
    assert start_services(clients) == [None, failure]

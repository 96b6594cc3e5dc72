"""Leader and followers, with a transaction that only pretends."""

from __future__ import annotations

import threading
import time

import pytest
from seamless_store.group_commit import GroupCommit, Request


def wait_for(condition, deadline_s=10.0):
    deadline = time.monotonic() + deadline_s
    while not condition():
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(0.001)


class World:
    """A lock that can be held back, and a record of the transactions."""

    def __init__(self) -> None:
        self.batches: list[int] = []
        self.events: list[str] = []
        self.may_enter = threading.Event()
        self.may_enter.set()
        self.errors: list[BaseException] = []
        self.sync_errors: list[BaseException] = []
        self.group = GroupCommit(
            self.transact,
            self.acquire,
            lambda: self.events.append("release"),
            self.sync,
            lambda: self.events.append("afterwards"),
        )

    def acquire(self) -> None:
        assert self.may_enter.wait(10)
        self.events.append("acquire")

    def sync(self) -> None:
        self.events.append("sync")
        if self.sync_errors:
            raise self.sync_errors.pop(0)

    def transact(self, requests: list[Request[object]]) -> None:
        self.batches.append(len(requests))
        if self.errors:
            raise self.errors.pop(0)
        for request in requests:
            request.answer(request.operation(None))


@pytest.fixture
def world():
    return World()


def in_threads(world, n_threads):
    """Run that many requests, of which all but the first arrive while the first waits for the lock."""
    results: dict[int, object] = {}

    def run(number: int) -> None:
        try:
            results[number] = world.group.run(lambda connection: number)
        except BaseException as exc:
            results[number] = exc

    world.may_enter.clear()
    threads = [threading.Thread(target=run, args=(number,)) for number in range(n_threads)]
    for n_started, thread in enumerate(threads, start=1):
        thread.start()
        wait_for(lambda n=n_started: len(world.group._queue) == n)
    world.may_enter.set()
    for thread in threads:
        thread.join()
    return results


def test_a_single_request_is_one_transaction(world):
    assert world.group.run(lambda connection: "done") == "done"
    assert world.events == ["acquire", "release", "sync", "afterwards"]


def test_requests_that_wait_for_the_lock_together_share_a_transaction(world):
    assert in_threads(world, 5) == {number: number for number in range(5)}
    assert world.batches == [5]


def test_an_error_of_the_transaction_reaches_everybody_in_it(world):
    error = ValueError("disk full")
    world.errors = [error]
    assert in_threads(world, 3) == {0: error, 1: error, 2: error}
    assert world.group.run(lambda connection: "next") == "next"


def test_an_interrupted_leader_leaves_the_others_to_another_leader(world):
    interrupt = KeyboardInterrupt()
    world.errors = [interrupt]
    assert in_threads(world, 4) == {0: interrupt, 1: 1, 2: 2, 3: 3}
    assert world.batches == [4, 3]
    assert world.events.count("release") == 2


def test_a_lock_that_does_not_come_fails_the_requests_that_waited(world, monkeypatch):
    error = TimeoutError("locked")

    def acquire():
        raise error

    monkeypatch.setattr(world.group, "_acquire", acquire)
    with pytest.raises(TimeoutError, match="locked"):
        world.group.run(lambda connection: None)
    assert world.batches == []

"""A port is chosen by taking it."""

from __future__ import annotations

import random
import socket
import threading
from contextlib import ExitStack

import pytest
from seamless_service.binding import _in_random_order, is_loopback, listen
from seamless_service.failures import StartFailed


def _free_range(n: int) -> tuple[int, int]:
    """Return n ports in a row that were free a moment ago."""
    for first in random.sample(range(20000, 32000), 200):
        with ExitStack() as stack:
            try:
                for port in range(first, first + n):
                    stack.enter_context(socket.create_server(("127.0.0.1", port)))
            except OSError:
                continue
            return first, first + n - 1
    raise AssertionError("no free ports")


def test_a_free_port_is_taken_from_the_private_range():
    with listen("127.0.0.1", None) as listener:
        assert 49152 <= listener.getsockname()[1] <= 65535
        socket.create_connection(listener.getsockname()).close()


def test_both_ends_of_a_range_belong_to_it():
    first, last = _free_range(2)

    with listen("127.0.0.1", (first, last)) as one, listen("127.0.0.1", (first, last)) as two:
        assert {one.getsockname()[1], two.getsockname()[1]} == {first, last}
        with pytest.raises(StartFailed, match="all 2 are in use"):
            listen("127.0.0.1", (first, last))


def test_the_order_is_random_so_that_two_services_seldom_meet():
    first, last = _free_range(6)
    chosen = set()
    for seed in range(12):
        with listen("127.0.0.1", (first, last), rng=random.Random(seed)) as listener:
            chosen.add(listener.getsockname()[1])

    assert len(chosen) >= 3


def test_the_first_port_costs_one_draw():
    class Counting(random.Random):
        n_draws = 0

        def randrange(self, *args: int) -> int:
            self.n_draws += 1
            return super().randrange(*args)

    rng = Counting(1)
    with listen("127.0.0.1", None, rng=rng):
        assert rng.n_draws < 100  # as many as there were taken ports on the way, of 16384


@pytest.mark.parametrize("n", [1, 2, 7, 1000])
def test_each_port_has_its_turn_exactly_once(n):
    orders = {tuple(_in_random_order(5, 4 + n, random.Random(seed))) for seed in range(20)}

    assert all(sorted(order) == list(range(5, 5 + n)) for order in orders)
    assert len(orders) > 1 or n == 1


@pytest.mark.invariant("I-111")
def test_many_at_once_never_share_a_port_and_all_find_one():
    first, last = _free_range(12)
    listeners: list[socket.socket] = []
    start = threading.Barrier(12)

    def take() -> None:
        start.wait()
        listeners.append(listen("127.0.0.1", (first, last)))

    threads = [threading.Thread(target=take) for _ in range(12)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(20)
    ports = {listener.getsockname()[1] for listener in listeners}
    for listener in listeners:
        listener.close()

    assert len(listeners) == len(ports) == 12


def test_zero_lets_the_system_choose():
    with listen("127.0.0.1", (0, 0)) as listener:
        assert listener.getsockname()[1] > 0


@pytest.mark.parametrize(
    ("host", "expected"),
    [
        ("127.0.0.1", True),
        ("127.8.9.10", True),
        ("localhost", True),
        ("::1", True),
        ("0.0.0.0", False),
        ("::", False),
        ("203.0.113.7", False),
        ("no.such.host.invalid", False),
    ],
)
def test_loopback_is_told_from_the_rest(host, expected):
    assert is_loopback(host) is expected


def test_an_address_that_is_no_address_is_refused_with_what_to_give():
    with pytest.raises(StartFailed, match="not an address") as caught:
        listen("no.such.host.invalid", None)

    assert "--host" in caught.value.hint


def test_an_address_of_ipv6_works():
    try:
        socket.create_server(("::1", 0), family=socket.AF_INET6).close()
    except OSError:
        pytest.skip("this machine has no IPv6 loopback")

    with listen("::1", None) as listener:
        assert listener.family is socket.AF_INET6

"""The graph driver alone, with nodes that do nothing but note their order."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st
from seamless_transformer import driver
from seamless_transformer.driver import Node, NodeState, Run


class Work(Node):
    """A node that calls a function and remembers when it ran."""

    __slots__ = ("action", "needs", "ran")

    def __init__(self, *needs: Node, action: Callable[[], object] = lambda: None) -> None:
        super().__init__()
        self.needs = needs
        self.action = action
        self.ran = 0

    def _dependency_nodes(self) -> Sequence[Node]:
        return self.needs

    def _advance(self, run: Run) -> bool:
        assert all(need.finished for need in self.needs)
        self.action()
        self.ran += 1
        return True


def drive(*nodes: Node, **settings: int) -> Run:
    run = Run(**settings)
    run.add(nodes)
    for node in nodes:
        assert run.drive(node, timeout_s=30)
    return run


def test_a_single_node_runs_on_the_thread_that_waits_for_it():
    threads: list[str] = []
    node = Work(action=lambda: threads.append(threading.current_thread().name))
    drive(node)
    assert threads == [threading.current_thread().name]


def test_a_chain_of_fifty_thousand_nodes_runs_without_recursion():
    node = first = Work()
    for _ in range(50_000):
        node = Work(node)
    drive(node)
    assert first.ran == node.ran == 1


def test_a_node_that_is_needed_twice_by_the_same_node_runs_once_and_first():
    shared = Work()
    target = Work(shared, shared)
    drive(target)
    assert (shared.ran, target.ran) == (1, 1)


@pytest.mark.invariant("I-71")
@given(st.lists(st.lists(st.integers(0, 30), max_size=4), max_size=30), st.integers(1, 4))
def test_every_graph_runs_each_node_once_after_its_dependencies(needs_of, width):
    nodes: list[Work] = []
    for needs in needs_of:
        nodes.append(Work(*[nodes[index % len(nodes)] for index in needs if nodes]))
    drive(*nodes, width=width)
    assert [node.ran for node in nodes] == [1] * len(nodes)


def test_slow_nodes_run_at_once_up_to_the_width():
    together = threading.Barrier(2, timeout=20)
    nodes = [Work(action=together.wait) for _ in range(2)]
    drive(*nodes, width=2)
    assert [node.ran for node in nodes] == [1, 1]


@pytest.mark.invariant("I-72")
def test_never_more_nodes_are_active_than_the_width():
    lock = threading.Lock()
    active: list[int] = [0]
    highest: list[int] = [0]

    def work() -> None:
        with lock:
            active[0] += 1
            highest[0] = max(highest[0], active[0])
        time.sleep(0.01)
        with lock:
            active[0] -= 1

    nodes = [Work(action=work) for _ in range(20)]
    run = Run(width=3, eager=True)
    run.add(nodes)
    for node in nodes:
        run.drive(node, timeout_s=30)
    assert highest == [3]


def test_a_graph_inside_a_node_runs_although_all_places_are_taken():
    def nested(depth: int) -> None:
        if depth:
            drive(*[Work(action=lambda: nested(depth - 1)) for _ in range(3)], width=1)

    outer = [Work(action=lambda: nested(4)) for _ in range(4)]
    drive(*outer, width=2)
    assert [node.ran for node in outer] == [1] * 4


def test_nodes_started_in_the_background_run_while_all_background_threads_wait_for_one_of_them():
    shared = Work(action=lambda: time.sleep(0.05))

    def wait_for_shared() -> None:
        run = Run()
        run.add([shared])
        assert run.drive(shared, timeout_s=20)

    waiting = [Work(action=wait_for_shared) for _ in range(8)]
    driver.background_run().add([*waiting, shared])
    done = threading.Event()
    waiting[-1].when_finished(lambda node: done.set())
    assert done.wait(20)
    assert shared.ran == 1


def test_two_threads_that_need_the_same_node_share_its_run():
    started = threading.Event()
    release = threading.Event()

    def slow() -> None:
        started.set()
        assert release.wait(20)

    shared = Work(action=slow)
    one, two = Work(shared), Work(shared)
    first = threading.Thread(target=drive, args=(one,))
    first.start()
    assert started.wait(20)
    second = threading.Thread(target=drive, args=(two,))
    second.start()
    release.set()
    first.join(20)
    second.join(20)
    assert (shared.ran, one.ran, two.ran) == (1, 1, 1)


def test_drive_gives_up_at_its_deadline_and_the_node_still_finishes():
    release = threading.Event()
    node = Work(action=lambda: release.wait(20))
    driver.background_run().add([node])
    waiting = Run()
    assert waiting.drive(node, timeout_s=0.05) is False
    release.set()
    assert waiting.drive(node, timeout_s=20)


def test_an_interrupt_leaves_every_unfinished_node_ready_to_run_again():
    attempts: list[int] = []

    def interrupted_once() -> None:
        attempts.append(1)
        if len(attempts) == 1:
            raise KeyboardInterrupt

    first = Work(action=interrupted_once)
    last = Work(Work(first), first)
    run = Run()
    run.add([last])
    with pytest.raises(KeyboardInterrupt):
        run.drive(last)
    assert (first._state, last._state) == (NodeState.IDLE, NodeState.IDLE)
    drive(last)
    assert (first.ran, last.ran) == (1, 1)


def test_a_callback_is_called_at_once_when_the_node_has_finished():
    node = Work()
    drive(node)
    calls: list[Node] = []
    node.when_finished(calls.append)
    assert calls == [node]


def test_cost_per_node_does_not_grow_with_their_number():
    def transitions(count: int) -> int:
        nodes = [Work() for _ in range(count)]
        run = drive(*nodes)
        return run._completed

    assert transitions(100) == 100
    assert transitions(10_000) == 10_000

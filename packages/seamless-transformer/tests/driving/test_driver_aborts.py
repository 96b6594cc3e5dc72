"""Aborted runs: nothing is lost, nobody waits for a node that nobody runs, places are given back."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence

import pytest
from seamless_transformer import driver
from seamless_transformer.driver import Run
from seamless_transformer.nodes import Node, NodeState, drop, finish, requeue

DEADLINE_S = 20.0


class Work(Node):
    __slots__ = ("action", "needs", "ran", "stops")

    def __init__(self, *needs: Node, action: Callable[[], object] = lambda: None) -> None:
        super().__init__()
        self.needs = needs
        self.action = action
        self.ran = 0

    def _dependency_nodes(self) -> Sequence[Node]:
        return self.needs

    def _advance(self, run: Run | None) -> bool:
        self.action()
        self.ran += 1
        return True


class Elsewhere(Node):
    """Work that somebody else finishes; it advances as often as it is asked to."""

    __slots__ = ("advanced",)

    def __init__(self) -> None:
        super().__init__()
        self.advanced = 0

    def _dependency_nodes(self) -> Sequence[Node]:
        return ()

    def _advance(self, run: Run | None) -> bool:
        self.advanced += 1
        return self.advanced > 1


def in_thread(function: Callable[[], object]) -> threading.Thread:
    thread = threading.Thread(target=function, daemon=True)
    thread.start()
    return thread


def wait_until(condition: Callable[[], object]) -> None:
    deadline = time.monotonic() + DEADLINE_S
    while not condition():
        assert time.monotonic() < deadline
        threading.Event().wait(0.002)


class Gate:
    """Work that waits until it is let through."""

    def __init__(self) -> None:
        self.entered = threading.Event()
        self.open = threading.Event()

    def __call__(self) -> None:
        self.entered.set()
        assert self.open.wait(DEADLINE_S)


def test_another_runs_nodes_take_over_the_dependency_of_an_aborted_run():
    gate = Gate()
    shared = Work(Work(action=gate))
    run = Run(helpers_only=True)
    run.add([Work(shared)])
    assert gate.entered.wait(DEADLINE_S)
    dependant = Work(shared)
    other = Run()
    waiter = in_thread(lambda: (other.add([dependant]), other.drive(dependant)))
    wait_until(lambda: dependant._state == NodeState.WAITING)
    run.abort()
    gate.open.set()
    waiter.join(DEADLINE_S)
    assert (shared.ran, dependant.ran) == (1, 1)


def test_a_driver_that_waits_for_a_node_of_an_aborted_run_runs_it_itself():
    gate = Gate()
    blocker = Work(action=gate)
    wanted = Work(blocker)
    run = Run(helpers_only=True)
    run.add([wanted])
    assert gate.entered.wait(DEADLINE_S)
    waiter = in_thread(lambda: Run().drive(wanted))
    wait_until(lambda: wanted._callbacks)
    run.abort([wanted])
    gate.open.set()
    waiter.join(DEADLINE_S)
    assert wanted.ran == 1


def test_an_abort_finds_the_nodes_that_were_not_named():
    gate = Gate()
    blocker = Work(action=gate)
    waiting = [Work(blocker) for _ in range(5)]
    run = Run(helpers_only=True, width=1)
    run.add(waiting)
    assert gate.entered.wait(DEADLINE_S)
    run.abort()
    assert [node._state for node in waiting] == [NodeState.IDLE] * 5
    gate.open.set()
    wait_until(lambda: blocker.finished)
    again = Run()
    again.add(waiting)
    assert all(again.drive(node, timeout_s=DEADLINE_S) for node in waiting)
    assert [node.ran for node in waiting] == [1] * 5


def test_a_requeued_node_gives_its_place_back():
    node = Elsewhere()
    run = Run(width=1)
    run.add([node])
    waiter = in_thread(lambda: run.drive(node))
    wait_until(lambda: run._delegated)
    requeue(node)
    waiter.join(DEADLINE_S)
    assert (node.advanced, node.finished) == (2, True)


def test_a_dropped_node_is_run_again_by_who_waits_for_it():
    node = Elsewhere()
    run = Run(helpers_only=True)
    run.add([node])
    wait_until(lambda: run._delegated)
    waiter = in_thread(lambda: Run().drive(node))
    wait_until(lambda: node._callbacks)
    drop(node)
    waiter.join(DEADLINE_S)
    assert node.advanced == 2


def test_a_callback_is_told_of_an_abort_once():
    gate = Gate()
    node = Work(Work(action=gate))
    told: list[bool] = []
    run = Run(helpers_only=True)
    run.add([node])
    assert gate.entered.wait(DEADLINE_S)
    node.when_finished(lambda each: told.append(each.finished))
    run.abort()
    gate.open.set()
    assert told == [False]


def test_finishing_twice_releases_dependants_once():
    first, second = Work(), Work()
    both = Work(first, second)
    run = Run()
    run.add([both])
    finish(first)
    finish(first)
    assert both._state == NodeState.WAITING
    run.drive(both)
    assert both.ran == 1


def test_an_interrupted_driver_leaves_the_other_nodes_of_its_run_runnable():
    def interrupt() -> None:
        raise KeyboardInterrupt

    nodes = [Work(action=interrupt), Work(), Work()]
    run = Run(width=1)
    run.add(nodes)
    with pytest.raises(KeyboardInterrupt):
        run.drive(nodes[0])
    assert [node._state for node in nodes] == [NodeState.IDLE] * 3


def test_run_alone_refuses_a_node_with_dependencies():
    node = Work(Work())
    assert node.run_alone() is False
    assert node._state == NodeState.IDLE


def test_work_goes_on_when_the_system_gives_no_more_threads(monkeypatch):
    def refuse(task: Callable[[], None]) -> None:
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr(driver._helper_threads, "submit", refuse)
    nodes = [Work() for _ in range(10)]
    run = Run(width=4, eager=True)
    run.add(nodes)
    assert all(run.drive(node, timeout_s=DEADLINE_S) for node in nodes)
    assert run._helpers == 0

"""Many threads, one graph, runs aborted at random: every node runs after its dependencies, and nobody hangs."""

from __future__ import annotations

import random
import threading
from collections.abc import Sequence

import pytest
from seamless_transformer.driver import Run
from seamless_transformer.nodes import Node


class Work(Node):
    __slots__ = ("needs", "ran")

    def __init__(self, *needs: Node) -> None:
        super().__init__()
        self.needs = needs
        self.ran = 0

    def _dependency_nodes(self) -> Sequence[Node]:
        return self.needs

    def _advance(self, run: Run | None) -> bool:
        assert all(need.finished for need in self.needs)
        self.ran += 1
        return True


def drive_until_finished(run: Run, node: Node) -> None:
    """Drive as a user would who tries again after each abort."""
    run.add([node])
    while not node.finished:
        try:
            run.drive(node, timeout_s=30)
        except RuntimeError:
            run = Run(width=2, eager=True)
            run.add([node])


@pytest.mark.invariant("I-63")
@pytest.mark.parametrize("seed", range(12))
def test_every_node_runs_once_however_often_runs_are_aborted(seed):
    chance = random.Random(seed)
    nodes: list[Work] = []
    for _ in range(300):
        nodes.append(Work(*chance.sample(nodes, min(len(nodes), chance.randrange(4)))))
    runs = [Run(width=chance.randrange(1, 4), eager=chance.random() < 0.5) for _ in range(6)]
    targets = [chance.sample(nodes, 40) for _ in runs]

    def work(run: Run, wanted: list[Work]) -> None:
        for node in wanted:
            drive_until_finished(run, node)
            if run._aborted:
                run = Run(width=2)

    def abort() -> None:
        for run in chance.sample(runs, 4):
            run.abort()

    threads = [
        threading.Thread(target=work, args=pair, daemon=True) for pair in zip(runs, targets, strict=True)
    ]
    threads.append(threading.Thread(target=abort, daemon=True))
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(40)
    assert not any(thread.is_alive() for thread in threads)
    assert {node.ran for wanted in targets for node in wanted} == {1}

"""Rows of several threads share a request; each caller gets its own answer."""

from __future__ import annotations

import threading
from collections.abc import Sequence

import pytest
from seamless import Checksum
from seamless_remote.insert_group import InsertGroup, ResultRow


def row_of(number: int) -> ResultRow:
    return ResultRow(
        Checksum(number.to_bytes(32, "big")), Checksum((number + 1000).to_bytes(32, "big")), None
    )


def test_a_single_row_is_sent_alone_and_answered():
    sent: list[int] = []

    def send(rows: Sequence[ResultRow]) -> list[Checksum]:
        sent.append(len(rows))
        return [row.result for row in rows]

    group = InsertGroup(send)
    assert group.put(row_of(1)) == row_of(1).result
    assert sent == [1]


def test_rows_that_come_while_one_is_under_way_travel_together():
    entered, go_on = threading.Event(), threading.Event()
    sent: list[int] = []

    def send(rows: Sequence[ResultRow]) -> list[Checksum]:
        entered.set()
        assert go_on.wait(20)
        sent.append(len(rows))
        return [row.result for row in rows]

    group = InsertGroup(send)
    answers: dict[int, Checksum] = {}

    def put(number: int) -> None:
        answers[number] = group.put(row_of(number))

    threads = [threading.Thread(target=put, args=(number,)) for number in range(9)]
    threads[0].start()
    assert entered.wait(20)
    for thread in threads[1:]:
        thread.start()
    while len(group._queue) < 8:
        threading.Event().wait(0.001)
    go_on.set()
    for thread in threads:
        thread.join(20)
    assert sent == [1, 8]
    assert answers == {number: row_of(number).result for number in range(9)}


def test_an_error_is_raised_by_everybody_whose_row_it_is_and_the_next_row_is_tried_anew():
    errors = [ConnectionError("down")]

    def send(rows: Sequence[ResultRow]) -> list[Checksum]:
        if errors:
            raise errors.pop()
        return [row.result for row in rows]

    group = InsertGroup(send)
    with pytest.raises(ConnectionError, match="down"):
        group.put(row_of(1))
    assert group.put(row_of(1)) == row_of(1).result


def test_an_interrupted_leader_does_not_take_the_others_with_it():
    entered, go_on = threading.Event(), threading.Event()
    calls: list[int] = []

    def send(rows: Sequence[ResultRow]) -> list[Checksum]:
        calls.append(len(rows))
        if len(calls) == 1:
            entered.set()
            assert go_on.wait(20)
            raise KeyboardInterrupt
        return [row.result for row in rows]

    group = InsertGroup(send)
    outcomes: dict[int, object] = {}

    def put(number: int) -> None:
        try:
            outcomes[number] = group.put(row_of(number))
        except KeyboardInterrupt:
            outcomes[number] = "interrupted"

    leader = threading.Thread(target=put, args=(1,))
    leader.start()
    assert entered.wait(20)
    follower = threading.Thread(target=put, args=(2,))
    follower.start()
    while len(group._queue) < 1:
        threading.Event().wait(0.001)
    go_on.set()
    leader.join(20)
    follower.join(20)
    assert outcomes == {1: "interrupted", 2: row_of(2).result}

"""A changed argument is a changed step, however it was changed; changed back, it is the old step again."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
import pytest
from seamless.transformer import delayed, direct


@direct
def total(a):
    import numpy as np

    return float(np.sum(a))


@direct
def echo(a):
    return a


@dataclasses.dataclass
class Parameters:
    values: list[int]


def nested() -> dict[str, Any]:
    return {"a": [1, {"b": [2, 3]}], "c": "x"}


def ndarray():
    value = np.arange(6.0)
    return value, value, lambda x: value.__setitem__(2, x)


def view_of_base():
    base = np.arange(12.0)
    return base[2:8], base, lambda x: base.__setitem__(4, x)


def read_only_view():
    base = np.arange(12.0)
    view = base[2:8]
    view.flags.writeable = False
    return view, base, lambda x: base.__setitem__(4, x)


def read_only_view_of_a_view():
    base = np.arange(12.0)
    view = base[1:][1:8]
    view.flags.writeable = False
    return view, base, lambda x: base.__setitem__(4, x)


def array_over_bytearray():
    memory = bytearray(np.arange(6.0).tobytes())
    array = np.frombuffer(memory)
    return array, memory, lambda x: memory.__setitem__(slice(16, 24), np.float64(x).tobytes())


def transposed():
    base = np.arange(12.0).reshape(3, 4)
    return base.T, base, lambda x: base.__setitem__((1, 2), x)


def strided():
    base = np.arange(12.0)
    return base[::2], base, lambda x: base.__setitem__(4, x)


ARRAYS = [
    ndarray,
    view_of_base,
    read_only_view,
    read_only_view_of_a_view,
    array_over_bytearray,
    transposed,
    strided,
]


@pytest.mark.invariant("I-60")
@pytest.mark.parametrize("make", ARRAYS, ids=lambda make: make.__name__)
def test_an_array_is_hashed_as_it_is_now(make, counted):
    array, _owner, change = make()
    with counted() as count:
        before = total(array)
        change(100.0)
        changed = total(array)
        current = float(array.sum())
    assert count.executed == 2
    assert changed == current != before


@pytest.mark.parametrize("make", ARRAYS, ids=lambda make: make.__name__)
def test_an_array_changed_back_is_a_hit(make, counted):
    array, _owner, change = make()
    change(5.0)
    total(array)
    change(6.0)
    total(array)
    change(5.0)
    with counted() as count:
        assert total(array) == float(array.sum())
    assert (count.executed, count.total.hits) == (0, 1)


@pytest.mark.parametrize("make", ARRAYS, ids=lambda make: make.__name__)
def test_a_delayed_call_holds_the_array_as_it_was(make):
    array, _owner, change = make()
    expected = array.copy()
    tf = delayed(echo)(array)
    change(-1.0)
    np.testing.assert_array_equal(tf.run(), expected)


CONTAINERS = [
    pytest.param(lambda: [1, 2, 3], lambda v, x: v.__setitem__(1, x), id="list"),
    pytest.param(lambda: {"k": 1}, lambda v, x: v.__setitem__("k", x), id="dict"),
    pytest.param(nested, lambda v, x: v["a"][1]["b"].append(x), id="nested"),
    pytest.param(lambda: ([1, 2], 3), lambda v, x: v[0].__setitem__(0, x), id="list in a tuple"),
    pytest.param(lambda: {"n": np.arange(3)}, lambda v, x: v["n"].__setitem__(0, x), id="array in a dict"),
    pytest.param(lambda: [Parameters([1, 2]).values], lambda v, x: v[0].append(x), id="field of a dataclass"),
]


def plain(value: Any) -> Any:
    """Return the value as it comes back from a step."""
    if isinstance(value, dict):
        return {key: plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain(item) for item in value]
    return value.tolist() if isinstance(value, np.ndarray) else value


@pytest.mark.invariant("I-60")
@pytest.mark.parametrize(("make", "change"), CONTAINERS)
def test_a_container_is_hashed_as_it_is_now(make, change, counted):
    value = make()
    with counted() as count:
        assert plain(echo(value)) == plain(value)
        change(value, 77)
        assert plain(echo(value)) == plain(value)
    assert count.executed == 2


@pytest.mark.parametrize(("make", "change"), CONTAINERS)
def test_an_equal_container_is_a_hit(make, change, counted):
    first, second = make(), make()
    change(first, 5)
    change(second, 5)
    echo(first)
    with counted() as count:
        assert plain(echo(second)) == plain(first)
    assert (count.executed, count.total.hits) == (0, 1)


@pytest.mark.parametrize(("make", "change"), CONTAINERS)
def test_a_delayed_call_holds_the_container_as_it_was(make, change):
    value, original = make(), make()
    tf = delayed(echo)(value)
    change(value, 77)
    assert plain(tf.run()) == plain(original)


@pytest.mark.parametrize(("make", "change"), CONTAINERS)
def test_a_delayed_call_with_a_step_inside_holds_the_container_as_it_was(make, change):
    value, original = make(), make()
    tf = delayed(echo)([delayed(echo)(1), value])
    change(value, 77)
    assert plain(tf.run()) == [1, plain(original)]


def test_a_view_of_a_bytearray_is_hashed_as_it_is_now():
    step = direct(echo)
    step.celltypes.a = "bytes"
    step.celltypes.result = "bytes"
    memory = bytearray(b"abc")
    value = memoryview(memory)
    tf = delayed(step)(value)
    assert bytes(step(value)) == b"abc"
    memory[0] = ord("x")
    assert bytes(step(value)) == b"xbc"
    assert bytes(tf.run()) == b"abc"


def test_a_buffer_refilled_in_a_loop_gives_each_answer(counted):
    buffer = np.zeros(1000)
    with counted() as count:
        answers = []
        for filling in range(5):
            buffer[:] = filling
            answers.append(total(buffer))
    assert answers == [1000.0 * filling for filling in range(5)]
    assert count.executed == 5


@pytest.mark.invariant("I-73")
def test_changing_what_a_step_returned_changes_no_later_answer():
    first = echo([1, [2]])
    first[1].append(3)
    assert echo([1, [2]]) == [1, [2]]


@pytest.mark.invariant("I-73")
def test_an_array_result_cannot_change_the_cache():
    value = np.arange(4.0)
    first = echo(value)
    if first.flags.writeable:
        first[0] = 99
    assert echo(value).tolist() == [0.0, 1.0, 2.0, 3.0]


@pytest.mark.invariant("I-73")
def test_a_step_that_keeps_its_result_and_changes_it_later_does_not_change_the_cache(load):
    module = load(
        """
        import sys
        from seamless.transformer import direct

        @direct
        def keep(n):
            import numpy, sys
            array = numpy.arange(n)
            sys.kept_by_a_test = array
            return array
        """
    )
    import sys

    first = module.keep(3).tolist()
    sys.kept_by_a_test[0] = 99
    del sys.kept_by_a_test
    assert module.keep(3).tolist() == first == [0, 1, 2]


def test_every_slice_of_a_scrolling_window_is_its_own_step(counted):
    data = np.arange(20.0)
    with counted() as count:
        sums = [total(data[start : start + 4]) for start in range(10)]
    assert sums == [float(data[start : start + 4].sum()) for start in range(10)]
    assert count.executed == 10


def test_arguments_given_before_the_call_are_hashed_at_the_call():
    step = delayed(echo)
    value = [1]
    step.args.a = value
    first = step()
    value.append(2)
    second = step()
    assert (first.run(), second.run()) == ([1], [1, 2])

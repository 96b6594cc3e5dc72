"""Steps that depend on steps, and steps inside steps."""

from __future__ import annotations

import math
import threading

import numpy as np
import pytest
from seamless import Buffer
from seamless.transformer import TransformationError, delayed, direct
from seamless_transformer.transformation_errors import StepCycleError


@delayed
def add(a, b):
    return a + b


@delayed
def echo(a):
    return a


@delayed
def fail(a):
    raise ZeroDivisionError("as planned")


INSIDE = [
    pytest.param(lambda x: x, id="whole argument"),
    pytest.param(lambda x: [0, x], id="list"),
    pytest.param(lambda x: (x, 1), id="tuple"),
    pytest.param(lambda x: {"k": x}, id="dict"),
    pytest.param(lambda x: {"k": [1, (2, {"d": x})]}, id="nested"),
    pytest.param(lambda x: [x, x], id="twice"),
]


CELLTYPES = ["mixed", "plain"]  # as a whole argument, a step gives its checksum to any pin: see below


@pytest.mark.invariant("I-74")
@pytest.mark.parametrize(
    ("celltype", "wrap"),
    [
        pytest.param(celltype, *case.values, id=f"{celltype}, {case.id}")
        for celltype in CELLTYPES
        for case in INSIDE
    ]
    + [pytest.param("str", *case.values, id=f"str, {case.id}") for case in INSIDE[1:]],
)
def test_the_identity_is_that_of_passing_the_value(wrap, celltype, any_cache, counted):
    step = delayed(lambda a: a)
    step.celltypes.a = celltype
    by_value = step(wrap(7))
    by_step = step(wrap(add(3, 4)))
    with counted() as count:
        assert by_step.run() == by_value.run()
    assert by_step.transformation_checksum == by_value.transformation_checksum
    assert count.executed == 2


def test_arrays_of_steps_inside_containers_are_passed_as_values():
    @delayed
    def make(n):
        import numpy

        return numpy.arange(n)

    by_step = echo({"x": make(4), "y": [make(2)]})
    by_value = echo({"x": np.arange(4), "y": [np.arange(2)]})
    assert by_step.compute() == by_value.compute()
    assert by_step.transformation_checksum == by_value.transformation_checksum


def test_a_deepcell_takes_the_checksum_not_the_value(counted):
    step = delayed(lambda a: sorted(a))
    step.celltypes.a = "deepcell"
    dependency = add(3, 4)
    by_step = step({"x": dependency})
    by_checksum = step({"x": Buffer(7, "mixed").get_checksum().hex()})
    assert by_step.run() == ["x"]
    assert by_step.construct() == by_checksum.construct()


def test_a_step_used_twice_runs_once(counted):
    shared = add(1, 2)
    with counted() as count:
        assert add(shared, shared).run() == 6
    assert count.executed == 2


def test_equal_steps_in_one_graph_run_once(counted):
    with counted() as count:
        assert add(add(1, 2), add(1, 2)).run() == 6
    assert count.executed == 2


def test_a_none_result_is_passed_like_none(counted):
    by_step = echo(echo(None))
    assert by_step.run() is None
    assert by_step.transformation_checksum == echo(None).transformation_checksum
    typed = delayed(lambda a: a is None)
    typed.celltypes.a = "int"
    assert typed(echo(None)).run() is True


def test_a_whole_argument_takes_the_checksum_of_the_result_with_its_own_celltype():
    step = delayed(lambda a: a)
    step.celltypes.a = "str"
    dependency = add(1, 2)
    by_step = step(dependency)
    assert by_step.run() == "3"
    assert by_step.construct() == step(dependency.result_checksum).construct()


@pytest.mark.parametrize("wrap", INSIDE)
def test_a_failing_dependency_fails_its_dependant_with_its_own_exception(wrap):
    with pytest.raises(ZeroDivisionError, match="as planned"):
        echo(wrap(fail(1))).run()


def test_a_failure_passes_through_a_chain():
    tf = fail(1)
    for _ in range(5):
        tf = add(tf, 1)
    with pytest.raises(ZeroDivisionError, match="as planned"):
        tf.run()


def test_one_failing_branch_does_not_stop_the_other():
    good = add(1, 2)
    with pytest.raises(ZeroDivisionError):
        add(good, fail(1)).run()
    assert good.value == 3


def test_a_container_that_cannot_be_serialized_fails_in_construction():
    made = delayed(lambda n: [1, 2])
    made.celltypes.result = "mixed"
    step = delayed(lambda a: a)
    step.celltypes.a = "int"
    tf = step([made(1)])
    assert tf.compute() is None
    assert "argument 'a' cannot be serialized as celltype 'int'" in tf.exception


def test_a_circular_container_with_a_step_is_refused_at_the_call():
    circular = [add(1, 2)]
    circular.append(circular)
    with pytest.raises(ValueError, match="argument 'a'"):
        echo(circular)


@pytest.mark.slow
def test_a_chain_of_twenty_thousand_steps(counted):
    increment = delayed("a + 1")
    increment.celltypes.a = "int"
    increment.celltypes.result = "int"
    tf = increment(a=0)
    for _ in range(19_999):
        tf = increment(a=tf)
    with counted() as count:
        assert tf.run() == 20_000
    assert count.executed == 20_000
    del tf  # a chain is let go of without recursion


def test_a_wide_fan(counted):
    with counted() as count:
        assert delayed(sum_up)([add(n, 1) for n in range(2000)]).run() == sum(range(1, 2001))
    assert count.executed == 2001


def sum_up(a):
    return sum(a)


def test_scratch_dependencies_run_once_and_are_not_stored(any_cache, counted):
    scratch = delayed(lambda a: a * 30030 + 1)
    scratch.scratch = True
    dependency = scratch(9)
    with counted() as count:
        assert add(dependency, 0).run() == 9 * 30030 + 1
    assert count.executed == 2


# steps inside steps


@pytest.fixture
def nesting(load):
    return load(
        """
        from seamless.transformer import delayed, direct, parallel

        @direct
        def leaf(n):
            return n * n

        @direct
        def middle(n, home):
            import importlib
            from seamless.transformer import delayed, parallel
            leaf = delayed(importlib.import_module(home).leaf)
            return sum(tf.value for tf in parallel([leaf(i) for i in range(n)]))

        @direct
        def top(n, home):
            import importlib
            from seamless.transformer import delayed, parallel
            middle = delayed(importlib.import_module(home).middle)
            return [tf.run() for tf in parallel([middle(i, home) for i in range(n)])]

        @direct
        def factorial(n, home):
            import importlib
            factorial = importlib.import_module(home).factorial
            return 1 if n == 0 else n * factorial(n - 1, home)

        @direct
        def itself(n, home):
            import importlib
            return importlib.import_module(home).itself(n, home)

        @direct
        def itself_in_parallel(n, home):
            import importlib
            from seamless.transformer import delayed, parallel
            again = delayed(importlib.import_module(home).itself_in_parallel)
            for tf in parallel([again(n, home), again(n + 1, home) if n < 0 else again(n, home)]):
                tf.run()

        @direct
        def ping(n, home):
            import importlib
            module = importlib.import_module(home)
            module.meet()
            return module.pong(n, home)

        @direct
        def pong(n, home):
            import importlib
            module = importlib.import_module(home)
            module.meet()
            return module.ping(n, home)
        """
    )


def test_three_levels_with_parallel_inside(nesting, counted):
    import seamless.config

    seamless.config.set_nparallel(2)
    with counted() as count:
        assert nesting.top(6, nesting.__name__) == [sum(i * i for i in range(n)) for n in range(6)]
    assert count.executed == 1 + 6 + 5


def test_deep_recursion_with_other_arguments_is_legal(nesting, counted):
    with counted() as count:
        assert nesting.factorial(12, nesting.__name__) == math.factorial(12)
    assert count.executed == 13


@pytest.mark.provokes("StepCycleError")
def test_a_step_that_calls_itself_with_the_same_arguments_fails(nesting):
    with pytest.raises(StepCycleError, match="needs its own result"):
        nesting.itself(1, nesting.__name__)


def test_a_step_that_calls_itself_through_parallel_fails(nesting):
    import seamless.config

    seamless.config.set_nparallel(2)
    with pytest.raises(StepCycleError, match="needs its own result"):
        nesting.itself_in_parallel(1, nesting.__name__)


@pytest.mark.invariant("I-76")
def test_two_threads_whose_steps_wait_for_each_other_fail_instead_of_hanging(nesting):
    barrier = threading.Barrier(2, timeout=30)
    nesting.meet = barrier.wait
    outcomes = []

    def call(step):
        try:
            step(1, nesting.__name__)
        except TransformationError as exc:
            outcomes.append(exc)

    threads = [threading.Thread(target=call, args=(step,)) for step in (nesting.ping, nesting.pong)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert [isinstance(outcome, StepCycleError) for outcome in outcomes] == [True, True]


def test_what_a_nested_step_prints_goes_out_once(nesting, load, capsys):
    module = load(
        """
        from seamless.transformer import direct

        @direct
        def inner(a):
            print("inner")
            return a

        @direct
        def outer(a, home):
            import importlib
            print("outer")
            return importlib.import_module(home).inner(a)
        """
    )
    module.outer(1, module.__name__)
    assert capsys.readouterr().out == "outer\ninner\n"
    assert direct(module.outer)(1, module.__name__) == 1
    assert capsys.readouterr().out == ""


def test_a_long_chain_that_never_ran_is_let_go_of_without_recursion(script):
    done = script.run(
        """
        from seamless.transformer import delayed

        step = delayed("a")
        step.celltypes.a = "int"
        step.celltypes.result = "int"
        tf = step(a=0)
        for _ in range(30_000):
            tf = step(a=tf)
        del tf
        print("done")
        """
    )
    assert (done.stdout, done.returncode) == ("done\n", 0)


def test_a_run_whose_leader_vanished_between_two_lines_is_taken_over(counted):
    from seamless_transformer.running_steps import running_steps

    abandoned = add(20, 1)
    running_steps.lead_or_follow(abandoned.construct(), abandoned, None)
    with counted() as count:
        assert add(20, 1).run() == 21
    assert count.executed == 1
    assert running_steps._running == {}

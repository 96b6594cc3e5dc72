"""Every member of Transformation, in every state, with its texts."""

from __future__ import annotations

import asyncio
import threading

import pytest
from seamless import Checksum
from seamless.active import replace_active
from seamless.embedded import open_embedded
from seamless.transformer import TransformationError, delayed, direct


@delayed
def add(a, b):
    return a + b


@delayed
def fail(a):
    raise ValueError("no")


def test_a_fresh_step_is_ready_and_identified():
    tf = add(1, 2)
    assert tf.status == "Status: ready"
    assert tf.exception is None
    assert tf.construct() == tf.transformation_checksum
    with pytest.raises(TransformationError, match=r"^Transformation has not been computed$"):
        _ = tf.result_checksum
    with pytest.raises(TransformationError, match=r"^Transformation has not been computed$"):
        _ = tf.value


def test_a_computed_step_has_result_buffer_and_value():
    tf = add(1, 2)
    result = tf.compute()
    assert isinstance(result, Checksum)
    assert (tf.result_checksum, tf.status, tf.exception) == (result, "Status: OK", None)
    assert tf.buffer.get_checksum() == result
    assert (tf.value, tf.run(), tf.celltype) == (3, 3, "mixed")


def test_a_step_with_open_dependencies_has_not_been_constructed():
    tf = add(add(1, 2), 3)
    for member in ("transformation_checksum", "result_checksum", "buffer", "value"):
        with pytest.raises(TransformationError, match=r"^Transformation has not been constructed$"):
            getattr(tf, member)
    assert tf.construct() is not None
    assert tf.transformation_checksum == add(3, 3).transformation_checksum


def test_a_failed_step():
    tf = fail(1)
    assert tf.compute() is None
    assert tf.status == "Status: exception"
    with pytest.raises(TransformationError, match=r"^Transformation returned an exception:\n"):
        tf.run()
    with pytest.raises(TransformationError, match=r"^Transformation returned an exception:\n"):
        _ = tf.value
    assert isinstance(tf.transformation_checksum, Checksum)


def test_a_step_with_a_failed_dependency_fails_in_construction():
    tf = add(fail(1), 2)
    assert tf.construct() is None
    assert tf.exception.startswith("RuntimeError: Dependency 'a' has an exception:\n")
    with pytest.raises(ValueError, match=r"^Transformation construction returned an exception:\n"):
        tf.run()
    with pytest.raises(TransformationError, match=r"^Transformation construction returned an exception$"):
        _ = tf.transformation_checksum


def test_a_running_step_is_pending(load):
    gate = threading.Event()
    entered = threading.Event()
    threading.gate_of_a_test = (entered, gate)

    @delayed
    def wait(a):
        import threading

        entered, gate = threading.gate_of_a_test
        entered.set()
        gate.wait(30)
        return a

    tf = wait(1)
    assert tf.start() is tf
    assert entered.wait(30)
    assert tf.status == "Status: pending"
    with pytest.raises(TransformationError, match=r"^Transformation is still computing$"):
        _ = tf.result_checksum
    gate.set()
    assert tf.run() == 1
    del threading.gate_of_a_test


def test_start_runs_a_step_that_nobody_waits_for(counted):
    tf = add(add(1, 2), 3)
    done = threading.Event()
    with counted() as count:
        tf.start()
        tf.when_finished(lambda _: done.set())
        assert done.wait(30)
    assert (tf.value, count.executed) == (6, 2)


def test_the_definition_is_immutable():
    tf = add(1, 2)
    with pytest.raises(TransformationError, match=r"^Transformation definition is immutable$"):
        tf.meta = {}
    with pytest.raises(TransformationError, match=r"^Transformation definition is immutable$"):
        tf.scratch = True
    with pytest.raises(TypeError):
        tf.meta["x"] = 1
    assert tf.scratch is False
    assert tf.allow_input_fingertip is False
    assert tf.meta["transformer_path"] == ["tf", "tf"]


def test_changing_the_transformer_later_does_not_change_the_step():
    step = delayed(lambda a: a)
    tf = step("4")
    step.celltypes.a = "int"
    step.scratch = True
    assert (tf.run(), tf.scratch) == ("4", False)
    assert step("4").run() == 4


def test_logs_are_not_offered():
    with pytest.raises(NotImplementedError):
        _ = add(1, 2).logs


def test_clear_exception_lets_a_step_be_tried_again(tmp_path, counted):
    @delayed
    def once(path):
        from pathlib import Path

        if not Path(path).exists():
            Path(path).touch()
            raise OSError("first")
        return 1

    tf = once(str(tmp_path / "x"))
    assert tf.compute() is None
    assert tf.compute() is None
    tf.clear_exception()
    assert (tf.status, tf.exception) == ("Status: ready", None)
    assert tf.run() == 1


def test_clear_exception_of_a_dependency_and_its_dependant(tmp_path):
    @delayed
    def once(path):
        from pathlib import Path

        if not Path(path).exists():
            Path(path).touch()
            raise OSError("first")
        return 1

    dependency = once(str(tmp_path / "x"))
    tf = add(dependency, 2)
    assert tf.compute() is None
    dependency.clear_exception()
    tf.clear_exception()
    assert tf.run() == 3


def test_cancel_before_the_run():
    tf = add(1, 2)
    assert tf.cancel() is True
    assert tf.cancel() is False
    assert (tf.status, tf.exception) == ("Status: canceled", "Transformation was canceled")
    assert tf.compute() is None
    with pytest.raises(TransformationError, match=r"^Transformation was canceled$"):
        tf.run()
    tf.clear_exception()
    assert tf.status == "Status: canceled"


def test_cancel_of_a_finished_step_changes_nothing():
    tf = add(1, 2)
    tf.compute()
    assert tf.cancel() is False
    assert tf.value == 3


def test_recursive_cancel_reaches_the_dependencies():
    inner, outer = add(1, 2), None
    outer = add(inner, 3)
    assert outer.cancel(recursive=True) is True
    assert (inner.status, outer.status) == ("Status: canceled", "Status: canceled")


def test_plain_cancel_leaves_the_dependencies():
    inner = add(1, 2)
    assert add(inner, 3).cancel() is True
    assert inner.run() == 3


def test_a_cancelled_dependency_fails_its_dependant():
    inner = add(1, 2)
    outer = add(inner, 3)
    inner.cancel()
    assert outer.compute() is None
    assert "Dependency 'a' has an exception:\nTransformation was canceled" in outer.exception


def test_cancel_async():
    async def main():
        tf = add(1, 2)
        return await tf.cancel_async(), tf.status

    assert asyncio.run(main()) == (True, "Status: canceled")


def test_is_cached_without_a_database_says_what_to_configure():
    with pytest.raises(RuntimeError, match=r"seamless\.config\.init\(\)"):
        add(1, 2).is_cached()


def test_is_cached_asks_the_database(tmp_path):
    replace_active(open_embedded(tmp_path / "cache"))
    tf = add(1, 2)
    assert tf.is_cached() is False
    tf.compute()
    assert add(1, 2).is_cached() is True
    assert asyncio.run(add(1, 2).is_cached_async()) is True


# event loops


def test_await_and_task_give_the_value(any_cache, counted):
    async def main():
        tf = add(add(1, 2), 3)
        return (
            await tf,
            await add(1, 5).task(),
            await tf.computation(),
            await add(1, add(1, 1)).construction(),
        )

    with counted() as count:
        value, other, result, constructed = asyncio.run(main())
    assert (value, other) == (6, 6)
    assert result == add(3, 3).compute()
    assert constructed == add(1, 2).construct()
    assert count.executed >= 3


def test_awaiting_a_failing_step_raises_what_it_raised():
    async def main():
        await fail(1)

    with pytest.raises(ValueError, match="no"):
        asyncio.run(main())


def test_many_awaited_at_once():
    async def main():
        return await asyncio.gather(*(add(n, 1).task() for n in range(200)))

    assert asyncio.run(main()) == list(range(1, 201))


def test_cancelling_a_task_cancels_the_step():
    gate = threading.Event()
    threading.gate_of_a_cancel = gate

    @delayed
    def wait(a):
        import threading

        threading.gate_of_a_cancel.wait(30)
        return a

    async def main():
        tf = wait(1)
        task = tf.task()
        while tf.status != "Status: pending":
            await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        return tf

    tf = asyncio.run(main())
    gate.set()
    assert tf.status == "Status: canceled"
    del threading.gate_of_a_cancel


def test_cancelling_a_task_before_it_began_cancels_the_step():
    async def main():
        tf = add(1, 2)
        task = tf.task()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        return tf.status

    assert asyncio.run(main()) == "Status: canceled"


@pytest.mark.parametrize(
    ("call", "text"),
    [
        (lambda: add(1, 2).run(), r"Cannot block on run\(\) from within the running event loop"),
        (lambda: add(1, 2).compute(), r"Cannot block on compute\(\) from within the running event loop"),
        (lambda: direct(add)(1, 2), r"Cannot block on func\(\) from within the running event loop"),
    ],
)
def test_blocking_calls_are_refused_inside_a_loop(call, text):
    async def main():
        call()

    with pytest.raises(RuntimeError, match=text):
        asyncio.run(main())


def test_construct_inside_a_loop_is_refused_only_for_open_dependencies():
    async def main():
        plain = add(1, 2).construct()
        tf = add(add(1, 2), 3)
        return plain, tf.construct(), tf.exception

    plain, constructed, exception = asyncio.run(main())
    assert plain is not None
    assert constructed is None
    assert "Cannot block on construct() from within the running event loop" in exception


def test_jupyter_is_told_what_to_await(monkeypatch):
    import sys
    import types

    monkeypatch.setitem(sys.modules, "IPython", types.ModuleType("IPython"))
    monkeypatch.setitem(sys.modules, "ipykernel", types.ModuleType("ipykernel"))

    async def main():
        add(1, 2).run()

    with pytest.raises(RuntimeError) as caught:
        asyncio.run(main())
    assert str(caught.value) == "'tf.run()' is not supported within Jupyter. Use 'await tf.task()' instead."


def test_a_patched_loop_may_be_blocked(monkeypatch):
    monkeypatch.setattr(asyncio, "_nest_patched", True, raising=False)

    async def main():
        return add(1, 2).run()

    assert asyncio.run(main()) == 3


def test_a_step_computed_in_a_thread_can_be_awaited():
    gate = threading.Event()
    threading.gate_of_a_thread = gate

    @delayed
    def wait(a):
        import threading

        threading.gate_of_a_thread.wait(30)
        return a

    tf = wait(5)
    thread = threading.Thread(target=tf.compute)
    thread.start()

    async def main():
        task = tf.task()
        await asyncio.sleep(0)
        gate.set()
        return await task

    assert asyncio.run(main()) == 5
    thread.join(30)
    del threading.gate_of_a_thread


def test_computation_with_require_value_recomputes_a_scratch_result(counted):
    step = delayed(lambda a: a * 20070301)
    step.scratch = True
    step(4).compute()
    again = step(4)

    with counted() as count:
        asyncio.run(again.computation(require_value=True))
    assert count.executed == 1


# close


def test_after_close_every_call_is_refused(script):
    done = script.run(
        """
        import seamless
        from seamless.transformer import delayed, direct, parallel
        import seamless.config
        seamless.config.set_nparallel(2)

        @direct
        def f(a):
            return a

        tf = delayed(f)(2)
        print(f(1))
        seamless.close()
        seamless.close()
        for call in (lambda: f(1), lambda: delayed(f)(1), tf.run, tf.compute, tf.start, lambda: list(parallel([tf]))):
            try:
                call()
            except RuntimeError as exc:
                print(type(exc).__name__, str(exc).split(" for ")[0])
        """
    )
    refused = "SeamlessClosed Seamless has been closed; cannot perform further operations"
    assert done.stdout.splitlines() == ["1", *[refused] * 6], done.stderr
    assert (done.stderr, done.returncode) == ("", 0)


def test_the_text_names_the_transformer_call(script):
    done = script.run(
        """
        import seamless
        from seamless.transformer import direct
        f = direct("1")
        f.celltypes.result = "int"
        seamless.close()
        f()
        """
    )
    assert "Seamless has been closed; cannot perform further operations for transformer call." in done.stderr
    assert done.returncode == 1

"""Steps that run elsewhere: what an executor delivers, fails to deliver, or is asked to stop."""

from __future__ import annotations

from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import replace

import pytest
from seamless.active import replace_active
from seamless.embedded import memory_set
from seamless.transformer import TransformationError, delayed, direct, parallel
from seamless_transformer.running_steps import running_steps
from seamless_worker import run_step


class Elsewhere:
    """Runs steps in threads of its own; like another process it can be told to break."""

    def __init__(self) -> None:
        self.pool = ThreadPoolExecutor(4)
        self.submitted = []
        self.cancelled = []
        self.refuse = None
        self.futures = []
        self.hold = False

    def submit(self, request):
        if self.refuse is not None:
            raise self.refuse
        self.submitted.append(request)
        future = Future() if self.hold else self.pool.submit(run_step, request)
        self.futures.append(future)
        return future

    def cancel(self, request):
        self.cancelled.append(request)
        return True

    def close(self):
        self.pool.shutdown()


@pytest.fixture
def elsewhere():
    executor = Elsewhere()
    active = replace(memory_set(), execution="spawn", executor=executor)
    replace_active(active)
    yield executor
    replace_active(memory_set())
    executor.close()


@delayed
def add(a, b):
    return a + b


def test_a_graph_runs_elsewhere_and_is_recorded_here(elsewhere, counted):
    tf = add(add(1, 2), add(3, 4))
    with counted() as count:
        assert tf.run() == 10
    assert (count.executed, len(elsewhere.submitted)) == (3, 3)
    assert tf._active.results.record(tf.transformation_checksum)["execution_mode"] == "spawn"


def test_a_local_step_runs_here(elsewhere):
    step = delayed(add)
    local = direct(step)
    local.local = True
    assert local(5, 6) == 11
    assert elsewhere.submitted == []


def test_many_steps_elsewhere(elsewhere, monkeypatch):
    import seamless.config

    seamless.config.set_nparallel(3)
    assert [tf.value for tf in parallel([add(n, 1) for n in range(200)])] == list(range(1, 201))


def test_a_failure_elsewhere_is_the_steps_failure(elsewhere):
    with pytest.raises(TypeError, match="unsupported operand"):
        add(1, "x").run()


def test_an_executor_that_refuses_fails_the_step_and_the_next_call_tries_again(elsewhere):
    elsewhere.refuse = ConnectionError("the server is gone")
    with pytest.raises(ConnectionError, match="the server is gone"):
        add(1, 2).run()
    assert running_steps._running == {}
    elsewhere.refuse = None
    assert add(1, 2).run() == 3


def test_a_broken_executor_fails_everybody_who_waits(elsewhere, in_thread, until):
    elsewhere.hold = True
    tfs = [add(1, 2) for _ in range(3)]
    calls = [in_thread(tf.run) for tf in tfs]
    until(lambda: sum(len(step.followers) for step in list(running_steps._running.values())) == 2)
    elsewhere.futures[0].set_exception(RuntimeError("worker died"))
    assert ["worker died" in str(call.join().error) for call in calls] == [True] * 3


def test_cancelling_tells_the_executor(elsewhere, in_thread, until):
    elsewhere.hold = True
    tf = add(1, 2)
    call = in_thread(tf.run)
    until(lambda: elsewhere.submitted)
    assert tf.cancel() is True
    assert isinstance(call.join().error, TransformationError)
    assert elsewhere.cancelled == elsewhere.submitted
    elsewhere.futures[0].set_exception(RuntimeError("late"))
    assert tf.status == "Status: canceled"


def test_a_future_that_was_cancelled_lets_the_step_run_again(elsewhere, in_thread, until):
    elsewhere.hold = True
    tf = add(1, 2)
    call = in_thread(tf.run)
    until(lambda: elsewhere.futures)
    elsewhere.hold = False
    assert elsewhere.futures[0].cancel() is True
    assert call.join().result == 3
    assert len(elsewhere.submitted) == 2


def test_a_result_that_arrives_while_an_interrupt_stops_the_run_is_kept(elsewhere, until, counted):
    elsewhere.hold = True
    tf = add(1, 2)
    tf.start()
    until(lambda: elsewhere.submitted)
    from seamless_transformer import driver

    with counted() as count:
        driver.background_run().abort()
        assert elsewhere.cancelled == elsewhere.submitted
        elsewhere.futures[0].set_result(run_step(elsewhere.submitted[0]))
        assert tf.run() == 3
    assert (tf.status, count.executed) == ("Status: OK", 1)


def test_a_forked_child_runs_steps_while_the_parent_runs_one(script):
    done = script.run(
        """
        import os, threading
        from seamless.transformer import delayed, direct

        threading.entered, threading.release = threading.Event(), threading.Event()

        @delayed
        def slow(a):
            import threading
            threading.entered.set()
            threading.release.wait(30)
            return a

        @delayed
        def join(a, b):
            return a + b

        tf = slow(1).start()
        threading.entered.wait(30)
        pid = os.fork()
        if pid == 0:
            threading.release.set()
            print("child", slow(1).run(), join(join(1, 1), join(2, 2)).run(), flush=True)
            os._exit(0)
        print("status", os.waitpid(pid, 0)[1])
        threading.release.set()
        print("parent", tf.run())
        """
    )
    assert done.stdout.splitlines() == ["child 1 6", "status 0", "parent 1"], done.stderr

"""Identical steps at the same time: one runs, the others wait for it."""

from __future__ import annotations

import asyncio

import pytest
from seamless.transformer import TransformationError, delayed, direct
from seamless_transformer.running_steps import running_steps


@direct
def passing(gate, a):
    import threading

    getattr(threading, gate).passage()
    return a


@direct
def failing(gate, a):
    import threading

    getattr(threading, gate).passage()
    raise ZeroDivisionError("together")


def followers(n):
    return lambda: sum(len(step.followers) for step in list(running_steps._running.values())) == n


@pytest.mark.invariant("I-61")
def test_many_threads_run_an_identical_step_once(gate, in_thread, until, any_cache, counted):
    with counted() as count:
        calls = [in_thread(passing, gate.name, 5) for _ in range(12)]
        gate.wait_for_entry()
        until(followers(11))
        gate.opened.set()
        assert [call.join().result for call in calls] == [5] * 12
    assert gate.n_entered == 1
    assert (count.executed, count.total.shared) == (1, 11)
    assert running_steps._running == {}


def test_when_the_leader_fails_all_fail(gate, in_thread, until, counted):
    with counted() as count:
        calls = [in_thread(failing, gate.name, 5) for _ in range(5)]
        gate.wait_for_entry()
        until(followers(4))
        gate.opened.set()
        errors = [call.join().error for call in calls]
    assert [isinstance(error, ZeroDivisionError) for error in errors] == [True] * 5
    assert (gate.n_entered, count.total.failed) == (1, 1)


@pytest.mark.parametrize("index", [0, 1], ids=["leader", "follower"])
def test_cancelling_one_cancels_all_that_wait_for_the_same_run(gate, in_thread, until, index, counted):
    step = delayed(passing)
    tfs = [step(gate.name, 5) for _ in range(3)]
    calls = [in_thread(tfs[0].run)]
    gate.wait_for_entry()
    calls += [in_thread(tf.run) for tf in tfs[1:]]
    until(followers(2))
    with counted() as count:
        assert tfs[index].cancel() is True
        assert [tf.status for tf in tfs] == ["Status: canceled"] * 3
        gate.opened.set()
        errors = [str(call.join().error) for call in calls]
    assert errors == ["Transformation was canceled"] * 3
    assert count.executed == 0
    assert step(gate.name, 5).run() == 5


def test_a_new_call_after_a_cancel_starts_afresh(gate, in_thread, until):
    step = delayed(passing)
    first = step(gate.name, 5)
    call = in_thread(first.run)
    gate.wait_for_entry()
    first.cancel()
    second = in_thread(step(gate.name, 5).run)
    gate.wait_for_entry()
    gate.opened.set()
    assert second.join().result == 5
    assert str(call.join().error) == "Transformation was canceled"
    assert gate.n_entered == 2


def test_followers_run_the_step_when_the_leader_is_interrupted(script):
    done = script.run(
        """
        import os, signal, threading
        from seamless.transformer import direct, step_counters
        from seamless_transformer.running_steps import running_steps

        @direct
        def step(a):
            import os, threading, time
            if threading.current_thread() is threading.main_thread():
                threading.leading.set()
                time.sleep(60)
            return a + 1

        threading.leading = threading.Event()
        results = []

        def follow():
            threading.leading.wait(30)
            results.append(step(1))

        def interrupt():
            while sum(len(s.followers) for s in list(running_steps._running.values())) < 3:
                pass
            os.kill(os.getpid(), signal.SIGINT)

        threads = [threading.Thread(target=f) for f in (follow, follow, follow, interrupt)]
        for thread in threads:
            thread.start()
        try:
            step(1)
        except KeyboardInterrupt:
            print("interrupted")
        for thread in threads:
            thread.join(30)
        print(results, step_counters().executed)
        """
    )
    assert done.stdout == "interrupted\n[2, 2, 2] 1\n", done.stderr


def test_a_follower_in_an_event_loop_gets_the_leaders_result(gate, in_thread, until):
    call = in_thread(passing, gate.name, 7)
    gate.wait_for_entry()

    async def main():
        task = delayed(passing)(gate.name, 7).task()
        while not followers(1)():
            await asyncio.sleep(0.001)
        gate.opened.set()
        return await task

    assert asyncio.run(main()) == 7
    assert call.join().result == 7
    assert gate.n_entered == 1


def test_one_transformation_computed_by_many_threads_runs_once(gate, in_thread, counted):
    tf = delayed(passing)(gate.name, 3)
    with counted() as count:
        calls = [in_thread(tf.run) for _ in range(8)]
        gate.wait_for_entry()
        gate.opened.set()
        assert [call.join().result for call in calls] == [3] * 8
    assert (gate.n_entered, count.executed) == (1, 1)


def test_a_shared_dependency_of_two_threads_runs_once(gate, in_thread, until, counted):
    shared = delayed(passing)(gate.name, 3)
    add = delayed(lambda a, b: a + b)
    tfs = [add(shared, n) for n in range(4)]
    with counted() as count:
        calls = [in_thread(tf.run) for tf in tfs]
        gate.wait_for_entry()
        gate.opened.set()
        assert [call.join().result for call in calls] == [3, 4, 5, 6]
    assert (gate.n_entered, count.executed) == (1, 5)


def test_a_store_that_fails_fails_everybody_who_waits(gate, in_thread, until, active, monkeypatch):
    def broken(*args, **kwargs):
        raise OSError("disk gone")

    monkeypatch.setattr(active.results, "put", broken)
    calls = [in_thread(passing, gate.name, 1) for _ in range(3)]
    gate.wait_for_entry()
    until(followers(2))
    gate.opened.set()
    assert [str(call.join().error.__cause__) for call in calls] == ["disk gone"] * 3
    assert running_steps._running == {}


def test_cancelling_a_running_command_stops_it(until, in_thread, tmp_path):
    step = delayed("touch $marker; sleep 67; echo 1 > RESULT", "bash")
    step.celltypes.marker = "str"
    step.celltypes.result = "int"
    tf = step(marker=str(tmp_path / "started"))
    call = in_thread(tf.run)
    until((tmp_path / "started").exists)
    assert tf.cancel() is True
    with pytest.raises(TransformationError, match="Transformation was canceled"):
        raise call.join().error

"""A step that is given as a transformation dictionary."""

from __future__ import annotations

import os
import signal
import threading
import time
from concurrent.futures import CancelledError, Future, ThreadPoolExecutor
from dataclasses import replace

import pytest
from seamless import Buffer, CacheMissError, Checksum
from seamless.errors import StepError
from seamless.step import StepOutput
from seamless_transformer.definition_errors import UnknownDunderKey
from seamless_transformer.identity import tf_checksum
from seamless_transformer.stored_step import (
    NotATransformation,
    check_transformation,
    look_up,
    run_transformation,
)
from seamless_worker import SeamlessStreamTransformationError, run_step


class Inputs(dict):
    """Buffers by checksum, given to the step; `pin` makes one and its entry."""

    def pin(self, value, celltype="bytes"):
        buffer = Buffer(value, celltype)
        self[buffer.get_checksum()] = buffer
        return [celltype, None, buffer.get_checksum().hex()]

    def bash(self, code, result="bytes", **entries):
        entries = {"__language__": "bash", "__output__": ["result", result, None], **entries}
        return {**entries, "code": self.pin(code, "text")}

    def python(self, code, result="mixed", **entries):
        return {**self.bash(code, result, **entries), "__language__": "python"}


@pytest.fixture
def inputs() -> Inputs:
    return Inputs()


@pytest.fixture
def ran(tmp_path):
    """A file to which a command appends one line each time that it runs."""
    path = tmp_path / "ran"
    path.touch()
    return path


def run(transformation, active, inputs, **options):
    return run_transformation(transformation, active=active, read_input=inputs.get, **options)


def test_a_command_runs_and_is_recorded(any_cache, inputs, ran, counted):
    transformation = inputs.bash(f"echo ran >> {ran}; cat a > RESULT", a=inputs.pin(b"alpha"))
    with counted() as count:
        done = run(transformation, any_cache, inputs)
    assert ran.read_text() == "ran\n"
    assert (count.executed, done.executed) == (1, True)
    assert done.tf_checksum == Checksum(tf_checksum(transformation))
    assert done.buffer is not None
    assert done.buffer.content == b"alpha"
    assert done.result == done.buffer.get_checksum()
    any_cache.results.flush()
    assert any_cache.results.get(done.tf_checksum) == done.result
    record = any_cache.results.record(done.tf_checksum)
    assert record is not None
    assert record["wall_time_seconds"] == round(done.usage.wall_s, 6)
    for checksum in (done.tf_checksum, done.result, *inputs):
        assert any_cache.buffers.has(checksum)


def test_it_runs_although_its_result_is_known(active, inputs, ran):
    transformation = inputs.bash(f"echo ran >> {ran}; echo x > RESULT")
    first = run(transformation, active, inputs)
    assert run(transformation, active, inputs).result == first.result
    assert ran.read_text() == "ran\n" * 2


def test_look_up_finds_what_was_recorded_and_counts_a_hit(active, inputs, counted):
    transformation = inputs.bash("echo x > RESULT")
    checksum = Checksum(tf_checksum(transformation))
    with counted() as count:
        assert look_up(checksum, active) is None
        done = run(transformation, active, inputs)
        assert look_up(checksum, active) == done.result
    assert count.total.hits == 1


def test_a_python_step_runs(active, inputs):
    transformation = inputs.python("def add(a, b):\n    return a + b", a=inputs.pin(1, "int"))
    done = run({**transformation, "b": inputs.pin(2, "int")}, active, inputs)
    assert done.buffer.get_value("mixed") == 3


def test_what_is_outside_the_identity_reaches_the_command_and_not_the_identity(active, inputs):
    transformation = inputs.bash('echo "$META__N" > RESULT')
    with_meta = {**transformation, "META__N": inputs.pin("seven", "str"), "__meta__": {"ncores": 2}}
    done = run(with_meta, active, inputs)
    assert done.buffer.content == b"seven\n"
    assert done.tf_checksum == Checksum(tf_checksum(transformation))


def test_given_inputs_are_stored_even_if_the_result_is_not(any_cache, inputs):
    transformation = inputs.bash("cat a > RESULT; echo more >> RESULT", a=inputs.pin(b"given\n"))
    done = run(transformation, any_cache, inputs, scratch=True)
    assert done.buffer.content == b"given\nmore\n"
    any_cache.results.flush()
    assert any_cache.results.get(done.tf_checksum) == done.result
    assert [any_cache.buffers.has(checksum) for checksum in inputs] == [True, True]


def test_a_scratch_result_is_not_stored(tmp_path, inputs):
    from seamless.embedded import open_embedded

    active = open_embedded(tmp_path / "cache")
    transformation = inputs.bash("mkdir RESULT; echo leaf > RESULT/leaf", "folder")
    done = run(transformation, active, inputs, scratch=True)
    active.close()
    leaf = Buffer(b"leaf\n").get_checksum()
    assert active.buffers.has_many([done.tf_checksum, done.result, leaf]) == [True, False, False]


def test_what_the_store_has_is_not_put_again(tmp_path, inputs):
    from seamless.embedded import open_embedded

    active = open_embedded(tmp_path / "cache")
    transformation = inputs.bash("cat a b > RESULT", a=inputs.pin(b"stored"), b=inputs.pin(b"new"))
    stored = Checksum(transformation["a"][2])

    class Watched:
        def __init__(self):
            self.put_checksums = []

        def __getattr__(self, name):
            return getattr(active.results, name)

        def put(self, transformation, result, *, buffers=(), record=None):
            self.put_checksums = [buffer.get_checksum() for buffer in buffers]
            return active.results.put(transformation, result, buffers=buffers, record=record)

    active.buffers.put(inputs[stored])
    watched = Watched()
    run(transformation, replace(active, results=watched), inputs)
    assert stored not in watched.put_checksums
    assert Checksum(transformation["b"][2]) in watched.put_checksums
    active.close()


def test_given_inputs_come_before_the_store(active, inputs):
    asked = []

    def give(checksum):
        asked.append(checksum)
        return inputs.get(checksum)

    transformation = inputs.bash("cat a > RESULT", a=inputs.pin(b"alpha"))
    active.buffers.put_many(list(inputs.values()))
    run_transformation(transformation, active=active, read_input=give)
    assert set(asked) == set(inputs)


def test_inputs_come_from_the_store_without_anybody_giving_them(any_cache, inputs):
    transformation = inputs.bash("cat a > RESULT", a=inputs.pin(b"alpha"))
    any_cache.buffers.put_many(list(inputs.values()))
    assert run_transformation(transformation, active=any_cache).buffer.content == b"alpha"


def test_a_missing_input_is_named_and_nothing_is_recorded(active, inputs, counted):
    transformation = inputs.bash("cat a > RESULT", a=["bytes", None, "ab" * 32])
    with counted() as count, pytest.raises(CacheMissError, match="abab"):
        run(transformation, active, inputs)
    assert count.total.failed == 1
    assert look_up(Checksum(tf_checksum(transformation)), active) is None


@pytest.fixture
def scratch_input(tmp_path, inputs):
    """A cache in which an input is not stored, but can be computed again; and the pin for it."""
    from seamless.embedded import open_embedded

    active = open_embedded(tmp_path / "cache")
    source = run(inputs.bash(f"seq 100000 > RESULT; echo {tmp_path} >> RESULT"), active, inputs, scratch=True)
    active.results.flush()
    assert not active.buffers.has(source.result)
    result_hex = source.result.hex()
    del source  # with its buffer
    yield active, ["bytes", None, result_hex]
    active.close()


@pytest.mark.parametrize("how", [{"allow_input_fingertip": True}, {"meta": {"allow_input_fingertip": True}}])
def test_a_missing_input_is_computed_again_when_that_is_allowed(scratch_input, inputs, how):
    active, pin = scratch_input
    options = dict(how)
    transformation = inputs.bash("head -n 1 a > RESULT", a=pin, __meta__=options.pop("meta", {}))
    with pytest.raises(CacheMissError):
        run({**transformation, "__meta__": {}}, active, inputs)
    assert run(transformation, active, inputs, **options).buffer.content == b"1\n"


def test_the_first_result_wins(active, inputs, counted):
    transformation = inputs.bash("echo ours > RESULT")
    other = Checksum("cd" * 32)
    active.results.put(Checksum(tf_checksum(transformation)), other)
    with counted() as count:
        done = run(transformation, active, inputs)
    assert (done.result, done.buffer, done.executed) == (other, None, True)
    assert count.total.conflicts == 1


def test_the_first_result_is_handed_over_when_it_is_at_hand(active, inputs):
    transformation = inputs.bash("echo ours > RESULT")
    other = Buffer(b"theirs\n")
    active.results.put(Checksum(tf_checksum(transformation)), other.get_checksum(), buffers=[other])
    assert run(transformation, active, inputs).buffer.content == b"theirs\n"


def test_a_failing_command_says_why_and_records_nothing(any_cache, inputs, counted):
    transformation = inputs.bash("echo why >&2; exit 3")
    with counted() as count, pytest.raises(StepError) as caught:
        run(transformation, any_cache, inputs)
    exception = caught.value.exception
    assert isinstance(exception, SeamlessStreamTransformationError)
    assert (exception.returncode, exception.stderr) == (3, "why\n")
    assert (count.executed, count.total.failed) == (0, 1)
    any_cache.results.flush()
    assert look_up(Checksum(tf_checksum(transformation)), any_cache) is None


def test_output_goes_where_it_is_wanted(active, inputs, capfd):
    taken = []
    run(inputs.bash("echo out; echo x > RESULT"), active, inputs, output=StepOutput(taken.append, print))
    assert b"".join(taken) == b"out\n"
    assert capfd.readouterr().out == ""


@pytest.mark.invariant("I-68")
def test_a_cancelled_command_is_stopped_and_not_recorded(active, inputs, tmp_path):
    begun = tmp_path / "begun"
    transformation = inputs.bash(f"touch {begun}; sleep 100; echo x > RESULT")
    started = time.monotonic()
    with pytest.raises(CancelledError):
        run(transformation, active, inputs, cancelled=begun.exists)
    assert time.monotonic() - started < 5
    assert look_up(Checksum(tf_checksum(transformation)), active) is None


@pytest.mark.invariant("I-68")
def test_a_cancelled_python_step_is_not_recorded_although_it_ends(active, inputs, ran):
    transformation = inputs.python(
        f"import pathlib\npathlib.Path({str(ran)!r}).write_text('ran')\nresult = 1"
    )
    with pytest.raises(CancelledError):
        run(transformation, active, inputs, cancelled=lambda: ran.read_text() != "")
    assert ran.read_text() == "ran"
    assert look_up(Checksum(tf_checksum(transformation)), active) is None


def test_interrupt_passes_to_the_caller(active, inputs):
    transformation = inputs.bash("kill -INT $PPID; sleep 100")
    with pytest.raises(KeyboardInterrupt):
        run(transformation, active, inputs)


def test_an_interrupt_that_the_step_itself_raises_on_another_thread_is_its_failure(active, inputs, in_thread):
    transformation = inputs.python("raise KeyboardInterrupt")
    call = in_thread(run, transformation, active, inputs).join()
    assert isinstance(call.error, StepError)
    assert isinstance(call.error.exception, KeyboardInterrupt)


class Elsewhere:
    """Runs steps in a thread of its own, or keeps them for ever."""

    def __init__(self):
        self.pool = ThreadPoolExecutor(1)
        self.submitted, self.cancelled = [], []
        self.keep = False

    def submit(self, request):
        self.submitted.append(request.tf_checksum)
        return Future() if self.keep else self.pool.submit(run_step, request)

    def cancel(self, request):
        self.cancelled.append(request.tf_checksum)
        return True

    def close(self):
        self.pool.shutdown()


@pytest.fixture
def elsewhere():
    executor = Elsewhere()
    yield executor
    executor.close()


def test_the_executor_runs_it_unless_it_is_local(active, inputs, elsewhere):
    active = replace(active, executor=elsewhere)
    transformation = inputs.bash("echo x > RESULT")
    done = run(transformation, active, inputs)
    assert elsewhere.submitted == [done.tf_checksum]
    assert run({**transformation, "__meta__": {"local": True}}, active, inputs).buffer.content == b"x\n"
    assert elsewhere.submitted == [done.tf_checksum]


def test_a_failure_elsewhere_is_the_same_failure(active, inputs, elsewhere):
    with pytest.raises(StepError, match="Return code 4"):
        run(inputs.bash("exit 4"), replace(active, executor=elsewhere), inputs)


def test_the_executor_is_told_of_a_cancellation(active, inputs, elsewhere):
    elsewhere.keep = True
    transformation = inputs.bash("echo x > RESULT")
    with pytest.raises(CancelledError):
        run(transformation, replace(active, executor=elsewhere), inputs, cancelled=lambda: True)
    assert elsewhere.cancelled == [Checksum(tf_checksum(transformation))]


def test_the_executor_is_told_of_an_interrupt(active, inputs, elsewhere):
    elsewhere.keep = True
    timer = threading.Timer(0.2, os.kill, (os.getpid(), signal.SIGINT))
    timer.start()
    with pytest.raises(KeyboardInterrupt):
        run(inputs.bash("echo x > RESULT"), replace(active, executor=elsewhere), inputs)
    timer.join()
    assert elsewhere.cancelled == elsewhere.submitted


GOOD = {"__language__": "bash", "__output__": ["result", "bytes", None], "code": ["text", None, "ab" * 32]}


def test_a_transformation_passes_the_check():
    check_transformation({**GOOD, "a": ["int", None, None], "META__X": ["str", None, "cd" * 32]})


@pytest.mark.provokes("NotATransformation")
@pytest.mark.parametrize(
    ("wrong", "what"),
    [
        ([1], "not list"),
        ("text", "not str"),
        ({}, "__language__"),
        ({**GOOD, "__output__": ["result", "bytes"]}, "__output__"),
        ({**GOOD, "__language__": 1}, "__language__"),
        ({**GOOD, "a": 5}, "pin 'a'"),
        ({**GOOD, "a": ["int", None]}, "pin 'a'"),
        ({**GOOD, "a": [None, None, None]}, "pin 'a'"),
        ({**GOOD, "a": ["int", None, "abc"]}, "pin 'a'"),
        ({**GOOD, "a": ["int", None, "AB" * 32]}, "pin 'a'"),
        ({**GOOD, "a": ["int", 1, None]}, "pin 'a'"),
        ({**GOOD, "code": ["text", None, None]}, "no code"),
        ({key: value for key, value in GOOD.items() if key != "code"}, "no code"),
    ],
)
def test_anything_else_does_not(wrong, what):
    with pytest.raises(NotATransformation, match=what):
        check_transformation(wrong)


def test_a_key_that_nobody_knows_is_refused(active):
    with pytest.raises(UnknownDunderKey):
        run_transformation({**GOOD, "__nonsense__": 1}, active=active)

"""A failing step fails as it would without Seamless, and says more."""

from __future__ import annotations

import pickle
import sys
import traceback

import pytest
from seamless.transformer import TransformationError, delayed, direct
from seamless_transformer.transformation_errors import StepCycleError


@direct
def divide(a, b):
    return a / b


@direct
def noisy(a):
    import sys

    print("to the output")
    print("to the error stream", file=sys.stderr)
    raise ValueError(f"no {a}")


@direct
def leave(a):
    import sys

    sys.exit(a)


@direct
def recurse(a):
    def deeper(n):
        return deeper(n + 1)

    return deeper(a)


@direct
def out_of_memory(a):
    raise MemoryError("not that much")


@direct
def needs_arguments(a):
    class Special(Exception):
        def __init__(self, code, detail):
            super().__init__(code, detail)
            self.code = code
            self.detail = detail

    raise Special(a, detail="more")


@direct
def unprintable(a):
    class Unprintable(Exception):
        def __str__(self):
            raise RuntimeError("no text either")

    raise Unprintable


@direct
def missing_file(a):
    with open(a) as file:
        return file.read()


@direct
def group(a):
    raise ExceptionGroup("several", [ValueError(1), TypeError(2)])  # noqa: F821


@direct
def decode(a):
    return b"\xff".decode()


@direct
def chained(a):
    try:
        {}["key"]
    except KeyError as exc:
        raise RuntimeError("outer") from exc


def error_of(step, *args):
    with pytest.raises(TransformationError) as caught:
        step(*args)
    return caught.value


@pytest.mark.provokes("TransformationError")
def test_the_text_shows_the_users_own_line_with_file_and_number():
    error = error_of(divide, 1, 0)
    line = divide.__wrapped__.__code__.co_firstlineno + 2
    assert f'File "{__file__}", line {line}, in divide' in str(error)
    assert "return a / b" in str(error)
    assert str(error).endswith("ZeroDivisionError: division by zero\n")


def test_the_cause_has_a_traceback_of_the_users_frames_only():
    cause = error_of(divide, 1, 0).__cause__
    assert type(cause) is ZeroDivisionError
    frames = traceback.extract_tb(cause.__traceback__)
    assert [(frame.filename, frame.name, frame.line) for frame in frames] == [
        (__file__, "divide", "return a / b")
    ]


@pytest.mark.parametrize("kind", [ZeroDivisionError, ArithmeticError, TransformationError, RuntimeError])
def test_the_error_is_caught_as_what_it_is(kind):
    with pytest.raises(kind):
        divide(1, 0)


def test_what_the_step_printed_is_attached():
    error = error_of(noisy, 3)
    assert (error.stdout, error.stderr) == ("to the output\n", "to the error stream\n")
    assert "* Standard output\n" in str(error)
    assert "to the error stream" in str(error)


def test_a_step_that_exits_fails():
    error = error_of(leave, 3)
    assert type(error) is TransformationError
    assert isinstance(error.__cause__, SystemExit)
    assert "SystemExit: 3" in str(error)


@pytest.mark.parametrize(("step", "kind"), [(recurse, RecursionError), (out_of_memory, MemoryError)])
def test_exhaustion_is_a_failure_like_others(step, kind):
    with pytest.raises(kind):
        step(0)


def test_an_exception_with_arguments_keeps_its_attributes():
    error = error_of(needs_arguments, 7)
    assert (error.code, error.detail) == (7, "more")
    assert (error.__cause__.code, error.__cause__.detail) == (7, "more")
    assert "Special" in str(error)


def test_an_exception_that_cannot_be_printed_is_still_reported():
    error = error_of(unprintable, 1)
    assert "Unprintable" in str(error)
    assert type(error.__cause__).__name__ == "Unprintable"


def test_an_os_error_keeps_its_number_and_file(tmp_path):
    path = str(tmp_path / "absent")
    with pytest.raises(FileNotFoundError) as caught:
        missing_file(path)
    assert (caught.value.errno, caught.value.filename) == (2, path)


def test_a_unicode_error_keeps_its_fields():
    with pytest.raises(UnicodeDecodeError) as caught:
        decode(0)
    assert (caught.value.object, caught.value.start) == (b"\xff", 0)
    assert "invalid start byte" in str(caught.value)


@pytest.mark.skipif(sys.version_info < (3, 11), reason="exception groups came with Python 3.11")
def test_an_exception_group_is_caught_as_one():
    error = error_of(group, 0)
    assert isinstance(error, ExceptionGroup)  # noqa: F821
    assert [type(each) for each in error.exceptions] == [ValueError, TypeError]


def test_the_chain_of_causes_is_shown():
    error = error_of(chained, 0)
    assert "KeyError: 'key'" in str(error)
    assert isinstance(error.__cause__.__cause__, KeyError)


def test_the_error_survives_pickling():
    error = pickle.loads(pickle.dumps(error_of(divide, 1, 0)))
    assert isinstance(error, ZeroDivisionError)
    assert "return a / b" in str(error)


@pytest.mark.invariant("I-64")
def test_failures_are_never_cached(any_cache, counted, tmp_path):
    @direct
    def fail_once(path):
        from pathlib import Path

        if not Path(path).exists():
            Path(path).touch()
            raise ValueError("the first time")
        return "fine"

    path = str(tmp_path / "tried")
    with counted() as count:
        with pytest.raises(ValueError, match="the first time"):
            fail_once(path)
        assert fail_once(path) == "fine"
    assert (count.total.failed, count.executed) == (1, 1)


def test_a_failure_inside_a_nested_step_is_caught_as_what_it_is(load):
    module = load(
        """
        from seamless.transformer import direct

        @direct
        def inner(a):
            return 1 / a

        @direct
        def outer(a, module):
            import importlib
            return importlib.import_module(module).inner(a)

        @direct
        def outermost(a, module):
            import importlib
            return importlib.import_module(module).outer(a, module)
        """
    )
    error = error_of(module.outermost, 0, module.__name__)
    assert isinstance(error, ZeroDivisionError)
    assert "return 1 / a" in str(error)


def test_a_result_of_no_celltype_is_a_type_error():
    @direct
    def returns_a_set(a):
        return {a}

    with pytest.raises(TypeError, match="set"):
        returns_a_set(1)


def test_compute_does_not_raise_and_keeps_the_text():
    tf = delayed(divide)(1, 0)
    assert tf.compute() is None
    assert tf.status == "Status: exception"
    assert tf.exception.endswith("ZeroDivisionError: division by zero\n")
    with pytest.raises(TransformationError, match="Transformation returned an exception:\nTraceback"):
        _ = tf.result_checksum


def test_a_failing_command_is_reported_with_its_code_and_its_error_stream(capfd):
    step = direct("echo bad >&2; exit 7", "bash")
    step.celltypes.result = "text"
    error = error_of(step)
    assert "Return code 7" in str(error)
    assert error.stderr == "bad\n"


def test_an_argument_of_no_celltype_is_refused_at_the_call():
    with pytest.raises(TypeError, match=r"argument 'a' \(a set\)"):
        divide({1}, 2)


def test_a_step_that_raises_keyboard_interrupt_on_a_helper_thread_fails():
    @delayed
    def interrupt(a):
        raise KeyboardInterrupt

    import asyncio

    async def main():
        tf = interrupt(1)
        await tf.computation()
        return tf

    assert "KeyboardInterrupt" in asyncio.run(main()).exception


def test_a_broken_cache_is_the_failure_of_the_step_not_of_the_driver(active, monkeypatch):
    def broken(*args, **kwargs):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(active.results, "put", broken)
    tf = delayed(divide)(4, 2)
    with pytest.raises(OSError, match="No space left on device"):
        tf.run()
    monkeypatch.undo()
    tf.clear_exception()
    assert tf.run() == 2.0


def test_a_cycle_error_is_an_error_of_its_own_class():
    assert issubclass(StepCycleError, RuntimeError)

from __future__ import annotations

import sys
import traceback

import pytest
from seamless.errors import StepError
from seamless.step import SourceLocation


@pytest.mark.parametrize(
    ("code", "kind"),
    [
        ("raise SystemExit(3)", SystemExit),
        ("import sys\nsys.exit()", SystemExit),
        ("def f():\n    return f()\n", RecursionError),
        ("raise MemoryError", MemoryError),
        ("raise GeneratorExit", GeneratorExit),
        ("import asyncio\nraise asyncio.CancelledError", BaseException),
        ("def f():\n    return 1 / 0\n", ZeroDivisionError),
        ("class Mine(Exception):\n    pass\nraise Mine(1)", Exception),
        ("def f(:\n", SyntaxError),
        ("def f(a):\n    return 1\n", TypeError),
        ("x = '\0'", (SyntaxError, ValueError)),
    ],
)
def test_whatever_the_code_raises_is_a_step_error(bench, code, kind):
    assert isinstance(bench.failure(code).exception, kind)


def test_keyboard_interrupt_passes_unchanged_and_leaves_nothing(bench):
    stdout = sys.stdout
    with pytest.raises(KeyboardInterrupt):
        bench.run("raise KeyboardInterrupt")
    assert sys.stdout is stdout
    assert "transformer" not in sys.modules


def test_traceback_shows_the_steps_lines_and_nothing_of_the_machinery(bench):
    code = "def f(a):\n    def inner():\n        return a['missing']\n    return inner()\n"
    text = bench.failure(code, {"a": {}}).user_traceback
    assert "return a['missing']" in text
    assert text.endswith("KeyError: 'missing'\n")
    assert "seamless_worker" not in text


def test_traceback_of_the_exception_object_is_trimmed_too(bench):
    exception = bench.failure("def f():\n    return 1 / 0\n").exception
    names = [frame.name for frame in traceback.extract_tb(exception.__traceback__)]
    assert names == ["f"]
    try:
        raise RuntimeError("higher") from exception
    except RuntimeError as exc:
        shown = "".join(traceback.format_exception(exc))
    assert "return 1 / 0" in shown


def test_library_frames_below_the_step_are_kept(bench):
    text = bench.failure("import json\nresult = json.loads('{')").user_traceback
    assert "json" in text
    assert "raw_decode" in text


def test_cause_and_context_are_trimmed_and_kept(bench):
    code = (
        "def f():\n    try:\n        1 / 0\n"
        "    except ZeroDivisionError as exc:\n        raise ValueError('x') from exc\n"
    )
    text = bench.failure(code).user_traceback
    assert "direct cause" in text
    assert "1 / 0" in text
    assert "seamless_worker" not in text


def test_exception_that_the_host_handles_is_no_part_of_the_steps_failure(bench):
    try:
        raise LookupError("of the host")
    except LookupError:
        failure = bench.failure("1 / 0\n2\n")
    assert "of the host" not in failure.user_traceback


def test_deep_mutual_recursion_gives_a_short_text(bench):
    code = "def f():\n    def g():\n        return h()\n    def h():\n        return g()\n    return g()\n"
    text = bench.failure(code).user_traceback
    assert text.endswith("\n")
    assert "RecursionError" in text
    assert len(text.splitlines()) < 500


def test_location_gives_the_authors_file_line_and_source(bench, tmp_path):
    file = tmp_path / "work.py"
    code = "def f():\n    return 1 / 0\n"
    file.write_text("import os\n\nif os:\n    " + code.replace("\n    ", "\n        "))
    failure = bench.failure(code, location=SourceLocation(str(file), 4))
    frame = traceback.extract_tb(failure.exception.__traceback__)[-1]
    assert (frame.filename, frame.lineno, frame.line) == (str(file), 5, "return 1 / 0")
    assert f'File "{file}", line 5' in failure.user_traceback


@pytest.mark.skipif(sys.version_info < (3, 11), reason="positions within a line came with Python 3.11")
def test_markers_stand_under_the_right_columns_of_indented_code(bench, tmp_path):
    file = tmp_path / "indented.py"
    file.write_text("if True:\n    if True:\n        step = delayed(lambda a: a + a['x'])\n")
    failure = bench.failure("lambda a: a + a['x']", {"a": 1}, location=SourceLocation(str(file), 3))
    lines = failure.user_traceback.splitlines()
    position = next(n for n, line in enumerate(lines) if "delayed" in line)
    assert lines[position].index("a['x']") == lines[position + 1].index(
        "~" if "~" in lines[position + 1] else "^"
    )


def test_source_of_unlocated_code_is_shown(bench):
    text = bench.failure("def f():\n    return 1 / 0  # marker\n").user_traceback
    assert "transformer-in-process-" in text
    assert "return 1 / 0  # marker" in text


def test_unknown_name_carries_the_remedy(bench):
    failure = bench.failure("def f():\n    return helper(1)\n")
    assert isinstance(failure.exception, NameError)
    assert "name 'helper' is not defined" in failure.user_traceback
    assert "pass helper as an argument" in str(failure.exception)


def test_unbound_local_and_own_name_errors_are_left_alone(bench):
    unbound = bench.failure("def f():\n    x\n    x = 1\n")
    own = bench.failure("raise NameError('mine')")
    assert "STEP.globals" not in unbound.user_traceback + own.user_traceback


def test_printed_text_is_in_the_failure(bench, capsys):
    failure = bench.failure("import sys\nprint('out')\nprint('err', file=sys.stderr)\n1 / 0\n")
    assert (failure.stdout, failure.stderr) == ("out\n", "err\n")
    assert capsys.readouterr() == ("out\n", "err\n")


def test_failure_of_an_inner_step_does_not_end_the_outer_one(bench):
    import builtins

    def inner():
        with pytest.raises(StepError):
            bench.run("1 / 0\n2\n")
        return "went on"

    builtins._inner = inner
    try:
        assert bench.value("import builtins\nresult = builtins._inner()") == "went on"
    finally:
        del builtins._inner


def test_exception_with_misleading_attributes_is_reported(bench):
    code = "class Odd(Exception):\n    exceptions = (1, 'x')\n\nraise Odd('odd')\n"
    assert "Odd: odd" in bench.failure(code).user_traceback


@pytest.mark.skipif(sys.version_info < (3, 11), reason="exception groups came with Python 3.11")
def test_members_of_an_exception_group_are_trimmed_too(bench):
    code = (
        "try:\n    1 / 0\nexcept ZeroDivisionError as exc:\n    inner = exc\n"
        "raise ExceptionGroup('many', [inner])\n"
    )
    text = bench.failure(code).user_traceback
    assert "1 / 0" in text
    assert "seamless_worker" not in text

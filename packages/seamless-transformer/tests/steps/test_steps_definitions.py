"""Where functions come from, and what they may look like: each works, or says at once what to do."""

from __future__ import annotations

import linecache
import os
import pty
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest
from seamless.transformer import delayed, direct


def given(a, b=10):
    return [a, b]


def positional_only(a, b, /, c):
    return [a, b, c]


def keyword_only(a, *, k, d=5):
    return [a, k, d]


def variadic(a, *rest, **more):
    return [a, list(rest), more]


def variadic_only(*args, **kw):
    return [list(args), kw]


def is_none(a, b=1):
    return [a is None, b is None]


@pytest.mark.parametrize(
    ("function", "args", "kwargs"),
    [
        (given, (1,), {}),
        (given, (1, 2), {}),
        (given, (), {"b": 3, "a": 1}),
        (positional_only, (1, 2, 3), {}),
        (positional_only, (1, 2), {"c": 3}),
        (keyword_only, (1,), {"k": 2}),
        (keyword_only, (1,), {"k": 2, "d": 3}),
        (variadic, (1, 2, 3), {"x": 4}),
        (variadic, (1,), {}),
        (variadic, (1,), {"x": 4}),
        (variadic_only, (), {}),
        (variadic_only, (1, 2), {"k": 3}),
        (is_none, (None,), {}),
        (is_none, (None, None), {}),
        (is_none, (0,), {"b": None}),
    ],
)
def test_a_step_gives_what_the_function_gives(function, args, kwargs, any_cache, counted):
    with counted() as count:
        assert direct(function)(*args, **kwargs) == function(*args, **kwargs)
    assert count.executed == 1


def test_positional_and_keyword_arguments_are_the_same_step(counted):
    step = direct(given)
    with counted() as count:
        assert step(1, 2) == step(b=2, a=1) == step(1, b=2)
    assert (count.executed, count.total.hits) == (1, 2)


def test_an_omitted_default_is_another_step_than_the_default_given():
    step = delayed(given)
    assert step(1).construct() != step(1, 10).construct()


@pytest.mark.parametrize(
    ("args", "kwargs", "text"),
    [
        ((), {}, "missing a required argument: 'a'"),
        ((1, 2, 3), {}, "too many positional arguments"),
        ((1,), {"z": 3}, "got an unexpected keyword argument 'z'"),
        ((1,), {"a": 3}, "multiple values for argument 'a'"),
    ],
)
def test_wrong_arguments_raise_as_inspect_says(args, kwargs, text):
    with pytest.raises(TypeError, match=text):
        direct(given)(*args, **kwargs)


def test_none_is_cached_like_any_result(any_cache, counted):
    @direct
    def nothing(a):
        return None

    with counted() as count:
        assert nothing(1) is None
        assert nothing(1) is None
    assert (count.executed, count.total.hits) == (1, 1)


def test_lambdas_work(counted):
    double = direct(lambda a: a * 2)
    with counted() as count:
        assert double(4) == 8
    assert count.executed == 1


def test_a_builtin_is_refused():
    with pytest.raises(TypeError, match="func must be a function"):
        direct(len)


def test_a_step_as_an_attribute_of_a_class_takes_no_self():
    class Model:
        double = direct(lambda a: a * 2)

    assert Model().double(3) == 6


def test_decorators_that_span_lines_are_no_part_of_the_step(load):
    module = load(
        """
        import functools
        from seamless.transformer import direct

        def noted(*words):
            return lambda function: function

        @direct
        @noted(
            "several",
            "lines",
        )
        def step(a):
            return a + 1
        """
    )
    assert module.step(1) == 2
    assert module.step.code.content.decode().startswith("def step(a):")


def test_a_function_in_a_notebook_cell_works(counted):
    source = "def cell_step(a):\n    return a * 3\n"
    filename = "/tmp/ipykernel_123/456789.py"
    linecache.cache[filename] = (len(source), None, source.splitlines(keepends=True), filename)
    namespace: dict[str, object] = {"__name__": "__main__"}
    exec(compile(source, filename, "exec"), namespace)
    with counted() as count:
        assert direct(namespace["cell_step"])(2) == 6
    assert count.executed == 1
    del linecache.cache[filename]


def test_a_function_without_source_says_so_when_it_is_made():
    namespace: dict[str, object] = {}
    exec("def sourceless(a):\n    return a\n", namespace)
    with pytest.raises(Exception, match="sourceless"):
        direct(namespace["sourceless"])


def test_a_function_in_a_zip_works(tmp_path, monkeypatch):
    archive = tmp_path / "library.zip"
    with zipfile.ZipFile(archive, "w") as file:
        file.writestr("zipped_steps.py", "def step(a):\n    return a + 7\n")
    monkeypatch.syspath_prepend(str(archive))
    import zipped_steps  # type: ignore[import-not-found]

    assert direct(zipped_steps.step)(1) == 8
    del sys.modules["zipped_steps"]


REPL_INPUT = """\
from seamless.transformer import direct
@direct
def typed(a):
    return a + 1

print("answer", typed(41))
exit()
"""


def test_the_console_of_the_standard_library_works(script):
    program = "import code\ncode.interact(banner='', exitmsg='')\n"
    (script.directory / "console.py").write_text(program)
    done = subprocess.run(
        [sys.executable, "console.py"],
        input=REPL_INPUT,
        cwd=script.directory,
        env=script.environment(),
        capture_output=True,
        text=True,
        timeout=50,
    )
    answered = "answer 42" in done.stdout
    explained = "typed" in done.stderr and "file" in done.stderr
    assert answered or explained, done


def test_an_interactive_session_works_or_says_what_to_do(script):
    master, slave = pty.openpty()
    process = subprocess.Popen(
        [sys.executable, "-i", "-q"],
        stdin=slave,
        stdout=slave,
        stderr=slave,
        cwd=script.directory,
        env=script.environment(TERM="dumb", PYTHON_BASIC_REPL="1"),
        start_new_session=True,
        close_fds=True,
    )
    os.close(slave)
    os.write(master, REPL_INPUT.encode())
    output = b""
    try:
        while chunk := os.read(master, 4096):
            output += chunk
    except OSError:  # the session has ended
        pass
    finally:
        os.close(master)
        process.wait(30)
    assert b"answer 42" in output or b"file" in output, output.decode()


def test_main_of_a_script_works(script):
    done = script.run(
        """
        from seamless.transformer import direct

        @direct
        def step(a):
            return a + 1

        print(step(1))
        """
    )
    assert (done.stdout, done.stderr, done.returncode) == ("2\n", "", 0)


def test_settings_are_kept_out_of_each_other_by_direct_and_shared_by_delayed():
    first = direct(given)
    copied = direct(first)
    shared = delayed(first)
    first.celltypes.a = "int"
    assert (copied.celltypes.a, shared.celltypes.a) == ("mixed", "int")


def test_new_code_brings_its_own_name_and_signature():
    step = direct(given)
    step.code = keyword_only
    assert step.__name__ == "keyword_only"
    assert step(1, k=2) == [1, 2, 5]


def test_text_code_without_celltypes_says_what_is_missing():
    with pytest.raises(KeyError, match="result"):
        direct("a + 1")(a=1)


def test_the_users_file_is_named_for_a_captured_global(load):
    module = load(
        """
        K = 3
        def uses(a):
            return a * K
        """
    )
    with pytest.raises(NameError, match="K") as caught:
        direct(module.uses)(1)
    assert Path(module.__file__).name in str(caught.value)
    assert "4" in str(caught.value)

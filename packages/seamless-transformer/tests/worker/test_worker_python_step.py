from __future__ import annotations

import gc
import weakref

import numpy as np
import pytest
from seamless.checksum import Checksum
from seamless.errors import CacheMissError
from seamless.step import SourceLocation
from seamless_worker import StepResultError, UnsupportedLanguage
from seamless_worker.pins import PinValueError


@pytest.mark.parametrize(
    ("code", "pins", "expected"),
    [
        ("def f(a, b):\n    return a - b\n", {"a": 5, "b": 2}, 3),
        ("def f(a, /, b):\n    return a - b\n", {"a": 5, "b": 2}, 3),
        ("def f(a, b=4, /):\n    return a - b\n", {"a": 5}, 1),
        ("def f(*, a, b=1):\n    return a - b\n", {"a": 5}, 4),
        ("def f(a, *args):\n    return [a, args]\n", {"a": 1, "args": [2, 3]}, [1, [2, 3]]),
        ("def f(*args, k):\n    return [args, k]\n", {"args": [2, 3], "k": 4}, [[2, 3], 4]),
        ("def f(**kw):\n    return kw\n", {"kw": {"x": 1}}, {"x": 1}),
        ("def f(a, /, **kw):\n    return [a, kw]\n", {"a": 1, "kw": {"a": 2}}, [1, {"a": 2}]),
        ("def f(*args, **kw):\n    return [args, kw]\n", {}, [[], {}]),
        ("def f(args):\n    return args\n", {"args": [1]}, [1]),
        ("lambda a: a + 1", {"a": 1}, 2),
        ("lambda *v: v", {"v": [1, 2]}, [1, 2]),
        ("a * 2", {"a": 4}, 8),
        ("(a\n + b)", {"a": 4, "b": 5}, 9),
        ("b = a + 1\nresult = b * 2\n", {"a": 4}, 10),
        ("def g(v):\n    return v + 1\n\nresult = g(a)\n", {"a": 4}, 5),
        ("result = [PINS['a'], OUTPUTPIN, FILESYSTEM]", {"a": 4}, [4, "mixed", {}]),
        ("result = [__name__, __package__]", {}, ["transformer", "transformer"]),
        ("def f(a):\n    return a is None\n", {"a": None}, True),
        ("def f(x: Unknown) -> Nowhere:\n    y: Missing = x\n    return y\n", {"x": 1}, 1),
        ("def f(a):\n    return a\n", {"a": 1, "a_SCHEMA": {}, "META__b": 2}, 1),
        ("from __future__ import annotations\nx: Unknown = 1\nresult = x", {}, 1),
    ],
)
def test_code_gives_value(bench, code, pins, expected):
    assert bench.value(code, pins) == expected


def test_pin_is_renamed_by_as(bench):
    assert bench.value("def f(b):\n    return b\n", {"a": 3}, entries={"__as__": {"a": "b"}}) == 3


def test_bytes_pin_is_a_buffer(bench):
    code = "def f(a):\n    return [type(a).__name__, a.content.decode()]\n"
    assert bench.value(code, {"a": b"xyz"}, celltypes={"a": "bytes"}) == ["Buffer", "xyz"]


def test_folder_pin_gives_buffers_and_deepfolder_pin_checksums(bench):
    leaf = bench.put(b"xyz", "bytes")
    index = bench.put({"d/x": leaf}, "plain")
    entries = {"shallow": ["folder", None, index], "deep": ["deepfolder", None, index]}
    code = "def f(shallow, deep):\n    return [shallow['d/x'].content.decode(), deep['d/x'].hex()]\n"
    assert bench.value(code, entries=entries) == ["xyz", leaf]


def test_deepcell_pin_has_checksums_at_any_depth(bench):
    leaf = bench.put(5)
    entries = {"a": ["deepcell", None, bench.put({"x": [leaf]}, "plain")]}
    code = "def f(a):\n    return type(a['x'][0]).__name__\n"
    assert bench.value(code, entries=entries) == "Checksum"


def test_checksum_pin_gives_the_plain_value(bench):
    entries = {"a": ["plain", "checksum", bench.put([1, 2], "plain")]}
    assert bench.value("def f(a):\n    return a\n", entries=entries) == [1, 2]


def test_filesystem_pin_is_the_path_of_the_stored_file(bench):
    checksum, path = bench.store_file(b"content")
    entries = {"a": ["bytes", None, checksum], "__format__": {"a": {"filesystem": {"mode": "file"}}}}
    code = "def f(a):\n    return [a, open(a).read(), FILESYSTEM['a']['filesystem']]\n"
    assert bench.value(code.replace("open(a).read()", "'-'"), entries=entries) == [str(path), "-", True]


def test_optional_filesystem_pin_falls_back_on_the_content(bench):
    entries = {
        "a": ["bytes", None, bench.put(b"content", "bytes")],
        "__format__": {"a": {"filesystem": {"mode": "file", "optional": True}}},
    }
    assert bench.value("def f(a):\n    return a.decode()\n", entries=entries) == "content"


def test_filesystem_pin_without_file_is_a_cache_miss(bench):
    entries = {
        "a": ["bytes", None, bench.put(b"content", "bytes")],
        "__format__": {"a": {"filesystem": {"mode": "file"}}},
    }
    with pytest.raises(CacheMissError, match="argument 'a' must be a file"):
        bench.run("def f(a):\n    return 1\n", entries=entries)


def test_directory_pin_never_gets_the_path_of_its_index(bench):
    checksum, _path = bench.store_file(b"{}\n")
    entries = {"a": ["folder", None, checksum], "__format__": {"a": {"filesystem": {"mode": "directory"}}}}
    assert bench.value("def f(a):\n    return a\n", entries=entries) == {}


@pytest.mark.provokes("PinValueError")
@pytest.mark.parametrize(
    ("celltype", "content", "words"),
    [
        ("plain", b"{", "cannot be read with celltype 'plain'"),
        ("int", b"text\n", "Declare the celltype with which its producer wrote it"),
        ("deepcell", b"3\n", "is no index of a deepcell"),
    ],
)
def test_buffer_that_does_not_fit_the_celltype_of_its_pin_fails_the_step(bench, celltype, content, words):
    entries = {"a": [celltype, None, bench.put(content, "bytes")]}
    failure = bench.failure("def f(a):\n    return 1\n", entries=entries)
    assert isinstance(failure.exception, PinValueError)
    assert words in str(failure)


def test_missing_input_is_a_cache_miss_and_no_failure_of_the_step(bench):
    with pytest.raises(CacheMissError):
        bench.run("def f(a):\n    return 1\n", entries={"a": ["mixed", None, "12" * 32]})


def test_code_text_helps_out_for_missing_code(bench):
    code = "def f():\n    return 7\n"
    request = bench.request(code, entries={"__code_text__": code})
    bench.buffers.pop(Checksum(request.transformation["code"][2]))
    assert bench.value(code, entries={"__code_text__": code}) == 7


def test_unreadable_argument_names_pin_and_celltype(bench):
    entries = {"a": ["int", None, bench.put("not a number", "text")]}
    failure = bench.failure("def f(a):\n    return 1\n", entries=entries)
    assert "argument 'a'" in str(failure)
    assert "celltype 'int'" in str(failure)


def test_code_is_read_and_compiled_once(bench):
    code = "def f(unique_name_of_this_test):\n    return unique_name_of_this_test\n"
    bench.run(code, {"unique_name_of_this_test": 1})
    bench.n_reads = 0
    bench.run(code, {"unique_name_of_this_test": 1})
    assert bench.n_reads == 1  # the argument


def test_namespace_is_fresh_in_each_run(bench):
    code = "count = globals().get('count', 0) + 1\nresult = count\n"
    assert [bench.value(code), bench.value(code)] == [1, 1]


def test_inputs_are_released_when_the_step_has_ended(bench):
    checksum = bench.put(b"released", "bytes")
    alive = weakref.ref(bench.buffers[Checksum(checksum)])
    gc.disable()
    try:
        bench.run("def f(a):\n    return 1\n", entries={"a": ["bytes", None, checksum]})
        bench.buffers.clear()
        assert alive() is None
    finally:
        gc.enable()


@pytest.mark.parametrize("celltype", ["mixed", "plain"])
def test_none_is_a_result_where_the_celltype_holds_it(bench, celltype):
    assert bench.run("def f():\n    return None\n", result=celltype).result.content == b"null\n"


@pytest.mark.provokes("StepResultError")
@pytest.mark.parametrize("celltype", ["int", "str", "text", "bool", "bytes", "binary", "folder", "deepcell"])
def test_none_is_refused_by_other_celltypes(bench, celltype):
    failure = bench.failure("def f():\n    return None\n", result=celltype)
    assert isinstance(failure.exception, StepResultError)
    assert f"'{celltype}'" in str(failure)


@pytest.mark.parametrize(
    ("expression", "celltype", "words"),
    [
        ("{1, 2}", "mixed", ["set", "'mixed'"]),
        ("1j", "plain", ["complex", "'plain'"]),
        ("__import__('numpy').zeros(2, complex)", "mixed", ["complex128", "'mixed'"]),
        ("(i for i in [1])", "mixed", ["generator", "list(...)"]),
        ("map(str, [1])", "plain", ["map iterator", "list(...)"]),
        ("'abc'", "int", ["str", "'int'"]),
    ],
)
def test_result_that_cannot_be_stored_names_type_and_celltype(bench, expression, celltype, words):
    failure = bench.failure(expression, result=celltype)
    assert all(word in str(failure) for word in words)


def test_generator_function_is_told_to_return_a_list(bench):
    assert "list(...)" in str(bench.failure("def f():\n    yield 1\n"))


def test_coroutine_result_is_refused(bench):
    code = "def f():\n    async def g():\n        pass\n    return g()\n"
    assert "asyncio.run" in str(bench.failure(code))


def test_block_without_result_says_so(bench):
    assert "Output variable name 'result' undefined" in str(bench.failure("x = 1\ny = 2\n"))


def test_deepcell_result_has_its_leaves_attached(bench):
    outcome = bench.run("def f():\n    return {'a': 1, 'b': [2]}\n", result="deepcell")
    leaves = {buffer.get_checksum().hex(): buffer.content for buffer in outcome.attachments}
    index = outcome.result.get_value("plain")
    assert leaves[index["a"]] == b"1\n"
    assert leaves[index["b"][0]] == b"2\n"


def test_array_result_that_is_the_steps_own_is_not_copied(bench):
    code = (
        "import numpy\nresult = numpy.arange(1e6)\nimport builtins\nbuiltins._address = result.ctypes.data\n"
    )
    import builtins

    outcome = bench.run(code)
    value = outcome.result.get_value("mixed")
    assert value.ctypes.data == builtins._address
    del builtins._address


@pytest.mark.invariant("I-73")
def test_array_result_that_somebody_else_holds_is_copied(bench):
    import builtins

    code = "import numpy, builtins\nresult = builtins._held = numpy.arange(10.0)\n"
    outcome = bench.run(code)
    held = builtins.__dict__.pop("_held")
    held[:] = 99
    assert outcome.result.get_value("mixed").tolist() == list(range(10))


def test_argument_returned_as_result_is_the_same_buffer(bench):
    array = np.arange(6).reshape(2, 3)
    outcome = bench.run("def f(a):\n    return a\n", {"a": array})
    assert outcome.result.get_checksum().hex() == bench.put(array)


@pytest.mark.provokes("UnsupportedLanguage")
def test_other_language_is_refused_by_name(bench):
    with pytest.raises(UnsupportedLanguage, match="'cobol'"):
        bench.run("x", language="cobol")


def test_step_can_run_a_step(bench):
    import builtins

    builtins._inner = lambda: bench.value("def g():\n    return 20\n")
    try:
        assert bench.value("import builtins\nresult = builtins._inner() + 1\n") == 21
    finally:
        del builtins._inner


def test_location_that_does_not_hold_the_code_is_not_believed(bench, tmp_path):
    file = tmp_path / "other.py"
    file.write_text("x = 1\n")
    failure = bench.failure("def f():\n    1 / 0\n", location=SourceLocation(str(file), 1))
    assert "transformer-in-process-" in failure.user_traceback
    assert "1 / 0" in failure.user_traceback

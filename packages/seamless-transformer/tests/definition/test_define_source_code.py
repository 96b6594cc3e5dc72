"""Which text a function has as a step, and when it is refused."""

from __future__ import annotations

import functools
import importlib
import linecache
import subprocess
import sys
import textwrap
import zipfile
from operator import itemgetter

import pytest
from hypothesis import given
from hypothesis import strategies as st
from seamless.serialize import serialize
from seamless.step import SourceLocation
from seamless_transformer.definition_errors import (
    LambdaSourceError,
    NotAFunction,
    SourceUnavailable,
    StaleSource,
    UnsupportedFunction,
)
from seamless_transformer.source_code import capture


def values_of(text: str, *args: object) -> object:
    """Run captured code on its own and call it."""
    namespace: dict[str, object] = {}
    exec(compile(f"step = {text}" if text.startswith("lambda") else text, "<step>", "exec"), namespace)
    function = namespace.get("step") or namespace["f"]
    return function(*args)  # type: ignore[operator]


# -- text of functions -------------------------------------------------------------------------------------

TEXTS = {
    "comment at the end of the body": (
        "def f(a):\n    return a\n    # end\n\nX = 1\n",
        "def f(a):\n    return a\n    # end",
    ),
    "blank lines inside": ("def f(a):\n\n    return a\n\n\nX = 1\n", "def f(a):\n\n    return a"),
    "tabs": ("if 1:\n\tdef f(a):\n\t\treturn a\n", "def f(a):\n\treturn a"),
    "one line": ("def f(a): return a\n", "def f(a): return a"),
    "no newline at the end": ("def f(a):\n    return a", "def f(a):\n    return a"),
    "signature over lines": ("def f(\n    a,\n):\n    return a\n", "def f(\n    a,\n):\n    return a"),
    "comment between decorators": (
        "d = lambda x: x\n@d\n# why\n@d\ndef f(a):\n    return a\n",
        "def f(a):\n    return a",
    ),
    "decorator with arguments over lines": (
        "def d(*a):\n    return lambda f: f\n\n@d(\n    1,\n    [2,\n     3],\n)\n@d()\n"
        "def f(a):\n    return a\n",
        "def f(a):\n    return a",
    ),
    "decorator that holds a lambda": (
        "def d(*a):\n    return lambda f: f\n\n@d(lambda x:\n   x)\ndef f(a):\n    return a\n",
        "def f(a):\n    return a",
    ),
    "blank lines with spaces": (
        "def f(a):\n    b = a\n    \n    return b\n",
        "def f(a):\n    b = a\n\n    return b",
    ),
    "form feed between statements": (
        "def f(a):\n    b = a\n\f\n    return b\n",
        "def f(a):\n    b = a\n\n\n    return b",
    ),
    "string that splitlines would break": (
        "def f(a):\n    return 'x\u2028y\\f\x0cz' + a\n",
        "def f(a):\n    return 'x\u2028y\\f\x0cz' + a",
    ),
    "string that dedent would change": (
        'if 1:\n    def f(a):\n        return """x\n          y\n        """ + a\n',
        'def f(a):\n    return """x\n          y\n        """ + a',
    ),
    "string at the margin of an indented function": (
        'if 1:\n    def f(a):\n        b = """x\ny"""\n        return b + a\n',
        'def f(a):\n    b = """x\ny"""\n    return b + a',
    ),
    "docstring that dedent changes": (
        'if 1:\n    def f(a):\n        """One.\n\n        Two.\n        """\n        return a\n',
        'def f(a):\n    """One.\n\n    Two.\n    """\n    return a',
    ),
    "comment at the margin of an indented function": (
        "if 1:\n    def f(a):\n        b = a\n# left\n        return b\n",
        "def f(a):\n    b = a\n# left\n    return b",
    ),
    "nested function, class and comprehension": (
        "def f(a):\n    class C:\n        x = [i for i in a]\n"
        "    def g(y):\n        return C.x\n    return g(1)\n",
        "def f(a):\n    class C:\n        x = [i for i in a]\n"
        "    def g(y):\n        return C.x\n    return g(1)",
    ),
    "annotated with names that are gone": (
        "from __future__ import annotations\ndef f(a: Nope) -> Nope:\n    b: Nope = a\n    return b\n",
        "def f(a: Nope) -> Nope:\n    b: Nope = a\n    return b",
    ),
    "calls a member of an imported module": (
        "import math\ntry:\n    import os.path as p\nexcept ImportError:\n    pass\n"
        "def f(a):\n    return math.sqrt(a) + len(p.join(a))\n",
        "def f(a):\n    return math.sqrt(a) + len(p.join(a))",
    ),
    "private name in a class": (
        "class K:\n    def f(self, a):\n        return self.__x + a\nf = K.f\n",
        "def f(self, a):\n    return self.__x + a",
    ),
    "super in a class": (
        "class K:\n    def f(self):\n        return super().__repr__()\nf = K.f\n",
        "def f(self):\n    return super().__repr__()",
    ),
    "captured variables of two functions": (
        "def out(p):\n    def mid(q):\n        def f(a):\n            return [p + q + a for _ in range(q)]\n"
        "        return f\n    return mid(1)\nf = out(2)\n",
        "def f(a):\n    return [p + q + a for _ in range(q)]",
    ),
}  # fmt: skip


@pytest.mark.parametrize(("source", "text"), TEXTS.values(), ids=TEXTS.keys())
def test_text_of_a_function(source, text, import_source):
    assert capture(import_source(source).f).text == text


@pytest.mark.parametrize(
    ("source", "argument"),
    [
        (TEXTS[name][0], "A")
        for name in (
            "string that splitlines would break",
            "string that dedent would change",
            "string at the margin of an indented function",
            "form feed between statements",
            "comment at the margin of an indented function",
        )
    ],
)
def test_captured_text_computes_what_the_function_does(source, argument, import_source):
    function = import_source(source).f

    assert values_of(capture(function).text, argument) == function(argument)


@pytest.mark.parametrize("newline", ["\n", "\r\n", "\r"])
def test_line_ends_do_not_count(newline, import_source):
    source = newline.join(["if True:", "    def f(a):", "        # note", "        return a", ""])

    assert capture(import_source(source).f).text == "def f(a):\n    # note\n    return a"


def test_carriage_returns_in_a_cell_do_not_count(monkeypatch):
    source = "def f(a):\r\n    return a\r\n"
    monkeypatch.setitem(linecache.cache, "<cell 1>", (len(source), None, source.splitlines(True), "<cell 1>"))
    namespace: dict[str, object] = {}
    exec(compile(source, "<cell 1>", "exec"), namespace)

    assert capture(namespace["f"]).text == "def f(a):\n    return a"


def test_location_is_the_line_of_the_def(import_source):
    module = import_source(
        "def d(*a):\n    return lambda f: f\n\n@d(1,\n   2)\n@d()\ndef f(a):\n    return a\n"
    )

    assert capture(module.f).location == SourceLocation(module.__file__, 7)


def test_location_of_a_plain_function(import_source):
    module = import_source("\n\ndef f(a):\n    return a\n")

    assert capture(module.f).location == SourceLocation(module.__file__, 3)
    assert capture(module.f).kind == "function"


def test_wrapped_function_is_captured_without_its_wrapper(import_source):
    module = import_source(
        "import functools\ndef d(f):\n    @functools.wraps(f)\n    def wrapper(*a):\n        return f(*a)\n"
        "    return wrapper\n\n@d\ndef f(a):\n    return a\n"
    )

    assert capture(module.f).text == "def f(a):\n    return a"


def test_function_of_a_rewritten_test_module_is_captured():
    def f(a):
        assert a > 1, "too small"
        return a

    assert capture(f).text == 'def f(a):\n    assert a > 1, "too small"\n    return a'


@given(
    body=st.lists(
        st.sampled_from(
            ["b = a", "# c", "", "'x\\n'", '"""t\n  u\n"""', "if a:\n    b = 1", "b = [\n1,\n  2]", "\f"]
        ),
        max_size=6,
    ),
    depth=st.integers(0, 3),
)
def test_captured_text_is_the_same_at_any_depth(body, depth, tmp_path_factory):
    lines = ["def f(a):", *("    " + line.replace("\n", "\n    ") for line in body), "    return a"]
    source = "\n".join(lines).replace('"""t\n      u\n    """', '"""t\n  u\n"""')
    nested = "".join(f"{'    ' * i}if 1:\n" for i in range(depth))
    nested += (
        "\n".join("    " * depth + line if line.strip(" ") else line for line in source.split("\n")) + "\n"
    )
    filename = str(tmp_path_factory.mktemp("m") / "m.py")
    linecache.cache[filename] = (len(nested), None, nested.splitlines(True), filename)
    namespace: dict[str, object] = {}
    exec(compile(nested, filename, "exec"), namespace)

    text = capture(namespace["f"]).text

    assert compile(text, "<a>", "exec").co_consts[0].co_code == namespace["f"].__code__.co_code


# -- lambdas -----------------------------------------------------------------------------------------------

LAMBDAS = {
    "alone": ("f = lambda a: a + 1\n", "lambda a: a + 1"),
    "with a comment": ("f = lambda a: a + 1  # more\n", "lambda a: a + 1  # more"),
    "in parentheses": ("f = (lambda a: a + 1)\n", "lambda a: a + 1"),
    "parentheses and comment": ("f = (lambda a: a + 1) # c\n", "lambda a: a + 1"),
    "body in parentheses": ("f = lambda a: (a + 1)\n", "lambda a: (a + 1)"),
    "argument of a call": ("def d(x, y=0):\n    return x\nf = d(lambda a: a + 1, 2)\n", "lambda a: a + 1"),
    "blank before the bracket": ("def d(x):\n    return x\nf = d( lambda a: a + 1 )\n", "lambda a: a + 1 "),
    "on a line of a call": ("def d(x):\n    return x\nf = d(\n    lambda a: a + 1\n)\n", "lambda a: a + 1"),
    "before a comma": (
        "def d(x, y):\n    return x\nf = d(\n    lambda a: a + 1,\n    3)\n",
        "lambda a: a + 1",
    ),
    "after wide characters": ("x, f = 'éé\U0001f600', lambda a: 'é' + a\n", "lambda a: 'é' + a"),
    "holds a lambda": ("f = lambda a: (lambda b: b + a)(1)\n", "lambda a: (lambda b: b + a)(1)"),
    "inner of two": ("f = (lambda a: (lambda b: b + 1))(0)\n", "lambda b: b + 1"),
    "default value": ("f = lambda a, b=(1, 2): a\n", "lambda a, b=(1, 2): a"),
    "first of two": ("f, g = lambda a: a + 1, lambda a: a + 2\n", "lambda a: a + 1"),
    "second of two": ("g, f = lambda a: a + 1, lambda a: a + 2\n", "lambda a: a + 2"),
    "two alike": ("g, f = lambda a: a + 1, lambda a: a + 1\n", "lambda a: a + 1"),
    "statement after it": ("f = lambda a: a + 1; X = 2\n", "lambda a: a + 1"),
    "in a function": ("def m():\n    k = 3\n    return lambda a: a + k\nf = m()\n", "lambda a: a + k"),
    "member of an import": ("import math\nf = lambda a: math.sqrt(a)\n", "lambda a: math.sqrt(a)"),
}


@pytest.mark.parametrize(("source", "text"), LAMBDAS.values(), ids=LAMBDAS.keys())
def test_text_of_a_lambda(source, text, import_source):
    captured = capture(import_source(source).f)

    assert captured.text == text
    assert captured.kind == "lambda"


def test_lambdas_that_differ_in_defaults_only_are_never_confused(import_source):
    module = import_source("g, f = lambda a, b=1: a + b, lambda a, b=2: a + b\n")
    try:
        text = capture(module.f).text
    except LambdaSourceError as exc:
        text = str(exc)

    assert text == "lambda a, b=2: a + b" or "several on the line fit" in text
    assert sys.version_info < (3, 11) or text == "lambda a, b=2: a + b"


@pytest.mark.provokes("LambdaSourceError")
@pytest.mark.parametrize(
    "source",
    ["f = lambda a: (\n    a + 1\n)\n", "f = lambda a: a + \\\n    1\n", "f = lambda a, \\\n  b: a\n"],
)
def test_lambda_over_lines_is_refused(source, import_source):
    with pytest.raises(
        LambdaSourceError,
        match=r"^Cannot extract source code from this lambda .* spans lines 1 to \d.*one line",
    ):
        capture(import_source(source).f)


# -- what cannot be a step ---------------------------------------------------------------------------------


class Callable:
    def __call__(self, a):
        return a

    def method(self, a):
        return a


@pytest.mark.provokes("NotAFunction")
@pytest.mark.parametrize(
    ("thing", "message"),
    [
        (len, "the built-in len"),
        (Callable, "the class Callable.*Write a function"),
        (Callable(), "an instance of .*Callable"),
        (Callable().method, r"the bound method Callable\.method.*Write a function that takes what it needs"),
        (functools.partial(max, 1), r"functools\.partial.*preset the arguments: step\.args\.NAME"),
        (functools.lru_cache(capture), r"Pass the function that it wraps: capture\.__wrapped__"),
        (itemgetter(1), "itemgetter"),
        (3, "an instance of builtins.int.*Pass a function made with `def`"),
        (None, "NoneType"),
    ],
)  # fmt: skip
def test_what_is_no_function_is_refused(thing, message):
    with pytest.raises(NotAFunction, match=f"^func must be a function, not .*{message}") as caught:
        capture(thing)

    assert isinstance(caught.value, TypeError)


@pytest.mark.provokes("UnsupportedFunction")
@pytest.mark.parametrize(
    ("source", "message"),
    [
        ("async def f(a):\n    return a\n", "asynchronous function .*Write it with `def`"),
        ("async def f(a):\n    yield a\n", "asynchronous function"),
        ("def f(a):\n    yield a\n", "generator .*Return a list"),
        ("f = lambda a: (yield a)\n", "generator"),
    ],
)
def test_function_that_does_not_return_a_value_is_refused(source, message, import_source):
    with pytest.raises(UnsupportedFunction, match=message) as caught:
        capture(import_source(source).f)

    assert isinstance(caught.value, TypeError)


# -- where the source is -----------------------------------------------------------------------------------


@pytest.mark.provokes("SourceUnavailable")
def test_code_made_with_exec_is_refused():
    namespace: dict[str, object] = {}
    exec("def f(a):\n    return a\n", namespace)

    with pytest.raises(
        SourceUnavailable, match=r"'<string>'.*exec leaves no source; pass the code as text"
    ) as caught:
        capture(namespace["f"])
    assert isinstance(caught.value, OSError)


def test_module_without_its_source_file_is_refused(import_source, tmp_path):
    module = import_source("def f(a):\n    return a\n")
    for path in tmp_path.glob("*.py"):
        path.unlink()

    with pytest.raises(SourceUnavailable, match=r"Install the module with its source"):
        capture(module.f)


def test_function_from_a_zip_archive_is_captured(tmp_path, monkeypatch):
    archive = tmp_path / "lib.zip"
    with zipfile.ZipFile(archive, "w") as stream:
        stream.writestr("zipped_functions.py", "def f(a):\n    return a + 1\n")
    monkeypatch.syspath_prepend(archive)
    module = importlib.import_module("zipped_functions")
    del sys.modules["zipped_functions"]

    assert capture(module.f).text == "def f(a):\n    return a + 1"


def test_function_from_a_notebook_cell_is_captured(monkeypatch):
    source = "step = 1\ndef f(a):\n    return a + step\n"
    name = "<ipython-input-3-0123456789ab>"
    monkeypatch.setitem(linecache.cache, name, (len(source), None, source.splitlines(True), name))
    namespace: dict[str, object] = {"__name__": "__main__"}
    exec(compile(source, name, "exec"), namespace)

    assert capture(namespace["f"]).text == "def f(a):\n    return a + step"


CAPTURE_AT_PROMPT = """
from seamless_transformer.source_code import capture
def f(a):
    return a

try:
    print("TEXT", repr(capture(f).text))
except OSError as exc:
    print("TEXT", exc)

"""


def test_function_typed_at_the_prompt_is_captured_or_refused_with_a_remedy():
    done = subprocess.run(
        [sys.executable, "-i", "-q"],
        input=CAPTURE_AT_PROMPT,
        capture_output=True,
        text=True,
        timeout=50,
        check=True,
    )
    answer = done.stdout.partition("TEXT ")[2]

    assert answer.startswith(repr("def f(a):\n    return a")) or "use a file, a notebook or IPython" in answer


CHANGES = {
    "another constant": ("def f(a):\n    return a + 1\n", "def f(a):\n    return a + 2\n"),
    "another type of constant": ("def f(a):\n    return a + 1\n", "def f(a):\n    return a + 1.0\n"),
    "another sign of zero": ("def f(a):\n    return a * 0.0\n", "def f(a):\n    return a * -0.0\n"),
    "another operator": ("def f(a):\n    return a + 1\n", "def f(a):\n    return a - 1\n"),
    "another name": ("def f(a):\n    return len(a)\n", "def f(a):\n    return max(a)\n"),
    "another argument": ("def f(a):\n    return 1\n", "def f(b):\n    return 1\n"),
    "another member of a set": ("def f(a):\n    return a in {1, 2}\n", "def f(a):\n    return a in {1, 3}\n"),
    "change in a nested function": (
        "def f(a):\n    def g():\n        return 'x'\n    return g()\n",
        "def f(a):\n    def g():\n        return 'y'\n    return g()\n",
    ),
    "change in a generator expression": (
        "def f(a):\n    return list('x' for _ in a)\n",
        "def f(a):\n    return list('y' for _ in a)\n",
    ),
    "a line more before it": ("def f(a):\n    return a + 1\n", "X = 1\ndef f(a):\n    return a + 1\n"),
    "another function there": ("def f(a):\n    return a + 1\n", "def g(a):\n    return a + 1\n"),
    "an empty file": ("def f(a):\n    return a + 1\n", "\n"),
    "a file that does not parse": ("def f(a):\n    return a + 1\n", "def f(a:\n    return a + 1\n"),
    "another lambda": ("f = lambda a: a + 1\n", "f = lambda a: a + 2\n"),
    "another constant lambda": ("f = lambda: 'x'\n", "f = lambda: 'y'\n"),
    "no lambda any more": ("f = lambda a: a + 1\n", "f = 3\n"),
}


@pytest.mark.parametrize(("imported", "on_disk"), CHANGES.values(), ids=CHANGES.keys())
def test_source_that_changed_since_the_import_is_refused(imported, on_disk, import_source, tmp_path):
    module = import_source(imported, name="edited_later")
    capture(module.f)
    (tmp_path / "edited_later.py").write_text(on_disk + "# longer\n", encoding="utf-8")

    with pytest.raises(
        StaleSource, match=r"edited_later\.py, line 1\).*edited after it was imported.*importlib\.reload"
    ):
        capture(module.f)


@pytest.mark.parametrize(
    "on_disk",
    [
        "def f(a: int) -> int:\n    '''Doc.'''\n    # comment\n    return  (a+1)\n",
        "def f(a):  # one more remark\n\n    return a + 1\n",
    ],
)
def test_source_that_means_the_same_is_accepted(on_disk, import_source, tmp_path):
    module = import_source("def f(a):\n    '''Documentation.'''\n    return a + 1\n", name="edited_later")
    (tmp_path / "edited_later.py").write_text(on_disk, encoding="utf-8")

    assert serialize(capture(module.f).text, "python").decode() == on_disk


@pytest.mark.provokes("StaleSource")
def test_decorator_that_rewrites_the_function_is_refused(import_source):
    module = import_source(
        textwrap.dedent("""
        def d(f):
            line = f.__code__.co_firstlineno
            f.__code__ = (lambda a: a * 2).__code__.replace(co_name="f", co_firstlineno=line)
            return f

        @d
        def f(a):
            return a + 1
        """)
    )

    with pytest.raises(StaleSource, match="does a decorator rewrite the function"):
        capture(module.f)

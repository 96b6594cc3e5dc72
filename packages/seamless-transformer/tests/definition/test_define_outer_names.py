"""Which names count as captured: those that the author relied on and the step will not have."""

# ruff: noqa: E501  (a table of sources, one a line)

from __future__ import annotations

import linecache
import math
import types

import pytest
from seamless_transformer.definition_errors import CapturedNameError
from seamless_transformer.outer_names import CapturedName, check_captured_names, find_captured_names
from seamless_transformer.source_code import capture

HEADER = """\
from __future__ import annotations
import math, os.path
import collections.abc as abc
from math import *
K = 3
J = 4
class Base:
    pass
def helper(x):
    return x
def max(*a):
    return 0
print = helper
def deco(f):
    return f
"""

ALARM = {
    "global value": ("def f(a):\n    return a * K", ["K"]),
    "module": ("def f(a):\n    return math.sqrt(a)", ["math"]),
    "dotted module": ("def f(a):\n    return os.path.join(a)", ["os"]),
    "module under another name": ("def f(a):\n    return abc.Mapping", ["abc"]),
    "name from a star import": ("def f(a):\n    return sin(a)", ["sin"]),
    "helper function": ("def f(a):\n    return helper(a)", ["helper"]),
    "base class": ("def f(a):\n    class C(Base):\n        pass\n    return C", ["Base"]),
    "in a nested function": ("def f(a):\n    def g():\n        return K\n    return g()", ["K"]),
    "in a nested lambda": ("def f(a):\n    return sorted(a, key=lambda x: x * K)", ["K"]),
    "in a comprehension": ("def f(a):\n    return [x * K for x in a]", ["K"]),
    "as the iterable of a comprehension": ("def f(a):\n    return [x for x in K]", ["K"]),
    "in a generator expression": ("def f(a):\n    return sum(x * K for x in a)", ["K"]),
    "in a class body": ("def f(a):\n    class C:\n        x = K\n    return C.x", ["K"]),
    "class body that reads before it binds": ("def f(a):\n    class C:\n        K = K\n    return C.K", ["K"]),
    "in a method": ("def f(a):\n    class C:\n        def m(self):\n            return K\n    return C().m()", ["K"]),
    "in an f-string": ("def f(a):\n    return f'{K:{J}}'", ["J", "K"]),
    "in a default value": ("def f(a, b=K):\n    return b", ["K"]),
    "in a keyword default": ("def f(a, *, b=helper(1)):\n    return b", ["helper"]),
    "in a default of a nested function": ("def f(a):\n    def g(x=K):\n        return x\n    return g()", ["K"]),
    "in a decorator of a nested function": (
        "def f(a):\n    @deco\n    def g():\n        return 1\n    return g()",
        ["deco"],
    ),
    "as an exception": ("def f(a):\n    try:\n        return a\n    except K:\n        return 1", ["K"]),
    "in an assertion": ("def f(a):\n    assert a > K\n    return a", ["K"]),
    "in a lambda": ("f = lambda a: a * K", ["K"]),
    "lambda that calls itself": ("f = lambda a: f(a - 1) if a else 1", ["f"]),
    "variable of the enclosing function": ("def make(k):\n    def f(a):\n        return a * k\n    return f\nf = make(3)", ["k"]),
    "enclosing variable, two levels down": (
        "def make(k):\n    def f(a):\n        def g():\n            return k\n        return g()\n    return f\nf = make(3)",
        ["k"],
    ),
    "enclosing variable in a lambda": ("def make(k):\n    return lambda a: a * k\nf = make(3)", ["k"]),
    "nonlocal variable": (
        "def make(k):\n    def f(a):\n        nonlocal k\n        k += a\n        return k\n    return f\nf = make(3)",
        ["k"],
    ),
    "replaced builtin": ("def f(a):\n    return max(a)", ["max"]),
    "several": ("def f(a):\n    x = helper(a)\n    return x * K + math.pi", ["helper", "K", "math"]),
    "starred and subscripted": ("def f(a):\n    return [*K, J[a]]", ["J", "K"]),
    "only read when assigned elsewhere under the same name": (
        "def f(a):\n    def g():\n        K = 1\n        return K\n    return g() + K",
        ["K"],
    ),
    "annotation of a lambda-like default": ("def f(a: K = J):\n    return a", ["J"]),
    "isinstance check": ("def f(a):\n    return isinstance(a, Base)", ["Base"]),
    "walrus around it": ("def f(a):\n    return (y := K) + y", ["K"]),
    "with statement": ("def f(a):\n    with helper(a) as b:\n        return b", ["helper"]),
}  # fmt: skip

NO_ALARM = {
    "arguments and locals": "def f(a):\n    b = a + 1\n    return b",
    "builtins": "def f(a):\n    return len(sorted(a)) + sum(a) + int('3')",
    "import inside": "def f(a):\n    import math\n    return math.sqrt(a)",
    "import inside, used in a nested function": "def f(a):\n    import math\n    def g():\n        return math.pi\n    return g()",
    "from import inside": "def f(a):\n    from math import sin\n    return sin(a)",
    "relative import inside": "def f(a):\n    from .helper import K\n    return K",
    "name that exists nowhere": "def f(a):\n    return a + not_defined_anywhere",
    "attribute of the name of a global": "def f(a):\n    return a.K + a.math",
    "keyword argument of the name of a global": "def f(a):\n    return dict(K=a)",
    "string of the name of a global": "def f(a):\n    return 'K' + a['K']",
    "local of the name of a global": "def f(a):\n    K = 1\n    return a * K",
    "local bound later": "def f(a):\n    if a:\n        K = 1\n    return K",
    "deleted local": "def f(a):\n    K = 1\n    del K\n    return a",
    "loop variable of the name of a global": "def f(a):\n    for K in a:\n        pass\n    return K",
    "comprehension variable": "def f(a):\n    return [K for K in a]",
    "nested comprehension variables": "def f(a):\n    return {K: [J for J in K] for K in a}",
    "exception variable": "def f(a):\n    try:\n        return a\n    except ValueError as K:\n        return str(K)",
    "with variable": "def f(a):\n    with open(a) as K:\n        return K.read()",
    "walrus": "def f(a):\n    return (K := a) + K",
    "argument of a nested function": "def f(a):\n    def g(K):\n        return K\n    return g(a)",
    "assigned as a global": "def f(a):\n    global K\n    K = 1\n    return K",
    "global assigned in a nested function": "def f(a):\n    def g():\n        global K\n        K = 1\n    g()\n    return K",
    "global import": "def f(a):\n    global math\n    import math\n    return math.pi",
    "declared global and not used": "def f(a):\n    global K\n    return a",
    "class variable of the name of a global": "def f(a):\n    class C:\n        K = 1\n        J = K\n    return C.J",
    "private class names": "def f(a):\n    class C:\n        '''Doc.'''\n        x: int = 1\n    return C.__name__",
    "annotations": "def f(a: K) -> J:\n    return a",
    "annotations of locals": "def f(a):\n    b: K = a\n    return b",
    "annotations of nested functions": "def f(a):\n    def g(x: K) -> math.inf:\n        return x\n    return g(a)",
    "annotations in a class body": "def f(a):\n    class C:\n        x: K\n        y: J = 1\n    return C.y",
    "decorator of the step itself": "@deco\ndef f(a):\n    return a",
    "recursion": "def f(a):\n    return 1 if a < 1 else a * f(a - 1)",
    "recursion in a factory": "def make():\n    def f(a):\n        return a and f(a - 1)\n    return f\nf = make()",
    "special names": "def f(a):\n    return PINS['a'], OUTPUTPIN, FILESYSTEM, __name__, __package__",
    "names made by exec": "def f(a):\n    exec('K = 1', globals())\n    return K",
    "names made through globals()": "def f(a):\n    globals()['K'] = 1\n    return K",
    "replaced print": "def f(a):\n    print(a)\n    return a",
    "dead code": "def f(a):\n    if False:\n        return K\n    return a",
    "debug": "def f(a):\n    return __debug__",
    "lambda": "f = lambda a: [x for x in a]",
    "docstring": "def f(a):\n    '''K and math.'''\n    return a",
    "match statement": "def f(a):\n    match a:\n        case {'K': K}:\n            return K\n        case _:\n            return 0",
}  # fmt: skip


@pytest.mark.parametrize(("source", "names"), ALARM.values(), ids=ALARM.keys())
def test_captured_names_are_found(source, names, import_source):
    module = import_source(HEADER + source + "\n")

    assert sorted(c.name for c in find_captured_names(module.f, {"a", "b"})) == sorted(names)


@pytest.mark.parametrize("source", NO_ALARM.values(), ids=NO_ALARM.keys())
def test_no_alarm(source, import_source):
    module = import_source(HEADER + "PINS = OUTPUTPIN = FILESYSTEM = 1\n" + source + "\n")

    assert find_captured_names(module.f, {"a"}) == []


@pytest.mark.parametrize("provided", ["K", "J", "helper"])
def test_provided_names_are_no_captures(provided, import_source):
    module = import_source(HEADER + "def f(a):\n    return helper(K, J)\n")

    assert provided not in {c.name for c in find_captured_names(module.f, {"a", provided})}


def test_line_and_kind_are_those_of_the_first_use(import_source):
    module = import_source(
        "K = 1\ndef make(k):\n    def f(a):\n        b = a\n        return [k for x in b] + [K, K,\n         k]\n"
        "    return f\nf = make(1)\n"
    )

    assert find_captured_names(module.f, {"a"}) == [
        CapturedName("K", 5, "global"),
        CapturedName("k", 5, "closure"),
    ]


def test_line_is_right_below_a_decorator(import_source):
    module = import_source(
        "def d(*a):\n    return lambda f: f\nK = 1\n@d(1,\n   2)\ndef f(a):\n    return K\n"
    )

    assert find_captured_names(module.f, {"a"}) == [CapturedName("K", 7, "global")]


def test_captured_code_may_be_passed_on(import_source):
    module = import_source("K = 1\ndef f(a):\n    return K\n")

    assert find_captured_names(module.f, {"a"}, code=capture(module.f)) == [CapturedName("K", 3, "global")]


def test_function_of_a_rewritten_test_module():
    def f(a):
        assert a > 1, "too small"
        return math.sqrt(a)

    assert [c.name for c in find_captured_names(f, {"a"})] == ["math"]


def test_open_of_a_notebook_is_no_alarm(import_source):
    module = import_source("def f(a):\n    return open(a).read()\n")
    replacement = types.FunctionType((lambda *a: None).__code__, {}, "_modified_open")
    replacement.__module__ = "IPython.core.interactiveshell"
    module.open = replacement

    assert find_captured_names(module.f, {"a"}) == []


@pytest.mark.provokes("CapturedNameError")
def test_error_names_function_place_and_both_remedies(import_source):
    module = import_source("K = 1\n\ndef f(a):\n    return a * K\n")

    with pytest.raises(CapturedNameError) as caught:
        check_captured_names(module.f, {"a"})

    text = str(caught.value)
    assert f"K  ({module.__file__}, line 4; a name of the module)" in text
    assert text.startswith("f uses a name that is defined outside of it.")
    assert "Pass K as an argument; or f.globals.K = K" in text
    assert caught.value.names == ("K",)
    assert isinstance(caught.value, NameError)


def test_error_for_a_module_says_to_import_it_inside(import_source):
    module = import_source("import os.path as p\n\ndef f(a):\n    return p.join(a)\n")

    with pytest.raises(
        CapturedNameError, match=r"Write `import posixpath as p` inside f; or, .* f\.modules\.p = p"
    ):
        check_captured_names(module.f, {"a"})


def test_error_for_a_closure_and_a_lambda(import_source):
    module = import_source("def make(k):\n    return lambda a: a * k\nf = make(3)\n")

    with pytest.raises(
        CapturedNameError, match=r"^the lambda uses .*\n  k  .*a variable of the enclosing function"
    ):
        check_captured_names(module.f, {"a"})


def test_nothing_is_raised_when_nothing_is_captured(import_source):
    check_captured_names(import_source("def f(a):\n    return a\n").f, {"a"})


def test_a_function_that_uses_no_outer_name_needs_no_source():
    namespace: dict[str, object] = {}
    exec("def f(a):\n    return len(a)\n", namespace)

    assert find_captured_names(namespace["f"], {"a"}) == []


def test_cells_of_one_notebook_share_their_names(monkeypatch):
    namespace: dict[str, object] = {"__name__": "__main__"}
    for name, source in (
        ("<cell 1>", "import math\nK = 3\n"),
        ("<cell 2>", "def f(a):\n    return math.sqrt(a) * K\n"),
    ):
        monkeypatch.setitem(linecache.cache, name, (len(source), None, source.splitlines(True), name))
        exec(compile(source, name, "exec"), namespace)

    assert [c.name for c in find_captured_names(namespace["f"], {"a"})] == ["K", "math"]

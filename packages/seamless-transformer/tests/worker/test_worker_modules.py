from __future__ import annotations

import sys
import threading

import pytest
from seamless_worker.modules import ModuleDefinitionError

PACKAGE = {
    "__init__": "from .core import run\nfrom . import util\nNAME = __name__\n",
    "core": "from . import util\nfrom pkg import __name__ as n\ndef run(v):\n    return util.twice(v) + 1\n",
    "util": "from .sub.deep import FACTOR\ndef twice(v):\n    return FACTOR * v\n",
    "sub": "from .deep import FACTOR as OTHER\n",
    "sub.deep": "from ..limits import LIMIT\nFACTOR = LIMIT\n",
    "limits": "LIMIT = 2\n",
}


@pytest.mark.parametrize(
    "statement",
    [
        "value = tool.twice(4)",
        "import tool; value = tool.twice(4)",
        "import tool as t; value = t.twice(4)",
        "from tool import twice; value = twice(4)",
        "from tool import *; value = twice(4)",
        "from .tool import twice; value = twice(4)",
        "from . import tool; value = tool.twice(4)",
        "value = __import__('tool').twice(4)",
    ],
)
def test_single_file_module_is_importable(bench, statement):
    entries = {"tool": bench.module("def twice(x):\n    return 2 * x\n")}
    assert bench.value(f"{statement}\nresult = value\n", entries=entries) == 8


@pytest.mark.parametrize(
    ("statement", "expected"),
    [
        ("result = pkg.run(3)", 7),
        ("import pkg.sub.deep\nresult = pkg.sub.deep.FACTOR", 2),
        ("import pkg.sub.deep as d\nresult = d.FACTOR", 2),
        ("from pkg import util\nresult = util.twice(3)", 6),
        ("from pkg.sub import deep, OTHER\nresult = deep.FACTOR + OTHER", 4),
        ("from .pkg.sub.deep import FACTOR\nresult = FACTOR", 2),
        (
            "result = [pkg.__package__, pkg.core.__package__, pkg.sub.__package__]",
            ["transformer.pkg", "transformer.pkg", "transformer.pkg.sub"],
        ),
    ],
)
def test_package_with_cycles_and_subpackages(bench, statement, expected):
    assert bench.value(statement, entries={"pkg": bench.module(PACKAGE)}) == expected


def test_submodules_that_import_each_other(bench):
    package = {
        "__init__": "from . import a\n",
        "a": "from . import b\ndef f():\n    return b.g() + 1\n",
        "b": "from . import a\ndef g():\n    return 1 if a.f else 0\n",
    }
    assert bench.value("result = ring.a.f()", entries={"ring": bench.module(package)}) == 2


def test_modules_import_one_another(bench):
    entries = {
        "high": bench.module("import low\nfrom .low import X\ndef f():\n    return low.X + X\n"),
        "low": bench.module("X = 4\n"),
    }
    assert bench.value("result = high.f()", entries=entries) == 8


def test_module_is_executed_once_per_run_and_anew_in_the_next(bench):
    entries = {"tool": bench.module("calls = []\n")}
    code = "import tool\nfrom .tool import calls\ntool.calls.append(1)\nresult = len(calls)\n"
    assert [bench.value(code, entries=entries), bench.value(code, entries=entries)] == [1, 1]


def test_names_of_main_are_in_the_namespace_but_never_hide_an_argument(bench):
    main = bench.module("K = 5\nx = 'hidden'\n__secret__ = 1\ndef helper():\n    return K + 1\n")
    code = "def f(x):\n    return [x, K, helper(), '__secret__' in globals()]\n"
    assert bench.value(code, {"x": 1}, entries={"main": main}) == [1, 5, 6, False]


def test_missing_member_of_a_package_is_named(bench):
    failure = bench.failure("import pkg.nothere\nresult = 1", entries={"pkg": bench.module(PACKAGE)})
    assert "pkg.nothere" in str(failure)
    assert isinstance(failure.exception, ModuleNotFoundError)


def test_module_that_fails_shows_its_own_line(bench):
    entries = {"tool": bench.module("x = 1\ny = x / 0\n")}
    failure = bench.failure("result = 1", entries=entries)
    assert "y = x / 0" in failure.user_traceback
    assert isinstance(failure.exception, ZeroDivisionError)


def test_failed_module_can_be_imported_again_by_the_step(bench):
    package = {"__init__": "", "bad": "import builtins\nbuiltins.nothing_like_this\n"}
    code = (
        "n = 0\nfor _ in range(2):\n    try:\n        import pkg.bad\n"
        "    except AttributeError:\n        n += 1\nresult = n\n"
    )
    assert bench.value(code, entries={"pkg": bench.module(package)}) == 2


def test_relative_import_beyond_the_top_fails_clearly(bench):
    failure = bench.failure("from ..x import y\nresult = y", entries={"tool": bench.module("")})
    assert "beyond top-level package" in str(failure)


@pytest.mark.provokes("ModuleDefinitionError")
@pytest.mark.parametrize("definition", [[1], {"language": "python"}, {"language": "c", "code": "int x;"}])
def test_pin_that_defines_no_python_module_is_refused(bench, definition):
    entries = {"tool": ["plain", "module", bench.put(definition, "plain")]}
    failure = bench.failure("result = 1", entries=entries)
    assert "module 'tool' is" in str(failure)
    assert isinstance(failure.exception, ModuleDefinitionError)


@pytest.mark.invariant("I-70")
def test_nothing_is_left_in_sys_modules(bench):
    code = "import sys\nimport pkg.core\nresult = 'transformer.pkg.core' in sys.modules"
    assert bench.value(code, entries={"pkg": bench.module(PACKAGE)}) is True
    assert [name for name in sys.modules if name.partition(".")[0] in ("transformer", "pkg")] == []


def test_step_module_does_not_replace_the_hosts_module_of_that_name(bench):
    import json

    entries = {"json": bench.module("dumps = 'mine'\n")}
    assert bench.value("import json\nresult = json.dumps", entries=entries) == "mine"
    assert sys.modules["json"] is json
    assert callable(json.dumps)


@pytest.mark.invariant("I-70")
def test_concurrent_steps_see_their_own_module_of_one_name(bench, in_threads):
    barrier = threading.Barrier(2, timeout=20)
    import builtins

    builtins._meet = barrier.wait
    code = (
        "import builtins\nbuiltins._meet()\nimport tool\nbuiltins._meet()\nfrom .tool import X\nresult = X\n"
    )
    try:
        answers = in_threads(
            *(lambda x=x: bench.value(code, entries={"tool": bench.module(f"X = {x}\n")}) for x in (1, 2))
        )
    finally:
        del builtins._meet
    assert answers == [1, 2]


def test_host_library_imported_by_the_step_does_not_see_its_modules(bench, tmp_path, monkeypatch):
    (tmp_path / "library_of_this_test.py").write_text(
        "try:\n    import tool\n    SEEN = True\nexcept ImportError:\n    SEEN = False\n"
    )
    monkeypatch.syspath_prepend(str(tmp_path))
    entries = {"tool": bench.module("X = 1\n")}
    code = "import library_of_this_test\nresult = library_of_this_test.SEEN\n"
    assert bench.value(code, entries=entries) is False
    del sys.modules["library_of_this_test"]


def test_dataclass_works_in_a_step_and_in_its_modules(bench):
    definition = (
        "from __future__ import annotations\nfrom dataclasses import dataclass, field, InitVar\n"
        "from typing import ClassVar\n"
        "@dataclass\nclass Point:\n    x: int\n    n: ClassVar[int] = 3\n    start: InitVar[int] = 1\n"
    )
    code = definition + "import tool\nresult = [Point(1).x, tool.Point(2).x, Point.n]\n"
    assert bench.value(code, entries={"tool": bench.module(definition)}) == [1, 2, 3]


def test_pickle_round_trip_of_a_module_class_inside_the_step(bench):
    entries = {"tool": bench.module("class Thing:\n    def __init__(self, x):\n        self.x = x\n")}
    code = "import pickle, tool\nresult = pickle.loads(pickle.dumps(tool.Thing(6))).x\n"
    assert bench.value(code, entries=entries) == 6

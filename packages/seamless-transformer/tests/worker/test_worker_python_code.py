from __future__ import annotations

import contextlib
import linecache
from types import CodeType

import pytest
from hypothesis import given
from hypothesis import strategies as st
from seamless.step import SourceLocation
from seamless_worker import python_code
from seamless_worker.python_code import cached_code, compile_code


@pytest.mark.parametrize(
    ("text", "mode"),
    [
        ("def f():\n    pass\n", "function"),
        ("# comment\n\ndef f():\n    pass\n", "function"),
        ("lambda: 1", "lambda"),
        ("(lambda x:\n    x)", "lambda"),
        ("a + 1", "expression"),
        ("f(lambda: 1)", "expression"),
        ("x = 1", "block"),
        ("'''doc'''\ndef f():\n    pass\n", "block"),
        ("def f():\n    pass\nf()\n", "block"),
        ("", "block"),
        ("class A:\n    pass\n", "block"),
    ],
)
def test_mode_of_code(text, mode):
    assert compile_code("mode" + text, None, text).mode == mode


def test_async_def_is_refused_with_a_way_out():
    with pytest.raises(TypeError, match=r"asyncio\.run"):
        compile_code("async", None, "async def f():\n    pass\n")


def test_cache_is_bounded_and_lets_go_of_the_sources(monkeypatch):
    monkeypatch.setattr(python_code, "MAX_CACHED_CODES", 3)
    for n in range(10):
        compile_code(f"bounded{n}", None, f"x = {n}\n")
    assert cached_code("bounded0", None) is None
    assert cached_code("bounded9", None) is not None
    assert "transformer-in-process-bounded0" not in linecache.cache
    assert "transformer-in-process-bounded9" in linecache.cache


def test_code_in_use_stays_in_the_cache(monkeypatch):
    monkeypatch.setattr(python_code, "MAX_CACHED_CODES", 3)
    compile_code("used", None, "x = 1\n")
    for n in range(10):
        assert cached_code("used", None) is not None
        compile_code(f"other{n}", None, "x = 1\n")


@pytest.mark.parametrize(
    "text",
    [
        "x = 1\nfrom __future__ import annotations\ny: Nowhere = 2\n",
        "'''doc'''\nfrom __future__ import annotations, division\n",
        "from __future__ import annotations\n",
    ],
)
def test_future_imports_may_stand_anywhere(text):
    assert isinstance(compile_code("future" + text, None, text).code, CodeType)


def test_unknown_future_feature_is_a_syntax_error():
    with pytest.raises(SyntaxError, match="not defined"):
        compile_code("unknown", None, "from __future__ import telepathy\n")


@given(st.text())
def test_any_text_compiles_or_is_refused_as_such(text):
    with contextlib.suppress(SyntaxError, ValueError):  # anything else is a failure
        compile_code("any" + text, None, text)


def test_source_stays_shown_while_one_of_two_users_is_left(monkeypatch, tmp_path):
    monkeypatch.setattr(python_code, "MAX_CACHED_CODES", 2)
    elsewhere = SourceLocation(str(tmp_path / "missing.py"), 1)
    compile_code("shared", elsewhere, "x = 1\n")
    compile_code("shared", None, "x = 1\n")
    compile_code("third", None, "x = 1\n")
    assert cached_code("shared", elsewhere) is None
    assert linecache.cache["transformer-in-process-shared"][2] == ["x = 1\n"]


def test_code_shown_in_its_own_file_does_not_hide_that_of_another_user(tmp_path):
    file = tmp_path / "own.py"
    file.write_text("x = 1\n")
    compile_code("both", None, "x = 1\n")
    compile_code("both", SourceLocation(str(file), 1), "x = 1\n")
    assert "transformer-in-process-both" in linecache.cache

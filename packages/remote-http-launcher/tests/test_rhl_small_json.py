"""small_json reads and writes what `json` does."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st
from remote_http_launcher import small_json

VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=20,
)


@given(VALUES, st.sampled_from([None, 0, 2]), st.booleans())
def test_text_is_that_of_json(value: object, indent: int | None, sort_keys: bool):
    assert small_json.dumps(value, indent=indent, sort_keys=sort_keys) == json.dumps(
        value, indent=indent, sort_keys=sort_keys
    )
    assert small_json.loads(json.dumps(value, indent=indent)) == value


@given(st.dictionaries(st.none() | st.booleans() | st.integers() | st.floats(), VALUES, max_size=3))
def test_keys_and_blanks_are_those_of_json(value: dict[object, object]):
    assert small_json.dumps(value, compact=True) == json.dumps(value, separators=(",", ":"))


@given(st.text(alphabet='{}[]",:0123tfn\\u -+eE.', max_size=12))
def test_what_is_no_json_is_refused_as_json_does(text: str):
    assert _outcome(small_json.loads, text) == _outcome(json.loads, text)


@pytest.mark.parametrize("text", ["", " ", "{} x", '{"a": 1,}', "nan", '"\n"', "\ufeff{}"])
def test_what_is_no_json_is_a_value_error(text: str):
    with pytest.raises(ValueError, match="line 1|Expecting|Invalid|BOM"):
        small_json.loads(text)


@pytest.mark.parametrize("text", ["NaN", "-Infinity", "Infinity", '{"a": {"a": 1}}'])
def test_special_values_are_read(text: str):
    assert repr(small_json.loads(text)) == repr(json.loads(text))


def test_nesting_without_end_is_a_value_error():
    with pytest.raises(ValueError, match="nested too deeply"):
        small_json.loads("[" * 200_000)


@pytest.mark.parametrize("text", ["{", "[1,]", '"', "{} x", "tru", "1e", "\\x"])
def test_errors_need_no_import_beforehand(text: str):
    code = (
        "import sys; from remote_http_launcher.small_json import loads\n"
        "assert loads('[1]') == [1] and 'json' not in sys.modules\n"
        "try: loads(sys.argv[1])\n"
        "except ValueError as exc: print(exc)\n"
    )
    done = subprocess.run([sys.executable, "-c", code, text], capture_output=True, text=True, timeout=30)
    assert (done.returncode, done.stderr) == (0, "")
    assert "line 1 column" in done.stdout


def test_without_the_scanner_of_cpython_the_module_json_does_it(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setitem(sys.modules, "_json", None)
    assert small_json.loads(' {"a": [1, "é"]} ') == {"a": [1, "é"]}
    assert small_json.dumps({"a": "é"}) == '{"a": "\\u00e9"}'


def test_what_json_has_not_is_refused():
    with pytest.raises(TypeError, match="a bytes is no JSON value"):
        small_json.dumps({"a": b""})


def _outcome(loads: object, text: str) -> str:
    try:
        return repr(loads(text))
    except ValueError:
        return "refused"

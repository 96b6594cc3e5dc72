"""Templates say what the stock services need, and nothing that could become code."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from remote_http_launcher.launch_errors import TemplateError
from remote_http_launcher.templates import evaluate, substitute

VECTORS = json.loads(
    (Path(__file__).resolve().parents[4] / "contracts" / "vectors" / "launcher_cases.json").read_text()
)
GOOD = [case for case in VECTORS["template_cases"] if "result" in case]
BAD = [case for case in VECTORS["template_cases"] if "error" in case]


@pytest.mark.parametrize("case", GOOD, ids=lambda case: case["template"])
def test_template_of_the_vectors_gives_the_recorded_text(case):
    assert evaluate(case["template"], case["namespace"]) == case["result"]


@pytest.mark.parametrize("case", BAD, ids=lambda case: case["template"])
def test_wrong_template_of_the_vectors_is_refused(case):
    with pytest.raises(TemplateError):
        evaluate(case["template"], case["namespace"])


@pytest.mark.parametrize(
    ("template", "namespace", "text"),
    [
        ("hashserver-c-rw-{\"/a/b/STAGE-s\".strip('/').replace('/', '--')}", {}, "hashserver-c-rw-a--b--STAGE-s"),
        ("{' --host ' + config.get('network_interface') if config.get('network_interface') is not None else ''}",
         {"config": {"network_interface": "h"}}, " --host h"),
        ("{' --writable' if 'ro' == 'rw' else ''}", {}, ""),
        ("{x[1:]}{x[-1]}", {"x": "abc"}, "bcc"),
        ("{x:>{width}}", {"x": "a", "width": 3}, "  a"),
        ("{a or b}{not a}{1 if a and b else 2}", {"a": "", "b": "y"}, "yTrue2"),
        ("{n + 1} {n - 1} {-n} {1 < n <= 3} {'a' in 'abc'}", {"n": 3}, "4 2 -3 True True"),
        ("{'{a}-{0!r}-{b:02d}'.format('x', a=1, b=2)}", {}, "1-'x'-02"),
        ("{'}'}{'!'}{':'}", {}, "}!:"),
    ],
)  # fmt: skip
def test_what_the_language_has(template, namespace, text):
    assert evaluate(template, namespace) == text


@pytest.mark.invariant("I-195")
@pytest.mark.provokes("TemplateError")
@pytest.mark.parametrize(
    "template",
    [
        "{x.__class__}",
        "{x.__class__.__mro__[1].__subclasses__()}",
        "{().__class__}",
        "{[c for c in (1,)]}",
        "{(lambda: 1)()}",
        "{__import__('os').system('true')}",
        "{open('/etc/passwd').read()}",
        "{f'{x}'}",
        "{'{0.__class__}'.format(x)}",
        "{'{0[0]}'.format(x)}",
        "{'{x.y}'.format(x=x)}",
        "{x.encode()}",
        "{x.translate(config)}",
        "{x.format_map(config)}",
        "{config.items()}",
        "{config.pop('a')}",
        "{(y := 1)}",
        "{*x}",
        "{[1, 2]}",
        "{{1: 2}}[0]}",
        "{x % 3}",
        "{x * 100000}",
        "{10 ** 10}",
        "{'x'.join(*x)}",
        "{'x'.format(**config)}",
        "{...}",
        "{await x}",
        "{x:99999999}",
        "{x:{y:{z}}}",
        "{x!z}",
        "{x!}",
        "{}",
        "{ }",
        "}",
        "{x",
        "{x}}",
        "{'a' 1}",
        "{config['missing']}",
        "{x[9]}",
        "{x < 1}",
        "{'a'.replace(1, 2)}",
    ],
)
def test_anything_else_is_refused_and_names_the_template(template):
    with pytest.raises(TemplateError, match="'command'"):
        evaluate(template, {"x": "abc", "config": {"a": 1}}, name="command")


@pytest.mark.parametrize(
    "template",
    [
        "{x.replace('', x)}",
        "{x.join(x)}",
        "{'{0}{0}{0}{0}{0}{0}{0}{0}{0}{0}'.format(x)}" * 10,
        "{" + "(" * 3000 + "1" + ")" * 3000 + "}",
        "{" + "-" * 4000 + "1}",
        "{" + "1+" * 3000 + "1}",
        "{'a'.zfill(10000000)}",
    ],
)
def test_small_template_cannot_become_large_or_deep(template):
    with pytest.raises(TemplateError):
        evaluate(template, {"x": "x" * 20_000})


def test_error_says_at_which_character():
    with pytest.raises(TemplateError, match="wrong at character 6") as caught:
        evaluate("abc {nope}", {}, name="key")
    assert caught.value.hint


def test_dollar_names_are_replaced_by_the_longest_match():
    assert substitute("$A/$AB-$A.x", {"A": "1", "AB": "2"}) == "1/2-1.x"


@pytest.mark.parametrize("text", ["a'b", 'a"b', "a{b", "a}b", "a\\b", "a\nb", "\0"])
def test_text_that_could_change_a_template_is_refused(text):
    with pytest.raises(TemplateError, match="not allowed"):
        substitute("{'$A'}", {"A": text})


def test_unknown_dollar_name_is_refused():
    with pytest.raises(TemplateError, match=r"\$NOPE is unknown"):
        substitute("x$NOPE", {"A": "1"})


_words = st.sampled_from(
    ["x", "config", "'a'", "1", ".", "(", ")", "[", "]", "{", "}", "if", "else", "+", ",", "get", "format", "strip",
     "__class__", "lambda", ":", "!r", "=", "==", " ", "\\", '"', "in", "not", "*", "None", "{}", "0", "replace", "-"]
)  # fmt: skip


@given(st.lists(_words, max_size=12).map("".join) | st.text(max_size=30))
def test_whatever_stands_there_gives_text_or_a_template_error(inside):
    try:
        found = evaluate("{" + inside + "}", {"x": "abc", "config": {"a": 1}})
    except TemplateError:
        return
    assert isinstance(found, str)
    assert "object at" not in found

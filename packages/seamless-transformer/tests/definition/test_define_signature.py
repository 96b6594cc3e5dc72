from __future__ import annotations

import inspect

import pytest
from hypothesis import given
from hypothesis import strategies as st
from seamless_transformer.definition_errors import (
    MissingResultCelltype,
    PinNameError,
    UndeclaredArgumentWarning,
)
from seamless_transformer.signature import Binder, bind_text_arguments

SIGNATURES = [
    lambda: None,
    lambda a: None,
    lambda a, b=1: None,
    lambda a, /, b, *, c=2, d: None,
    lambda a=1, b=2, /: None,
    lambda *args: None,
    lambda a, *args, k=1: None,
    lambda **kw: None,
    lambda a, /, b=3, *args, k, **kw: None,
]


def outcome(call):
    try:
        return "bound", call()
    except TypeError as exc:
        return "refused", str(exc)


def bind_with_inspect(signature, args, kwargs):
    signature.bind_partial(*args, **kwargs)
    return signature.bind(*args, **kwargs).arguments


def lists_as_tuples(arguments):
    return [(name, tuple(v) if isinstance(v, list) else v) for name, v in arguments.items()]


@given(
    function=st.sampled_from(SIGNATURES),
    args=st.lists(st.integers(), max_size=4).map(tuple),
    kwargs=st.dictionaries(st.sampled_from(["a", "b", "c", "d", "k", "zz"]), st.integers()),
)
def test_binding_accepts_and_refuses_what_inspect_does_in_the_same_words(function, args, kwargs):
    signature = inspect.signature(function)

    ours = outcome(lambda: lists_as_tuples(Binder(signature).bind(args, kwargs)))

    assert ours == outcome(lambda: lists_as_tuples(bind_with_inspect(signature, args, kwargs)))


def test_defaults_make_no_pin():
    assert Binder.from_function(lambda a, b=3: None).bind((1,), {}) == {"a": 1}


def test_keywords_come_out_in_the_order_of_the_signature():
    bound = Binder.from_function(lambda a, b, c: None).bind((), {"c": 3, "a": 1, "b": 2})

    assert list(bound.items()) == [("a", 1), ("b", 2), ("c", 3)]


def test_call_overlays_the_preset():
    binder = Binder.from_function(lambda a, b, c=0: None)

    assert binder.bind((1,), {}, {"a": 7, "b": 8}) == {"a": 1, "b": 8}
    assert binder.bind((1,), {"b": None}, {"a": 7, "b": 8}) == {"a": 1, "b": None}


def test_preset_fills_what_is_missing_before_the_check():
    with pytest.raises(TypeError, match=r"^missing a required argument: 'b'$"):
        Binder.from_function(lambda a, b: None).bind((), {}, {"a": 1})


def test_preset_does_not_make_room_for_more_positionals():
    with pytest.raises(TypeError, match=r"^too many positional arguments$"):
        Binder.from_function(lambda a: None).bind((1, 2), {}, {"a": 3})


def test_argument_given_twice_is_refused():
    with pytest.raises(TypeError, match="multiple values for argument 'a'"):
        Binder.from_function(lambda a, b=1: None).bind((1,), {"a": 2})


def test_variable_arguments_become_a_list_and_a_dict():
    binder = Binder.from_function(lambda *args, **kw: None)

    assert binder.bind((1, 2), {"x": 3}) == {"args": [1, 2], "kw": {"x": 3}}
    assert binder.bind((), {}) == {}


def test_preset_of_variable_arguments():
    binder = Binder.from_function(lambda *args, **kw: None)

    assert binder.bind((), {"x": 1}, {"args": [5], "kw": {"x": 0, "y": 2}}) == {
        "args": [5],
        "kw": {"x": 1, "y": 2},
    }


def test_positional_only_argument_may_be_preset():
    assert Binder.from_function(lambda a, /, b: None).bind((), {"b": 2}, {"a": 1}) == {"a": 1, "b": 2}


def test_preset_of_a_name_that_the_signature_lacks_is_ignored():
    assert Binder.from_function(lambda a, b=0: None).bind((1,), {}, {"z": 3}) == {"a": 1}


@pytest.mark.provokes("PinNameError")
@pytest.mark.parametrize(
    ("function", "name"),
    [(lambda code: None, "code"), (lambda result: None, "result"), (lambda __x: None, "__x")],
)
def test_parameter_with_a_reserved_name_is_refused(function, name):
    with pytest.raises(PinNameError, match=rf"'{name}'.*another name"):
        Binder.from_function(function)


# -- code given as text --------------------------------------------------------------------------------------


def test_text_step_takes_declared_pins_by_keyword():
    celltypes = {"b": "text", "result": "text", "a": "int"}

    assert list(bind_text_arguments((), {"a": 1, "b": "x"}, {}, celltypes).items()) == [("b", "x"), ("a", 1)]


def test_text_step_takes_presets():
    assert bind_text_arguments((), {}, {"a": 1}, {"a": "int", "result": "int"}) == {"a": 1}


def test_text_step_refuses_positional_arguments():
    with pytest.raises(TypeError, match=r"^No function signature: positional arguments not supported"):
        bind_text_arguments((1,), {}, {}, {"a": "int", "result": "int"})


def test_text_step_names_a_missing_argument():
    with pytest.raises(TypeError, match=r"^Missing argument: 'b'"):
        bind_text_arguments((), {"a": 1}, {}, {"a": "int", "b": "int", "result": "int"})


@pytest.mark.provokes("MissingResultCelltype")
def test_text_step_without_result_celltype_is_refused():
    with pytest.raises(MissingResultCelltype, match=r"celltypes\.result = ") as caught:
        bind_text_arguments((), {}, {}, {})

    assert isinstance(caught.value, KeyError)
    assert caught.value.args == ("result",)


@pytest.mark.provokes("UndeclaredArgumentWarning")
def test_text_step_warns_of_an_argument_without_pin_and_ignores_it():
    with pytest.warns(UndeclaredArgumentWarning, match="no pin for the argument 'typo'"):
        assert bind_text_arguments((), {"typo": 1}, {}, {"result": "int"}) == {}

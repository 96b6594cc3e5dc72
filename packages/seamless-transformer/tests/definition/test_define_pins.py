from __future__ import annotations

import pytest
from seamless_transformer.definition_errors import PinNameError, UnsupportedInputCelltype
from seamless_transformer.pins import (
    check_distinct_pins,
    code_pin_type,
    formats_of,
    pin_type,
)


@pytest.mark.parametrize(
    ("name", "celltype", "entry"),
    [
        ("a", "mixed", ["mixed", None, "c"]),
        ("a", "int", ["int", None, "c"]),
        ("a", "checksum", ["plain", "checksum", "c"]),
        ("a", "module", ["plain", "module", "c"]),
        ("a", "folder", ["folder", None, "c"]),
        ("a", "deepfolder", ["deepfolder", None, "c"]),
        ("a", "deepcell", ["deepcell", None, "c"]),
        ("a", None, ["mixed", None, "c"]),
        ("a", "default", ["mixed", None, "c"]),
        ("a_SCHEMA", None, ["plain", None, "c"]),
        ("a_SCHEMA", "text", ["text", None, "c"]),
    ],
)
def test_entry_of_a_declared_celltype(name, celltype, entry):
    assert pin_type(name, celltype).entry("c") == entry


def test_null_pin():
    assert pin_type("a", "mixed").entry(None) == ["mixed", None, None]


def test_only_directories_have_a_format():
    pins = {name: pin_type(name, name) for name in ("folder", "deepfolder", "deepcell", "bytes")}

    assert formats_of(pins) == {
        name: {"celltype": name, "filesystem": {"mode": "directory"}} for name in ("folder", "deepfolder")
    }
    assert formats_of({"a": pin_type("a", "mixed")}) is None


@pytest.mark.provokes("UnsupportedInputCelltype")
@pytest.mark.parametrize(
    ("celltype", "remedy"), [("python", "'text'"), ("yaml", "'plain'"), ("cson", "'plain'")]
)
def test_input_that_cannot_be_passed(celltype, remedy):
    with pytest.raises(UnsupportedInputCelltype, match=f"^a: .*'{celltype}'.*{remedy}") as caught:
        pin_type("a", celltype)

    assert isinstance(caught.value, NotImplementedError)
    assert (caught.value.pin, caught.value.celltype) == ("a", celltype)


@pytest.mark.parametrize(("language", "celltype"), [("python", "python"), ("bash", "text"), ("c", "text")])
def test_code_pin(language, celltype):
    assert code_pin_type(language).entry("c") == [celltype, "transformer", "c"]


@pytest.mark.parametrize(
    ("inputs", "modules", "with_globals", "name"),
    [
        (["a"], ["a"], False, "a"),
        (["main"], [], True, "main"),
        ([], ["code"], False, "code"),
        ([], ["__x"], False, "__x"),
    ],
)
def test_a_name_used_twice_is_refused(inputs, modules, with_globals, name):
    with pytest.raises(PinNameError) as caught:
        check_distinct_pins(inputs, modules, with_globals=with_globals)

    assert caught.value.pin == name


def test_distinct_names_pass():
    check_distinct_pins(["a", "main"], ["b"], with_globals=False)

"""`celltypes`, `args`, `modules` and `globals` of a step, as the user reaches them."""

from __future__ import annotations

import pytest
from seamless_transformer.argument_access import ArgumentAccess, ArgumentTable
from seamless_transformer.celltype_access import (
    INPUT_CELLTYPES,
    RESULT_CELLTYPES,
    CelltypeAccess,
    CelltypeTable,
)
from seamless_transformer.definition_errors import (
    BadCelltype,
    BadModuleDefinition,
    PinNameError,
    UnknownPin,
    UnsupportedGlobal,
)
from seamless_transformer.modules_access import GlobalsAccess, GlobalsTable, ModulesAccess, ModuleTable

DEFINITION = {"code": "K = 1\n", "language": "python", "type": "interpreted"}


def celltypes_of(*parameters: str) -> CelltypeAccess:
    return CelltypeAccess(CelltypeTable(parameters))


def text_step() -> tuple[CelltypeAccess, ArgumentAccess]:
    table = CelltypeTable(None)
    return CelltypeAccess(table), ArgumentAccess(ArgumentTable(table))


def function_step(*parameters: str) -> tuple[CelltypeAccess, ArgumentAccess]:
    table = CelltypeTable(parameters)
    return CelltypeAccess(table), ArgumentAccess(ArgumentTable(table))


# -- celltypes -----------------------------------------------------------------------------------------------


def test_pins_of_a_signature_start_as_mixed():
    assert repr(celltypes_of("a", "b")) == "{'a': 'mixed', 'b': 'mixed', 'result': 'mixed'}"


def test_celltypes_by_attribute_and_by_item():
    celltypes = celltypes_of("a", "b")
    celltypes.a = "int"
    celltypes["b"] = "text"
    celltypes.result = "plain"

    assert (celltypes["a"], celltypes.b, celltypes.result) == ("int", "text", "plain")


@pytest.mark.parametrize(
    ("kind", "name"), [(int, "int"), (str, "str"), (float, "float"), (bool, "bool"), (bytes, "bytes")]
)
def test_a_type_means_its_name(kind, name):
    celltypes = celltypes_of("a")
    celltypes.a = kind

    assert celltypes.a == name


@pytest.mark.parametrize("name", INPUT_CELLTYPES)
def test_every_celltype_of_an_input_may_be_declared(name):
    celltypes = celltypes_of("a")
    celltypes.a = name

    assert celltypes.a == name


@pytest.mark.parametrize("name", RESULT_CELLTYPES)
def test_every_celltype_of_a_result_may_be_declared(name):
    celltypes = celltypes_of("a")
    celltypes.result = name

    assert celltypes.result == name


@pytest.mark.parametrize("name", ["deepfolder", "module"])
def test_result_cannot_be_a_deepfolder_or_module(name):
    with pytest.raises(BadCelltype, match=f"^result celltype cannot be '{name}'"):
        celltypes_of("a").result = name


@pytest.mark.provokes("BadCelltype")
@pytest.mark.parametrize("value", ["integer", "cson", "", None, 3, dict, ["int"]])
def test_what_is_no_celltype_is_refused_with_the_list(value):
    with pytest.raises(BadCelltype, match="Use one of: binary, mixed, text") as caught:
        celltypes_of("a").a = value

    assert isinstance(caught.value, TypeError)
    assert caught.value.pin == "a"


def test_misspelt_celltype_gets_a_suggestion():
    with pytest.raises(BadCelltype, match=r"Did you mean 'folder'\?"):
        celltypes_of("a").a = "foldr"


@pytest.mark.provokes("UnknownPin")
@pytest.mark.parametrize(
    "reach", [lambda c: c.alpa, lambda c: c["alpa"], lambda c: setattr(c, "alpa", "int")]
)
def test_unknown_pin_of_a_signature(reach):
    with pytest.raises(UnknownPin, match=r"^alpa: .*it has alpha, result\. Did you mean 'alpha'\?") as caught:
        reach(celltypes_of("alpha"))

    assert isinstance(caught.value, AttributeError)
    assert caught.value.pin == "alpa"


def test_declaring_a_pin_of_a_text_step_declares_the_result():
    celltypes, _ = text_step()
    celltypes["data.txt"] = "text"

    assert dict(zip(celltypes, map(celltypes.__getitem__, celltypes), strict=True)) == {
        "result": "mixed",
        "data.txt": "text",
    }


def test_declaring_the_result_first_keeps_it():
    celltypes, _ = text_step()
    celltypes.result = "bytes"
    celltypes.a = "int"

    assert celltypes.result == "bytes"


def test_undeclared_pin_of_a_text_step_is_unknown():
    celltypes, _ = text_step()

    with pytest.raises(UnknownPin, match=r"celltypes\['a'\] = 'mixed'"):
        celltypes.a


@pytest.mark.parametrize("name", ["code", "__meta__"])
def test_reserved_pin_of_a_text_step_is_refused(name):
    celltypes, _ = text_step()

    with pytest.raises(PinNameError):
        celltypes[name] = "text"


def test_deleting_a_celltype():
    with_signature, _ = function_step("a")
    without, _ = text_step()
    with_signature.a = without.a = "int"

    del with_signature.a
    del without["a"]

    assert with_signature.a == "mixed"
    assert "a" not in without


@pytest.mark.parametrize("name", ["copy", "get", "names", "table", "version", "declare"])
def test_any_name_can_be_a_pin(name):
    celltypes, arguments = function_step(name)
    setattr(celltypes, name, "int")
    setattr(arguments, name, 5)

    assert getattr(celltypes, name) == "int"
    assert getattr(arguments, name) == 5
    assert dir(celltypes) == sorted([name, "result"])


def test_copy_of_the_table_is_independent():
    table = CelltypeTable(["a"])
    twin = table.copy()
    twin.set("a", "int")

    assert table.get("a") == "mixed"
    assert twin.parameters == ("a",)


def test_version_grows_with_each_change():
    table = CelltypeTable(["a"])
    versions = [table.version]
    table.set("a", "int")
    versions.append(table.version)
    table.delete("a")
    versions.append(table.version)
    table.derive(["b"])
    versions.append(table.version)
    table.forget_signature()
    versions.append(table.version)

    assert versions == sorted(set(versions))


def test_forgetting_the_signature_keeps_the_celltypes_and_opens_the_table():
    table = CelltypeTable(["a"])
    table.forget_signature()
    table.set("b", "int")

    assert dict(table.celltypes) == {"a": "mixed", "result": "mixed", "b": "int"}


# -- args ----------------------------------------------------------------------------------------------------


def test_arguments_by_attribute_and_by_item():
    _, arguments = function_step("a", "b")
    arguments.a = 1
    arguments["b"] = None

    assert (arguments["a"], arguments.b, list(arguments)) == (1, None, ["a", "b"])


def test_unset_argument_reads_as_none():
    _, arguments = function_step("a")

    assert arguments.a is None
    assert "a" not in arguments


@pytest.mark.parametrize("reach", [lambda a: a.alpa, lambda a: setattr(a, "alpa", 1)])
def test_unknown_argument_of_a_signature(reach):
    with pytest.raises(UnknownPin, match=r"Did you mean 'alpha'\?"):
        reach(function_step("alpha")[1])


@pytest.mark.parametrize("step", [function_step, text_step])
@pytest.mark.parametrize("reach", [lambda a: a.result, lambda a: setattr(a, "result", 1)])
def test_result_is_no_argument(step, reach):
    with pytest.raises(AttributeError, match=r"^result: "):
        reach(step()[1])


def test_setting_an_argument_of_a_text_step_declares_pin_and_result():
    celltypes, arguments = text_step()
    arguments.x = 3

    assert (celltypes.x, celltypes.result, arguments.x) == ("mixed", "mixed", 3)


def test_setting_an_argument_keeps_a_declared_celltype():
    celltypes, arguments = text_step()
    celltypes.x = "int"
    arguments.x = 3

    assert celltypes.x == "int"


def test_deleting_an_argument():
    _, arguments = function_step("a")
    arguments.a = 1
    del arguments.a

    assert arguments.a is None
    with pytest.raises(UnknownPin, match="is not preset"):
        del arguments["a"]


def test_probing_for_protocols_finds_nothing():
    _, arguments = text_step()

    assert not hasattr(arguments, "_repr_html_")
    assert not hasattr(arguments, "__array__")


def test_new_signature_keeps_the_arguments_that_it_still_has():
    celltypes = CelltypeTable(["a", "b"])
    arguments = ArgumentTable(celltypes)
    arguments.set("a", 1)
    arguments.set("b", 2)
    celltypes.derive(["b"])
    arguments.retain_known()

    assert dict(arguments.values) == {"b": 2}


def test_copied_arguments_belong_to_the_copied_celltypes():
    celltypes = CelltypeTable(None)
    arguments = ArgumentTable(celltypes)
    arguments.set("a", 1)
    twin_celltypes = celltypes.copy()
    twin = arguments.copy(twin_celltypes)
    twin.set("b", 2)

    assert dict(arguments.values) == {"a": 1}
    assert "b" in twin_celltypes.celltypes
    assert "b" not in celltypes.celltypes


# -- modules and globals -------------------------------------------------------------------------------------


def test_modules_by_attribute_and_by_item():
    modules = ModulesAccess(ModuleTable())
    modules.one = DEFINITION
    modules["two"] = DEFINITION
    del modules["two"]

    assert modules.one == DEFINITION
    assert list(modules) == ["one"]


def test_module_definition_is_copied_when_set():
    modules = ModulesAccess(ModuleTable())
    definition = dict(DEFINITION)
    modules.one = definition
    definition["code"] = "K = 2\n"

    assert modules.one["code"] == "K = 1\n"


@pytest.mark.provokes("BadModuleDefinition")
@pytest.mark.parametrize("value", [3, None, "text", len, {"language": "python"}])
def test_what_is_no_module_is_refused(value):
    with pytest.raises(BadModuleDefinition) as caught:
        ModulesAccess(ModuleTable()).one = value

    assert isinstance(caught.value, TypeError)


@pytest.mark.parametrize("name", ["code", "result", "__x", "a b", "class", "1"])
def test_module_name_must_be_usable(name):
    with pytest.raises(PinNameError):
        ModulesAccess(ModuleTable())[name] = DEFINITION


def test_unknown_module_gets_a_suggestion():
    modules = ModulesAccess(ModuleTable())
    modules.helper = DEFINITION

    with pytest.raises(UnknownPin, match=r"it has helper\. Did you mean 'helper'\?"):
        modules.helpr


def test_globals_become_the_module_main():
    table = GlobalsTable()
    GlobalsAccess(table).K = 3

    assert table.definition() == {
        "code": "# Generated by seamless-transformer\nfrom __future__ import annotations\n\nK = 3\n",
        "language": "python",
        "type": "interpreted",
    }


def test_no_globals_make_no_module():
    assert GlobalsTable().definition() is None
    assert GlobalsTable().definition(DEFINITION) == DEFINITION


def test_mutable_global_is_read_at_each_call():
    table = GlobalsTable()
    values = [1]
    table.set("K", values)
    before = table.definition()
    values.append(2)

    assert "K = [1]\n" in before["code"]
    assert "K = [1, 2]\n" in table.definition()["code"]
    assert not table.is_frozen


def test_immutable_globals_make_a_frozen_table():
    table = GlobalsTable()
    table.set("K", 1)
    table.set("s", "x")

    assert table.is_frozen
    assert [table.get(name) for name in table.names()] == [1, "x"]


def test_global_that_has_no_source_is_refused_when_it_is_set():
    table = GlobalsTable()

    with pytest.raises(
        UnsupportedGlobal, match=r"'K' is an instance of builtins\.object.*Pass it as an argument"
    ):
        GlobalsAccess(table).K = object()
    assert table.names() == []


@pytest.mark.parametrize("name", ["__x", "a b", "def"])
def test_global_name_must_be_usable(name):
    with pytest.raises(PinNameError):
        GlobalsAccess(GlobalsTable())[name] = 1


@pytest.mark.parametrize("name", ["code", "result"])
def test_global_may_be_called_as_a_reserved_pin(name):
    table = GlobalsTable()
    table.set(name, 1)

    assert f"\n{name} = 1\n" in table.definition()["code"]

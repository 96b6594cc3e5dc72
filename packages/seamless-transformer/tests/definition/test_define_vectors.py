"""The golden transformations of the reference: dictionary text and identity, byte for byte."""

from __future__ import annotations

import base64
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from seamless import Buffer, Checksum
from seamless.checksum import is_checksum_text
from seamless.serialize import serialize
from seamless_transformer.argument_access import ArgumentTable
from seamless_transformer.celltype_access import CelltypeAccess, CelltypeTable
from seamless_transformer.definition_errors import UnsupportedFunction, UnsupportedInputCelltype
from seamless_transformer.environment import Environment
from seamless_transformer.identity import IdentityTemplate, identity_text, tf_checksum, transformation_dict
from seamless_transformer.modules_access import GlobalsTable, ModuleTable
from seamless_transformer.pins import code_pin_type, formats_of, pin_type
from seamless_transformer.signature import Binder, bind_text_arguments
from seamless_transformer.source_code import capture

VECTORS = json.loads(
    (Path(__file__).parents[4] / "contracts" / "vectors" / "identity.json").read_text(encoding="utf-8")
)["transformations"]

DIFFERENT = {
    "t08_decorated_multiline": "the reference leaves the tail of the decorator; here it is dropped whole",
    "t20_async_def": "the reference fails at run time; here at definition",
    "t46_ct_yaml_in_fails": "fails in both, with a longer message here",
}


def vectors(kind: str) -> list[Any]:
    return [
        pytest.param(vector, id=vector["name"])
        for vector in VECTORS
        if vector["kind"] == kind and vector["name"] not in DIFFERENT
    ]


def vector_named(name: str) -> dict[str, Any]:
    return next(vector for vector in VECTORS if vector["name"] == name)


class FakeDelayed:
    """A step whose result is known at once: its function is called here."""

    def __init__(self, function: Any) -> None:
        self.function = function

    def __call__(self, *args: Any) -> Checksum:
        return Buffer(self.function(*args), "mixed").get_checksum()


def checksum_hex(value: Any, celltype: str) -> str | None:
    if value is None:
        return None
    if isinstance(value, Checksum):
        return value.hex()
    if isinstance(value, str) and is_checksum_text(value):
        return value
    if isinstance(value, Buffer):
        return value.get_checksum().hex()
    return Buffer(serialize(value, celltype)).get_checksum().hex()


def identify(vector: dict[str, Any], code: str, language: str, module: Any) -> tuple[bytes, bytes, bytes]:
    """Play the transformer; return dictionary text, identity, and the identity by template."""
    names = {"np": np, "Buffer": Buffer, "Checksum": Checksum, "mod": module, "delayed": FakeDelayed}
    binder = Binder.from_function(getattr(module, vector["function"])) if language == "python" else None
    celltypes = CelltypeTable(binder.names if binder else None)
    arguments = ArgumentTable(celltypes)
    modules, global_values = ModuleTable(), GlobalsTable()
    for pin, celltype in (vector.get("celltypes") or {}).items():
        setattr(CelltypeAccess(celltypes), pin, celltype)
    for name, expression in (vector.get("modules") or {}).items():
        modules.set(name, eval(expression, dict(names)))
    for name, expression in (vector.get("globals") or {}).items():
        global_values.set(name, eval(expression, dict(names)))

    args = tuple(eval(expression, dict(names)) for expression in vector.get("args") or ())
    kwargs = {k: eval(expression, dict(names)) for k, expression in (vector.get("kwargs") or {}).items()}
    bound = (
        binder.bind(args, kwargs, arguments.values)
        if binder
        else bind_text_arguments(args, kwargs, arguments.values, celltypes.celltypes)
    )
    types = {name: pin_type(name, celltypes.celltypes[name]) for name in bound}
    hexes = {name: checksum_hex(value, celltypes.celltypes[name]) for name, value in bound.items()}
    code_celltype = code_pin_type(language).celltype
    fixed = {"code": code_pin_type(language).entry(checksum_hex(Buffer(code, code_celltype), code_celltype))}
    definitions = dict(modules.definitions)
    main = global_values.definition(definitions.pop("main", None))
    definitions |= {} if main is None else {"main": main}
    for name, definition in definitions.items():
        fixed[name] = ["plain", "module", checksum_hex(definition, "plain")]

    environment = environment_of(vector.get("settings") or {})
    carried = {
        "__meta__": {"transformer_path": ["tf", "tf"], "local": False},
        "__env__": checksum_hex(environment.to_lowlevel(), "plain"),
    }
    transformation = transformation_dict(
        language,
        celltypes.celltypes["result"],
        {**fixed, **{name: types[name].entry(hexes[name]) for name in bound}},
        formats=formats_of(types),
        carried=carried,
    )
    template = IdentityTemplate(
        language,
        celltypes.celltypes["result"],
        pins={name: (types[name].celltype, types[name].subcelltype) for name in bound},
        fixed=fixed,
        formats=formats_of(types),
    )
    return identity_text(transformation), tf_checksum(transformation), template.digest(tuple(hexes.values()))


def environment_of(settings: dict[str, Any]) -> Environment:
    environment = Environment()
    environment.set_which(settings.get("which"))
    environment.set_conda_env(settings.get("conda_env"))
    return environment


def write_files(vector: dict[str, Any], directory: Path) -> None:
    for name, content in (vector.get("files") or {}).items():
        (directory / name).parent.mkdir(exist_ok=True)
        (directory / name).write_text(content, encoding="utf-8")


@pytest.mark.parametrize("vector", vectors("python"))
def test_python_step_has_the_identity_of_the_reference(vector, import_source, tmp_path):
    write_files(vector, tmp_path)
    module = import_source(vector["module_source"])

    code = capture(getattr(module, vector["function"])).text
    text, digest, by_template = identify(vector, code, "python", module)

    assert text.decode() == vector["transformation_dict"]
    assert digest.hex() == by_template.hex() == vector["tf_checksum"]


@pytest.mark.parametrize("vector", vectors("bash"))
def test_bash_step_has_the_identity_of_the_reference(vector):
    text, digest, by_template = identify(vector, vector["code"], "bash", None)

    assert text.decode() == vector["transformation_dict"]
    assert digest.hex() == by_template.hex() == vector["tf_checksum"]


@pytest.mark.parametrize(
    "vector", [pytest.param(v, id=v["name"]) for v in VECTORS if v["kind"] in ("python", "bash", "compiled")]
)
def test_identity_text_of_the_parsed_dictionary_is_that_dictionary(vector):
    text = vector.get("transformation_dict", '{\n  "a": [\n    "mixed",\n    null,\n    null\n  ]\n}\n')

    assert identity_text(json.loads(text)).decode() == text


def test_multiline_decorator_vanishes(import_source):
    vector = vector_named("t08_decorated_multiline")
    module = import_source(vector["module_source"])

    assert capture(module.f).text == "def f(a, b):\n    return a + b"


@pytest.mark.provokes("UnsupportedFunction")
def test_async_function_is_refused_at_definition(import_source):
    module = import_source(vector_named("t20_async_def")["module_source"])

    with pytest.raises(UnsupportedFunction, match=r"f is an asynchronous function .*Write it with `def`"):
        capture(module.f)


def test_yaml_input_is_refused_at_the_call():
    assert vector_named("t46_ct_yaml_in_fails")["call_error"] == "NotImplementedError: a"

    with pytest.raises(UnsupportedInputCelltype, match=r"^a: an input cannot have celltype 'yaml'"):
        pin_type("a", "yaml")


def test_code_text_of_every_vector_is_the_code_buffer_of_the_reference(import_source, tmp_path):
    compared = 0
    for vector in VECTORS:
        if vector["kind"] == "python" and vector["name"] not in DIFFERENT:
            write_files(vector, tmp_path)
            module = import_source(vector["module_source"])
            text = capture(getattr(module, vector["function"])).text
            assert serialize(text, "python") == base64.b64decode(vector["pin_buffers_base64"]["code"])
            compared += 1
    assert compared == 52

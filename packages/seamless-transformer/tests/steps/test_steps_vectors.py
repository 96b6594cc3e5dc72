"""Every recorded transformation, made through the public API: same identity, same dictionary text, same result."""

from __future__ import annotations

import base64
import importlib
import importlib.util
import json
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
from seamless import Buffer
from seamless.transformer import TransformationError, delayed

VECTORS = json.loads((Path(__file__).parents[4] / "contracts" / "vectors" / "identity.json").read_text())[
    "transformations"
]

CALL_DIFFERS = {
    "t08_decorated_multiline": "a decorator may span several lines: the step works",
    "t11_closure_fails": "a captured closure variable is named at the call, not by a NameError at run time",
    "t12_module_global_fails": "a captured global is named at the call, not by a NameError at run time",
    "t20_async_def": "an async function is refused when the step is made, with the remedy",
}
RESULT_DIFFERS = {
    "t23_none_arg": "None is a legal argument: its name is bound to None",
    "t24_none_result": "None is a legal result",
    "t25_hex64_string": "taken for a checksum nobody has, as in the reference; the failure names it",
    "t72_package_from_file": "a package that refers to itself is importable",
    "t73_globals_merge_module": "globals may be added to a module `main`; the merged text is valid Python",
}
IDENTITY_DIFFERS = {"t73_globals_merge_module"}
RUNS_HERE = [vector for vector in VECTORS if vector["kind"] in ("python", "bash")]


def names(vectors: list[dict[str, Any]]) -> list[str]:
    return [vector["name"] for vector in vectors]


SAME_IDENTITY = [
    v for v in RUNS_HERE if "tf_checksum" in v and v["name"] not in (*CALL_DIFFERS, *IDENTITY_DIFFERS)
]
SAME_RESULT = [v for v in SAME_IDENTITY if v["result_checksum"] is not None]


class Module:
    """Loads the modules of a vector, and lets go of them."""

    def __init__(self, directory: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.directory = directory
        monkeypatch.syspath_prepend(directory)

    def load(self, vector: dict[str, Any]) -> ModuleType:
        for name, text in vector.get("files", {}).items():
            path = self.directory / name
            path.parent.mkdir(exist_ok=True)
            path.write_text(text)
        path = self.directory / f"{vector['name']}_module.py"
        path.write_text(vector.get("module_source", ""))
        importlib.invalidate_caches()
        return importlib.import_module(path.stem)


@pytest.fixture
def module(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Module]:
    before = set(sys.modules)
    yield Module(tmp_path, monkeypatch)
    for name in set(sys.modules) - before:
        if name.startswith(("idpub_", "t0", "t1", "t2", "t3", "t4", "t5", "t6", "t7")):
            del sys.modules[name]


def transformation_of(vector: dict[str, Any], module: Module) -> Any:
    mod = module.load(vector)
    scope = {"mod": mod, "np": np, "Buffer": Buffer, "delayed": delayed}
    step = (
        delayed(vector["code"], "bash")
        if vector["kind"] == "bash"
        else delayed(getattr(mod, vector["function"]))
    )
    for name, celltype in vector.get("celltypes", {}).items():
        step.celltypes[name] = celltype
    for name, text in vector.get("modules", {}).items():
        setattr(step.modules, name, eval(text, scope))
    for name, text in vector.get("globals", {}).items():
        setattr(step.globals, name, eval(text, scope))
    settings = vector.get("settings", {})
    step.meta = settings.get("meta", {})
    step.scratch = settings.get("scratch", False)
    step.local = settings.get("local", False)
    if "which" in settings:
        step.environment.set_which(settings["which"])
    if "conda_env" in settings:
        step.environment.set_conda_env(settings["conda_env"])
    kept = [Buffer(eval(text, scope), celltype) for text, celltype in vector.get("buffers", ())]
    assert all(buffer.get_checksum().incref() is None for buffer in kept)
    args = [eval(text, scope) for text in vector.get("args") or ()]
    kwargs = {name: eval(text, scope) for name, text in (vector.get("kwargs") or {}).items()}
    return step(*args, **kwargs)


def of(name: str) -> dict[str, Any]:
    return next(vector for vector in VECTORS if vector["name"] == name)


def test_no_recorded_step_is_left_out():
    assert len(RUNS_HERE) == 68
    assert set(names(RUNS_HERE)) - set(names(SAME_IDENTITY)) == {
        *CALL_DIFFERS,
        *IDENTITY_DIFFERS,
        "t46_ct_yaml_in_fails",
    }


@pytest.mark.parametrize("vector", SAME_IDENTITY, ids=names(SAME_IDENTITY))
def test_the_identity_is_the_recorded_one(vector, module):
    tf = transformation_of(vector, module)
    assert tf.construct() == vector["tf_checksum"], tf.exception
    assert tf.transformation_checksum == vector["tf_checksum"]


@pytest.mark.parametrize("vector", SAME_RESULT, ids=names(SAME_RESULT))
def test_the_result_and_the_stored_dictionary_are_the_recorded_ones(vector, module, any_cache, counted):
    with counted() as count:
        tf = transformation_of(vector, module)
        result = tf.compute()
    assert tf.exception is None
    assert result == vector["result_checksum"]
    assert count.executed == 1 + vector["name"].endswith("_dependency")
    assert tf.buffer.content == base64.b64decode(vector["result_buffer_base64"])
    assert any_cache.buffers.get(tf.transformation_checksum).content.decode() == vector["transformation_dict"]


def test_a_decorator_that_spans_lines_is_left_out_of_the_code(module):
    tf = transformation_of(of("t08_decorated_multiline"), module)
    assert tf.run() == 3
    assert tf.transformation_checksum == of("t01_add")["tf_checksum"]


@pytest.mark.parametrize(("name", "variable"), [("t11_closure_fails", "k"), ("t12_module_global_fails", "K")])
def test_a_captured_variable_is_named_at_the_call(name, variable, module):
    with pytest.raises(NameError, match=rf"\b{variable}\b"):
        transformation_of(of(name), module)


def test_an_async_function_is_refused_when_the_step_is_made(module):
    mod = module.load(of("t20_async_def"))
    with pytest.raises(TypeError, match="async"):
        delayed(mod.f)


def test_none_is_an_argument(module):
    assert transformation_of(of("t23_none_arg"), module).run() == 2


def test_none_is_a_result(module, counted):
    with counted() as count:
        tf = transformation_of(of("t24_none_result"), module)
        assert tf.run() is None
    assert (tf.status, count.executed) == ("Status: OK", 1)


def test_a_string_that_looks_like_a_checksum_is_one_and_the_failure_names_it(module):
    tf = transformation_of(of("t25_hex64_string"), module)
    with pytest.raises(TransformationError, match="ab" * 32):
        tf.run()


def test_a_package_that_refers_to_itself_runs(module):
    assert transformation_of(of("t72_package_from_file"), module).run() == 11


def test_globals_are_added_to_a_module_main(module):
    assert transformation_of(of("t73_globals_merge_module"), module).run() == 11


def test_a_yaml_pin_is_refused_at_the_call(module):
    with pytest.raises(NotImplementedError, match="a"):
        transformation_of(of("t46_ct_yaml_in_fails"), module)


def test_a_failing_command_fails_with_its_exit_code(module):
    with pytest.raises(TransformationError, match="Return code 3"):
        transformation_of(of("t65_bash_failing"), module).run()

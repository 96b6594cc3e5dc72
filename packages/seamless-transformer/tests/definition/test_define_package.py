"""The package `seamless_transformer` loads what is asked for, and nothing before."""

from __future__ import annotations

import pkgutil
import subprocess
import sys

import pytest
import seamless_transformer


def _loaded_after(code: str) -> list[str]:
    """Return the modules of ours that a new interpreter has loaded after `code`."""
    show = "import sys; print(*sorted(m for m in sys.modules if m.startswith('seamless')))"
    done = subprocess.run(
        [sys.executable, "-c", f"{code}; {show}"], capture_output=True, text=True, timeout=30, check=True
    )
    return done.stdout.split()


def test_import_loads_nothing():
    assert _loaded_after("import seamless_transformer") == ["seamless_transformer"]


def test_identity_needs_no_part_that_runs_steps():
    loaded = _loaded_after("import seamless_transformer.identity")
    assert [name for name in loaded if name.startswith(("seamless_transformer", "seamless_worker"))] == [
        "seamless_transformer",
        "seamless_transformer.definition_errors",
        "seamless_transformer.identity",
    ]


@pytest.mark.parametrize("name", seamless_transformer.__all__)
def test_each_name_can_be_imported_first(name):
    code = f"from seamless_transformer import {name}; assert {name}.__name__ == '{name}'"
    assert "seamless_transformer" in _loaded_after(code)


def test_star_import_brings_every_name():
    names: dict[str, object] = {}
    exec("from seamless_transformer import *", names)
    assert set(seamless_transformer.__all__) <= set(names)


def test_names_are_listed_before_they_are_loaded():
    assert set(seamless_transformer.__all__) <= set(dir(seamless_transformer))


def test_unknown_name_is_an_attribute_error():
    with pytest.raises(AttributeError, match="no attribute 'nonsense'"):
        seamless_transformer.nonsense


def test_no_submodule_has_the_name_of_a_public_name():
    submodules = {module.name for module in pkgutil.iter_modules(seamless_transformer.__path__)}
    assert submodules & set(seamless_transformer.__all__) == set()

"""Every public module says what it offers: `__all__` is a sorted tuple, complete and free of extras."""

from __future__ import annotations

import importlib

import pytest

from tools.public_names import complaints, exported_in_order
from tools.workspace import SourceModule, distributions, exported_names, modules, parse

PUBLIC = [module for module in modules() if module.is_public]
EXPORTING = [module for module in PUBLIC if exported_names(parse(module.path))]


def _name(module: SourceModule) -> str:
    return module.name


@pytest.mark.parametrize("module", PUBLIC, ids=_name)
def test_public_module_lists_exactly_what_it_offers(module: SourceModule):
    assert complaints(module) == []


@pytest.mark.parametrize("module", EXPORTING, ids=_name)
def test_every_listed_name_can_be_had(module: SourceModule):
    imported = importlib.import_module(module.name)
    assert [name for name in imported.__all__ if not hasattr(imported, name)] == []


@pytest.mark.parametrize("module", modules(), ids=_name)
def test_module_begins_with_a_docstring(module: SourceModule):
    first = parse(module.path).body[:1]
    assert first, f"{module.relative_path} is empty"
    assert isinstance(getattr(getattr(first[0], "value", None), "value", None), str)


def test_order_of_names_is_that_of_the_formatter():
    names = ["b10", "b9", "HTTPError", "MAX_BYTES", "Checksum", "a", "X"]
    assert exported_in_order(names) == ["MAX_BYTES", "Checksum", "HTTPError", "X", "a", "b9", "b10"]


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("def f(): ...", "no __all__ tuple, although it defines f"),
        ("__all__ = ('g', 'f')\ndef f(): ...\ndef g(): ...", "not in order"),
        ("__all__ = ('f',)\ndef f(): ...\nclass G: ...", "lacks G"),
        ("__all__ = ('f', 'g')\ndef f(): ...", "has g"),
        ("__all__ = ('f', 'f')\ndef f(): ...", "repeats f"),
        ("__all__ = ['f']\ndef f(): ...", "no __all__ tuple"),
        ("__all__ = ('f',)\ntry:\n    from x import f\nexcept ImportError:\n    def g(): ...", "lacks g"),
    ],
)
def test_wrong_list_is_found(tmp_path, text: str, complaint: str):
    path = tmp_path / "example.py"
    path.write_text(text)
    module = SourceModule("example", path, distributions()[0])
    assert [c for c in complaints(module) if complaint in c]

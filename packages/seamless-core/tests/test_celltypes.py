"""The names of celltypes."""

from __future__ import annotations

import pytest
from seamless.celltypes import ALIASES, CELLTYPES, check_celltype
from seamless.deserialize import deserialize
from seamless.serialize import serialize, serialize_parts


def test_there_are_thirteen_celltypes_and_four_aliases():
    assert len(set(CELLTYPES)) == 13
    assert set(ALIASES) == {"deepcell", "deepfolder", "folder", "module"}


@pytest.mark.parametrize("name", CELLTYPES + ALIASES)
def test_valid_names_are_returned(name):
    assert check_celltype(name) == name


@pytest.mark.parametrize(
    ("name", "nearest"), [("jsn", "bytes|binary"), ("Mixed", "mixed"), ("integer", "int")]
)
def test_unknown_name_is_refused_with_the_valid_ones(name, nearest):
    with pytest.raises(TypeError, match="binary, mixed, text, python") as caught:
        check_celltype(name)
    assert repr(name) in str(caught.value)


def test_nearest_spelling_is_named():
    with pytest.raises(TypeError, match="Did you mean 'mixed'"):
        check_celltype("Mixxed")


@pytest.mark.parametrize("function", [serialize, serialize_parts])
def test_writing_an_unknown_celltype_is_a_type_error(function):
    with pytest.raises(TypeError, match="unknown celltype 'cson'"):
        function(1, "cson")


@pytest.mark.parametrize("name", ["cson", None, 3])
def test_reading_an_unknown_celltype_is_a_type_error(name):
    with pytest.raises(TypeError, match="unknown celltype"):
        deserialize(b"1", name)

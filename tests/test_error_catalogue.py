"""The catalogue of exceptions reads cause, remedy and provoking tests from the code."""

from __future__ import annotations

from pathlib import Path

import pytest

from tools import error_catalogue
from tools.workspace import SourceModule, distributions

ERRORS = '''
"""Errors."""
__all__ = ("Full", "StoreError", "Thing")
class StoreError(Exception):
    """Base class of what the store raises."""
class Full(StoreError):
    """There is no room
    left.

    size_bytes: how much was wanted.

    Remedy: free some space,
    or `seamless-service-clear --dry-run`.

    More.
    """
class _Private(StoreError): ...
class Thing: ...
'''
TESTS = """
import pytest
@pytest.mark.provokes("Full")
@pytest.mark.invariant("I-7")
def test_disk_is_full(): ...
"""


@pytest.fixture
def catalogue(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[error_catalogue.CatalogueEntry]:
    (tmp_path / "errors.py").write_text(ERRORS)
    (tmp_path / "test_errors.py").write_text(TESTS)
    module = SourceModule("example.errors", tmp_path / "errors.py", distributions()[0])
    monkeypatch.setattr(error_catalogue, "ROOT", tmp_path)
    monkeypatch.setattr(error_catalogue, "modules", lambda: (module,))
    monkeypatch.setattr(error_catalogue, "files_of_tests", lambda: [tmp_path / "test_errors.py"])
    return error_catalogue.catalogue()


def test_public_exceptions_are_listed_with_cause_remedy_and_tests(catalogue):
    assert [entry.name for entry in catalogue] == ["example.errors.Full", "example.errors.StoreError"]
    full, base = catalogue
    assert full.cause == "There is no room left."
    assert full.remedy == "free some space, or `seamless-service-clear --dry-run`."
    assert full.tests == ("test_errors.py::test_disk_is_full",)
    assert (full.is_base, base.is_base) == (False, True)


def test_marks_are_found_with_their_argument(catalogue):
    assert list(error_catalogue.marks("invariant")) == [("test_errors.py::test_disk_is_full", "I-7")]


@pytest.mark.parametrize("argument", ["errors.Full", "Full", "7", "f'Full'"])
def test_mark_with_anything_but_text_is_refused(
    argument: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    path = tmp_path / "test_errors.py"
    path.write_text(TESTS.replace('"Full"', argument))
    monkeypatch.setattr(error_catalogue, "ROOT", tmp_path)
    monkeypatch.setattr(error_catalogue, "files_of_tests", lambda: [path])
    with pytest.raises(
        ValueError, match=r"test_errors\.py, line 3: .*provokes is no text\. Put it in quotes"
    ):
        list(error_catalogue.marks("provokes"))


def test_every_test_provokes_an_exception_that_there_is():
    known = {entry.class_name for entry in error_catalogue.catalogue()}
    assert {name.rpartition(".")[2] for _, name in error_catalogue.marks("provokes")} - known == set()


def test_page_shows_each_exception_below_its_package(catalogue):
    page = error_catalogue.as_markdown(catalogue)
    assert page.startswith("## example\n\n### Full\n")
    assert "**Remedy:** free some space" in page
    assert "Provoked by `test_errors.py::test_disk_is_full`." in page

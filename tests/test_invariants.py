"""docs/invariants.md and the tests agree: no invariant without its test, no test of an unknown invariant."""

from __future__ import annotations

import ast
import re
from dataclasses import dataclass

import pytest

from tools.error_catalogue import marks
from tools.workspace import ROOT, find_module, parse

PAGE = ROOT / "docs" / "invariants.md"


@dataclass(frozen=True)
class Invariant:
    id: str
    statement: str
    enforced_by: tuple[str, ...]
    tried_by: tuple[str, ...]


def _read_page() -> list[Invariant]:
    rows = []
    for line in PAGE.read_text().splitlines():
        cells = [cell.strip() for cell in line.strip("|").split("|")]
        if line.startswith("| I-"):
            id, statement, enforced_by, tried_by = cells
            rows.append(Invariant(id, statement, _code(enforced_by), _code(tried_by)))
    return rows


def _code(cell: str) -> tuple[str, ...]:
    return tuple(re.findall(r"`([^`]+)`", cell))


INVARIANTS = _read_page()
MARKED: dict[str, set[str]] = {}
for _test, _id in marks("invariant"):
    MARKED.setdefault(_id, set()).add(_test)

each = pytest.mark.parametrize("invariant", INVARIANTS, ids=lambda i: i.id)


def test_numbers_are_used_once():
    ids = [invariant.id for invariant in INVARIANTS]
    assert ids
    assert len(ids) == len(set(ids))
    assert [i for i in ids if not re.fullmatch(r"I-[1-9]\d*", i)] == []


@each
def test_invariant_names_who_enforces_it(invariant: Invariant):
    assert invariant.enforced_by
    assert [name for name in invariant.enforced_by if not _exists(name)] == []


@each
def test_invariant_names_tests_that_exist_and_carry_its_number(invariant: Invariant):
    assert invariant.tried_by
    assert [test for test in invariant.tried_by if not _is_test(test)] == []
    assert set(invariant.tried_by) <= MARKED.get(invariant.id, set())


def test_no_test_names_an_unknown_invariant():
    assert sorted(set(MARKED) - {invariant.id for invariant in INVARIANTS}) == []


def _exists(name: str) -> bool:
    """A file of the repository, a module, or a name defined in a module."""
    owner, _, _ = name.rpartition(".")
    return (ROOT / name).is_file() or find_module(name) is not None or find_module(owner) is not None


def _is_test(name: str) -> bool:
    path, _, function = name.partition("::")
    if not (ROOT / path).is_file():
        return False
    names = {
        n.name for n in ast.walk(parse(ROOT / path)) if isinstance(n, ast.FunctionDef | ast.AsyncFunctionDef)
    }
    return function in names

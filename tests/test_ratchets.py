"""The numbers of tests/ratchets.toml fall freely; one that is meant to rise needs `make generated`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tools import ratchets
from tools.system_calls import TracingUnavailable, count_system_calls
from tools.workspace import find_module

COMMITTED = ratchets.committed()
IMPORTS = {name: entry for name, entry in COMMITTED["imports"].items() if find_module(name) is not None}
SYSTEM_CALLS: dict[str, Any] = COMMITTED.get("system_calls", {})
RISEN = "a rise on purpose is recorded by 'make generated'"


@pytest.fixture(scope="module")
def measured() -> dict[str, Any]:
    return ratchets.measured([])


@pytest.mark.parametrize("name", IMPORTS)
def test_import_brings_no_more_modules_than_committed(name: str):
    found = ratchets.imported_modules(name)
    ours = ratchets.our_modules(found)
    assert [module for module in IMPORTS[name]["never"] if module in found] == []
    assert len(ours) <= IMPORTS[name]["n_modules"], f"{ours}; {RISEN}"
    assert len(found) - len(ours) <= IMPORTS[name]["n_standard_library_max"]


def test_modules_are_short(measured: dict[str, Any]):
    longer = {
        path: n_lines
        for path, n_lines in measured["long_modules"].items()
        if n_lines > COMMITTED["long_modules"].get(path, ratchets.N_LINES_MAX)
    }
    assert longer == {}, f"split the module; {RISEN}"


def test_exceptions_to_the_length_of_modules_are_needed(measured: dict[str, Any]):
    assert set(COMMITTED["long_modules"]) - set(measured["long_modules"]) == set(), "make generated"


def test_packages_offer_no_more_names_than_committed(measured: dict[str, Any]):
    more = {
        package: n_names
        for package, n_names in measured["public_names"].items()
        if n_names > COMMITTED["public_names"].get(package, 0)
    }
    assert more == {}, RISEN


@pytest.mark.parametrize("lack", ["without_remedy", "without_test"])
def test_new_exceptions_have_a_remedy_and_a_provoking_test(lack: str, measured: dict[str, Any]):
    assert set(measured["errors"][lack]) - set(COMMITTED["errors"][lack]) == set(), (
        "see tools/error_catalogue.py"
    )


@pytest.mark.parametrize("lack", ["without_remedy", "without_test"])
def test_exceptions_that_are_complete_are_taken_off_the_list(lack: str, measured: dict[str, Any]):
    assert set(COMMITTED["errors"][lack]) - set(measured["errors"][lack]) == set(), "make generated"


@pytest.mark.parametrize("name", SYSTEM_CALLS)
def test_system_calls_are_no_more_than_committed(name: str, tmp_path: Path):
    entry = SYSTEM_CALLS[name]
    try:
        counts = count_system_calls(entry["prepare"], entry["run"], folder=tmp_path)
    except TracingUnavailable as exc:
        pytest.skip(str(exc))
    more = {call: counts.get(call, 0) for call, n in entry["at_most"].items() if counts.get(call, 0) > n}
    assert more == {}


def test_committed_file_is_as_written_by_the_tool(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    copy = tmp_path / "ratchets.toml"
    copy.write_text(ratchets.FILE.read_text())
    monkeypatch.setattr(ratchets, "FILE", copy)
    ratchets.main()
    rewritten = ratchets.read_toml(copy)
    assert list(rewritten) == list(COMMITTED)
    assert rewritten["imports"].keys() == COMMITTED["imports"].keys()
    assert rewritten.get("system_calls") == COMMITTED.get("system_calls")

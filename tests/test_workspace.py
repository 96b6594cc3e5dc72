"""The distributions fit together: one version, exact pins, every import declared, imports go downward."""

from __future__ import annotations

import configparser
import graphlib
import importlib.metadata
import re
import sys

import pytest
from packaging.requirements import Requirement

from tools.workspace import (
    ROOT,
    Distribution,
    SourceModule,
    distributions,
    imports,
    modules,
    normalized,
    read_toml,
)

OURS = {distribution.name: distribution for distribution in distributions()}
OWNER = {name: distribution for distribution in distributions() for name in distribution.top_level}
SUITE = "seamless-suite"

# Imports of what lies above, undeclared: when one fails, the message says what to install.
UPWARD = {
    "seamless.config": {"seamless_config"},
    "seamless.transformer": {"seamless_transformer"},
    "seamless_shell": {"seamless_config", "seamless_remote"},
}
HELPER_HOST_THIRD_PARTY = {"yaml"}
ONLY_FOR_TYPES = {"typing_extensions"}  # type checkers know it without its being installed
ONLY_FOR_TESTING = {"hypothesis", "pytest"}  # in <package>.testing: contract suites that tests import

by_name = pytest.mark.parametrize("distribution", distributions(), ids=lambda d: d.name)


def test_all_distributions_have_one_version():
    assert {d.version for d in distributions()} == {OURS[SUITE].version}


@by_name
def test_our_distributions_pin_each_other_exactly(distribution: Distribution):
    ours = [r for r in map(Requirement, distribution.requirements) if normalized(r.name) in OURS]
    assert [str(r.specifier) for r in ours] == [f"=={OURS[r.name].version}" for r in ours]


@by_name
def test_third_party_requirements_are_ranges(distribution: Distribution):
    third_party = [r for r in map(Requirement, distribution.requirements) if normalized(r.name) not in OURS]
    assert [str(r) for r in third_party if "==" in str(r.specifier)] == []


@by_name
def test_workspace_sources_name_exactly_our_requirements(distribution: Distribution):
    sources = (
        read_toml(distribution.folder / "pyproject.toml").get("tool", {}).get("uv", {}).get("sources", {})
    )
    assert set(sources) == _our_requirements(distribution)


@by_name
def test_wheel_holds_every_package_below_src_and_says_that_it_is_typed(distribution: Distribution):
    wheel = read_toml(distribution.folder / "pyproject.toml")["tool"]["hatch"]["build"]["targets"]["wheel"]
    assert sorted(wheel.get("packages", [])) == [f"src/{name}" for name in distribution.top_level]
    assert [
        name
        for name in distribution.top_level
        if not (distribution.folder / "src" / name / "py.typed").exists()
    ] == []


def test_suite_requires_all_others():
    assert _our_requirements(OURS[SUITE]) == set(OURS) - {SUITE}


def test_requirements_have_no_cycle():
    graph = {name: _our_requirements(d) for name, d in OURS.items()}
    assert len(list(graphlib.TopologicalSorter(graph).static_order())) == len(OURS)


def test_requirements_go_downward():
    layer = _layers()
    wrong = [
        f"{distribution.name} requires {required}"
        for distribution in distributions()
        for required in _our_requirements(distribution)
        if distribution.name != SUITE and _height(distribution, layer) <= _height(OURS[required], layer)
    ]
    assert wrong == []


@pytest.mark.parametrize("module", modules(), ids=lambda m: m.relative_path)
def test_every_import_is_declared(module: SourceModule):
    allowed = _declared_modules(module.distribution) | _upward(module) | set(sys.stdlib_module_names)
    allowed |= ONLY_FOR_TESTING if "testing" in module.name.split(".") else set()
    missing = [
        f"line {i.line}: {i.module}"
        for i in imports(module.path)
        if not {i.top_level, i.top_level.lower()}
        & (allowed | ONLY_FOR_TYPES if i.for_types_only else allowed)
    ]
    assert missing == [], f"add the distribution to {module.distribution.name}/pyproject.toml"


@pytest.mark.parametrize(
    "module",
    [m for m in modules() if m.name.partition(".")[0] == "seamless_shell"],
    ids=lambda m: m.relative_path,
)
def test_shell_imports_what_it_does_not_require_only_inside_functions(module: SourceModule):
    eager = [i.top_level for i in imports(module.path) if i.at_import_time]
    assert [name for name in eager if name in _upward(module)] == []


@pytest.mark.parametrize(
    "module",
    [m for m in modules() if m.distribution.name == "remote-http-launcher"],
    ids=lambda m: m.relative_path,
)
def test_helper_host_needs_the_standard_library_and_yaml_only(module: SourceModule):
    names = {i.top_level for i in imports(module.path)}
    assert names - set(sys.stdlib_module_names) <= HELPER_HOST_THIRD_PARTY | {"remote_http_launcher"}


def test_import_contracts_cover_every_package():
    config = configparser.ConfigParser()
    config.read(ROOT / ".importlinter")
    assert config["importlinter"]["root_packages"].split() == sorted(OWNER)
    assert set(_layers()) == set(OWNER)


def test_type_checker_sees_every_package():
    path = read_toml(ROOT / "pyproject.toml")["tool"]["mypy"]["mypy_path"]
    assert path == [f"packages/{d.folder.name}/src" for d in distributions() if d.top_level]


def test_every_third_party_requirement_has_an_exact_version():
    required = {
        normalized(Requirement(r).name) for d in distributions() for r in (*d.requirements, *d.extras)
    } - set(OURS)
    assert sorted(required - set(_constraints())) == [], "run make constraints"


def test_constraints_are_exact_and_name_no_registry():
    lines = [line for line in _constraint_lines() if not re.fullmatch(r"[a-z0-9.-]+==[^ ]+( ; .+)?", line)]
    assert lines == []


@pytest.mark.parametrize("version", ["3.10", "3.11", "3.12", "3.13"])
def test_constraints_choose_one_version_for_each_python(version: str):
    environment = {"python_version": version, "python_full_version": f"{version}.0"}
    chosen = [
        r.name
        for r in map(Requirement, _constraint_lines())
        if r.marker is None or r.marker.evaluate(environment)
    ]
    assert len(chosen) == len(set(chosen))
    assert "numpy" in chosen


def _our_requirements(distribution: Distribution) -> set[str]:
    return {name for r in distribution.requirements if (name := normalized(Requirement(r).name)) in OURS}


def _layers() -> dict[str, int]:
    """Return package -> height, read from the layers contract."""
    config = configparser.ConfigParser()
    config.read(ROOT / ".importlinter")
    rows = config["importlinter:contract:layers"]["layers"].strip().splitlines()
    return {
        name: height for height, row in enumerate(reversed(rows)) for name in re.split(r"[|\s]+", row) if name
    }


def _height(distribution: Distribution, layer: dict[str, int]) -> int:
    """The shell is the top of a distribution whose body lies deeper."""
    return max(layer[name] for name in distribution.top_level if name != "seamless_shell")


def _upward(module: SourceModule) -> set[str]:
    return UPWARD.get(module.name, UPWARD.get(module.name.partition(".")[0], set()))


def _declared_modules(distribution: Distribution) -> set[str]:
    """Return the top-level modules of the distribution itself and of what it requires, directly."""
    declared = set(distribution.top_level)
    for requirement in map(Requirement, (*distribution.requirements, *distribution.extras)):
        name = normalized(requirement.name)
        declared |= set(OURS[name].top_level) if name in OURS else _modules_of_third_party(name)
    return declared


def _modules_of_third_party(name: str) -> set[str]:
    try:
        files = importlib.metadata.distribution(name).files or []
    except importlib.metadata.PackageNotFoundError:  # an extra that this system lacks
        files = []
    tops = {file.parts[0].partition(".")[0] for file in files if file.suffix in (".py", ".so")}
    return tops | {name.replace("-", "_")}


def _constraint_lines() -> list[str]:
    text = (ROOT / "constraints.txt").read_text()
    return [line for line in text.splitlines() if not line.startswith("#")]


def _constraints() -> list[str]:
    return [normalized(Requirement(line).name) for line in _constraint_lines()]

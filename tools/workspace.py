"""Read the workspace: its distributions, their modules, imports and public names.

Everything is read from files; nothing of ours is imported here, so a package that does not import
can still be examined.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import tomli

__all__ = (
    "ROOT",
    "Distribution",
    "ImportStatement",
    "SourceModule",
    "distributions",
    "exported_names",
    "files_of_tests",
    "find_module",
    "imports",
    "modules",
    "normalized",
    "parse",
    "read_toml",
)

ROOT = Path(__file__).resolve().parent.parent


@dataclass(frozen=True)
class Distribution:
    """One folder of packages/: what its pyproject.toml says."""

    folder: Path
    name: str
    version: str
    requirements: tuple[str, ...]
    extras: tuple[str, ...]
    """Requirements of the optional-dependencies, of all extras together."""
    top_level: tuple[str, ...]
    """Names that it makes importable."""


@dataclass(frozen=True)
class SourceModule:
    """One file below packages/*/src."""

    name: str
    path: Path
    distribution: Distribution

    @property
    def is_public(self) -> bool:
        return not any(part.startswith("_") for part in self.name.split("."))

    @property
    def relative_path(self) -> str:
        return self.path.relative_to(ROOT).as_posix()


@dataclass(frozen=True)
class ImportStatement:
    """One absolute import, wherever it stands in the file."""

    module: str
    line: int
    at_import_time: bool
    """It runs when the module is imported: outside of functions and of `if TYPE_CHECKING`."""
    for_types_only: bool
    """It stands below `if TYPE_CHECKING` and never runs."""

    @property
    def top_level(self) -> str:
        return self.module.partition(".")[0]


def read_toml(path: Path) -> dict[str, Any]:
    table: dict[str, Any] = tomli.loads(path.read_text())
    return table


def normalized(name: str) -> str:
    """Return the name of a distribution as the packaging standards compare it."""
    return re.sub(r"[-_.]+", "-", name).lower()


@cache
def distributions() -> tuple[Distribution, ...]:
    found = []
    for file in sorted(ROOT.glob("packages/*/pyproject.toml")):
        project = read_toml(file)["project"]
        source = file.parent / "src"
        found.append(
            Distribution(
                folder=file.parent,
                name=project["name"],
                version=project["version"],
                requirements=tuple(project.get("dependencies", ())),
                extras=tuple(r for extra in project.get("optional-dependencies", {}).values() for r in extra),
                top_level=tuple(sorted(p.parent.name for p in source.glob("*/__init__.py"))),
            )
        )
    return tuple(found)


@cache
def modules() -> tuple[SourceModule, ...]:
    found = []
    for distribution in distributions():
        source = distribution.folder / "src"
        for path in sorted(source.rglob("*.py")):
            parts = path.relative_to(source).with_suffix("").parts
            name = ".".join(parts[:-1] if parts[-1] == "__init__" else parts)
            found.append(SourceModule(name, path, distribution))
    return tuple(found)


def find_module(name: str) -> SourceModule | None:
    return next((module for module in modules() if module.name == name), None)


@cache
def parse(path: Path) -> ast.Module:
    return ast.parse(path.read_text(), filename=str(path))


def imports(path: Path) -> Iterator[ImportStatement]:
    """Yield every absolute import of the file, those inside functions and conditions included."""
    yield from _imports(parse(path).body, at_import_time=True, for_types_only=False)


def exported_names(tree: ast.Module) -> list[str] | None:
    """Return `__all__` as written, or None when the module has none or computes it."""
    for node in tree.body:
        targets = node.targets if isinstance(node, ast.Assign) else [getattr(node, "target", None)]
        if any(isinstance(target, ast.Name) and target.id == "__all__" for target in targets):
            value = getattr(node, "value", None)
            return list(ast.literal_eval(value)) if isinstance(value, ast.Tuple) else None
    return None


def files_of_tests() -> list[Path]:
    """Return every test file of the repository, the contract suites that several packages run included."""
    patterns = (
        "packages/*/tests/**/test_*.py",
        "packages/*/src/*/testing/*_contracts.py",
        "contracts/**/test_*.py",
        "tests/**/test_*.py",
    )
    return sorted(path for pattern in patterns for path in ROOT.glob(pattern))


def _imports(body: list[Any], *, at_import_time: bool, for_types_only: bool) -> Iterator[ImportStatement]:
    for node in body:
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield ImportStatement(alias.name, node.lineno, at_import_time, for_types_only)
        elif isinstance(node, ast.ImportFrom):
            if node.level == 0 and node.module and node.module != "__future__":
                yield ImportStatement(node.module, node.lineno, at_import_time, for_types_only)
        elif isinstance(node, ast.If) and ast.unparse(node.test) in ("TYPE_CHECKING", "typing.TYPE_CHECKING"):
            yield from _imports(node.body, at_import_time=False, for_types_only=True)
            yield from _imports(node.orelse, at_import_time=at_import_time, for_types_only=for_types_only)
        else:
            runs = at_import_time and not isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
            for field in ("body", "orelse", "finalbody", "handlers", "cases"):
                block = getattr(node, field, None) or []
                yield from _imports(block, at_import_time=runs, for_types_only=for_types_only)

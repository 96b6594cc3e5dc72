"""Modules that travel with a step, as definitions made of their source.

A single file is `{"code": text, "language": "python", "type": "interpreted"}`. A package has as `code` an
object `{name in the package: {"code", "dependencies", "language"}}`, with `__init__` for the package itself
and dotted names for what lies below; its members are the modules of the package that are imported at that
moment.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping
from types import ModuleType
from typing import Any

from .definition_errors import BadModuleDefinition
from .globals_code import definition_from_values

__all__ = ("module_definition",)


def module_definition(module: ModuleType | Mapping[str, Any]) -> dict[str, Any]:
    """Return the definition of a module, from its source files; a definition is returned as a copy.

    Raises BadModuleDefinition for anything else, and for modules whose code is not Python source.
    """
    if isinstance(module, Mapping):
        return _checked_copy(module)
    if not isinstance(module, ModuleType):
        raise BadModuleDefinition(
            f"a module of a step must be a module or a module definition, not {type(module).__name__}: "
            f"{module!r:.80}. Give other values as globals or arguments."
        )
    if _is_package(module):
        return {"code": _package_code(module), "language": "python", "type": "interpreted"}
    if getattr(module, "__file__", None) is None and not _has_source_loader(module):
        if getattr(module, "__spec__", None) is not None:
            raise _no_source(module.__name__, module.__name__)
        return definition_from_values(
            vars(module), f"module {module.__name__!r}"
        )  # made by hand, in a notebook
    return {"code": _source(module, module.__name__), "language": "python", "type": "interpreted"}


def _checked_copy(definition: Mapping[str, Any]) -> dict[str, Any]:
    import copy

    code = definition.get("code")
    if not isinstance(code, (str, Mapping)):
        raise BadModuleDefinition(
            "a module definition needs a member 'code' (source text, or an object of modules for a package) "
            f"beside 'language' and 'type'; this one has {', '.join(map(repr, definition)) or 'no members'}."
        )
    return copy.deepcopy(dict(definition))


def _package_code(package: ModuleType) -> dict[str, Any]:
    root = package.__name__
    members: dict[str, ModuleType] = {"__init__": package}
    for full_name, module in sorted(sys.modules.items()):
        if full_name.startswith(root + ".") and isinstance(module, ModuleType):
            members[full_name[len(root) + 1 :]] = module
    sources = {name: _source(module, root) for name, module in members.items() if not _is_namespace(module)}
    sources.setdefault("__init__", "")
    packages = {name for name, module in members.items() if _is_package(module)}
    return {
        name: {
            "code": source,
            "dependencies": _dependencies(name, source, packages, set(sources)),
            "language": "python",
        }
        for name, source in sources.items()
    }


def _is_package(module: ModuleType) -> bool:
    return hasattr(module, "__path__")


def _is_namespace(module: ModuleType) -> bool:
    return _is_package(module) and getattr(module, "__file__", None) is None


def _has_source_loader(module: ModuleType) -> bool:
    return _loader_source(module) is not None


def _loader_source(module: ModuleType) -> str | None:
    loader = getattr(module, "__loader__", None)
    get_source = getattr(loader, "get_source", None)
    if get_source is None:
        return None
    try:
        source = get_source(module.__name__)
    except (ImportError, OSError):
        return None
    return source if isinstance(source, str) else None


def _source(module: ModuleType, owner: str) -> str:
    """Return a module's source as its file holds it now, without newlines at either end."""
    source = _loader_source(module)
    file = getattr(module, "__file__", None)
    if source is None and isinstance(file, str) and file.endswith(".py"):
        import tokenize

        try:
            with tokenize.open(file) as stream:
                source = stream.read()
        except (OSError, SyntaxError) as exc:
            raise BadModuleDefinition(
                f"the source of module {module.__name__!r} ({file}) cannot be read: {exc}"
            ) from exc
    if source is None:
        raise _no_source(module.__name__, owner)
    return source.strip("\n")


def _no_source(module_name: str, owner: str) -> BadModuleDefinition:
    part = "" if owner == module_name else f" (part of {owner!r})"
    return BadModuleDefinition(
        f"the module {module_name!r}{part} is not made of Python source, so it cannot travel with a step. "
        f"Import it inside the step (`import {owner}`); it must then be installed where the step runs."
    )


def _dependencies(name: str, source: str, packages: set[str], members: set[str]) -> list[str]:
    """Return what a member imports from its own package, by the relative imports at its top level.

    Written from the root of the package: `.sub.mod`; the package itself is `__init__`. What is no member (a
    function of the package, an optional module) is left out.
    """
    import ast

    try:
        tree = ast.parse(source)
    except SyntaxError as exc:
        raise BadModuleDefinition(f"the module {name!r} of a package is no valid Python: {exc}") from exc
    path = [] if name == "__init__" else name.split(".")
    here = path if name in packages else path[:-1]
    found: set[str] = set()
    for node in tree.body:
        if not isinstance(node, ast.ImportFrom) or not node.level:
            continue
        n_up = node.level - 1
        if n_up > len(here):
            continue  # beyond the package
        base = here[: len(here) - n_up]
        if node.module is not None:
            found.add(".".join([*base, *node.module.split(".")]))
        elif base == path and name in packages:  # `from . import x` in a package: its own modules
            found.update(".".join([*base, alias.name]) for alias in node.names)
        else:
            found.add(".".join(base) or "__init__")
    return sorted(
        dependency if dependency == "__init__" else f".{dependency}"
        for dependency in found
        if dependency in members and dependency != name
    )

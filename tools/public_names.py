"""Compare the public names of a module with its `__all__`, from its text alone.

Public is every function and class that a module defines, and every type alias annotated as such, unless
its name starts with `_`. Constants may stay out of `__all__`. Order is ruff's (RUF022): SCREAMING_CASE,
then CamelCase, then the rest.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterable

from tools.workspace import SourceModule, exported_names, modules, parse

__all__ = ("complaints", "exported_in_order", "n_public_names")


def complaints(module: SourceModule) -> list[str]:
    """Return what is wrong with the `__all__` of a public module; empty when nothing is."""
    tree = parse(module.path)
    defined = _defined(tree.body)
    exported = exported_names(tree)
    if exported is None:
        public = sorted(name for name, is_callable in defined.items() if is_callable)
        return [f"no __all__ tuple, although it defines {', '.join(public)}"] if public else []
    found = []
    if exported != exported_in_order(exported):
        found.append(f"__all__ is not in order; expected {tuple(exported_in_order(exported))}")
    if repeated := sorted({name for name in exported if exported.count(name) > 1}):
        found.append(f"__all__ repeats {', '.join(repeated)}")
    if missing := sorted(
        name
        for name, is_callable in defined.items()
        if is_callable and name not in {*exported, "__getattr__"}
    ):
        found.append(f"__all__ lacks {', '.join(missing)} (or start the name with _)")
    available = set(defined) | _imported(tree.body) | _submodules(module)
    if "__getattr__" not in available and (extra := sorted(set(exported) - available)):
        found.append(f"__all__ has {', '.join(extra)}, which the module does not define")
    return found


def exported_in_order(names: Iterable[str]) -> list[str]:
    def key(name: str) -> tuple[int, list[tuple[int, int | str]]]:
        kind = 0 if len(name) > 1 and name.isupper() else 1 if name[:1].isupper() else 2
        parts = [part for part in re.split(r"(\d+)", name) if part]
        return kind, [(0, int(part)) if part.isdigit() else (1, part) for part in parts]

    return sorted(names, key=key)


def n_public_names() -> dict[str, int]:
    """Return top-level package -> number of names that its `__init__` offers."""
    packages = [module for module in modules() if "." not in module.name]
    return {module.name: len(exported_names(parse(module.path)) or ()) for module in packages}


def _defined(body: list[ast.stmt]) -> dict[str, bool]:
    """Return name -> whether it is a function, a class or a type alias; private names left out."""
    names: dict[str, bool] = {}
    for node in body:
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            names[node.name] = True
        elif isinstance(node, ast.Assign):
            names.update(
                (target.id, False)
                for t in node.targets
                for target in ast.walk(t)
                if isinstance(target, ast.Name)
            )
        elif isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name):
            names[node.target.id] = "TypeAlias" in ast.unparse(node.annotation)
        else:
            for part in _blocks(node):
                names.update(_defined(part))
    return {name: kind for name, kind in names.items() if not name.startswith("_") or name == "__getattr__"}


def _imported(body: list[ast.stmt]) -> set[str]:
    names = set()
    for node in body:
        if isinstance(node, ast.Import | ast.ImportFrom):
            names |= {(alias.asname or alias.name).partition(".")[0] for alias in node.names}
        else:
            names |= {name for part in _blocks(node) for name in _imported(part)}
    return names


def _submodules(module: SourceModule) -> set[str]:
    prefix = module.name + "."
    return {m.name.removeprefix(prefix) for m in modules() if m.name.startswith(prefix)}


def _blocks(node: ast.stmt) -> list[list[ast.stmt]]:
    """Return the bodies of `if`, `try` and `with`, whose names are the module's."""
    if not isinstance(node, ast.If | ast.Try | ast.With):
        return []
    blocks = [node.body, getattr(node, "orelse", []), getattr(node, "finalbody", [])]
    return blocks + [handler.body for handler in getattr(node, "handlers", [])]

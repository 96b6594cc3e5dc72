"""Tell whether a piece of source text is the source of a function in memory.

The text is compiled in surroundings like those of the function (enclosing class, captured variables,
`__future__` flags) and the code objects are compared: instructions, names and constants, recursively. Line
numbers, decorators, docstrings and the function's own annotations may differ.

Modules that an import hook rewrote (pytest's assertions, run-time type checkers) hold more than their source
says: there the text must only be contained in the code.
"""

from __future__ import annotations

import ast
import sys
from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass
from types import CodeType, FunctionType
from typing import Any

__all__ = ("CodeContext", "is_source_of")

_FUTURE_FLAGS = 0x1FE0000  # CO_FUTURE_DIVISION ... CO_FUTURE_ANNOTATIONS, as in Include/cpython/code.h
_KIND_FLAGS = 0x2AC  # CO_VARARGS, CO_VARKEYWORDS, CO_GENERATOR, CO_COROUTINE, CO_ASYNC_GENERATOR
_NEW_LOCALS = 0x2  # CO_NEWLOCALS: a function, not the body of a class
_HAS_DOCSTRING = 0x4000000  # CO_HAS_DOCSTRING, Python >= 3.14


@dataclass(frozen=True, slots=True)
class CodeContext:
    """What around a function decides how it compiles."""

    name: str
    free_names: tuple[str, ...]
    class_name: str | None
    future_flags: int
    rewritten: bool
    """Its module came through an import hook that may have rewritten it."""

    @classmethod
    def of(cls, function: FunctionType) -> CodeContext:
        code = function.__code__
        path = function.__qualname__.split(".")
        class_name = path[-2] if len(path) > 1 and path[-2] != "<locals>" else None
        return cls(
            name=code.co_name,
            free_names=tuple(name for name in code.co_freevars if name != "__class__"),
            class_name=class_name,
            future_flags=code.co_flags & _FUTURE_FLAGS,
            rewritten=_came_through_hook(function.__globals__),
        )


def is_source_of(
    function: FunctionType, node: ast.FunctionDef | ast.Lambda, imported_names: Callable[[], Collection[str]]
) -> bool:
    """Return whether a syntax tree is that of a function in memory.

    node: without decorators, its lines numbered as in the file (Python 3.13 keeps those of classes).
    imported_names: gives the names that imports at the top level of the function's
        module bind; Python compiles calls of their members in another way. Asked only when needed.
    """
    context = CodeContext.of(function)
    compiled = _compile_in_context(node, context)
    if compiled is None:
        return False
    if _same_code(compiled, function.__code__, context):
        return True
    imported = {name for name in imported_names() if name.isidentifier()}
    compiled = _compile_in_context(node, context, imported) if imported else None
    return compiled is not None and _same_code(compiled, function.__code__, context)


def _compile_in_context(
    node: ast.FunctionDef | ast.Lambda, context: CodeContext, imported: Collection[str] = ()
) -> CodeType | None:
    """Compile a function's syntax tree as if it stood where the function did; None if it is invalid."""
    import copy
    import warnings

    statement: ast.stmt
    statement = ast.Expr(copy.copy(node)) if isinstance(node, ast.Lambda) else node
    body: list[ast.stmt] = [statement]
    if context.class_name is not None:
        scope = ast.parse(f"class {context.class_name}: pass").body[0]
        assert isinstance(scope, ast.ClassDef)
        scope.body = body
        body = [scope]
    if context.free_names:
        bindings = ast.parse("".join(f"{name} = None\n" for name in context.free_names)).body
        outer = ast.parse("def outer(): pass").body[0]
        assert isinstance(outer, ast.FunctionDef)
        outer.body = [*bindings, *body]
        body = [outer]
    if imported:
        body = [ast.Import(names=[ast.alias(name=name) for name in sorted(imported)]), *body]
    tree = ast.fix_missing_locations(ast.Module(body=body, type_ignores=[]))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            module = compile(tree, "<step>", "exec", flags=context.future_flags, dont_inherit=True)
        except (SyntaxError, ValueError, RecursionError):
            return None
    return _find(module, context)


def _find(module: CodeType, context: CodeContext) -> CodeType | None:
    """Return the function's code object: the outermost of its name below the scopes that we made."""
    level = [module]
    while level:
        found = [c for code in level for c in _children(code) if c.co_name == context.name]
        if found:
            return found[-1]
        level = [c for code in level for c in _children(code)]
    return None


def _same_code(compiled: CodeType, live: CodeType, context: CodeContext) -> bool:
    """Return whether the code compiled from a text is that of the function in memory."""
    if _equal(compiled, live):
        return True
    return context.rewritten and _contained(compiled, live)


def _equal(a: CodeType, b: CodeType) -> bool:
    return (
        a.co_code == b.co_code
        and a.co_names == b.co_names
        and a.co_varnames == b.co_varnames
        and a.co_freevars == b.co_freevars
        and a.co_cellvars == b.co_cellvars
        and a.co_argcount == b.co_argcount
        and a.co_posonlyargcount == b.co_posonlyargcount
        and a.co_kwonlyargcount == b.co_kwonlyargcount
        and (a.co_flags ^ b.co_flags) & _KIND_FLAGS == 0
        and _equal_constants(_without_docstring(a), _without_docstring(b))
    )


def _without_docstring(code: CodeType) -> tuple[Any, ...]:
    """Drop the docstring; before Python 3.14 the first constant of a `def` is its docstring or None."""
    constants = code.co_consts
    if sys.version_info >= (3, 14):
        has_docstring = bool(code.co_flags & _HAS_DOCSTRING)
    else:
        is_class = code.co_flags & _NEW_LOCALS == 0
        has_docstring = not is_class and not code.co_name.startswith("<")
    return constants[1:] if has_docstring else constants


def _equal_constants(a: tuple[Any, ...], b: tuple[Any, ...]) -> bool:
    return len(a) == len(b) and all(map(_equal_constant, a, b))


def _equal_constant(a: Any, b: Any) -> bool:
    if type(a) is not type(b):
        return False
    if isinstance(a, CodeType):
        return a.co_name == b.co_name and _equal(a, b)
    if isinstance(a, tuple):
        return _equal_constants(a, b)
    if isinstance(a, frozenset):
        return {(type(x), repr(x)) for x in a} == {(type(x), repr(x)) for x in b}
    if isinstance(a, str) and "<locals>." in a:  # a qualified name: it holds the surroundings
        return bool(a.rpartition("<locals>.")[2] == b.rpartition("<locals>.")[2])
    return repr(a) == repr(b)  # tells 0.0 from -0.0


# -- modules that an import hook rewrote -----------------------------------------------------------------


def _came_through_hook(module_globals: dict[str, Any]) -> bool:
    loader = module_globals.get("__loader__")
    if loader is None:
        return False
    module = type(loader).__module__ or ""
    return not (module.startswith(("_frozen_importlib", "importlib.", "zipimport")) or module == "builtins")


def _contained(compiled: CodeType, live: CodeType) -> bool:
    if compiled.co_varnames[: _n_arguments(compiled)] != live.co_varnames[: _n_arguments(live)]:
        return False
    return _words(compiled) <= _words(live)


def _n_arguments(code: CodeType) -> int:
    return code.co_argcount + code.co_kwonlyargcount + bool(code.co_flags & 0x4) + bool(code.co_flags & 0x8)


def _words(code: CodeType) -> set[tuple[str, str]]:
    """Return every name and constant of the code and of those inside it."""
    words = {
        ("name", name) for name in (*code.co_names, *code.co_varnames, *code.co_freevars, *code.co_cellvars)
    }
    for constant in _without_docstring(code):
        if isinstance(constant, CodeType):
            words |= _words(constant)
        elif not (isinstance(constant, str) and "<locals>." in constant):
            words.add((type(constant).__name__, repr(constant)))
    return words


def _children(code: CodeType) -> Iterator[CodeType]:
    return (constant for constant in code.co_consts if isinstance(constant, CodeType))

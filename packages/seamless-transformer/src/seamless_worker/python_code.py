"""Compile the text of a Python step once, and find out how to run it.

A text that is a single `def` is a function to call with the pins; a single lambda likewise; a single
expression has the result as its value; everything else is a block that assigns the name `result`.

Annotations are postponed, so they never need names. Frames show the author's file and line when that file
still holds the code here, else `transformer-in-process-<code checksum>`, whose source is in `linecache`.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from dataclasses import dataclass
from types import CodeType
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import ast

    from seamless.step import SourceLocation

__all__ = ("MAX_CACHED_CODES", "Parameters", "PythonCode", "cached_code", "compile_code", "compile_module")

MAX_CACHED_CODES = 1000
_POSTPONED_ANNOTATIONS = 0x1000000  # __future__.annotations.compiler_flag, which is fixed


@dataclass(frozen=True, slots=True)
class Parameters:
    """The parameters of a step's function that cannot simply be passed by keyword."""

    by_keyword_only: bool  # no positional-only and no variadic parameters: the usual case
    positional: tuple[str, ...]  # positional-only first, then those that may also be keywords
    n_positional_only: int
    names: frozenset[str]
    var_positional: str | None
    var_keyword: str | None


@dataclass(frozen=True, slots=True)
class PythonCode:
    """Compiled code of a step."""

    mode: str  # function, lambda, expression or block
    code: CodeType
    function_name: str | None
    parameters: Parameters | None


_lock = threading.Lock()
_compiled: OrderedDict[object, tuple[Any, str | None]] = OrderedDict()  # key -> code, file it is shown as
_n_shown: dict[str, int] = {}  # how many compiled codes share a file in `linecache`


def cached_code(code_checksum: str, location: SourceLocation | None) -> PythonCode | None:
    """Return the step's compiled code if `compile_code` has made it not too long ago."""
    key = (code_checksum, location)
    with _lock:
        entry = _compiled.get(key)
        if entry is None:
            return None
        _compiled.move_to_end(key)
        return entry[0]  # type: ignore[no-any-return]


def compile_code(code_checksum: str, location: SourceLocation | None, text: str) -> PythonCode:
    """Compile the text of a step. Raises SyntaxError, or TypeError for an `async def`."""
    compiled, shown_as = _compile_step(text, f"transformer-in-process-{code_checksum}", location)
    _remember((code_checksum, location), compiled, shown_as, text)
    return compiled


def compile_module(key: object, filename: str, text: str) -> CodeType:
    """Compile a module that travels with a step, under a name that `linecache` knows; cached by `key`."""
    with _lock:
        entry = _compiled.get(key)
        if entry is not None:
            _compiled.move_to_end(key)
            return entry[0]  # type: ignore[no-any-return]
    import ast

    tree = ast.parse(text, filename)
    flags = _hoist_future_imports(tree)
    code: CodeType = compile(tree, filename, "exec", flags=flags, dont_inherit=True)
    _remember(key, code, filename, text)
    return code


def _compile_step(text: str, filename: str, location: SourceLocation | None) -> tuple[PythonCode, str | None]:
    import ast

    shown_as: str | None = filename
    tree = ast.parse(text, filename)
    if location is not None and _move_to_location(tree, text, location):
        filename = location.filename
        shown_as = None
    flags = _POSTPONED_ANNOTATIONS | _hoist_future_imports(tree)

    def compiled(node: Any, how: str) -> CodeType:
        code: CodeType = compile(node, filename, how, flags=flags, dont_inherit=True)
        return code

    statement = tree.body[0] if len(tree.body) == 1 else None
    if isinstance(statement, ast.AsyncFunctionDef):
        raise TypeError(
            f"a step cannot be an `async def` ({statement.name!r}): write a plain `def`, "
            "and call asyncio.run(...) inside it if it awaits something"
        )
    if isinstance(statement, ast.FunctionDef):
        parameters = _parameters(statement.args)
        return PythonCode("function", compiled(tree, "exec"), statement.name, parameters), shown_as
    if isinstance(statement, ast.Expr):
        code = compiled(ast.Expression(statement.value), "eval")
        if isinstance(statement.value, ast.Lambda):
            parameters = _parameters(statement.value.args)
            return PythonCode("lambda", code, None, parameters), shown_as
        return PythonCode("expression", code, None, None), shown_as
    return PythonCode("block", compiled(tree, "exec"), None, None), shown_as


def _parameters(arguments: ast.arguments) -> Parameters:
    positional = tuple(a.arg for a in (*arguments.posonlyargs, *arguments.args))
    var_positional = arguments.vararg.arg if arguments.vararg else None
    var_keyword = arguments.kwarg.arg if arguments.kwarg else None
    return Parameters(
        by_keyword_only=not (arguments.posonlyargs or var_positional or var_keyword),
        positional=positional,
        n_positional_only=len(arguments.posonlyargs),
        names=frozenset((*positional, *(a.arg for a in arguments.kwonlyargs))),
        var_positional=var_positional,
        var_keyword=var_keyword,
    )


def _hoist_future_imports(tree: ast.Module) -> int:
    """Take `from __future__` imports out, wherever they stand, and return their compiler flags.

    Joined texts (a module `main` with generated globals appended) have them in the middle, which the
    compiler refuses.
    """
    import ast

    future = [s for s in tree.body if isinstance(s, ast.ImportFrom) and s.module == "__future__"]
    if not future:
        return 0
    import __future__

    flags = 0
    for statement in future:
        for alias in statement.names:
            feature = getattr(__future__, alias.name, None)
            if not isinstance(feature, __future__._Feature):
                raise SyntaxError(f"future feature {alias.name} is not defined")
            flags |= feature.compiler_flag
    tree.body = [s for s in tree.body if s not in future] or [ast.copy_location(ast.Pass(), future[0])]
    return flags


def _move_to_location(tree: ast.Module, text: str, location: SourceLocation) -> bool:
    """Shift the tree to where its author wrote it; False when the file does not hold it there."""
    import ast
    import linecache

    code_line = text.partition("\n")[0]
    file_line = linecache.getline(location.filename, location.first_line).rstrip("\n")
    column = file_line.find(code_line) if code_line else -1
    if column < 0:
        return False
    shift = len(file_line[:column].encode())
    ast.increment_lineno(tree, location.first_line - 1)
    if shift:
        for node in ast.walk(tree):
            for name in ("col_offset", "end_col_offset"):
                offset = getattr(node, name, None)
                if offset is not None:
                    setattr(node, name, offset + shift)
    return True


def _remember(key: object, compiled: Any, shown_as: str | None, text: str) -> None:
    """Keep compiled code, and its text as the source of the file `shown_as`, while it is in use.

    compiled: Any, a CodeType or a PythonCode, whatever the caller will ask for under this key.
    """
    import linecache

    with _lock:
        if key in _compiled:  # by another thread meanwhile
            return
        _compiled[key] = (compiled, shown_as)
        if shown_as is not None:
            _n_shown[shown_as] = _n_shown.get(shown_as, 0) + 1
            linecache.cache[shown_as] = (len(text), None, text.splitlines(keepends=True), shown_as)
        while len(_compiled) > MAX_CACHED_CODES:
            dropped = _compiled.popitem(last=False)[1][1]
            if dropped is None:
                continue
            _n_shown[dropped] -= 1
            if not _n_shown[dropped]:
                del _n_shown[dropped]
                linecache.cache.pop(dropped, None)

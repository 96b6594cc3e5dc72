"""From a function in memory to the text of its code.

The text of a `def` is its source, dedented and without decorators; that of a lambda is the lambda expression.
The text counts towards the identity of a step, so wherever the reference implementation yields text that
means the same as the function, ours is equal to it byte for byte; elsewhere ours is the exact source.

Invariant: the text that `capture` returns compiles to the code that the function has in memory. That is
checked, so neither a file that changed on disk since its import nor a wrongly cut text becomes a step.
"""

from __future__ import annotations

import ast
import linecache
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from types import BuiltinFunctionType, FunctionType, MethodType
from typing import Any, Literal

from seamless.step import SourceLocation

from .code_comparison import is_source_of
from .definition_errors import (
    LambdaSourceError,
    NotAFunction,
    SourceUnavailable,
    StaleSource,
    UnsupportedFunction,
)

__all__ = ("SourceCode", "capture", "plain_function", "source_lines")


@dataclass(frozen=True, slots=True)
class SourceCode:
    """The code of a step. location: where its first line stands, for tracebacks; outside the identity."""

    text: str
    location: SourceLocation | None
    kind: Literal["function", "lambda"]


def plain_function(func: object) -> FunctionType:
    """Return the Python function behind `func`, looking through `functools.wraps`; refuse anything else.

    Raises NotAFunction or UnsupportedFunction, with what to pass instead.
    """
    function = func
    seen: set[int] = set()
    while (
        isinstance(function, FunctionType) and hasattr(function, "__wrapped__") and id(function) not in seen
    ):
        seen.add(id(function))
        function = function.__wrapped__
    if not isinstance(function, FunctionType):
        raise NotAFunction(f"func must be a function, not {_describe(function)}. {_instead(function)}")
    flags = function.__code__.co_flags
    if flags & 0x280:  # CO_COROUTINE | CO_ASYNC_GENERATOR
        raise UnsupportedFunction(
            f"{function.__qualname__} is an asynchronous function ({_place(function)}); a step is "
            "computed by an ordinary one. Write it with `def`; it may call asyncio.run(...)."
        )
    if flags & 0x20:  # CO_GENERATOR
        raise UnsupportedFunction(
            f"{function.__qualname__} is a generator ({_place(function)}); a step returns one value. "
            "Return a list instead of yielding its items."
        )
    return function


def capture(func: object) -> SourceCode:
    """Return the text of a function's code, and where it stands.

    func: a `def` or a one-line lambda, from a file, a notebook, a zip archive or wherever source is kept.
    Raises NotAFunction or UnsupportedFunction for what cannot be a step, SourceUnavailable when Python has no
    source (`exec`, the prompt of Python <= 3.12), StaleSource when the source is that of another version, and
    LambdaSourceError when a lambda cannot be cut out.

    Cost: about 0.3 ms for a function of ten lines.
    """
    function = plain_function(func)
    code = function.__code__
    lines = source_lines(function)
    if code.co_firstlineno > len(lines):
        raise _stale(function, f"it has only {len(lines)} lines")
    if code.co_name == "<lambda>":
        return _capture_lambda(function, lines)
    return _capture_def(function, lines)


def source_lines(function: FunctionType) -> list[str]:
    """Return the lines of the file (or cell, or archive member) in which a function was written."""
    filename = function.__code__.co_filename
    linecache.checkcache(filename)
    lines = linecache.getlines(filename, function.__globals__)
    if not lines:
        raise SourceUnavailable(
            f"there is no source of {function.__qualname__}: its file is {filename!r}, line "
            f"{function.__code__.co_firstlineno}, which cannot be read. {_no_source_remedy(filename)}"
        )
    return lines


# -- functions made with def -----------------------------------------------------------------------------


def _capture_def(function: FunctionType, lines: list[str]) -> SourceCode:
    for text, first_line in _def_candidates(function, lines):
        node = _single_def(text, function.__code__.co_name, first_line)
        if node is None:
            continue
        if is_source_of(function, node, lambda: _imported_names(lines)):
            return SourceCode(text, SourceLocation(function.__code__.co_filename, first_line), "function")
    raise _stale(function, "its code there is another one")


def _def_candidates(function: FunctionType, lines: list[str]) -> Iterator[tuple[str, int]]:
    """Yield texts that may be the source, with their first line: as the reference cuts it, then exactly."""
    first = function.__code__.co_firstlineno
    block = _block(lines, first)
    if block is not None:
        yield _reference_text(block, first)
    yield from _exact_texts(function, lines)


def _block(lines: list[str], first_line: int) -> str | None:
    """Return the block of code that starts on a line, as `inspect.getsource` cuts it."""
    import inspect
    import tokenize

    try:
        return "".join(inspect.getblock(lines[first_line - 1 :]))
    except (tokenize.TokenError, SyntaxError):
        return None


def _reference_text(block: str, first_line: int) -> tuple[str, int]:
    """Dedent, drop leading lines that start with @, join the lines anew."""
    import textwrap

    pieces = textwrap.dedent(block).splitlines()
    n_dropped = 0
    while n_dropped < len(pieces) and pieces[n_dropped].startswith("@"):
        n_dropped += 1
    return "\n".join(pieces[n_dropped:]), first_line + n_dropped


def _exact_texts(function: FunctionType, lines: list[str]) -> Iterator[tuple[str, int]]:
    """Yield the lines of each definition that starts where the function does, dedented outside of strings."""
    tree = _parse("".join(lines))
    if tree is None:
        return
    code = function.__code__
    exact_lines = "".join(lines).split("\n")
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef) and node.name == code.co_name:
            first = min([node.lineno, *(d.lineno for d in node.decorator_list)])
            if first == code.co_firstlineno and node.end_lineno is not None:
                block = exact_lines[node.lineno - 1 : node.end_lineno]
                yield _dedent_outside_strings(block, node), node.lineno


def _dedent_outside_strings(block: list[str], node: ast.FunctionDef) -> str:
    inside_string: set[int] = set()
    for child in ast.walk(node):
        is_text = isinstance(child, ast.JoinedStr) or (
            isinstance(child, ast.Constant) and isinstance(child.value, (str, bytes))
        )
        if is_text:
            start, end = child.lineno, child.end_lineno or child.lineno  # type: ignore[attr-defined]
            inside_string.update(range(start + 1, end + 1))
    indent = block[0][: len(block[0]) - len(block[0].lstrip())]
    result = []
    for i, line in enumerate(block):
        if node.lineno + i in inside_string:
            result.append(line)
        elif line.startswith(indent):
            result.append(line[len(indent) :])
        else:  # blank, a comment, or the inside of brackets
            result.append(line.lstrip(" \t"))
    return "\n".join(result)


def _single_def(text: str, name: str, first_line: int) -> ast.FunctionDef | None:
    tree = _parse(text)
    if tree is None or len(tree.body) != 1:
        return None
    node = ast.increment_lineno(tree, first_line - 1).body[0]
    if isinstance(node, ast.FunctionDef) and node.name == name and not node.decorator_list:
        return node
    return None


# -- lambdas -------------------------------------------------------------------------------------------------


def _capture_lambda(function: FunctionType, lines: list[str]) -> SourceCode:
    code = function.__code__
    line = lines[code.co_firstlineno - 1]
    nodes = list(_lambdas_on_line(function, lines))
    if not nodes:
        raise _stale(function, "no lambda starts on that line")
    matching = [node for node in nodes if is_source_of(function, node, lambda: _imported_names(lines))]
    if not matching:
        raise _stale(function, "the lambda on that line is another one")
    node = _the_one(function, matching, line)
    if node.lineno != node.end_lineno:
        raise _no_lambda(function, f"it spans lines {node.lineno} to {node.end_lineno}")
    text = _lambda_text(line, node)
    return SourceCode(text, SourceLocation(code.co_filename, code.co_firstlineno), "lambda")


def _lambdas_on_line(function: FunctionType, lines: list[str]) -> Iterator[ast.Lambda]:
    """Yield the lambdas that start on the function's line, positions as in the file."""
    line_number = function.__code__.co_firstlineno
    tree = _parse("".join(lines))
    if tree is None:  # something else in the file does not parse: the line may, by itself
        line = lines[line_number - 1]
        indent = line[: len(line) - len(line.lstrip())]
        tree = _parse("\n" * (line_number - 1) + f"{indent and 'if 1:'}{line.strip()}")
    if tree is not None:
        for node in ast.walk(tree):
            if isinstance(node, ast.Lambda) and node.lineno == line_number:
                yield node


def _the_one(function: FunctionType, nodes: list[ast.Lambda], line: str) -> ast.Lambda:
    if len({ast.dump(node) for node in nodes}) == 1:
        return nodes[0]
    if sys.version_info >= (3, 11):
        spans = [
            (row, column)
            for row, _, column, _ in function.__code__.co_positions()
            if row is not None and column is not None
        ]
        for node in nodes:
            body = node.body
            inside = [
                (body.lineno, body.col_offset) <= span <= (body.end_lineno or 0, body.end_col_offset or 0)
                for span in spans
            ]
            if (
                any((row, column) == (body.lineno, body.col_offset) for row, column in spans)
                and sum(inside) > 0
            ):
                return node
    raise _no_lambda(function, f"several on the line fit: {line.strip()!r}")


def _lambda_text(line: str, node: ast.Lambda) -> str:
    """Return the lambda and what follows it as far as that is blank or a comment, as the reference does."""
    raw = line.encode("utf-8")
    lambda_text = raw[node.col_offset : node.end_col_offset].decode("utf-8")
    rest = raw[node.end_col_offset :].decode("utf-8").rstrip()
    blank = rest[: len(rest) - len(rest.lstrip())]
    return lambda_text + (rest if rest.lstrip().startswith("#") else blank)


# -- the file as a whole -------------------------------------------------------------------------------------


def _imported_names(lines: list[str]) -> set[str]:
    """Return the names that imports bind at the top level of a file, those in its `if` and `try` included."""
    tree = _parse("".join(lines))
    names: set[str] = set()
    pending: list[ast.AST] = [] if tree is None else [tree]
    while pending:
        node = pending.pop()
        if isinstance(node, (ast.Import, ast.ImportFrom)):
            names.update((alias.asname or alias.name).partition(".")[0] for alias in node.names)
        elif not isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef, ast.expr)):
            pending.extend(ast.iter_child_nodes(node))
    return names


# -- messages ------------------------------------------------------------------------------------------------


def _parse(text: str) -> ast.Module | None:
    import warnings

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the user saw them when the file was imported
        try:
            return ast.parse(text)
        except (SyntaxError, ValueError, RecursionError, MemoryError):
            return None


def _place(function: FunctionType) -> str:
    return f"{function.__code__.co_filename}, line {function.__code__.co_firstlineno}"


def _describe(thing: object) -> str:
    if isinstance(thing, type):
        return f"the class {thing.__qualname__}"
    if isinstance(thing, MethodType):
        return f"the bound method {thing.__func__.__qualname__}"
    if isinstance(thing, BuiltinFunctionType):
        return f"the built-in {thing.__name__}"
    return f"an instance of {type(thing).__module__}.{type(thing).__qualname__}"


def _instead(thing: Any) -> str:
    if isinstance(thing, type):
        return "Write a function that makes the object and returns what you need of it."
    if isinstance(thing, MethodType):
        return (
            "A method carries its object along, which is no argument of the step. Write a function that "
            "takes what it needs as arguments."
        )
    if type(thing).__name__ == "partial" and hasattr(thing, "func"):
        return "Pass the function itself and preset the arguments: step.args.NAME = value."
    if isinstance(getattr(thing, "__wrapped__", None), FunctionType):
        return f"Pass the function that it wraps: {getattr(thing, '__name__', 'it')}.__wrapped__."
    if isinstance(getattr(thing, "py_func", None), FunctionType):
        return "Pass the Python function (its py_func), and compile it inside the step."
    if callable(thing):
        return "Write a function with `def` that calls it."
    return "Pass a function made with `def`, a one-line lambda, or the code as text."


def _no_source_remedy(filename: str) -> str:
    if filename == "<stdin>":
        return "Functions typed at this prompt leave no source; use a file, a notebook or IPython."
    if filename.startswith("<"):
        return "Code made with exec leaves no source; pass the code as text instead of the function."
    return "Install the module with its source (.py) file, or pass the code as text."


def _stale(function: FunctionType, finding: str) -> StaleSource:
    return StaleSource(
        f"the source of {function.__qualname__} ({_place(function)}) is not that of the function in memory: "
        f"{finding}. Was the file edited after it was imported, or does a decorator rewrite the function? "
        "Import it again (restart Python, or importlib.reload), or pass the code as text."
    )


def _no_lambda(function: FunctionType, finding: str) -> LambdaSourceError:
    return LambdaSourceError(
        f"Cannot extract source code from this lambda ({_place(function)}): {finding}. "
        "Write it alone on one line, or as a function with `def`."
    )

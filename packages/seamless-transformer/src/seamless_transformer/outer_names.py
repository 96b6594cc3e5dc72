"""Names that a step takes from its surroundings, which it will not have when it runs.

A step runs from its text alone. A name is *captured* when the code looks it up outside of itself, nothing
provides it (no pin, module, injected global or builtin), and it exists in the function's own module or
closure: then the author counted on it. Other unknown names are left to run; they may come from `exec` or
from nowhere.

The names are read from the bytecode of the text as the step compiles it, with postponed annotations: names
that occur in annotations only are not needed, those in default values are.
"""

from __future__ import annotations

import builtins
from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass
from types import CodeType, FunctionType, ModuleType
from typing import Any, Literal

from .definition_errors import CapturedNameError
from .source_code import SourceCode, capture, plain_function

__all__ = ("CapturedName", "captured_name_error", "check_captured_names", "find_captured_names")

SPECIAL_NAMES = frozenset(("PINS", "OUTPUTPIN", "FILESYSTEM", "__name__", "__package__", "__builtins__"))
"""Names that every step has."""

_IMPLIED_NAMES = frozenset(("__annotations__", "__conditional_annotations__", "__classdict__"))
_POSTPONED_ANNOTATIONS = 0x1000000  # CO_FUTURE_ANNOTATIONS
_LOADS = frozenset(("LOAD_GLOBAL", "LOAD_NAME", "LOAD_FROM_DICT_OR_GLOBALS"))
_NAME_MAKERS = frozenset(("exec", "globals"))


@dataclass(frozen=True, slots=True)
class CapturedName:
    """A captured name. line: where it is first used, in the file when the code has a location."""

    name: str
    line: int
    kind: Literal["global", "closure"]


def find_captured_names(
    func: object, provided: Collection[str], *, code: SourceCode | None = None
) -> list[CapturedName]:
    """Return the names that a function captures, in the order of their lines.

    provided: names of pins, modules and injected globals.
    code: what `capture(func)` returned, when it is at hand.

    Cost: 5 us for a function that uses no name of its module, about 0.5 ms otherwise.
    """
    function = plain_function(func)
    live = function.__code__
    known = {*SPECIAL_NAMES, *_IMPLIED_NAMES, *provided}
    if live.co_name != "<lambda>":
        known.add(live.co_name)
    has_defaults = function.__defaults__ is not None or function.__kwdefaults__ is not None
    if not has_defaults and not _may_capture(function, known):
        return []
    source = code if code is not None else capture(function)
    first_line = 1 if source.location is None else source.location.first_line
    free = set(live.co_freevars)
    try:
        module = _compile(source)
    except SyntaxError:  # a `nonlocal` statement has nothing to refer to
        return [CapturedName(name, first_line, "closure") for name in sorted(free - known)]
    loads = list(_outer_loads(module))
    stored = {name for name, kind, _ in loads if kind == "store"}
    if any(name in _NAME_MAKERS and kind == "load" for name, kind, _ in loads):
        return []
    found: dict[str, CapturedName] = {}
    for name, kind, line in loads:
        if kind == "load" and name not in known and name not in stored:
            where = _captured_from(function, name, free)
            file_line = first_line + line - 1
            if where is not None and (name not in found or file_line < found[name].line):
                found[name] = CapturedName(name, file_line, where)
    return sorted(found.values(), key=lambda captured: (captured.line, captured.name))


def check_captured_names(func: object, provided: Collection[str], *, code: SourceCode | None = None) -> None:
    """Raise CapturedNameError when a function captures names; arguments as for `find_captured_names`."""
    captured = find_captured_names(func, provided, code=code)
    if captured:
        raise captured_name_error(plain_function(func), captured)


def captured_name_error(function: FunctionType, captured: list[CapturedName]) -> CapturedNameError:
    """Return the error that names what a function captured, and the ways to fix it."""
    step = function.__name__ if function.__name__ != "<lambda>" else "the lambda"
    filename = function.__code__.co_filename
    listed = "\n".join(
        f"  {c.name}  ({filename}, line {c.line}; "
        f"{'a name of the module' if c.kind == 'global' else 'a variable of the enclosing function'})"
        for c in captured
    )
    verb = "a name that is" if len(captured) == 1 else "names that are"
    handle = "step" if step == "the lambda" else step
    remedies = dict.fromkeys(_remedy(handle, c, _value_of(function, c.name)) for c in captured)
    return CapturedNameError(
        f"{step} uses {verb} defined outside of it. A step runs from its own code and arguments only:\n"
        f"{listed}\n" + "\n".join(remedies),
        tuple(c.name for c in captured),
    )


def _remedy(step: str, captured: CapturedName, value: Any) -> str:
    name = captured.name
    if isinstance(value, ModuleType):
        as_name = "" if value.__name__ == name else f" as {name}"
        return (
            f"Write `import {value.__name__}{as_name}` inside {step}; or, to send the source of your "
            f"own module along: {step}.modules.{name} = {name}"
        )
    return f"Pass {name} as an argument; or {step}.globals.{name} = {name}"


# -- where a name would come from ---------------------------------------------------------------------------


def _may_capture(function: FunctionType, known: Collection[str]) -> bool:
    """Return False when the code in memory uses no name that could be captured."""
    if any(name not in known for name in function.__code__.co_freevars):
        return True
    module_names = function.__globals__
    return any(
        name in module_names and name not in known and _captured_from(function, name, ()) is not None
        for name in _names_of(function.__code__)
    )


def _names_of(code: CodeType) -> Iterator[str]:
    yield from code.co_names
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            yield from _names_of(constant)


def _captured_from(
    function: FunctionType, name: str, free_names: Collection[str]
) -> Literal["global", "closure"] | None:
    if name in free_names:
        return "closure"
    if name not in function.__globals__:
        return None
    if hasattr(builtins, name) and not _shadows_builtin(name, function.__globals__[name]):
        return None
    return "global"


def _shadows_builtin(name: str, value: Any) -> bool:
    """Return whether a module replaces a builtin, so that the step would silently use another function.

    Replacements of `print`, and those that IPython makes by itself (`open`), do not change a result.
    """
    if value is getattr(builtins, name) or name == "print":
        return False
    return not (getattr(value, "__module__", None) or "").startswith(("IPython", "ipykernel"))


def _value_of(function: FunctionType, name: str) -> Any:
    if name in function.__code__.co_freevars and function.__closure__ is not None:
        cell = function.__closure__[function.__code__.co_freevars.index(name)]
        try:
            return cell.cell_contents
        except ValueError:  # not yet bound
            return None
    return function.__globals__.get(name)


# -- reading bytecode ----------------------------------------------------------------------------------------


def _compile(source: SourceCode) -> CodeType:
    import warnings

    mode = "exec" if source.kind == "function" else "eval"
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        code: CodeType = compile(source.text, "<step>", mode, flags=_POSTPONED_ANNOTATIONS, dont_inherit=True)
    return code


def _outer_loads(code: CodeType) -> Iterator[tuple[str, Literal["load", "store"], int]]:
    """Yield the names that code, and all code in it, reads from or writes to the global namespace."""
    import dis

    line_at = _line_lookup(code)
    bound_here: set[str] = set()  # in a class body or at the top: names that it bound so far
    for instruction in dis.get_instructions(code):
        name = instruction.argval
        if instruction.opname in ("STORE_NAME", "IMPORT_NAME"):
            bound_here.add(name)
        elif instruction.opname in ("STORE_GLOBAL", "DELETE_GLOBAL"):
            yield name, "store", line_at(instruction.offset)
        elif instruction.opname in _LOADS and not (
            instruction.opname != "LOAD_GLOBAL" and name in bound_here
        ):
            yield name, "load", line_at(instruction.offset)
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            yield from _outer_loads(constant)


def _line_lookup(code: CodeType) -> Callable[[int], int]:
    spans = [(start, end, line) for start, end, line in code.co_lines() if line is not None]

    def line_at(offset: int) -> int:
        for start, end, line in spans:
            if start <= offset < end:
                return line
        return code.co_firstlineno

    return line_at

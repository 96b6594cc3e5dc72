"""What can be wrong with the definition of a step: one exception class per cause.

Each class also derives from the built-in exception that Python code would expect for that cause, so
`except NameError`, `except AttributeError` and the like keep working.
"""

from __future__ import annotations

from collections.abc import Iterable

from seamless.errors import SeamlessError

__all__ = (
    "BadCelltype",
    "BadEnvironment",
    "BadModuleDefinition",
    "CapturedNameError",
    "DefinitionError",
    "LambdaSourceError",
    "MissingResultCelltype",
    "NotAFunction",
    "PinNameError",
    "SourceUnavailable",
    "StaleSource",
    "UndeclaredArgumentWarning",
    "UnknownDunderKey",
    "UnknownPin",
    "UnsupportedFunction",
    "UnsupportedGlobal",
    "UnsupportedInputCelltype",
    "nearest_spelling",
)


class DefinitionError(SeamlessError):
    """Base class of what can be wrong with the definition of a step."""


class NotAFunction(DefinitionError, TypeError):
    """A step was made of something that is no plain Python function.

    Remedy: pass a function, a lambda, or the code as text; for a method or a callable object, the function behind it.
    """


class UnsupportedFunction(DefinitionError, TypeError):
    """A function of a kind that cannot be a step: asynchronous, or a generator.

    Remedy: write it with `def`; call `asyncio.run(...)` inside it, or return a list instead of yielding.
    """


class SourceUnavailable(DefinitionError, OSError):
    """The source text of a function cannot be found.

    Remedy: define the function in a file, a notebook or IPython, install its module with the `.py` file, or pass
    the code as text.
    """


class StaleSource(DefinitionError, RuntimeError):
    """The source text on disk is not that of the function in memory.

    Remedy: import the module again (restart Python, or `importlib.reload`), or pass the code as text.
    """


class LambdaSourceError(DefinitionError, ValueError):
    """The text of a lambda cannot be told from its surroundings.

    Remedy: write the lambda alone on one line, or as a function with `def`.
    """


class CapturedNameError(DefinitionError, NameError):
    """A step uses a name of its surroundings, which it will not have when it runs.

    names: the captured names.

    Remedy: pass the value as an argument, import the module inside the step, or declare it: `step.globals.NAME = NAME`,
    `step.modules.NAME = NAME`.
    """

    def __init__(self, message: str, names: tuple[str, ...] = ()) -> None:
        super().__init__(message)
        self.names = names


class PinNameError(DefinitionError, ValueError):
    """A parameter or module has a name that a transformation keeps for itself, or uses twice.

    Remedy: give the parameter or module another name; `code` and `result`, and names that begin with `__`, are taken.
    """

    def __init__(self, message: str, pin: str) -> None:
        super().__init__(message)
        self.pin = pin


class UnknownPin(DefinitionError, AttributeError, KeyError):
    """The step has no pin of this name.

    Remedy: use one of the names that the message lists; in a step made of text, declare the pin first:
    `step.celltypes.NAME = 'mixed'`.
    """

    def __init__(self, pin: str, message: str) -> None:
        super().__init__(message)
        self.pin = pin
        self.message = message

    def __str__(self) -> str:
        return self.message


class MissingResultCelltype(DefinitionError, KeyError):
    """A step made of text was called before the celltype of its result was declared.

    Remedy: declare it before the call: `step.celltypes.result = 'mixed'`.
    """

    def __str__(self) -> str:
        return (
            "'result': the celltype of the result is not declared. A step made of text has no signature; "
            "declare its pins first, for example: step.celltypes.result = 'mixed'."
        )


class BadCelltype(DefinitionError, TypeError):
    """A pin or the result was given a celltype that it cannot have.

    Remedy: use one of the celltypes that the message lists.
    """

    def __init__(self, message: str, pin: str, celltype: object) -> None:
        super().__init__(message)
        self.pin = pin
        self.celltype = celltype


class UnsupportedInputCelltype(DefinitionError, NotImplementedError):
    """An input has a celltype that may be declared but cannot be passed to a step.

    Remedy: declare the input as `text` and parse it in the step, or pass the parsed value as `plain`.
    """

    def __init__(self, message: str, pin: str, celltype: str) -> None:
        super().__init__(message)
        self.pin = pin
        self.celltype = celltype


class BadModuleDefinition(DefinitionError, TypeError):
    """What was given as a module of a step is no module, or one whose code cannot travel.

    Remedy: give a module of Python source; import any other inside the step, and install it where the step runs.
    """


class UnsupportedGlobal(DefinitionError, TypeError):
    """A value given as a global of a step cannot be written as source text.

    Remedy: pass the value as an argument, or make it inside the step.
    """


class UnknownDunderKey(DefinitionError, ValueError):
    """A transformation dictionary holds a `__key` that is not part of the format.

    Remedy: remove the key, or drop its `__` to make it a pin; a newer version of Seamless may know it.
    """

    def __init__(self, key: str) -> None:
        super().__init__(f"Unknown transformation dunder key: {key}")
        self.key = key


class BadEnvironment(DefinitionError, ValueError):
    """An environment lacks a member that it must have.

    Remedy: add the member that the message names: `dependencies` for conda, `name` for docker.
    """


class UndeclaredArgumentWarning(UserWarning):
    """A step made of text was given an argument for which it has no pin; it is ignored.

    Remedy: correct the name, or declare the pin before the call: `step.celltypes.NAME = 'mixed'`.
    """


def nearest_spelling(name: str, known: Iterable[str]) -> str:
    """Return ` Did you mean 'x'?`, or nothing when no known name is near."""
    from difflib import get_close_matches

    close = get_close_matches(name, list(known), n=1)
    return f" Did you mean {close[0]!r}?" if close else ""

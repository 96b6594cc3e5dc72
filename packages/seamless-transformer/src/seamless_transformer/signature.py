"""From the arguments of a call to the values of pins.

A `Binder` is made once per function. Binding a call costs about 1 us when the signature has no `*args` or
`**kwargs`; everything else, and every call that is wrong, goes through `inspect`, which words the errors.

Defaults of the signature are never added: an argument that is not given makes no pin. `*args` becomes one
pin of that name holding a list, `**kwargs` one pin of that name holding a dict; both are absent when empty.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from .definition_errors import MissingResultCelltype, PinNameError, UndeclaredArgumentWarning

if TYPE_CHECKING:
    import inspect

__all__ = ("RESERVED_PIN_NAMES", "Binder", "bind_text_arguments", "check_pin_name")

RESERVED_PIN_NAMES = frozenset(("code", "result"))
"""The pin of the code itself, and the name under which the result is declared."""


def check_pin_name(name: str, where: str) -> None:
    """Refuse a name that no input of a step can have.

    where: what carries the name, for the message: `parameter 'code' of f`.
    """
    if name in RESERVED_PIN_NAMES:
        meaning = "the code of the step" if name == "code" else "the result of the step"
        raise PinNameError(f"{where}: the name {name!r} stands for {meaning}. Give it another name.", name)
    if name.startswith("__"):
        raise PinNameError(
            f"{where}: names that start with '__' are keys of the transformation dictionary. "
            "Give it another name.",
            name,
        )


class Binder:
    """Bind calls to one signature. Immutable, safe for threads.

    names: the parameters in the order of the signature; they are the names of the pins.
    """

    __slots__ = ("_keyword_names", "_n_positional", "_required", "_simple", "names", "signature")

    def __init__(self, signature: inspect.Signature, function_name: str = "function") -> None:
        parameters = list(signature.parameters.values())
        for parameter in parameters:
            check_pin_name(parameter.name, f"parameter {parameter.name!r} of {function_name}")
        self.signature = signature
        self.names = tuple(p.name for p in parameters)
        self._keyword_names = frozenset(p.name for p in parameters if p.kind != p.POSITIONAL_ONLY)
        self._simple = not any(p.kind in (p.VAR_POSITIONAL, p.VAR_KEYWORD) for p in parameters)
        self._n_positional = sum(p.kind != p.KEYWORD_ONLY for p in parameters)
        self._required = frozenset(p.name for p in parameters if p.default is p.empty)

    @classmethod
    def from_function(cls, function: Callable[..., Any]) -> Binder:
        """Return the binder of a function's own signature."""
        import inspect

        return cls(inspect.signature(function), getattr(function, "__name__", "function"))

    def bind(
        self, args: tuple[Any, ...], kwargs: Mapping[str, Any], preset: Mapping[str, Any] | None = None
    ) -> dict[str, Any]:
        """Return `{pin: value}` of this call, in the order of the signature.

        preset: values for parameters that the call does not give; other names are ignored.
        Raises TypeError, in the words of `inspect`, when the call does not fit.
        """
        names = self.names
        n_args = len(args)
        if self._simple and n_args <= self._n_positional:
            if n_args == len(names) and not kwargs:
                return dict(zip(names, args))  # noqa: B905  (same length, and strict= costs)
            given = {**preset} if preset else {}
            if n_args:
                given.update(zip(names, args))  # noqa: B905  (the shorter one ends it)
            if kwargs:
                given.update(kwargs)
            if (
                not kwargs
                or (kwargs.keys() <= self._keyword_names and kwargs.keys().isdisjoint(names[:n_args]))
            ) and self._required <= given.keys():
                return {name: given[name] for name in names if name in given}
        return self._bind_exactly(args, kwargs, preset or {})

    def _bind_exactly(
        self, args: tuple[Any, ...], kwargs: Mapping[str, Any], preset: Mapping[str, Any]
    ) -> dict[str, Any]:
        import inspect

        call = self.signature.bind_partial(*args, **kwargs)
        merged: dict[str, Any] = {}
        for name, parameter in self.signature.parameters.items():
            if parameter.kind is parameter.VAR_KEYWORD:
                value = {**(preset.get(name) or {}), **call.arguments.get(name, {})}
                if value:
                    merged[name] = value
            elif parameter.kind is parameter.VAR_POSITIONAL:
                values = call.arguments.get(name) or tuple(preset.get(name) or ())
                if values:
                    merged[name] = tuple(values)
            elif name in call.arguments:
                merged[name] = call.arguments[name]
            elif name in preset:
                merged[name] = preset[name]
        whole = inspect.BoundArguments(self.signature, merged)
        self.signature.bind(*whole.args, **whole.kwargs)  # raises for what is missing
        return {
            name: list(value)
            if self.signature.parameters[name].kind is inspect.Parameter.VAR_POSITIONAL
            else value
            for name, value in merged.items()
        }


def bind_text_arguments(
    args: tuple[Any, ...],
    kwargs: Mapping[str, Any],
    preset: Mapping[str, Any],
    celltypes: Mapping[str, str],
    step_name: str = "step",
) -> dict[str, Any]:
    """Return `{pin: value}` of a call of a step made of text, in the order of declaration.

    celltypes: the declared pins, `result` among them. An argument for which no pin is declared is ignored, as
    the format has it, with an UndeclaredArgumentWarning.
    """
    if args:
        raise TypeError(
            "No function signature: positional arguments not supported. "
            f"{step_name} is made of text; give arguments by name: {step_name}(name=value)."
        )
    if "result" not in celltypes:
        raise MissingResultCelltype("result")
    undeclared = [name for name in kwargs if name == "result" or name not in celltypes]
    if undeclared:
        import warnings

        warnings.warn(
            f"{step_name} has no pin for the argument {undeclared[0]!r}, so it is ignored. Declare it first: "
            f"step.celltypes[{undeclared[0]!r}] = 'mixed'.",
            UndeclaredArgumentWarning,
            stacklevel=3,
        )
    bound: dict[str, Any] = {}
    for name in celltypes:
        if name == "result":
            continue
        if name in kwargs:
            bound[name] = kwargs[name]
        elif name in preset:
            bound[name] = preset[name]
        else:
            raise TypeError(
                f"Missing argument: {name!r}. The pin is declared in the celltypes of {step_name}; "
                f"pass {name}=..., or preset it: step.args[{name!r}] = value."
            )
    return bound

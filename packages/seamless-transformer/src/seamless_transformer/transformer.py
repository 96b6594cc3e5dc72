"""`direct` and `delayed`: make a step of a function, a command or a piece of code."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import update_wrapper
from typing import Any

from seamless import Buffer, Checksum
from seamless.active import get_active
from seamless.lifecycle import ensure_open
from seamless.resolution import find_buffer

from .argument_access import ArgumentAccess
from .arguments import prepare_arguments
from .celltype_access import CelltypeAccess
from .counters import counting
from .environment import Environment
from .event_loop import refuse_inside_event_loop
from .modules_access import GlobalsAccess, ModulesAccess
from .step_definition import StepDefinition
from .transformation import Transformation
from .transformer_state import TransformerState

__all__ = ("DelayedTransformer", "DirectTransformer", "Transformer", "definition_of", "delayed", "direct")


class Transformer:
    """A step without its arguments. Made with `direct` or `delayed`.

    celltypes, args, modules, globals: what its inputs are and what it takes along, by attribute or item;
    environment, meta, scratch, local, direct_print, allow_input_fingertip: how it runs, outside its identity.
    """

    _state: TransformerState

    def __init__(self, state: TransformerState) -> None:
        self._state = state
        self._describe()

    def _describe(self) -> None:
        """Look like the function: its name, documentation, signature."""
        state = self._state
        if state.function is not None:
            wrapper: Any = self
            update_wrapper(wrapper, state.function)
            self._state = state  # a function may carry attributes of any name

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self._state.name!r} ({self._state.language})>"

    def __get__(self, instance: object, owner: type | None = None) -> Transformer:
        """Stay what it is as an attribute of a class: a step takes no `self`."""
        return self

    # code

    @property
    def code(self) -> Buffer:
        """The code as a Buffer; set it to a function or to text."""
        return self._state.code_buffer

    @code.setter
    def code(self, code: Callable[..., Any] | str) -> None:
        self._state.set_code(code)
        self._describe()

    @property
    def language(self) -> str:
        """The language of the code; setting another one than Python forgets the signature."""
        return self._state.language

    @language.setter
    def language(self, language: str) -> None:
        self._state.set_language(language)

    # inputs

    @property
    def celltypes(self) -> Any:
        """Celltype of each pin and of `result`: `step.celltypes.a = "int"`."""
        return CelltypeAccess(self._state.celltypes)

    @property
    def args(self) -> Any:
        """Arguments given before the call: `step.args.a = 3`."""
        return ArgumentAccess(self._state.arguments)

    @property
    def modules(self) -> Any:
        """Modules that the step takes along: `step.modules.helper = helper`."""
        return ModulesAccess(self._state.modules)

    @property
    def globals(self) -> Any:
        """Values and functions that the step takes along: `step.globals.K = 3`."""
        return GlobalsAccess(self._state.globals)

    # settings

    @property
    def environment(self) -> Environment:
        """Where the step runs: conda environment, container, programs it needs."""
        return self._state.environment

    @environment.setter
    def environment(self, environment: Environment) -> None:
        if not isinstance(environment, Environment):
            raise TypeError(f"environment is an Environment, not {type(environment).__name__}")
        self._state.environment = environment

    @property
    def meta(self) -> dict[str, Any]:
        """Settings that travel with the step. Assigning a dict updates it; a value of None removes its key."""
        return self._state.meta

    @meta.setter
    def meta(self, meta: Mapping[str, Any]) -> None:
        self._state.update_meta(meta)

    @property
    def scratch(self) -> bool:
        """Keep the result out of the store; it is recomputed when somebody needs it."""
        return self._state.scratch

    @scratch.setter
    def scratch(self, scratch: bool) -> None:
        self._state.scratch = bool(scratch)

    @property
    def direct_print(self) -> bool | None:
        """Show what the step prints while it runs, wherever that is."""
        value: bool | None = self._state.meta.get("__direct_print__")
        return value

    @direct_print.setter
    def direct_print(self, direct_print: bool | None) -> None:
        self._state.update_meta({"__direct_print__": direct_print})

    @property
    def local(self) -> bool | None:
        """True: always run in this process; False or None: where the configuration says."""
        value: bool | None = self._state.meta.get("local")
        return value

    @local.setter
    def local(self, local: bool | None) -> None:
        self._state.update_meta({"local": local})

    @property
    def driver(self) -> bool:
        """Whether the step mainly starts other steps."""
        return bool(self._state.meta.get("driver", False))

    @driver.setter
    def driver(self, driver: bool) -> None:
        self._state.update_meta({"driver": bool(driver)})

    @property
    def allow_input_fingertip(self) -> bool:
        """Whether missing inputs may be recomputed where the step runs."""
        return bool(self._state.meta.get("allow_input_fingertip", False))

    @allow_input_fingertip.setter
    def allow_input_fingertip(self, allow: bool) -> None:
        if not isinstance(allow, bool):
            raise TypeError(f"allow_input_fingertip is True or False, not {allow!r}")
        self._state.update_meta({"allow_input_fingertip": allow})


class DelayedTransformer(Transformer):
    """A step that, called, gives a Transformation: nothing is computed yet."""

    def __call__(self, *args: Any, **kwargs: Any) -> Transformation:
        ensure_open("transformer call")
        definition = self._state.definition()
        values = self._state.bind(args, kwargs)
        return Transformation(definition, prepare_arguments(values, definition.celltypes))


class DirectTransformer(Transformer):
    """A step that, called, is computed (or found) and gives its value."""

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        ensure_open("transformer call")
        refuse_inside_event_loop("func()", "await delayed(func)(...).task()")
        definition = self._state.definition()
        values = self._state.bind(args, kwargs)
        prepared = prepare_arguments(values, definition.celltypes)
        if prepared.complete:
            # a hit needs no Transformation
            active = get_active()
            digest = definition.template(prepared.names).digest(prepared.hexes)
            try:
                result = active.results.get(Checksum._from_digest(digest))
                buffer = None if result is None else find_buffer(result, active)
            except Exception:
                if get_active() is active:
                    raise
                buffer = None  # the set was replaced and closed meanwhile
            if buffer is not None:
                counting.add("hits")
                return buffer.get_value(definition.output_celltype)
        return Transformation(definition, prepared).run()


def direct(func: Callable[..., Any] | str | Transformer, language: str | None = None) -> DirectTransformer:
    """Make a step that is computed when called; its value is returned, and failures raise.

    func: a `def` or lambda, code as text (then with its `language`, default "python"; "bash" is the other one), or a
    transformer, of which all settings are copied.

    >>> step = direct("a * 2")
    >>> step.celltypes.a = "int"
    >>> step(a=21)
    42
    """
    if isinstance(func, Transformer):
        return DirectTransformer(func._state.copy(language))
    return DirectTransformer(TransformerState(func, language))


def delayed(func: Callable[..., Any] | str | Transformer, language: str | None = None) -> DelayedTransformer:
    """Make a step that gives a Transformation when called: run it later, or give it to other steps.

    func: as for `direct`; of a transformer, the settings are shared, not copied.
    """
    if isinstance(func, Transformer):
        return DelayedTransformer(func._state if language is None else func._state.copy(language))
    return DelayedTransformer(TransformerState(func, language))


def definition_of(transformer: Transformer) -> StepDefinition:
    """Return the step as it would be called now. Raises what a call would raise before its arguments."""
    return transformer._state.definition()

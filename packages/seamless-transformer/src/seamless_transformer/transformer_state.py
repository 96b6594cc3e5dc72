"""The state behind a transformer, and the frozen definition that is made of it at a call."""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping
from typing import Any

from seamless import Buffer

from .argument_access import ArgumentTable
from .celltype_access import CelltypeTable
from .environment import Environment
from .modules_access import GlobalsTable, ModuleTable
from .outer_names import check_captured_names
from .pins import check_distinct_pins, code_pin_type, pin_type
from .signature import Binder, bind_text_arguments
from .source_code import SourceCode, capture, plain_function
from .step_definition import StepDefinition

__all__ = ("TransformerState",)

LANGUAGES = ("python", "bash")
RESULT = "result"


class TransformerState:
    """Code, pins and settings of a transformer; may be shared by several."""

    def __init__(self, code: Callable[..., Any] | str, language: str | None = None) -> None:
        self.language = _checked_language(language or "python")
        self.celltypes = CelltypeTable()
        self.arguments = ArgumentTable(self.celltypes)
        self.modules = ModuleTable()
        self.globals = GlobalsTable()
        self.environment = Environment()
        self.meta: dict[str, Any] = {
            "transformer_path": ["tf", "tf"],
            "local": False,
            "__direct_print__": False,
        }
        self.scratch = False
        self.function: Callable[..., Any] | None = None
        self._source: SourceCode | None = None
        self._binder: Binder | None = None
        self._definition: tuple[StepDefinition, tuple[Any, ...]] | None = None  # with what it was made from
        self._names_checked: tuple[Any, ...] = ()
        self.name = "step"
        self.code_buffer: Buffer
        self.set_code(code)

    def copy(self, language: str | None = None) -> TransformerState:
        """Return an independent copy, in another language if one is given."""
        twin = copy.copy(self)
        twin.celltypes = self.celltypes.copy()
        twin.arguments = self.arguments.copy(twin.celltypes)
        twin.modules = self.modules.copy()
        twin.globals = self.globals.copy()
        twin.environment = self.environment.copy()
        twin.meta = copy.deepcopy(self.meta)
        twin._definition = None
        if language is not None:
            twin.set_language(language)
        return twin

    # code

    def set_code(self, code: Callable[..., Any] | str) -> None:
        """Take a function, with its signature, or text."""
        if isinstance(code, str):
            text = code
            self.function = None
            self._source = None
            self._binder = None
            if self.celltypes.parameters is not None:
                self.celltypes.forget_signature()
        else:
            function = plain_function(code)
            if self.language != "python":
                raise TypeError(
                    f"func is a Python function, so it cannot be a step in {self.language!r}. Give the code as text."
                )
            source = capture(function)
            text = source.text
            binder = Binder.from_function(function)
            self.function = function
            self.name = function.__name__
            self._source = source
            self._binder = binder
            self.celltypes.derive(binder.names)
            self.arguments.retain_known()
        self.code_buffer = Buffer(text, "python" if self.language == "python" else "text")
        self._definition = None

    def set_language(self, language: str) -> None:
        """Change the language; any other than Python forgets the signature."""
        checked = _checked_language(language)
        if checked != "python":
            self.function = None
            self._source = None
            self._binder = None
            if self.celltypes.parameters is not None:
                self.celltypes.forget_signature()
        self.language = checked
        self._definition = None

    def update_meta(self, meta: Mapping[str, Any]) -> None:
        """Merge; None removes a key, except `local`."""
        if not isinstance(meta, Mapping):
            raise TypeError(f"meta is a dict, not {type(meta).__name__}")
        for key, value in meta.items():
            if not isinstance(key, str):
                raise TypeError(f"a key of meta is a str, not {key!r}")
            if value is None and key != "local":
                self.meta.pop(key, None)
            else:
                self.meta[key] = value

    # calls

    def bind(self, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> dict[str, Any]:
        """Return the values of the pins of this call. Raises TypeError in the words of `inspect`."""
        if self._binder is not None:
            return self._binder.bind(args, kwargs, self.arguments.values)
        return bind_text_arguments(args, kwargs, self.arguments.values, self.celltypes.celltypes, self.name)

    def definition(self) -> StepDefinition:
        """Return the definition as it is now; the same object as long as nothing changes."""
        key = (
            self.celltypes.version,
            self.modules.version,
            self.globals.version,
            self.environment,
            self.environment.version,
            self.scratch,
        )
        known = self._definition  # read and written as one, for other threads
        if known is not None and known[1] == key and self.globals.is_frozen and self.meta == known[0].meta:
            return known[0]
        definition = self._make_definition()
        self._definition = (definition, key)
        return definition

    def _make_definition(self) -> StepDefinition:
        environment = self.environment.to_lowlevel()
        celltypes = dict(self.celltypes.celltypes)
        if self._binder is None and RESULT not in celltypes:
            bind_text_arguments((), {}, {}, celltypes, self.name)  # raises MissingResultCelltype
        output_celltype = celltypes.pop(RESULT)
        pins = {name: pin_type(name, celltype) for name, celltype in celltypes.items()}
        module_definitions: dict[str, Any] = dict(self.modules.definitions)
        check_distinct_pins(celltypes, module_definitions, with_globals=bool(self.globals.values))
        main = self.globals.definition(module_definitions.get("main"))
        if main is not None:
            module_definitions["main"] = main
        self._check_names(celltypes, module_definitions)
        return StepDefinition(
            name=self.name,
            language=self.language,
            code=self.code_buffer,
            code_entry=_entry(code_pin_type(self.language)),
            output_celltype=output_celltype,
            celltypes=celltypes,
            pin_entries={name: _entry(pin) for name, pin in pins.items()},
            formats={name: dict(pin.on_disk) for name, pin in pins.items() if pin.on_disk is not None},
            modules={name: Buffer(value, "plain") for name, value in module_definitions.items()},
            location=None if self._source is None else self._source.location,
            scratch=self.scratch,
            local=self.meta.get("local"),
            allow_input_fingertip=bool(self.meta.get("allow_input_fingertip", False)),
            meta=copy.deepcopy(self.meta),
            environment=None if environment is None else Buffer(environment, "plain"),
        )

    def _check_names(self, celltypes: Mapping[str, str], modules: Mapping[str, Any]) -> None:
        if self.function is None:
            return
        provided = (*celltypes, *modules, *self.globals.values)
        if provided != self._names_checked:
            check_captured_names(self.function, {*provided, *_names_of_main(modules)}, code=self._source)
            self._names_checked = provided


def _names_of_main(modules: Mapping[str, Any]) -> set[str]:
    """Return the names that the module `main` puts into the step's namespace."""
    main = modules.get("main")
    code = main.get("code") if isinstance(main, Mapping) else None
    if not isinstance(code, str):
        return set()
    try:
        compiled = compile(code, "main", "exec", dont_inherit=True)
    except (SyntaxError, ValueError):
        return set()  # the step will say so when it imports it
    return set(compiled.co_names)


def _entry(pin: Any) -> tuple[str, str | None]:
    return pin.celltype, pin.subcelltype


def _checked_language(language: str) -> str:
    if not isinstance(language, str):
        raise TypeError(f"language is a str such as 'python' or 'bash', not {type(language).__name__}")
    if language not in LANGUAGES:
        from .definition_errors import nearest_spelling

        raise ValueError(
            f"language {language!r} cannot be run as text; use 'python' or 'bash'."
            f"{nearest_spelling(language, LANGUAGES)}"
        )
    return language

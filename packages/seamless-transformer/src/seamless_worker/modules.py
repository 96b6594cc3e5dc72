"""Modules that travel with a step: importable in it, and invisible to everybody else.

Every run builds its own module objects, which are never entered into `sys.modules`. Instead the step and its
modules run with an `__import__` of their own (in their `__builtins__`), which looks among the step's modules
first and asks Python's for everything else. So concurrent steps may use different modules of one name, and
libraries that the step imports never see its modules.

The modules live in the package `transformer`: `import tool`, `from tool import x` and `from .tool import x`
mean the same module in a step, and `tool.__name__` is `transformer.tool`. A module is executed when it is
first imported, and is known before that, so packages whose `__init__` and submodules import each other work
as in Python.
"""

from __future__ import annotations

import builtins
from collections.abc import Mapping, Sequence
from types import ModuleType
from typing import Any

from . import running
from .python_code import compile_module
from .running import PACKAGE_NAME, RunningStep

__all__ = ("ModuleDefinitionError", "StepModules")

_GLOBALS_MODULE = "main"  # its names go directly into the step's namespace


class ModuleDefinitionError(ValueError):
    """A module pin does not hold the definition of a module.

    Remedy: set the module with `step.modules.NAME = NAME`, which writes the definition; only Python can be imported.
    """


class StepModules:
    """The modules of one run of one step."""

    def __init__(self, definitions: Mapping[str, tuple[str, Any]], step: RunningStep) -> None:
        """definitions: module name -> checksum of its pin, definition dict of that pin."""
        self._sources: dict[str, tuple[str, str]] = {}  # dotted name -> cache key, code text
        self._packages: set[str] = set()
        self._loaded: dict[str, ModuleType] = {}
        self._visible: dict[str, dict[str, Any]] = {}
        self._names = tuple(definitions)
        step.modules = self._visible
        for name, (checksum, definition) in definitions.items():
            self._define(name, checksum, definition)
        self.builtins: dict[str, Any] = {**builtins.__dict__, "__import__": self._import}

    def loaded_names(self) -> dict[str, Any]:
        """Load all modules; return the names they give to the step's namespace."""
        modules = {name: self._load(name) for name in self._names}
        names: dict[str, Any] = {}
        if _GLOBALS_MODULE in modules:
            own = modules[_GLOBALS_MODULE].__dict__
            names.update((key, value) for key, value in own.items() if not key.startswith("__"))
        names.update(modules)
        return names

    def _define(self, name: str, checksum: str, definition: Any) -> None:
        if not isinstance(definition, dict) or "code" not in definition:
            raise ModuleDefinitionError(
                f"module {name!r} is no module definition: expected a dict with 'code', 'language' and "
                f"'type', not {definition!r:.80}"
            )
        _check_language(name, definition)
        code = definition["code"]
        if isinstance(code, str):
            self._sources[name] = (checksum, code)
            return
        self._packages.add(name)
        for member, member_definition in code.items():
            _check_language(f"{name}.{member}", member_definition)
            parts = [name, *(part for part in member.split(".") if part != "__init__")]
            dotted = ".".join(parts)
            self._sources[dotted] = (checksum, member_definition["code"])
            n_parents = len(parts) if member.endswith("__init__") else len(parts) - 1
            self._packages.update(".".join(parts[:n]) for n in range(1, n_parents + 1))

    def _knows(self, dotted: str) -> bool:
        return dotted in self._sources or dotted in self._packages

    def _load(self, dotted: str) -> ModuleType:
        module = self._loaded.get(dotted)
        if module is not None:
            return module
        parent_name, _, last = dotted.rpartition(".")
        parent = self._load(parent_name) if parent_name else None
        module = self._loaded.get(dotted)  # its parent may have imported it
        if module is not None:
            return module
        if not self._knows(dotted):
            raise ModuleNotFoundError(
                f"No module named {dotted!r} among the modules of this step: "
                f"{', '.join(sorted(self._sources))}",
                name=dotted,
            )
        full_name = f"{PACKAGE_NAME}.{dotted}"
        module = ModuleType(full_name)
        names = module.__dict__
        names["__builtins__"] = self.builtins
        names["__package__"] = full_name if dotted in self._packages else full_name.rpartition(".")[0]
        if dotted in self._packages:
            names["__path__"] = []
        self._loaded[dotted] = module
        self._visible[full_name] = names
        running.offer_module(full_name)
        if parent is not None:
            setattr(parent, last, module)
        if dotted in self._sources:
            checksum, text = self._sources[dotted]
            names["__file__"] = filename = f"transformer-in-process-{checksum}-{dotted}"
            try:
                # a module that the user gave to the step is code of the step
                exec(compile_module((checksum, dotted), filename, text), names)
            except BaseException:
                del self._loaded[dotted], self._visible[full_name]
                if parent is not None and getattr(parent, last, None) is module:
                    delattr(parent, last)
                raise
        return module

    def _import(
        self,
        name: str,
        globals: Mapping[str, Any] | None = None,
        locals: Mapping[str, Any] | None = None,
        fromlist: Sequence[str] | None = (),
        level: int = 0,
    ) -> Any:
        """Do what `builtins.__import__` does, among the modules of the step first."""
        if level == 0:
            dotted = name
            if not self._knows(dotted.partition(".")[0]):
                return builtins.__import__(name, globals, locals, fromlist or (), 0)
        else:
            dotted = self._absolute(name, globals or {}, level)
            if not dotted:
                return _Siblings(self, fromlist or ())
        module = self._load(dotted)
        if fromlist:
            self._load_submodules(module, dotted, fromlist)
            return module
        if level == 0:
            return self._load(dotted.partition(".")[0])
        return module

    def _load_submodules(self, module: ModuleType, dotted: str, fromlist: Sequence[str]) -> None:
        for name in fromlist:
            if name == "*":
                self._load_submodules(module, dotted, list(getattr(module, "__all__", ())))
            elif not hasattr(module, name) and self._knows(f"{dotted}.{name}"):
                self._load(f"{dotted}.{name}")

    @staticmethod
    def _absolute(name: str, globals: Mapping[str, Any], level: int) -> str:
        """Return the dotted name below `transformer`; empty for `from . import x` in the step itself."""
        parts = str(globals.get("__package__", PACKAGE_NAME)).split(".")
        if level > len(parts):
            raise ImportError("attempted relative import beyond top-level package", name=name)
        base = parts[1 : len(parts) - level + 1]
        return ".".join([*base, name] if name else base)


class _Siblings:
    """The package `transformer` as `from . import tool` sees it: the modules of the step."""

    def __init__(self, modules: StepModules, names: Sequence[str]) -> None:
        for name in names:
            if modules._knows(name):
                setattr(self, name, modules._load(name))
        self.__name__ = PACKAGE_NAME


def _check_language(name: str, definition: Mapping[str, Any]) -> None:
    language = definition.get("language", "python")
    if language != "python":
        raise ModuleDefinitionError(
            f"module {name!r} is written in {language!r}: only 'python' can be imported"
        )

"""What a step takes along besides its arguments: `step.modules.helper = helper`, `step.globals.K = 3`."""

from __future__ import annotations

from collections.abc import Mapping
from types import ModuleType
from typing import Any

from .definition_errors import PinNameError, UnknownPin, nearest_spelling
from .globals_code import is_frozen_literal, merge_into_main, render_definition, source_of_value
from .module_definition import module_definition
from .signature import check_pin_name
from .table_access import TableAccess

__all__ = ("GlobalsAccess", "GlobalsTable", "ModuleTable", "ModulesAccess")


class ModuleTable:
    """Module definitions by name. A module is read when it is set.

    version: grows with every change.
    """

    __slots__ = ("_definitions", "version")

    def __init__(self) -> None:
        self._definitions: dict[str, dict[str, Any]] = {}
        self.version = 0

    @property
    def definitions(self) -> Mapping[str, dict[str, Any]]:
        """The table itself; not to be changed."""
        return self._definitions

    def copy(self) -> ModuleTable:
        twin = ModuleTable()
        twin._definitions = dict(self._definitions)
        return twin

    def names(self) -> list[str]:
        return list(self._definitions)

    def get(self, name: str) -> dict[str, Any]:
        _check_known(name, self._definitions, "module")
        return self._definitions[name]

    def set(self, name: str, value: ModuleType | Mapping[str, Any]) -> None:
        _check_name(name, "module")
        self._definitions[name] = module_definition(value)
        self.version += 1

    def delete(self, name: str) -> None:
        _check_known(name, self._definitions, "module")
        del self._definitions[name]
        self.version += 1


class GlobalsTable:
    """Values by name; together they become the module `main` of the step.

    version: grows with every change of the table. A mutable value (a list, a dict) is read at each call of
    `definition`, all others once.
    """

    __slots__ = ("_sources", "_values", "version")

    def __init__(self) -> None:
        self._values: dict[str, Any] = {}
        self._sources: dict[str, str] = {}
        self.version = 0

    def copy(self) -> GlobalsTable:
        twin = GlobalsTable()
        twin._values = dict(self._values)
        twin._sources = dict(self._sources)
        return twin

    @property
    def is_frozen(self) -> bool:
        """Whether `definition` stays as it is until `version` changes."""
        return len(self._sources) == len(self._values)

    @property
    def values(self) -> Mapping[str, Any]:
        """The values; not to be changed."""
        return self._values

    def definition(self, main: Mapping[str, Any] | None = None) -> dict[str, Any] | None:
        """Return the definition of the module `main`, None when there are no globals and no such module.

        main: the definition of a module of that name which the step has anyway.
        """
        if not self._values:
            return None if main is None else dict(main)
        pieces = {
            name: self._sources.get(name) or source_of_value(name, value, "globals of the step")
            for name, value in self._values.items()
        }
        generated = render_definition(pieces)
        return generated if main is None else merge_into_main(main, generated)

    def names(self) -> list[str]:
        return list(self._values)

    def get(self, name: str) -> Any:
        _check_known(name, self._values, "global")
        return self._values[name]

    def set(self, name: str, value: Any) -> None:
        _check_name(name, "global")
        source = source_of_value(name, value, "globals of the step")
        self._sources.pop(name, None)
        if is_frozen_literal(value):
            self._sources[name] = source
        self._values[name] = value
        self.version += 1

    def delete(self, name: str) -> None:
        _check_known(name, self._values, "global")
        del self._values[name]
        self._sources.pop(name, None)
        self.version += 1


class ModulesAccess(TableAccess):
    """`step.modules`."""

    __slots__ = ()

    def __init__(self, table: ModuleTable) -> None:
        super().__init__(table)


class GlobalsAccess(TableAccess):
    """`step.globals`."""

    __slots__ = ()

    def __init__(self, table: GlobalsTable) -> None:
        super().__init__(table)


def _check_name(name: str, what: str) -> None:
    from keyword import iskeyword

    if not name.isidentifier() or iskeyword(name):
        raise PinNameError(f"a {what} of a step cannot be called {name!r}: that is no Python name.", name)
    if what == "global" and not name.startswith("__"):
        return  # it is a name inside the module `main`, not a pin
    check_pin_name(name, f"{what} {name!r}")


def _check_known(name: str, known: Mapping[str, Any], what: str) -> None:
    if name not in known:
        listed = ", ".join(known) or "none"
        raise UnknownPin(
            name,
            f"{name}: the step has no {what} of this name; it has {listed}.{nearest_spelling(name, known)}",
        )

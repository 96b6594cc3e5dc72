"""Arguments that a step has before it is called: `step.args.a = 3`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from .celltype_access import RESULT, CelltypeTable
from .definition_errors import UnknownPin
from .table_access import TableAccess

__all__ = ("ArgumentAccess", "ArgumentTable")


class ArgumentTable:
    """Preset values by pin name; the pins are those of a CelltypeTable.

    version: grows with every change of the table (not with a change inside a value).
    """

    __slots__ = ("_celltypes", "_values", "version")

    def __init__(self, celltypes: CelltypeTable) -> None:
        self._celltypes = celltypes
        self._values: dict[str, Any] = {}
        self.version = 0

    @property
    def values(self) -> Mapping[str, Any]:
        """The preset values; not to be changed."""
        return self._values

    def copy(self, celltypes: CelltypeTable) -> ArgumentTable:
        """Return a table with the same values that belongs to `celltypes`; the values are shared."""
        twin = ArgumentTable(celltypes)
        twin._values = dict(self._values)
        return twin

    def retain_known(self) -> None:
        """Forget the values of pins that a new signature no longer has."""
        known = self._celltypes.names()
        self._values = {name: value for name, value in self._values.items() if name in known}
        self.version += 1

    def names(self) -> list[str]:
        return list(self._values)

    def get(self, name: str) -> Any:
        """Return the preset value, None when there is none."""
        self._check(name)
        if name.startswith("_") and name not in self._celltypes.celltypes:
            raise AttributeError(name)  # IPython and others ask for such names
        return self._values.get(name)

    def set(self, name: str, value: Any) -> None:
        self._check(name)
        self._celltypes.declare(name)
        self._values[name] = value
        self.version += 1

    def delete(self, name: str) -> None:
        self._check(name)
        if name not in self._values:
            raise UnknownPin(name, f"{name}: this argument is not preset")
        del self._values[name]
        self.version += 1

    def _check(self, name: str) -> None:
        if name == RESULT:
            raise UnknownPin(
                name, "result: the result of a step is no argument; only its celltype can be set"
            )
        self._celltypes.check(name)


class ArgumentAccess(TableAccess):
    """`step.args`."""

    __slots__ = ()

    def __init__(self, table: ArgumentTable) -> None:
        super().__init__(table)

"""Attribute and item access to a table of names: `step.celltypes.a = "int"`, `step.args["data.txt"] = text`.

An access object has no public members of its own, so that every pin name can be reached as an attribute.
The rules of a table are in the table; several access objects may share one.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Protocol

__all__ = ("NameTable", "TableAccess")


class NameTable(Protocol):
    """What `TableAccess` gives access to."""

    def get(self, name: str) -> Any: ...

    def set(self, name: str, value: Any) -> None: ...

    def delete(self, name: str) -> None: ...

    def names(self) -> list[str]: ...


class TableAccess:
    """The face of a table towards the user."""

    __slots__ = ("__table",)
    __table: NameTable

    def __init__(self, table: NameTable) -> None:
        object.__setattr__(self, "_TableAccess__table", table)

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__") and name.endswith("__"):  # protocols that Python or IPython asks for
            raise AttributeError(name)
        return self.__table.get(name)

    def __setattr__(self, name: str, value: Any) -> None:
        self.__table.set(name, value)

    def __delattr__(self, name: str) -> None:
        self.__table.delete(name)

    def __getitem__(self, name: str) -> Any:
        return self.__table.get(name)

    def __setitem__(self, name: str, value: Any) -> None:
        self.__table.set(name, value)

    def __delitem__(self, name: str) -> None:
        self.__table.delete(name)

    def __contains__(self, name: object) -> bool:
        return name in self.__table.names()

    def __iter__(self) -> Iterator[str]:
        return iter(self.__table.names())

    def __len__(self) -> int:
        return len(self.__table.names())

    def __dir__(self) -> list[str]:
        return [name for name in self.__table.names() if name.isidentifier()]

    def __repr__(self) -> str:
        return repr({name: self.__table.get(name) for name in self.__table.names()})

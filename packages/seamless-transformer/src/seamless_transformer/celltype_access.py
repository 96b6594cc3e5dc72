"""Which celltype each pin of a step has, and the result.

With a signature the pins are its parameters, all `mixed` at first. Without one (a step made of text) a pin
exists as soon as it is declared, and the first declaration also declares the result, as `mixed`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from seamless.celltypes import ALIASES, CELLTYPES

from .definition_errors import BadCelltype, UnknownPin, nearest_spelling
from .signature import check_pin_name
from .table_access import TableAccess

__all__ = ("INPUT_CELLTYPES", "RESULT_CELLTYPES", "CelltypeAccess", "CelltypeTable")

RESULT = "result"

INPUT_CELLTYPES = (*CELLTYPES, *ALIASES)
RESULT_CELLTYPES = tuple(c for c in INPUT_CELLTYPES if c not in ("deepfolder", "module"))


class CelltypeTable:
    """Celltypes by pin name; `result` is the output.

    parameters: the names of the signature, or None when there is none.
    version: grows with every change.
    """

    __slots__ = ("_celltypes", "_parameters", "version")

    def __init__(self, parameters: Iterable[str] | None = None) -> None:
        self.version = 0
        self._celltypes: dict[str, str] = {}
        self._parameters: tuple[str, ...] | None = None
        self.derive(parameters)

    @property
    def parameters(self) -> tuple[str, ...] | None:
        return self._parameters

    @property
    def celltypes(self) -> Mapping[str, str]:
        """The table itself, in the order of the signature or of declaration; not to be changed."""
        return self._celltypes

    def derive(self, parameters: Iterable[str] | None) -> None:
        """Start anew from a signature, or without one."""
        self._parameters = None if parameters is None else tuple(parameters)
        self._celltypes = {}
        if self._parameters is not None:
            self._celltypes = dict.fromkeys((*self._parameters, RESULT), "mixed")
        self.version += 1

    def forget_signature(self) -> None:
        """Keep the celltypes; from now on pins may be declared."""
        self._parameters = None
        self.version += 1

    def copy(self) -> CelltypeTable:
        twin = CelltypeTable(self._parameters)
        twin._celltypes = dict(self._celltypes)
        return twin

    def names(self) -> list[str]:
        return list(self._celltypes)

    def get(self, name: str) -> str:
        self.check(name)
        try:
            return self._celltypes[name]
        except KeyError:
            raise self._unknown(name) from None

    def set(self, name: str, value: Any) -> None:
        self.check(name)
        celltype = value.__name__ if isinstance(value, type) else value
        self._check_celltype(name, celltype)
        self._declare(name, celltype)

    def delete(self, name: str) -> None:
        """Without a signature the pin is gone; with one it is `mixed` again."""
        self.get(name)
        if self._parameters is None:
            del self._celltypes[name]
        else:
            self._celltypes[name] = "mixed"
        self.version += 1

    def declare(self, name: str) -> None:
        """Make sure that a pin exists; a new one is `mixed`."""
        self.check(name)
        if name not in self._celltypes:
            self._declare(name, "mixed")

    def check(self, name: str) -> None:
        """Raise UnknownPin when a signature rules this name out."""
        if self._parameters is not None and name not in self._celltypes:
            raise self._unknown(name)

    def _declare(self, name: str, celltype: str) -> None:
        if name != RESULT and name not in self._celltypes:
            check_pin_name(name, f"pin {name!r}")
        self._celltypes.setdefault(RESULT, "mixed")
        self._celltypes[name] = celltype
        self.version += 1

    def _unknown(self, name: str) -> UnknownPin:
        known = self.names()
        if self._parameters is None:
            return UnknownPin(
                name, f"{name}: no pin of this name is declared. Declare it: celltypes[{name!r}] = 'mixed'."
            )
        listed = ", ".join(known)
        return UnknownPin(
            name, f"{name}: the step has no pin of this name; it has {listed}.{nearest_spelling(name, known)}"
        )

    def _check_celltype(self, name: str, celltype: Any) -> None:
        if name == RESULT and celltype in ("deepfolder", "module"):
            raise BadCelltype(
                f"result celltype cannot be {celltype!r}. Use 'folder' for a directory, 'deepcell' for a "
                "structure of checksums, 'mixed' or 'plain' for other values.",
                name,
                celltype,
            )
        allowed = RESULT_CELLTYPES if name == RESULT else INPUT_CELLTYPES
        if not isinstance(celltype, str) or celltype not in allowed:
            near = nearest_spelling(celltype, allowed) if isinstance(celltype, str) else ""
            raise BadCelltype(
                f"{name}: {celltype!r} is no celltype. Use one of: {', '.join(allowed)}.{near}",
                name,
                celltype,
            )


class CelltypeAccess(TableAccess):
    """`step.celltypes`."""

    __slots__ = ()

    def __init__(self, table: CelltypeTable) -> None:
        super().__init__(table)

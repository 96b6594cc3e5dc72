"""From the declared celltype of a pin to its entry in the transformation dictionary."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from .definition_errors import PinNameError, UnsupportedInputCelltype

__all__ = ("PinType", "check_distinct_pins", "code_pin_type", "formats_of", "pin_type")

MODULE_PIN = ("plain", "module")


@dataclass(frozen=True, slots=True)
class PinType:
    """A pin without its checksum. on_disk: its entry in `__format__`, or None."""

    celltype: str
    subcelltype: str | None = None
    on_disk: Mapping[str, Any] | None = None

    def entry(self, checksum_hex: str | None) -> list[str | None]:
        return [self.celltype, self.subcelltype, checksum_hex]


def pin_type(name: str, celltype: str | None) -> PinType:
    """Return how an input of a declared celltype is written.

    celltype: None and `default` mean `plain` for a name that ends in `_SCHEMA`, else `mixed`.
    Raises UnsupportedInputCelltype (a NotImplementedError) for `python`, `yaml` and `cson`.

    >>> pin_type("a", "checksum").entry("4355a46b")
    ['plain', 'checksum', '4355a46b']
    """
    if celltype is None or celltype == "default":
        return PinType("plain" if name.endswith("_SCHEMA") else "mixed")
    if celltype in ("python", "yaml", "cson"):
        instead = (
            "'text' (the step parses it)"
            if celltype == "python"
            else "'text', or 'plain' with the parsed value"
        )
        raise UnsupportedInputCelltype(
            f"{name}: an input cannot have celltype {celltype!r}; use {instead}.", name, celltype
        )
    if celltype in ("checksum", "module"):
        return PinType("plain", celltype)
    if celltype in ("folder", "deepfolder"):
        return PinType(celltype, None, {"celltype": celltype, "filesystem": {"mode": "directory"}})
    return PinType(celltype)


def code_pin_type(language: str) -> PinType:
    """Return how the code is written: celltype `python` for Python, `text` for any other language."""
    return PinType("python" if language == "python" else "text", "transformer")


def formats_of(pins: Mapping[str, PinType]) -> dict[str, Any] | None:
    """Return the `__format__` of these inputs, or None when no pin needs an entry."""
    formats = {name: dict(pin.on_disk) for name, pin in pins.items() if pin.on_disk is not None}
    return formats or None


def check_distinct_pins(inputs: Iterable[str], modules: Iterable[str], *, with_globals: bool) -> None:
    """Raise PinNameError when an input, a module and the module of globals, `main`, share a name."""
    inputs = set(inputs)
    taken = dict.fromkeys(modules, "a module")
    if with_globals:
        taken.setdefault("main", "the module that holds the globals")
    for name, owner in taken.items():
        if name in inputs:
            raise PinNameError(
                f"the name {name!r} is used twice: for an argument and for {owner} of the step. Rename one.",
                name,
            )
        if name == "code" or name.startswith("__"):
            raise PinNameError(f"{owner} of the step cannot be called {name!r}. Rename it.", name)

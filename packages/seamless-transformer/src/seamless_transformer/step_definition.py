"""What a transformer is at the moment of a call, frozen: a step without its arguments."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from .identity import IdentityTemplate, transformation_dict

if TYPE_CHECKING:
    from seamless import Buffer
    from seamless.step import SourceLocation

__all__ = ("StepDefinition",)

PinEntry = tuple[str, str | None]
"""Celltype and subcelltype, as they stand in the transformation dictionary."""


@dataclass(slots=True, eq=False)
class StepDefinition:
    """Code, pins and settings of a step; never changed once made, but for what it remembers at the end.

    The settings from `location` on never enter the identity.
    """

    name: str
    language: str
    code: Buffer
    code_entry: PinEntry
    output_celltype: str
    celltypes: Mapping[str, str]
    """Declared celltype of each argument pin: how its value is serialized."""
    pin_entries: Mapping[str, PinEntry]
    formats: Mapping[str, Mapping[str, Any]]
    """`__format__` of the pins that have one."""
    modules: Mapping[str, Buffer]
    """Definition of each module pin, serialized as plain."""
    location: SourceLocation | None
    scratch: bool
    local: bool | None
    allow_input_fingertip: bool
    meta: Mapping[str, Any]
    environment: Buffer | None
    """Low-level form of the environment, celltype plain."""
    stored_in: object = None
    """The active set that holds the fixed buffers already."""
    _templates: dict[tuple[str, ...], IdentityTemplate] = field(default_factory=dict)

    def template(self, argument_names: tuple[str, ...]) -> IdentityTemplate:
        """Return the identity text with holes for the checksums of these arguments (in this order)."""
        template = self._templates.get(argument_names)
        if template is None:
            template = self._templates[argument_names] = IdentityTemplate(
                self.language,
                self.output_celltype,
                pins={name: self.pin_entries[name] for name in argument_names},
                fixed=self._fixed_pins(),
                formats=self._formats_of(argument_names),
            )
        return template

    def transformation(self, argument_hexes: Mapping[str, str | None]) -> dict[str, Any]:
        """Return the transformation dictionary for arguments with these checksums (None: a null pin)."""
        pins = self._fixed_pins()
        for name, checksum_hex in argument_hexes.items():
            pins[name] = [*self.pin_entries[name], checksum_hex]
        return transformation_dict(
            self.language,
            self.output_celltype,
            pins,
            formats=self._formats_of(argument_hexes),
            carried=self.envelope(),
        )

    def _fixed_pins(self) -> dict[str, Sequence[str | None]]:
        pins: dict[str, Sequence[str | None]] = {"code": [*self.code_entry, self.code.get_checksum().hex()]}
        for name, buffer in self.modules.items():
            pins[name] = ["plain", "module", buffer.get_checksum().hex()]
        return pins

    def _formats_of(self, names: Iterable[str]) -> dict[str, Mapping[str, Any]] | None:
        formats = {name: self.formats[name] for name in names if name in self.formats}
        return formats or None

    def envelope(self) -> dict[str, Any]:
        """Return the keys that travel beside the identity."""
        envelope: dict[str, Any] = {"__meta__": dict(self.meta)}
        if self.environment is not None:
            envelope["__env__"] = self.environment.get_checksum().hex()
        return envelope

    def fixed_buffers(self) -> list[Buffer]:
        """Return what every step of this definition refers to, arguments excluded."""
        buffers = [self.code, *self.modules.values()]
        if self.environment is not None:
            buffers.append(self.environment)
        return buffers

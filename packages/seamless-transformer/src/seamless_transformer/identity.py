"""The identity of a step: SHA-256 of its transformation dictionary. Pure functions, no I/O.

A transformation dictionary is a flat JSON object. Its load-bearing part (ordinary pins, `__language__`,
`__output__`, `__as__`, `__format__`, `__schema__`) is written in the JSON dialect of celltype `plain`;
the checksum of that text is the identity. All other keys are carried along and never hashed.

`IdentityTemplate` writes the same text for many sets of inputs of one step: it holds everything but the
input checksums ready. Invariant: its text equals `identity_text` of the same dictionary, byte for byte.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from operator import itemgetter

from seamless.dialect_p import dumps

from .definition_errors import PinNameError, UnknownDunderKey

TYPE_CHECKING = False  # importing typing costs a command 6 ms
if TYPE_CHECKING:
    from typing import Any

__all__ = (
    "DERIVED_KEYS",
    "LOAD_BEARING_KEYS",
    "ORTHOGONAL_KEYS",
    "UNHASHED_PIN_PREFIX",
    "IdentityTemplate",
    "identity_text",
    "is_load_bearing",
    "load_bearing_part",
    "tf_checksum",
    "transformation_dict",
)

LOAD_BEARING_KEYS = frozenset(("__language__", "__output__", "__as__", "__format__", "__schema__"))
"""Dunder keys that are hashed when present, an empty `{}` too."""

ORTHOGONAL_KEYS = frozenset(
    (
        "__meta__",
        "__env__",
        "__compilation__",
        "__record_probe__",
        "__code_checksum__",
        "__code_text__",
        "__compilers__",
        "__languages__",
    )
)
"""Carried, never hashed: how and where to run."""

DERIVED_KEYS = frozenset(("__compiled__", "__header__", "__deps__"))
"""Carried, never hashed: they follow from what is hashed."""

UNHASHED_PIN_PREFIX = "META__"
"""Pins whose name starts so are carried, never hashed."""

PinEntry = Sequence["str | None"]
"""`[celltype, subcelltype or None, checksum hex or None]`."""


def is_load_bearing(key: str) -> bool:
    """Return whether this key counts towards the identity.

    Raises UnknownDunderKey for a `__key` that is not part of the format.

    >>> is_load_bearing("a"), is_load_bearing("__meta__"), is_load_bearing("META__N")
    (True, False, False)
    """
    if key.startswith("__"):
        if key in LOAD_BEARING_KEYS:
            return True
        if key in ORTHOGONAL_KEYS or key in DERIVED_KEYS:
            return False
        raise UnknownDunderKey(key)
    return not key.startswith(UNHASHED_PIN_PREFIX)


def load_bearing_part(transformation: Mapping[str, Any]) -> dict[str, Any]:
    """Return the part of a transformation dictionary that is hashed."""
    return {key: value for key, value in transformation.items() if is_load_bearing(key)}


def transformation_dict(
    language: str,
    result_celltype: str,
    pins: Mapping[str, PinEntry],
    *,
    formats: Mapping[str, Any] | None = None,
    renames: Mapping[str, str] | None = None,
    schema: str | None = None,
    carried: Mapping[str, Any] | None = None,
) -> dict[str, Any]:
    """Return the transformation dictionary of a step.

    pins: `{name: [celltype, subcelltype, checksum hex]}`, the code pin and module pins included.
    formats: `__format__`, how pins appear in the file system. renames: `__as__`, `{pin: name in the step}`.
    schema: checksum of the schema of a compiled step. carried: keys outside the identity, such as `__meta__`.
    formats, renames and schema are left out when None.
    """
    result: dict[str, Any] = {"__language__": language, "__output__": ["result", result_celltype, None]}
    for key, value in (("__format__", formats), ("__as__", renames), ("__schema__", schema)):
        if value is not None:
            result[key] = dict(value) if isinstance(value, Mapping) else value
    for name, entry in pins.items():
        if name.startswith("__"):
            raise PinNameError(
                f"a pin cannot be called {name!r}: names that start with '__' are keys of the transformation "
                "dictionary. Give the parameter another name.",
                name,
            )
        celltype, subcelltype, checksum = entry
        result[name] = [celltype, subcelltype, checksum]
    for key, value in (carried or {}).items():
        if key in LOAD_BEARING_KEYS or not key.startswith("__"):
            raise ValueError(f"{key!r} is part of the identity and cannot be carried beside it")
        is_load_bearing(key)
        result[key] = value
    return result


def identity_text(transformation: Mapping[str, Any]) -> bytes:
    """Return the text whose SHA-256 is the identity; it is itself a buffer that is stored.

    transformation: may hold any key of the format; only the load-bearing part is written.
    """
    return dumps(load_bearing_part(transformation))


def tf_checksum(transformation: Mapping[str, Any]) -> bytes:
    """Return the identity as a digest of 32 bytes."""
    return hashlib.sha256(identity_text(transformation)).digest()


class IdentityTemplate:
    """The identity of one step for varying input checksums, at about 2 us each.

    pins: `{name: (celltype, subcelltype)}` of the inputs, in the order in which checksums will be given.
    fixed: `{name: [celltype, subcelltype, checksum hex]}` of pins that do not vary: the code, the modules.
    formats, renames, schema: as for `transformation_dict`.

    Immutable, safe for threads. The checksums are written as they are given, unchecked: 64 hexadecimal
    digits, or None for a null pin.
    """

    __slots__ = ("_null_format", "_pick", "_quoted_format", "pin_names")

    pin_names: tuple[str, ...]

    def __init__(
        self,
        language: str,
        result_celltype: str,
        *,
        pins: Mapping[str, tuple[str, str | None]],
        fixed: Mapping[str, PinEntry],
        formats: Mapping[str, Any] | None = None,
        renames: Mapping[str, str] | None = None,
        schema: str | None = None,
    ) -> None:
        for name in pins:
            if name in fixed:
                raise PinNameError(f"the pin {name!r} is given twice: as an input and as a fixed pin", name)
        blank = {name: [celltype, subcelltype, None] for name, (celltype, subcelltype) in pins.items()}
        every = transformation_dict(
            language, result_celltype, {**fixed, **blank}, formats=formats, renames=renames, schema=schema
        )
        self.pin_names = tuple(pins)
        position = {name: i for i, name in enumerate(self.pin_names)}
        quoted: list[str] = []
        null: list[str] = []
        order: list[int] = []
        for key in sorted(load_bearing_part(every)):
            text = dumps({key: every[key]}).decode("utf-8")
            member = text[len("{\n") : -len("\n}\n")].replace("%", "%%")
            if key in position:
                order.append(position[key])
                head = member[: -len("null\n  ]")]
                quoted.append(f'{head}"%s"\n  ]')
                null.append(f"{head}%s\n  ]")
            else:
                quoted.append(member)
                null.append(member)
        self._quoted_format = "{\n" + ",\n".join(quoted) + "\n}\n"
        self._null_format = "{\n" + ",\n".join(null) + "\n}\n"
        self._pick = _picker(order, len(self.pin_names))

    def text(self, pin_hexes: Sequence[str | None]) -> bytes:
        """Return the identity text; pin_hexes: one entry per pin, in the order of `pin_names`."""
        hexes = self._pick(pin_hexes)
        if None in hexes:
            quoted = tuple(["null" if h is None else f'"{h}"' for h in hexes])
            return (self._null_format % quoted).encode()
        return (self._quoted_format % hexes).encode()

    def digest(self, pin_hexes: Sequence[str | None]) -> bytes:
        """Return the identity as a digest of 32 bytes."""
        return hashlib.sha256(self.text(pin_hexes)).digest()


def _picker(order: list[int], n_given: int) -> Callable[[Sequence[str | None]], tuple[str | None, ...]]:
    """Return a function that puts the given checksums in the order in which they are written."""
    if order == list(range(n_given)):
        return tuple
    if len(order) == 1:
        only = order[0]
        return lambda hexes: (hexes[only],)
    if not order:
        return lambda hexes: ()
    return itemgetter(*order)

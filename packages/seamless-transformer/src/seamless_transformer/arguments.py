"""From argument values to checksums: what a call contributes to the identity of its step.

A value is hashed where it lies, without a copy. Only when the step is new is memory that the caller could still change
copied, once (`PreparedArguments.keep`). A checksum is never remembered for a mutable object, so a changed list or
array is always a changed argument. While a call binds an argument, no other thread may change it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from seamless import Buffer, Checksum
from seamless.checksum import is_checksum_text
from seamless.serialize import digest_of_parts, serialize_parts, snapshot_parts

if TYPE_CHECKING:
    from .transformation import Transformation

__all__ = ("Composite", "PreparedArguments", "all_dependencies", "prepare_arguments")

Parts = tuple["bytes | memoryview", ...]

_STRINGIFYING = frozenset({"str", "text", "python", "ipython", "yaml", "bytes", "bool", "int", "float"})
"""Celltypes that serialize a container without looking at its items."""
_INDEX_CELLTYPES = frozenset({"deepcell", "deepfolder", "folder", "checksum"})
"""Celltypes whose leaves are checksums: a dependency inside contributes its checksum, not its value."""


class Composite:
    """A container with steps inside, as it was at the time of the call.

    Before the step is identified, each inner step is replaced by its value (by its checksum where the celltype is an
    index of checksums), so the identity is that of passing the values.
    """

    __slots__ = ("celltype", "dependencies", "structure")

    def __init__(self, value: Any, celltype: str) -> None:
        self.celltype = celltype
        self.dependencies: list[Transformation] = []
        self.structure = self._copy(value)

    def _copy(self, value: Any) -> Any:
        from .transformation import Transformation

        if isinstance(value, Transformation):
            self.dependencies.append(value)
            return value
        if isinstance(value, dict):
            return {key: self._copy(item) for key, item in value.items()}
        if isinstance(value, (list, tuple)):
            items = [self._copy(item) for item in value]
            return tuple(items) if isinstance(value, tuple) else items
        copy = getattr(value, "copy", None)
        return copy() if hasattr(value, "__array_interface__") and callable(copy) else value

    def buffer(self) -> Buffer:
        """Serialize with every inner step replaced. Its dependencies must have finished well."""
        return Buffer(self._substitute(self.structure), self.celltype)

    def _substitute(self, value: Any) -> Any:
        from .transformation import Transformation

        if isinstance(value, Transformation):
            if self.celltype in _INDEX_CELLTYPES:
                return value.result_checksum.hex()
            return value._result_value()
        if isinstance(value, dict):
            return {key: self._substitute(item) for key, item in value.items()}
        if isinstance(value, (list, tuple)):
            items = [self._substitute(item) for item in value]
            return tuple(items) if isinstance(value, tuple) else items
        return value


def _contains_transformation(value: Any) -> bool:
    from .transformation import Transformation

    stack = [value]
    seen: set[int] = set()
    while stack:
        item = stack.pop()
        if isinstance(item, Transformation):
            return True
        if isinstance(item, (dict, list, tuple)):
            if id(item) in seen:
                continue
            seen.add(id(item))
            stack.extend(item.values() if isinstance(item, dict) else item)
    return False


class PreparedArguments:
    """The arguments of one call: a checksum for each, or what has to be computed first."""

    __slots__ = ("composites", "dependencies", "hexes", "names", "payloads")

    def __init__(self, names: tuple[str, ...]) -> None:
        self.names = names
        self.hexes: list[str | None] = []
        self.payloads: list[tuple[bytes, Parts, bool] | Buffer] = []
        self.dependencies: dict[str, Transformation] | None = None
        self.composites: dict[str, Composite] | None = None

    @property
    def complete(self) -> bool:
        """Whether every checksum is known already."""
        return self.dependencies is None and self.composites is None

    def keep(self) -> list[Buffer]:
        """Return the arguments as buffers of their own: memory that the caller could change is copied now."""
        buffers: list[Buffer] = []
        for payload in self.payloads:
            if isinstance(payload, Buffer):
                buffers.append(payload)
            else:
                digest, parts, aliasing = payload
                owned = snapshot_parts(parts) if aliasing else parts
                buffers.append(Buffer._from_parts(owned, Checksum._from_digest(digest)))
        return buffers


def prepare_arguments(values: Mapping[str, Any], celltypes: Mapping[str, str]) -> PreparedArguments:
    """Hash the values with the celltypes of their pins. Raises TypeError or ValueError naming the argument."""
    prepared = PreparedArguments(tuple(values))
    hexes = prepared.hexes
    payloads = prepared.payloads
    for name, value in values.items():
        kind = type(value)
        if value is None:
            hexes.append(None)
            continue
        if kind is str:
            if len(value) == 64 and is_checksum_text(value):
                hexes.append(value)
                continue
        elif (
            kind is not int
            and kind is not float
            and kind is not bool
            and _prepare_special(prepared, name, value, celltypes[name])
        ):
            continue
        celltype = celltypes[name]
        try:
            parts, aliasing = serialize_parts(value, celltype)
        except (TypeError, ValueError, RecursionError) as exc:
            if _contains_transformation(value):
                _prepare_composite(prepared, name, value, celltype)
                continue
            raise _argument_error(name, value, celltype, exc) from exc
        digest = digest_of_parts(parts)
        hexes.append(digest.hex())
        payloads.append((digest, parts, aliasing))
    return prepared


def _prepare_special(prepared: PreparedArguments, name: str, value: Any, celltype: str) -> bool:
    """Take a value that brings its own checksum, or steps. False: an ordinary value."""
    from .transformation import Transformation

    if isinstance(value, Transformation):
        if prepared.dependencies is None:
            prepared.dependencies = {}
        prepared.dependencies[name] = value
        prepared.hexes.append(None)
    elif isinstance(value, Checksum):
        prepared.hexes.append(value.hex())
    elif isinstance(value, Buffer):
        prepared.hexes.append(value.get_checksum().hex())
        prepared.payloads.append(value)
    elif (
        celltype in _STRINGIFYING
        and isinstance(value, (list, tuple, dict))
        and _contains_transformation(value)
    ):
        _prepare_composite(prepared, name, value, celltype)
    else:
        return False
    return True


def _prepare_composite(prepared: PreparedArguments, name: str, value: Any, celltype: str) -> None:
    if prepared.composites is None:
        prepared.composites = {}
    try:
        prepared.composites[name] = Composite(value, celltype)
    except RecursionError as exc:
        raise _argument_error(name, value, celltype, exc) from None
    prepared.hexes.append(None)


def _argument_error(name: str, value: Any, celltype: str, cause: BaseException) -> Exception:
    text = (
        f"argument {name!r} (a {type(value).__name__}) cannot be serialized as celltype {celltype!r}: {cause}. "
        "Pass it as built-in types, strings, bytes or NumPy arrays, or declare another celltype for it."
    )
    return TypeError(text) if isinstance(cause, TypeError) else ValueError(text)


def all_dependencies(prepared: PreparedArguments) -> Sequence[Transformation]:
    """Return every step that must finish before the call can be identified."""
    dependencies: list[Transformation] = []
    if prepared.dependencies is not None:
        dependencies.extend(prepared.dependencies.values())
    for composite in (prepared.composites or {}).values():
        dependencies.extend(composite.dependencies)
    return dependencies

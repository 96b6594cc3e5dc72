"""Identify a step: fill its pins with the results of the steps it depends on, then compute its checksum."""

from __future__ import annotations

from typing import TYPE_CHECKING

from seamless import Checksum
from seamless.errors import SeamlessError

from .failure import Failure

if TYPE_CHECKING:
    from seamless import Buffer

    from .arguments import PreparedArguments
    from .transformation import Transformation

__all__ = ("identify", "try_to_identify")

NULL_CHECKSUM = Checksum("38e0b9de817f645c4bec37c0d4a3e58baecccb040f5718dc069a72c7385a0bed")
"""Of `null` and a newline: the buffer of None."""


def identify(transformation: Transformation) -> bool:
    """Give the transformation its checksum; False when it failed. Its dependencies must have finished."""
    if transformation._tf is not None:
        return True
    arguments = transformation._arguments
    hexes = transformation._hexes
    if arguments is not None:
        hexes = dict(hexes)
        buffers = list(transformation._buffers)
        filled = _fill_dependencies(arguments, hexes, buffers)
        if isinstance(filled, Failure):
            transformation._fail(filled)
            return False
        # two threads may get here at once: they set the same values
        transformation._hexes = hexes
        transformation._buffers = buffers
        transformation._from_steps = filled
    template = transformation._definition.template(tuple(hexes))
    transformation._tf = Checksum._from_digest(template.digest(list(hexes.values())))
    transformation._arguments = None
    return True


def try_to_identify(transformation: Transformation) -> None:
    """Do as `identify`; whatever goes wrong is the failure of the transformation."""
    try:
        identify(transformation)
    except Exception as exc:
        transformation._failure = Failure.of_construction(f"{type(exc).__name__}: {exc}\n", exc)


def _fill_dependencies(
    arguments: PreparedArguments, hexes: dict[str, str | None], buffers: list[Buffer]
) -> dict[Checksum, Buffer | None] | Failure:
    """Write the checksums into `hexes`, new buffers into `buffers`.

    Returns the results that came from steps, with the buffers of those that no store keeps; or what went wrong.
    Every dependency must have finished.
    """
    from_steps: dict[Checksum, Buffer | None] = {}
    for name, dependency in (arguments.dependencies or {}).items():
        failure = _failure_of(name, dependency)
        if failure is not None:
            return failure
        result = dependency.result_checksum
        if result == NULL_CHECKSUM and dependency.celltype in ("mixed", "plain"):
            continue  # as if None had been passed: a null pin
        hexes[name] = result.hex()
        from_steps[result] = dependency._result_buffer
    for name, composite in (arguments.composites or {}).items():
        for dependency in composite.dependencies:
            failure = _failure_of(name, dependency)
            if failure is not None:
                return failure
        try:
            buffer = composite.buffer()
        except (TypeError, ValueError, SeamlessError, RecursionError) as exc:
            return Failure.of_construction(
                f"{type(exc).__name__}: argument {name!r} cannot be serialized as celltype "
                f"{composite.celltype!r} with the values of the steps inside it: {exc}\n",
                exc,
            )
        hexes[name] = buffer.get_checksum().hex()
        buffers.append(buffer)
    return from_steps


def _failure_of(name: str, dependency: Transformation) -> Failure | None:
    text = dependency.exception
    if text is None:
        return None
    return Failure.of_construction(
        f"RuntimeError: Dependency {name!r} has an exception:\n{text}", dependency._failure
    )

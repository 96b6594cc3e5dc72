"""Fill the pins of a step with the results of the steps it depends on."""

from __future__ import annotations

from typing import TYPE_CHECKING

from .step_run import Failure

if TYPE_CHECKING:
    from seamless import Buffer

    from .arguments import PreparedArguments
    from .transformation import Transformation

__all__ = ("fill_dependencies",)


def fill_dependencies(
    arguments: PreparedArguments, hexes: dict[str, str | None], buffers: list[Buffer]
) -> Failure | None:
    """Write the checksums into `hexes`, new buffers into `buffers`; return what went wrong, or None.

    Every dependency must have finished.
    """
    for name, dependency in (arguments.dependencies or {}).items():
        failure = _failure_of(name, dependency)
        if failure is not None:
            return failure
        hexes[name] = dependency.result_checksum.hex()
    for name, composite in (arguments.composites or {}).items():
        for dependency in composite.dependencies:
            failure = _failure_of(name, dependency)
            if failure is not None:
                return failure
        try:
            buffer = composite.buffer()
        except (TypeError, ValueError, KeyError, RuntimeError) as exc:
            return Failure.of_construction(
                f"{type(exc).__name__}: argument {name!r} cannot be serialized as celltype "
                f"{composite.celltype!r} with the values of the steps inside it: {exc}\n"
            )
        hexes[name] = buffer.get_checksum().hex()
        buffers.append(buffer)
    return None


def _failure_of(name: str, dependency: Transformation) -> Failure | None:
    text = dependency.exception
    if text is None:
        return None
    inner = dependency._failure
    return Failure.of_construction(
        f"RuntimeError: Dependency {name!r} has an exception:\n{text}",
        None if inner is None else inner.step_error,
    )

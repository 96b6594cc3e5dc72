"""Turn what a Python step returned into the buffer of its result."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from types import CoroutineType, GeneratorType
from typing import TYPE_CHECKING, Any

from .errors import StepResultError

if TYPE_CHECKING:
    from seamless.buffer import Buffer

__all__ = ("result_buffer",)

_HOLDS_NONE = ("mixed", "plain")


def result_buffer(
    value: Any,  # Any: whatever the step returned
    celltype: str,
    *,
    owned: bool,
) -> tuple[Buffer, tuple[Buffer, ...]]:
    """Return the result's buffer and those it refers to (the leaves of a deepcell or folder).

    owned: nobody else holds a reference to `value`, so an array need not be copied.
    Raises StepResultError, which names the type and the celltype.
    """
    if value is None and celltype not in _HOLDS_NONE:
        raise StepResultError(
            f"the step returned None, which celltype {celltype!r} cannot hold: return a value, "
            "or declare the result as 'mixed' or 'plain'"
        )
    if isinstance(value, Iterator):
        raise _not_a_value(value)
    if isinstance(value, CoroutineType):
        value.close()
        raise StepResultError(
            "the step returned a coroutine, which cannot be stored: return asyncio.run(...) of it"
        )
    try:
        if celltype in ("deepcell", "folder", "deepfolder"):
            return _packed(value, celltype)
        return _plain_buffer(value, celltype, owned=owned), ()
    except (ImportError, MemoryError):
        raise
    except Exception as exc:  # serializing calls methods of the value, which may raise anything
        raise StepResultError(
            f"the step's result ({_kind(value)}) cannot be stored with celltype {celltype!r}: {exc}"
        ) from exc


def _plain_buffer(value: Any, celltype: str, *, owned: bool) -> Buffer:
    from seamless.buffer import Buffer

    numpy = sys.modules.get("numpy")
    if (
        owned
        and numpy is not None
        and celltype in ("mixed", "binary")
        and type(value) is numpy.ndarray
        and value.flags.owndata
        and (value.flags.c_contiguous or value.flags.f_contiguous)
        and value.dtype.kind in "biuf"
    ):
        from seamless.serialize import own_array_parts

        return Buffer._from_parts(own_array_parts(value))
    return Buffer(value, celltype)


def _packed(value: Any, celltype: str) -> tuple[Buffer, tuple[Buffer, ...]]:
    from seamless.buffer import Buffer
    from seamless.deep import pack

    index, leaves = pack(value, celltype)
    return Buffer(index, celltype), tuple(leaves)


def _not_a_value(value: Iterator[Any]) -> StepResultError:
    kind = "generator" if isinstance(value, GeneratorType) else f"{type(value).__name__} iterator"
    if isinstance(value, GeneratorType):
        value.close()
    return StepResultError(f"the step returned a {kind}, which cannot be stored: return list(...) of it")


def _kind(value: Any) -> str:
    dtype = getattr(value, "dtype", None)
    kind = f"{type(value).__module__}.{type(value).__qualname__}".removeprefix("builtins.")
    return kind if dtype is None else f"{kind} of dtype {dtype}"

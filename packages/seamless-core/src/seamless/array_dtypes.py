"""Which arrays can be stored, and where their padding is.

Stored: bool, integers, floats and byte strings (S) of native byte order, and structures of these with C's
alignment. Everything else is refused with a way out, because its bytes are pointers, depend on the
machine, or cannot be read back. Padding is never part of a value: it is always written as zeros.
"""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np

__all__ = ("aligned_dtype", "check_array", "check_dtype", "padding_offsets", "unicode_refusal")

_WAYS_OUT = {
    "O": "give it a numeric dtype with array.astype(), or convert it with array.tolist()",
    "c": "store array.real and array.imag, for example as a dict of two arrays",
    "M": "store array.astype('int64') and its unit",
    "m": "store array.astype('int64') and its unit",
    "V": "view it as bytes with array.view('uint8')",
    "U": "convert it with array.tolist(), or array.astype('S') when the text is ASCII",
    "T": "convert it with array.tolist(), or array.astype('S') when the text is ASCII",
}


def check_array(array: np.ndarray[Any, Any]) -> None:
    """Raise TypeError when `array` cannot be stored."""
    masked_type = _loaded_masked_array_type()
    if masked_type is not None and isinstance(array, masked_type):
        raise TypeError(
            "cannot store a masked array: its mask would be lost; store array.filled(...) and array.mask, "
            "for example as a dict of two arrays"
        )
    check_dtype(array.dtype)


def _loaded_masked_array_type() -> type | None:
    import sys

    module = sys.modules.get("numpy.ma")
    return None if module is None else getattr(module, "MaskedArray", None)


@lru_cache(maxsize=256)
def check_dtype(dtype: np.dtype[Any]) -> None:
    """Raise TypeError, naming the dtype and a way out, when arrays of this dtype cannot be stored."""
    if not dtype.isnative:
        raise TypeError(
            f"cannot store an array of dtype {dtype} (byte order of another machine); "
            "convert it with array.astype(array.dtype.newbyteorder('='))"
        )
    if dtype.names is not None:
        for name in dtype.names:
            _check_field(dtype, name)
        aligned = aligned_dtype(dtype)
        if _layout(aligned) != _layout(dtype):
            raise TypeError(
                f"cannot store an array of dtype {dtype} (packed or unusually aligned structure); "
                "give it the dtype numpy.dtype([(name, format), ...], align=True) with array.astype()"
            )
    elif dtype.kind not in "biufS" or dtype.itemsize == 0:
        raise TypeError(
            f"cannot store an array of dtype {dtype}; "
            + _WAYS_OUT.get(dtype.kind, "convert it to a numeric dtype with array.astype()")
        )


def _check_field(dtype: np.dtype[Any], name: str) -> None:
    assert dtype.fields is not None
    field = dtype.fields[name][0]
    base = field.base if field.subdtype is not None else field
    try:
        check_dtype(base)
    except TypeError as exc:
        raise TypeError(f"{exc} (field {name!r} of dtype {dtype})") from None


def unicode_refusal(array: np.ndarray[Any, Any]) -> TypeError:
    """Return the exception for an array of text that cannot be stored without losing some of it."""
    return TypeError(
        f"cannot store an array of text (dtype {array.dtype}, shape {array.shape}); " + _WAYS_OUT["U"]
    )


@lru_cache(maxsize=256)
def aligned_dtype(dtype: np.dtype[Any]) -> np.dtype[Any]:
    """Return a structure with the same fields and C's alignment, also of the structures inside it."""
    import numpy as np

    if dtype.subdtype is not None:
        base, shape = dtype.subdtype
        return np.dtype((aligned_dtype(base), shape))
    if dtype.names is None:
        return dtype
    assert dtype.fields is not None
    return np.dtype([(name, aligned_dtype(dtype.fields[name][0])) for name in dtype.names], align=True)


def _layout(dtype: np.dtype[Any]) -> tuple[Any, ...]:
    """Return everything that places the bytes of a structure: sizes and offsets, recursively."""
    if dtype.subdtype is not None:
        base, shape = dtype.subdtype
        return (shape, _layout(base))
    if dtype.names is None:
        return (dtype.str,)
    assert dtype.fields is not None
    fields = [(name, dtype.fields[name][1], _layout(dtype.fields[name][0])) for name in dtype.names]
    return (dtype.itemsize, tuple(fields))


@lru_cache(maxsize=256)
def padding_offsets(dtype: np.dtype[Any]) -> tuple[int, ...]:
    """Return the byte offsets in one item that carry no value: between fields, and inside longdouble."""
    used = _used_bytes(dtype)
    return tuple(offset for offset, is_used in enumerate(used) if not is_used)


def _used_bytes(dtype: np.dtype[Any]) -> bytearray:
    import numpy as np

    if dtype.subdtype is not None:
        base, shape = dtype.subdtype
        return _used_bytes(base) * int(np.prod(shape))
    if dtype.names is not None:
        assert dtype.fields is not None
        used = bytearray(dtype.itemsize)
        for name in dtype.names:
            field, offset = dtype.fields[name][:2]
            used[offset : offset + field.itemsize] = _used_bytes(field)
        return used
    if dtype.type is np.longdouble and dtype.itemsize == 16 and np.finfo(np.longdouble).nmant == 63:
        return bytearray(b"\1" * 10 + b"\0" * 6)  # x87: 80 bits and six bytes of whatever was there
    return bytearray(b"\1" * dtype.itemsize)

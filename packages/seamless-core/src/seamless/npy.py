"""The npy format: an array as a header and its bytes, as `numpy.save(..., allow_pickle=False)` writes it.

The header is written by us, so its bytes do not depend on the NumPy release; it is read by us, so that
nothing in a buffer is ever evaluated or unpickled. Memory layout is part of identity: an array that is
Fortran-ordered, and not also C-ordered, is stored column by column. `contracts/npy.md` has the table.
"""

from __future__ import annotations

import math
import re
import struct
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from .array_dtypes import aligned_dtype, check_array, padding_offsets
from .parts import Part, Parts

if TYPE_CHECKING:
    import numpy as np

    Array = np.ndarray[Any, Any]

__all__ = ("MAGIC", "array_bytes", "npy_header", "npy_of_bytes", "npy_parts", "read_npy")

MAGIC = b"\x93NUMPY"
ALIGNMENT_BYTES = 64
GROWTH_DIGITS = 21  # room in the header for the first axis to grow to any 64-bit length
COPY_BYTES = 16 * 1024  # an array up to this size is copied at once: cheaper than a view of it
MAX_HEADER_BYTES = 1 << 20
CACHED_HEADER_BYTES = 1024

_PARSE_ATTEMPTS = 10
_SIMPLE_HEADER = re.compile(
    r"\{'descr': '([<>|=][biufS]\d{1,9})', 'fortran_order': (True|False), "
    r"'shape': \(((?:\d{1,19}, ?)*\d{0,19})\), \} *\n"
)


# --- writing ---


def npy_parts(array: Array) -> Parts:
    """Return the header and the bytes of `array`; no copy of a large contiguous one without padding.

    Raises TypeError for an array that cannot be stored.
    """
    check_array(array)
    flags = array.flags
    fortran_order = flags.f_contiguous and not flags.c_contiguous
    header = npy_header(array.dtype, fortran_order, array.shape)
    data = array_bytes(array.T if fortran_order else array)
    return (header + data,) if type(data) is bytes else (header, data)


def npy_of_bytes(content: bytes) -> Parts:
    """Return `content` as the npy of a zero-dimensional S array; empty content becomes one zero byte."""
    if type(content) is not bytes:
        content = bytes(content)
    content = content or b"\0"
    header = _byte_string_header(len(content))
    return (header + content,) if len(content) <= COPY_BYTES else (header, content)


def array_bytes(array: Array) -> Part:
    """Return the bytes of `array` in C order with zeroed padding.

    Small: as bytes. Large: a read-only memoryview, of the array itself when it is C-contiguous and has
    no padding, else of a copy that nobody else has.
    """
    import numpy as np

    has_padding = array.dtype.kind in "Vf" and bool(padding_offsets(array.dtype))
    if not has_padding and array.nbytes <= COPY_BYTES:
        return array.tobytes()
    array = np.asarray(array)
    if has_padding or not array.flags.c_contiguous:
        array = np.array(array, order="C", copy=True, subok=False)
        flat: Array = array.reshape(-1).view(np.uint8)
        if has_padding:
            flat.reshape(-1, array.dtype.itemsize)[:, list(padding_offsets(array.dtype))] = 0
        array.flags.writeable = False
    else:
        flat = array.reshape(-1).view(np.uint8)
    if flat.size <= COPY_BYTES:
        return flat.tobytes()
    flat.flags.writeable = False
    return memoryview(flat)  # type: ignore[arg-type, unused-ignore]  # Array is a Buffer from 3.12


@lru_cache(maxsize=1024)
def _byte_string_header(length: int) -> bytes:
    return _wrap(f"{{'descr': '|S{length}', 'fortran_order': False, 'shape': (), }}")


@lru_cache(maxsize=1024)
def npy_header(dtype: np.dtype[Any], fortran_order: bool, shape: tuple[int, ...]) -> bytes:
    """Return the npy header up to where the data begins."""
    descr = dtype.descr if dtype.names is not None else dtype.str
    shape = tuple(int(length) for length in shape)
    text = f"{{'descr': {descr!r}, 'fortran_order': {bool(fortran_order)!r}, 'shape': {shape!r}, }}"
    if shape:
        text += " " * (GROWTH_DIGITS - len(repr(shape[-1 if fortran_order else 0])))
    return _wrap(text)


def _wrap(text: str) -> bytes:
    try:
        encoded, version = text.encode("latin1"), 1
    except UnicodeEncodeError:
        encoded, version = text.encode("utf-8"), 3  # field names beyond Latin-1
    if version == 1 and len(encoded) + 1 + ALIGNMENT_BYTES > 0xFFFF:
        prefix_bytes = len(MAGIC) + 2 + 2
        padded = len(encoded) + 1 + ALIGNMENT_BYTES - (prefix_bytes + len(encoded) + 1) % ALIGNMENT_BYTES
        version = 1 if padded <= 0xFFFF else 2
    length_format = "<H" if version == 1 else "<I"
    prefix_bytes = len(MAGIC) + 2 + struct.calcsize(length_format)
    n_blanks = ALIGNMENT_BYTES - (prefix_bytes + len(encoded) + 1) % ALIGNMENT_BYTES
    encoded += b" " * n_blanks + b"\n"
    return MAGIC + bytes((version, 0)) + struct.pack(length_format, len(encoded)) + encoded


# --- reading ---


def read_npy(parts: Parts) -> Any:
    """Return the array as a read-only view of the buffer's memory.

    A zero-dimensional array comes back as a NumPy scalar, unless its dtype is S. Structures come back
    with C's alignment (packed ones as a copy). Raises ValueError for anything malformed.
    """
    import numpy as np

    dtype, fortran_order, shape, data = _split(parts)
    expected_bytes = math.prod(shape) * dtype.itemsize
    if len(data) != expected_bytes:
        raise ValueError(
            f"malformed npy buffer: the header announces {expected_bytes} bytes of data (dtype {dtype}, "
            f"shape {shape}), but {len(data)} follow"
        )
    try:
        if expected_bytes:
            array: Array = np.ndarray(shape, dtype, buffer=data, order="F" if fortran_order else "C")
        else:
            array = np.zeros(shape, dtype, order="F" if fortran_order else "C")
    except (ValueError, TypeError, OverflowError, MemoryError) as exc:
        raise ValueError(
            f"malformed npy buffer: no array of dtype {dtype} and shape {shape}: {exc}"
        ) from None
    if dtype.names is not None:
        aligned = aligned_dtype(dtype)
        array = array.view(aligned) if _same_offsets(aligned, dtype) else array.astype(aligned)
    array.flags.writeable = False
    if shape == () and dtype.kind != "S":
        return array.copy()[()]
    return array


def _same_offsets(a: np.dtype[Any], b: np.dtype[Any]) -> bool:
    return a == b and a.itemsize == b.itemsize


def _split(parts: Parts) -> tuple[np.dtype[Any], bool, tuple[int, ...], Part]:
    """Return dtype, order, shape and the data, which is a view: nothing large is copied."""
    first = parts[0] if parts else b""
    version, start, length = _prefix(first if len(first) >= 12 else b"".join(bytes(p[:12]) for p in parts))
    end = start + length
    if len(parts) == 2 and len(first) == end:
        data: Part = parts[1]
    else:
        if len(parts) != 1:
            first = b"".join(parts)
        if len(first) < end:
            raise ValueError(
                f"malformed npy buffer: its header should end at byte {end}, but it has {len(first)}"
            )
        data = memoryview(first)[end:]
    try:
        header = str(first[start:end], "latin1" if version < 3 else "utf-8")
    except UnicodeDecodeError as exc:
        raise ValueError(f"malformed npy buffer: its header is not UTF-8: {exc}") from None
    parse = _parse_header if len(header) <= CACHED_HEADER_BYTES else _parse_header.__wrapped__
    return (*parse(header), data)


def _prefix(start: Part) -> tuple[int, int, int]:
    if len(start) < 10 or start[:6] != MAGIC:
        raise ValueError(f"malformed npy buffer: it begins with {bytes(start[:8])!r} and has no header")
    version = start[6]
    if version not in (1, 2, 3) or start[7] != 0:
        raise ValueError(f"malformed npy buffer: version {start[6]}.{start[7]}; expected 1.0, 2.0 or 3.0")
    if version == 1:
        return version, 10, int.from_bytes(start[8:10], "little")
    length = int.from_bytes(start[8:12], "little")
    if len(start) < 12 or length > MAX_HEADER_BYTES:
        raise ValueError(
            f"malformed npy buffer: a header of {length} bytes; at most {MAX_HEADER_BYTES} are read"
        )
    return version, 12, length


@lru_cache(maxsize=256)
def _parse_header(header: str) -> tuple[np.dtype[Any], bool, tuple[int, ...]]:
    import numpy as np

    match = _SIMPLE_HEADER.fullmatch(header)
    if match is not None:
        descr, order, lengths = match.groups()
        members: Any = {
            "descr": descr,
            "fortran_order": order == "True",
            "shape": tuple(int(length) for length in lengths.split(",") if length.strip()),
        }
    else:
        members = _literal(header)
    descr, fortran_order, shape = members["descr"], members["fortran_order"], members["shape"]
    if not isinstance(fortran_order, bool):
        raise ValueError(f"malformed npy header: fortran_order is {fortran_order!r}; expected True or False")
    if not isinstance(shape, tuple) or any(type(n) is not int or n < 0 for n in shape):
        raise ValueError(f"malformed npy header: shape is {shape!r}; expected a tuple of lengths")
    try:
        if isinstance(descr, str):
            dtype = np.dtype(descr)
        else:
            from numpy.lib.format import descr_to_dtype

            dtype = descr_to_dtype(descr)
    except (TypeError, ValueError, KeyError, IndexError, AttributeError, OverflowError, SyntaxError) as exc:
        raise ValueError(f"malformed npy header: descr {str(descr)[:200]!r} is no dtype: {exc}") from None
    _check_readable(dtype)
    return dtype, fortran_order, shape


def _literal(header: str) -> dict[str, Any]:
    try:
        members = _evaluated(header.strip())
    except (ValueError, TypeError, SyntaxError, MemoryError, RecursionError) as exc:
        raise ValueError(f"malformed npy header {header[:200]!r}: {exc}") from None
    if not isinstance(members, dict) or set(members) != {"descr", "fortran_order", "shape"}:
        raise ValueError(
            f"malformed npy header {header[:200]!r}; expected a dict with descr, fortran_order and shape"
        )
    return members


def _evaluated(text: str) -> Any:
    import ast

    for _ in range(_PARSE_ATTEMPTS - 1):
        try:
            return ast.literal_eval(text)
        except (
            SystemError
        ):  # before 3.11.8 two parses at the same time disturb each other (CPython gh-106905)
            continue
    return ast.literal_eval(text)


def _check_readable(dtype: np.dtype[Any]) -> None:
    """Refuse dtypes whose bytes are pointers, anywhere inside."""
    if dtype.subdtype is not None:
        _check_readable(dtype.subdtype[0])
    elif dtype.names is not None:
        assert dtype.fields is not None
        for name in dtype.names:
            _check_readable(dtype.fields[name][0])
    elif dtype.hasobject or dtype.kind not in "biufcSUVMm":
        raise ValueError(f"npy buffer of dtype {dtype}: such arrays are never read from a buffer (pickle)")

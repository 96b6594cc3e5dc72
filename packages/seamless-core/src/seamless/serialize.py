"""Write a value as a buffer, to the rules of its celltype.

`serialize` gives bytes; `serialize_parts` gives the parts without copying large arrays, for hashing. A
value of few bytes costs microseconds, and NumPy is never imported unless the value can only be an array.
`contracts/celltypes.md` has the table.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from . import dialect_m, dialect_p
from .celltypes import check_celltype
from .checksum import Checksum
from .dialect_m import _HoldsBinary
from .parts import Parts, digest_of_parts, is_stable, join_parts, snapshot_parts

if TYPE_CHECKING:
    import numpy as np

__all__ = (
    "digest_of_parts",
    "own_array_parts",
    "serialize",
    "serialize_parts",
    "snapshot_parts",
)


def serialize(value: Any, celltype: str) -> bytes:
    """Return `value` as the bytes of a buffer of `celltype`.

    Raises TypeError for a value that the celltype cannot hold, ValueError for one that cannot be
    converted (`serialize("x", "int")`) or that holds itself.

    >>> serialize({"b": 1, "a": (2.5, None)}, "plain")
    b'{\\n  "a": [\\n    2.5,\\n    null\\n  ],\\n  "b": 1\\n}\\n'
    """
    writer = _WRITERS.get(celltype)
    if writer is None:
        check_celltype(celltype)
    assert writer is not None
    written = writer(value)
    return written if isinstance(written, bytes) else join_parts(written)


def serialize_parts(value: Any, celltype: str) -> tuple[Parts, bool]:
    """Return the parts of the buffer, and whether they alias memory that can still change.

    Aliasing parts may be hashed now; before they are kept they go through `snapshot_parts`. An array that
    is contiguous and without padding is not copied.
    """
    writer = _WRITERS.get(celltype)
    if writer is None:
        check_celltype(celltype)
    assert writer is not None
    written = writer(value)
    if isinstance(written, bytes):
        return (written,), False
    return written, not all(map(is_stable, written))


def own_array_parts(array: np.ndarray[Any, Any]) -> Parts:
    """Return the npy parts of an array that the caller hands over; no copy where that is safe.

    The array becomes read-only. An array that is a view of memory which others may still write to is
    copied once.
    """
    from .npy import npy_parts

    if array.base is None and array.flags.owndata:
        array.flags.writeable = False
    return snapshot_parts(npy_parts(array))


# --- one writer for each celltype: value -> bytes or parts ---


def _content(value: Any) -> Any:
    """Return the content of a Buffer, and any other value as it is."""
    from .buffer import Buffer

    return value.content if isinstance(value, Buffer) else value


def _write_plain(value: Any) -> bytes:
    return dialect_p.dumps(value)


def _write_str(value: Any) -> bytes:
    if type(value) is not str and type(value) is not bool:
        value = str(_content(value))
    return dialect_p.dumps_exactly(value)


def _write_int(value: Any) -> bytes:
    return dialect_p.dumps_exactly(int(_decoded(value)))


def _write_float(value: Any) -> bytes:
    return dialect_p.dumps_exactly(float(_decoded(value)))


def _write_bool(value: Any) -> bytes:
    return dialect_p.dumps_exactly(bool(_decoded(value)))


def _decoded(value: Any) -> Any:
    if type(value) in (int, float, str, bool):
        return value
    value = _content(value)
    return value.decode() if isinstance(value, bytes) else value


def _write_text(value: Any) -> bytes:
    if type(value) is not str:
        value = _content(value)
        value = value.decode() if isinstance(value, bytes) else str(value)
    return _encoded(value.rstrip("\n") + "\n", "text")


def _encoded(text: str, celltype: str) -> bytes:
    try:
        return text.encode()
    except UnicodeEncodeError as exc:
        raise ValueError(
            f"cannot write the value as {celltype}: it has the lone surrogate {exc.object[exc.start]!r} at "
            f"character {exc.start}, which UTF-8 cannot encode; remove it"
        ) from None


def _write_bytes(value: Any) -> bytes | Parts:
    if type(value) is bytes:
        return value
    value = _content(value)
    if isinstance(value, bytes):
        return bytes(value)
    np = sys.modules.get("numpy")
    if np is not None and isinstance(value, (np.ndarray, np.void)):
        from .array_dtypes import check_array
        from .npy import array_bytes

        array = np.asarray(value) if isinstance(value, np.void) else value
        check_array(array)
        return (array_bytes(array),)
    tobytes = getattr(value, "tobytes", None)
    if tobytes is not None:
        return bytes(tobytes())
    return _encoded(str(value).rstrip("\n"), "bytes")


def _write_checksum(value: Any) -> bytes:
    if isinstance(value, Checksum):
        value = value.hex()
    if not isinstance(value, (str, dict, list, tuple)):
        raise TypeError(
            f"cannot write a {type(value).__name__} as checksum; expected a Checksum, its 64 hexadecimal "
            "digits, or a dict or list of such digits"
        )
    if not isinstance(value, str) and _holds_checksum(value):
        raise TypeError(
            "cannot write a container of Checksum objects as checksum; convert each with .hex(), or use the "
            "celltype 'plain'"
        )
    return dialect_p.dumps(value)


def _holds_checksum(value: Any) -> bool:
    items = value.values() if isinstance(value, dict) else value
    return any(isinstance(item, Checksum) for item in items)


def _write_binary(value: Any) -> bytes | Parts:
    if type(value) is bytes:
        return value
    value = _content(value)
    if isinstance(value, bytes):
        return bytes(value)
    import numpy as np

    from .array_dtypes import unicode_refusal
    from .npy import npy_parts

    if isinstance(value, np.ndarray):
        array = value
    else:
        try:
            array = np.array(value)
        except (ValueError, RecursionError) as exc:
            raise ValueError(f"cannot write a {type(value).__name__} as binary: {exc}") from None
    if array.dtype.kind == "U":
        raise unicode_refusal(array)
    if array.dtype.kind == "O" and array is not value:
        raise TypeError(
            f"cannot write {str(value)[:80]} ({type(value).__name__}) as binary: it is no array of numbers "
            "or bytes; use the celltype 'mixed' or 'plain'"
        )
    return npy_parts(array)


def _write_mixed(value: Any) -> bytes | Parts:
    cls = type(value)
    if cls is bytes:
        from .npy import npy_of_bytes

        return npy_of_bytes(value)
    try:
        return dialect_m.dumps(value)
    except _HoldsBinary:
        pass
    except TypeError:
        content = _content(value)
        if content is value:
            raise
        return _write_mixed(content)
    if isinstance(value, (dict, list, tuple)):
        from .mixed_stream import mixed_stream_parts

        return mixed_stream_parts(value)
    from .npy import npy_of_bytes, npy_parts

    if isinstance(value, bytes):
        return npy_of_bytes(value)
    import numpy as np

    array = np.asarray(value) if isinstance(value, np.void) else value
    if array.dtype.kind == "U":
        return dialect_m.dumps(_text_of(array))
    return npy_parts(array)


def _text_of(array: np.ndarray[Any, Any]) -> Any:
    """Return what stands for an array of text: the text itself, or the one row; refuse to lose any."""
    from .array_dtypes import unicode_refusal

    if array.ndim == 0:
        return str(array[()])
    if array.shape[0] == 1:
        return array.tolist()[0]
    raise unicode_refusal(array)


_WRITERS: dict[str, Callable[[Any], bytes | Parts]] = {
    "plain": _write_plain,
    "deepcell": _write_plain,
    "deepfolder": _write_plain,
    "folder": _write_plain,
    "module": _write_plain,
    "str": _write_str,
    "int": _write_int,
    "float": _write_float,
    "bool": _write_bool,
    "text": _write_text,
    "python": _write_text,
    "ipython": _write_text,
    "yaml": _write_text,
    "bytes": _write_bytes,
    "checksum": _write_checksum,
    "binary": _write_binary,
    "mixed": _write_mixed,
}

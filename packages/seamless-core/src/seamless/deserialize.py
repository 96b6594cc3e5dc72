"""Read the value of a buffer, to the rules of a celltype.

Nothing in a buffer is ever evaluated, imported or unpickled, and nothing is read beyond its end: a malformed
buffer raises ValueError, one of the wrong kind TypeError. Values are fresh each time; an array is a read-only
view of the buffer's memory. `contracts/celltypes.md` has the table.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from .celltypes import check_celltype
from .checksum import Checksum
from .json_reader import read_lenient, read_strict
from .parts import Parts, join_parts, mark_immutable

if TYPE_CHECKING:
    from .buffer import Buffer

__all__ = ("deserialize",)

NPY_MAGIC = b"\x93NUMPY"
MIXED_MAGIC = b"\x94SEAMLESS-MIXED"

_BINARY_STARTS = (b"\x93", b"\x94")


def deserialize(buffer: Buffer | bytes, celltype: str) -> Any:
    """Return the value of `buffer`, a Buffer or bytes, read as `celltype`.

    Raises ValueError (UnicodeDecodeError is one) for content that the celltype cannot be read from,
    TypeError for a value that it does not admit and for an unknown celltype.

    >>> deserialize(b'{"a": [1, 2.5]}', "plain")
    {'a': [1, 2.5]}
    """
    reader = _READERS.get(celltype)
    if reader is None:
        check_celltype(celltype)
    assert reader is not None
    return reader(buffer)


def _parts(buffer: Buffer | bytes) -> Parts:
    if isinstance(buffer, bytes):
        return (buffer,)
    from .buffer import Buffer

    if not isinstance(buffer, Buffer):
        raise TypeError(f"cannot read a value from a {type(buffer).__name__}; expected a Buffer or bytes")
    return buffer.parts


def _bytes(buffer: Buffer | bytes) -> bytes:
    return buffer if type(buffer) is bytes else join_parts(_parts(buffer))


# --- JSON ---


def _read_plain(buffer: Buffer | bytes) -> Any:
    content = _bytes(buffer)
    try:
        return read_strict(content)
    except (ValueError, RecursionError) as exc:
        raise ValueError(f"cannot read {_shown(content)} as plain JSON: {exc}") from None


def _read_str(buffer: Buffer | bytes) -> str:
    value = _read_plain(buffer)
    return value if isinstance(value, str) else str(value)


def _read_int(buffer: Buffer | bytes) -> int:
    value = _read_plain(buffer)
    return value if isinstance(value, int) else _cast(int, value)


def _read_float(buffer: Buffer | bytes) -> float:
    value = _read_plain(buffer)
    return value if isinstance(value, float) else _cast(float, value)


def _read_bool(buffer: Buffer | bytes) -> bool:
    return bool(_read_plain(buffer))


def _cast(kind: Callable[[Any], Any], value: Any) -> Any:
    try:
        return kind(value)
    except (TypeError, ValueError) as exc:
        raise type(exc)(f"cannot read the JSON value {str(value)[:80]!r} as {kind.__name__}: {exc}") from None


def _shown(content: bytes) -> str:
    return repr(content) if len(content) <= 80 else f"{content[:60]!r}... ({len(content)} bytes)"


# --- text ---


def _read_text(buffer: Buffer | bytes) -> str:
    return _bytes(buffer).decode().rstrip("\n")


def _read_python(buffer: Buffer | bytes) -> str:
    text = _read_text(buffer)
    error = _syntax_error(text)
    if error is not None:
        raise ValueError(f"the buffer is not Python code: {error}")
    return text


def _syntax_error(code: str) -> str | None:
    """Return what is wrong with Python code, or None. Nothing is run."""
    only_ast = 0x400  # ast.PyCF_ONLY_AST; importing ast costs milliseconds
    try:
        compile(code, "<buffer>", "exec", flags=only_ast, dont_inherit=True)
    except SyntaxError as exc:
        return f"{exc.msg} (line {exc.lineno})"
    except (ValueError, MemoryError, RecursionError) as exc:
        return str(exc) or type(exc).__name__
    return None


def _read_ipython(buffer: Buffer | bytes) -> str:
    text = _read_text(buffer)
    error = _syntax_error(text)
    if error is None:
        return text
    try:
        from IPython.core.inputtransformer2 import (  # type: ignore[import-not-found, unused-ignore]
            TransformerManager,
        )
    except ImportError:
        raise ValueError(
            f"the buffer is not plain Python ({error}), and IPython, which would read its magics, is not "
            "installed; install it with: pip install ipython"
        ) from None
    try:
        error = _syntax_error(TransformerManager().transform_cell(text))
    except SyntaxError as exc:
        error = str(exc)
    if error is not None:
        raise ValueError(f"the buffer is not IPython code: {error}")
    return text


def _read_yaml(buffer: Buffer | bytes) -> str:
    text = _read_text(buffer)
    import yaml

    try:
        yaml.safe_load(text)
    except (yaml.YAMLError, ValueError, TypeError, KeyError, AttributeError, RecursionError) as exc:
        raise ValueError(f"the buffer is not YAML: {exc}") from None
    return text


# --- binary ---


def _read_mixed(buffer: Buffer | bytes) -> Any:
    parts = _parts(buffer)
    first = parts[0] if parts else b""
    if first[:1] in _BINARY_STARTS:
        binary = _read_by_magic(parts)
        if binary is not None:
            return binary[0]
    content = join_parts(parts)
    found, value = read_lenient(content)
    return value if found else _byte_string_array(content)


def _read_binary(buffer: Buffer | bytes) -> Any:
    parts = _parts(buffer)
    binary = _read_by_magic(parts)
    if binary is not None:
        return binary[0]
    content = join_parts(parts)
    try:
        found, _ = read_lenient(content)
    except UnicodeDecodeError:
        found = False
    if found:
        raise TypeError(
            f"cannot read {_shown(content)} as binary: it is JSON; read it as 'mixed', 'plain' or 'bytes'"
        )
    return _byte_string_array(content)


def _read_by_magic(parts: Parts) -> tuple[Any] | None:
    """Return the value of an npy or mixed stream in a tuple, or None for other content."""
    start = bytes(parts[0][:15]) if parts else b""
    if start.startswith(NPY_MAGIC):
        from .npy import read_npy

        for part in parts:
            if type(part) is memoryview:
                _trust(part)
        return (read_npy(parts),)
    if start == MIXED_MAGIC:
        from .mixed_stream import read_mixed_stream

        return (read_mixed_stream(parts),)
    return None


def _trust(part: memoryview) -> None:
    """Mark the memory of a Buffer as immutable, so that an array upon it need not be copied again."""
    try:
        mark_immutable(part.obj)
    except TypeError:  # an owner without weak references, such as bytes
        return


def _byte_string_array(content: bytes) -> Any:
    import numpy as np

    return np.array(content)


# --- bytes, checksum ---


def _read_bytes(buffer: Buffer | bytes) -> Buffer:
    from .buffer import Buffer

    return buffer if isinstance(buffer, Buffer) else Buffer(buffer)


def _read_checksum(buffer: Buffer | bytes) -> Any:
    content = _bytes(buffer)
    text = content.decode().rstrip("\n")
    value = _read_plain(content) if text[:1] in ('"', "[", "{") else text
    return _checksum_texts(value, content)


def _checksum_texts(value: Any, content: bytes) -> Any:
    if isinstance(value, str):
        try:
            return Checksum(value).hex()
        except ValueError:
            pass
    elif isinstance(value, list):
        return [_checksum_texts(item, content) for item in value]
    elif isinstance(value, dict):
        return {key: _checksum_texts(item, content) for key, item in value.items()}
    raise TypeError(
        f"cannot read {_shown(content)} as checksum; expected 64 hexadecimal digits, or a list or dict"
    )


_READERS: dict[str, Callable[[Any], Any]] = {
    "plain": _read_plain,
    "deepcell": _read_plain,
    "deepfolder": _read_plain,
    "folder": _read_plain,
    "module": _read_plain,
    "str": _read_str,
    "int": _read_int,
    "float": _read_float,
    "bool": _read_bool,
    "text": _read_text,
    "python": _read_python,
    "ipython": _read_ipython,
    "yaml": _read_yaml,
    "bytes": _read_bytes,
    "checksum": _read_checksum,
    "binary": _read_binary,
    "mixed": _read_mixed,
}

"""Write the inputs of a bash step into its working directory.

Everything stays below that directory: names are checked, and no symbolic link is ever followed or
overwritten while writing. Files have mode 0644, directories 0755. A link to a stored file stands only where
the pin asks for a file and a configured buffer directory holds it. Where such a file is called `.gz` or `.zst`,
the buffer is the content and the file is made by compressing it.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any

from seamless.deserialize import deserialize

from .pins import Pin, PinValueError, pin_path, pin_value, read_index

if TYPE_CHECKING:
    from seamless.checksum import Checksum
    from seamless.step import StepRequest
    from seamless_store.layout import Form

__all__ = ("MAX_VARIABLE_LENGTH", "RESULT_NAME", "InputFileError", "WrittenInputs", "write_inputs")

RESULT_NAME = "RESULT"
MAX_VARIABLE_LENGTH = 1000  # characters; a longer scalar is only a file
_VARIABLE_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*\Z")
_NPY_MAGIC = b"\x93NUMPY"
_WRITTEN_AT_ONCE_BYTES = 1 << 28  # Linux takes at most 2 GiB in one call
_COMPRESSED_AT_ONCE_BYTES = 1 << 20
_MIXED_MAGIC = b"\x94SEAMLESS-MIXED"


class InputFileError(ValueError):
    """An input cannot be written as a file of the working directory.

    Remedy: rename the pin: the name of a file is a relative path without `..`, and no two inputs share it.
    """


@dataclass(slots=True)
class WrittenInputs:
    """What a command finds: variables, and links whose targets it must not change."""

    variables: dict[str, str] = field(default_factory=dict)
    links: list[tuple[str, Path, tuple[int, int, int]]] = field(default_factory=list)
    in_directories: dict[str, Checksum] = field(default_factory=dict)
    """Files that came with a directory, by their path."""
    writable: frozenset[str] = frozenset()
    """Inputs that the command may change, since they are among its results: copies, never links to stored files."""

    def changed_links(self) -> list[str]:
        """Return the pins whose stored file was changed since."""
        return [name for name, path, before in self.links if _fingerprint(path) != before]


def write_inputs(pins: Iterable[Pin], request: StepRequest, directory: Path) -> WrittenInputs:
    """Write all pins below `directory`; a file that is an input and part of another one, a directory, once.

    Raises InputFileError for an impossible name, PinValueError for a value that is no file content,
    CacheMissError for a missing buffer.
    """
    meta = request.transformation.get("__meta__") or {}
    written = WrittenInputs(writable=frozenset(map(str, meta.get("writable_inputs") or ())))
    for pin in sorted(pins, key=lambda pin: pin.filesystem_mode != "directory"):
        if pin.checksum is not None:  # a null pin is no file and no variable
            _write_pin(pin, pin.checksum, request, directory, written)
    return written


def _write_pin(
    pin: Pin, checksum: Checksum, request: StepRequest, directory: Path, written: WrittenInputs
) -> None:
    name = pin.name
    parts = _checked_parts(name)
    if name in written.in_directories and written.in_directories[name] == checksum:
        return
    path = pin_path(pin, request)
    form = _compression(pin)
    if form is not None:
        _write_compressed(name, parts, form, path or request.read_buffer(checksum).parts, directory)
        return
    if path is not None and name in written.writable and path.is_file():
        _copy_file(name, parts, path, directory)
        return
    if path is not None:
        _link(name, parts, path, directory)
        written.variables[name] = str(path)
        if path.is_file():
            written.links.append((name, path, _fingerprint(path)))
        return
    tree_celltype = pin.filesystem_celltype or pin.celltype
    if pin.filesystem_mode == "directory" or tree_celltype in ("folder", "deepfolder"):
        _write_tree(pin, parts, request, directory, written)
        if _VARIABLE_NAME.match(name):
            written.variables[name] = name
        return
    if pin.celltype == "bytes":
        _write_file(name, parts, request.read_buffer(checksum).parts, directory)
        return
    buffer = request.read_buffer(checksum)
    if pin.celltype in ("mixed", "binary"):
        head = bytes(memoryview(buffer.parts[0])[:15]) if buffer.parts else b""
        if head.startswith(_NPY_MAGIC):
            _write_array(pin, parts, buffer, directory, request, written)
            return
        if head.startswith(_MIXED_MAGIC):
            raise PinValueError(
                f"argument {name!r} is a container with arrays in it, which has no form as a file: "
                "pass each array as an argument of its own, or a folder"
            )
    is_checksums = pin.celltype in ("deepcell", "checksum")  # written as they are
    value = deserialize(buffer, "plain") if is_checksums else pin_value(pin, request)
    _write_value(name, parts, value, directory, written)


def _compression(pin: Pin) -> Form | None:
    """Return how the file of this pin is compressed: its buffer is the content, its name says what the file is."""
    if pin.filesystem_mode != "file":
        return None
    if pin.name.endswith(".gz"):
        return "gz"
    return "zst" if pin.name.endswith(".zst") else None


def _write_compressed(
    name: str, parts: tuple[str, ...], form: Form, source: Path | Iterable[Any], directory: Path
) -> None:
    """source: the file or the parts of the buffer with the content."""
    from seamless_store.compressing import compressed

    if not isinstance(source, Path):
        views = [memoryview(part).cast("B") for part in source]
        pieces = (piece for view in views for piece in _pieces(view, _COMPRESSED_AT_ONCE_BYTES))
        _write_file(name, parts, compressed(form, pieces, size_bytes=sum(map(len, views))), directory)
        return
    with open(source, "rb", buffering=0) as file:
        size_bytes = os.fstat(file.fileno()).st_size
        chunks = iter(lambda: file.read(_COMPRESSED_AT_ONCE_BYTES), b"")
        _write_file(name, parts, compressed(form, chunks, size_bytes=size_bytes), directory)


def _write_value(
    name: str,
    parts: tuple[str, ...],
    value: Any,  # Any: a parsed buffer
    directory: Path,
    written: WrittenInputs,
) -> None:
    import json

    if value is None:
        return
    if isinstance(value, dict | list):
        _write_file(name, parts, (json.dumps(value).encode(),), directory)
    elif isinstance(value, str | int | float | bool):
        text = str(value)
        _write_file(name, parts, (_encoded(name, text + "\n"),), directory)
        if len(text) <= MAX_VARIABLE_LENGTH and "\0" not in text and _VARIABLE_NAME.match(name):
            written.variables[name] = text
    elif hasattr(value, "tobytes") and getattr(getattr(value, "dtype", None), "kind", "") == "S":
        _write_file(name, parts, (value.tobytes(),), directory)  # text that is no JSON, under `mixed`
    else:
        raise PinValueError(
            f"argument {name!r} is a {type(value).__name__}, which has no form as a file: pass a scalar, "
            "a list, a dict, an array, bytes or a folder"
        )


def _write_array(
    pin: Pin,
    parts: tuple[str, ...],
    buffer: Any,
    directory: Path,
    request: StepRequest,
    written: WrittenInputs,
) -> None:
    value = pin_value(pin, request)
    dtype, n_dimensions = getattr(value, "dtype", None), getattr(value, "ndim", 0)
    if n_dimensions == 1 and dtype == "uint8":
        _write_file(pin.name, parts, (memoryview(value.tobytes()),), directory)
    elif n_dimensions == 0 and getattr(dtype, "kind", "") in "biuf":
        _write_value(pin.name, parts, value.item(), directory, written)
    else:
        _write_file(pin.name, parts, buffer.parts, directory)


def _write_tree(
    pin: Pin, parts: tuple[str, ...], request: StepRequest, directory: Path, written: WrittenInputs
) -> None:
    index = read_index(pin, "deepfolder", request)
    _make_parents(pin.name, (*parts, ""), directory)
    for relative, checksum in index.items():
        name = f"{pin.name}/{relative}"
        file_parts = (*parts, *_checked_parts(relative, shown=name))
        stored: Path | None = request.read_path(checksum) if request.read_path is not None else None
        if stored is not None and stored.is_file():
            _copy_file(name, file_parts, stored, directory)
        else:
            _write_file(name, file_parts, request.read_buffer(checksum).parts, directory)
        written.in_directories[name] = checksum


def _checked_parts(name: str, *, shown: str | None = None) -> tuple[str, ...]:
    """Return the components of a relative path, refusing whatever could lead out of the directory."""
    shown = shown or name
    if "\0" in name:
        raise InputFileError(f"Pin {shown!r}: a NUL character is not allowed in the name of a file")
    if name.startswith("/"):
        raise InputFileError(
            f"Pin {shown}: an absolute path is not allowed; give a path below the working directory"
        )
    parts = PurePosixPath(name).parts
    if ".." in parts:
        raise InputFileError(f"Pin {shown}: .. is not allowed")
    if not parts:
        raise InputFileError(f"Pin {shown!r}: a file needs a name")
    if parts[0] == RESULT_NAME and shown == name:
        raise InputFileError(
            f"Pin {shown}: the name {RESULT_NAME} belongs to the result of the command; rename the argument"
        )
    return parts


def _make_parents(name: str, parts: tuple[str, ...], directory: Path) -> None:
    current = directory
    for part in parts[:-1]:
        current = current / part
        try:
            current.mkdir(mode=0o755)
        except FileExistsError:
            if current.is_symlink() or not current.is_dir():
                raise InputFileError(
                    f"Pin {name}: {current.relative_to(directory)} is another input, "
                    "so nothing can lie below it"
                ) from None
        else:
            current.chmod(0o755)


def _create(name: str, parts: tuple[str, ...], directory: Path) -> int:
    _make_parents(name, parts, directory)
    try:
        descriptor = os.open(
            directory.joinpath(*parts),
            os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC,
            0o644,
        )
    except FileExistsError:
        raise InputFileError(f"Pin {name}: another input has the same name") from None
    os.fchmod(descriptor, 0o644)
    return descriptor


def _write_file(name: str, parts: tuple[str, ...], contents: Iterable[Any], directory: Path) -> None:
    # contents: bytes or contiguous memoryviews
    with open(_create(name, parts, directory), "wb", buffering=0) as file:
        for content in contents:
            for piece in _pieces(memoryview(content).cast("B")):
                file.write(piece)


def _pieces(view: memoryview, size: int = _WRITTEN_AT_ONCE_BYTES) -> Iterator[memoryview]:
    return (view[start : start + size] for start in range(0, len(view), size))


def _copy_file(name: str, parts: tuple[str, ...], stored: Path, directory: Path) -> None:
    import shutil

    with open(stored, "rb") as source, open(_create(name, parts, directory), "wb") as target:
        shutil.copyfileobj(source, target, 1 << 20)


def _link(name: str, parts: tuple[str, ...], path: Path, directory: Path) -> None:
    _make_parents(name, parts, directory)
    try:
        directory.joinpath(*parts).symlink_to(path.absolute())
    except FileExistsError:
        raise InputFileError(f"Pin {name}: another input has the same name") from None


def _fingerprint(path: Path) -> tuple[int, int, int]:
    status = path.stat()
    return status.st_ino, status.st_size, status.st_mtime_ns


def _encoded(name: str, text: str) -> bytes:
    try:
        return text.encode()
    except UnicodeEncodeError as exc:
        raise PinValueError(f"argument {name!r} is text that has no UTF-8 form: {exc}") from None

"""Read the RESULT of a bash step."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .bash_files import RESULT_NAME

if TYPE_CHECKING:
    from seamless.buffer import Buffer

__all__ = ("read_result",)

_TEXT_CELLTYPES = frozenset({"text", "str", "python", "ipython", "yaml"})
_TREE_CELLTYPES = frozenset({"folder", "deepfolder"})
_NPY_MAGIC = b"\x93NUMPY"
_TRUTH = {"true": True, "false": False}


class _ResultFileError(ValueError):
    """RESULT is missing, or does not hold what the result celltype says."""


def read_result(directory: Path, celltype: str) -> tuple[Buffer, tuple[Buffer, ...]]:
    """Return the buffer of the result, and the buffers that it refers to.

    A file is taken as it is for `bytes` and for text; for other celltypes it is read as npy, else JSON, else
    text, else a uint8 array. A directory gives a dict of relative path to the same.
    Raises _ResultFileError, TypeError or ValueError, all of which name what was found.
    """
    from seamless.buffer import Buffer
    from seamless.deep import pack

    path = directory / RESULT_NAME
    if not os.path.lexists(path):
        raise _ResultFileError(f"Result file/folder {RESULT_NAME} does not exist")
    if path.is_dir():
        files = dict(sorted(_files(path)))
        if not files:
            raise _ResultFileError(f"Result folder {RESULT_NAME} is empty")
        if celltype in _TREE_CELLTYPES:
            index, leaves = pack({name: _read(file) for name, file in files.items()}, celltype)
            return Buffer(index, celltype), tuple(leaves)
        if celltype not in ("mixed", "plain", "deepcell"):
            raise _ResultFileError(
                f"{RESULT_NAME} is a folder, which celltype {celltype!r} cannot hold: "
                f"write a file {RESULT_NAME}, or declare the result as 'folder' or 'mixed'"
            )
        value: Any = {name: _parsed(_read(file), f"{RESULT_NAME}/{name}") for name, file in files.items()}
    else:
        if celltype in _TREE_CELLTYPES:
            raise _ResultFileError(
                f"{RESULT_NAME} is a file, but the result celltype is {celltype!r}: "
                f"make a directory {RESULT_NAME}"
            )
        content = _read(path)
        if celltype == "bytes":
            return Buffer(content), ()
        if celltype in _TEXT_CELLTYPES:
            return Buffer(_decoded(content, celltype), celltype), ()
        value = _parsed(content, RESULT_NAME)
        if celltype == "bool" and isinstance(value, str):
            value = _truth(value)
    if celltype == "deepcell":
        index, leaves = pack(value, celltype)
        return Buffer(index, celltype), tuple(leaves)
    try:
        return Buffer(value, celltype), ()
    except (TypeError, ValueError) as exc:
        raise _ResultFileError(
            f"the content of {RESULT_NAME} ({value!r:.60}) does not fit result celltype {celltype!r}: {exc}"
        ) from None


def _files(root: Path) -> Iterator[tuple[str, Path]]:
    """Yield the files below `root` with their relative paths; linked directories are entered, once each."""
    seen: set[tuple[int, int]] = set()
    pending = [root]
    while pending:
        current = pending.pop()
        status = current.stat()
        if (status.st_dev, status.st_ino) in seen:
            raise _ResultFileError(
                f"Result folder {RESULT_NAME} contains the directory {current.relative_to(root)} twice: "
                "a symbolic link leads to it"
            )
        seen.add((status.st_dev, status.st_ino))
        for entry in os.scandir(current):
            path = Path(entry.path)
            if entry.is_dir():
                pending.append(path)
            else:
                yield path.relative_to(root).as_posix(), path


def _read(path: Path) -> bytes:
    """Return the content of a regular file; opening anything else could wait for ever."""
    try:
        status = path.stat()
    except FileNotFoundError:
        raise _ResultFileError(f"{path.name} is a symbolic link to a file that does not exist") from None
    if not stat.S_ISREG(status.st_mode):
        raise _ResultFileError(f"{path.name} is neither a file nor a directory; only these can be a result")
    with open(path, "rb", buffering=0) as file:
        return file.readall()  # allocates once, by the file's size


def _decoded(content: bytes, celltype: str) -> str:
    try:
        return content.decode()
    except UnicodeDecodeError as exc:
        raise _ResultFileError(
            f"{RESULT_NAME} is no UTF-8 text, which result celltype {celltype!r} demands ({exc}): "
            "declare the result as 'bytes'"
        ) from None


def _parsed(content: bytes, name: str) -> Any:  # Any: an array, JSON or text
    """Return the value that the content of a file stands for."""
    import json

    if not content:
        raise _ResultFileError(
            f"{name} is empty: only the celltypes 'bytes' and 'text' have a value for that"
        )
    if content.startswith(_NPY_MAGIC):
        from seamless.deserialize import deserialize

        try:
            return deserialize(content, "binary")
        except ValueError:
            pass  # only begins like an array: raw bytes, below
    try:
        text = content.decode()
    except UnicodeDecodeError:
        import numpy

        return numpy.frombuffer(content, numpy.uint8)
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return text


def _truth(text: str) -> bool:
    try:
        return _TRUTH[text.strip().lower()]
    except KeyError:
        raise _ResultFileError(
            f"{RESULT_NAME} holds {text!r:.60}, which is no 'bool': write true or false"
        ) from None

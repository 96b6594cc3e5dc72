"""The index of a directory: which files it holds, and the checksum of each.

The index as bytes is JSON dialect P of `{relative path: checksum}`; its own checksum identifies the directory.
Paths are separated by `/` and have no compression suffix. Every regular file counts, hidden ones too; links to
files and directories are followed. Empty directories, modes and times are not part of it.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, NamedTuple

from seamless_command.errors import ShellError

from .compression import split_compression
from .file_checksum import HashedFile, hash_files

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

__all__ = ("DirectoryIndex", "index_directory", "list_directory")


class DirectoryIndex(NamedTuple):
    """The files of a directory.

    files: relative path -> file, sorted by path. content: the index as it is stored. digest: of `content`.
    """

    path: str
    files: dict[str, HashedFile]
    content: bytes
    digest: bytes


def index_directory(
    path: str, *, hash_paths: Callable[[Sequence[str]], list[HashedFile]] = hash_files
) -> DirectoryIndex:
    """Hash every file below the directory and return its index. hash_paths: how.

    Raises OSError as scandir() and open() do, and ShellError for what has no place in an index: a fifo, socket or
    device, a loop of links, a name that is not UTF-8, two files that differ in their compression only.
    """
    import hashlib

    from seamless.dialect_p import dumps_exactly  # importing orjson would cost more than it saves

    paths = list_directory(path)
    names = sorted(paths)
    hashed = hash_paths([paths[name] for name in names])
    files = dict(zip(names, hashed, strict=True))
    content = dumps_exactly({name: file.digest.hex() for name, file in files.items()})
    return DirectoryIndex(path, files, content, hashlib.sha256(content).digest())


def list_directory(path: str) -> dict[str, str]:
    """Return name in the index -> path, for every file below the directory. Raises as `index_directory`."""
    found: dict[str, str] = {}
    for name, file in _walk(path):
        stem = split_compression(name)[0]
        other = found.setdefault(stem, file)
        if other != file:
            raise ShellError(
                f"{other!r} and {file!r} have the same name {stem!r} in the index of {path!r}",
                hint="a compressed file stands for its content; remove or rename one of them",
            )
    return found


def _walk(path: str) -> Iterator[tuple[str, str]]:
    """Yield (relative path, path) of every file, in no particular order."""
    root = path.rstrip("/") or "/"
    stat = os.stat(root)
    # Each entry: prefix of the relative paths, directory, and the (device, inode) of it and of what it lies in.
    pending = [("", root, frozenset([(stat.st_dev, stat.st_ino)]))]
    while pending:
        prefix, directory, chain = pending.pop()
        with os.scandir(directory) as entries:
            for entry in entries:
                name = prefix + entry.name
                _demand_text(name, directory)
                if entry.is_file():
                    yield name, entry.path
                elif entry.is_dir():
                    stat = entry.stat()
                    inode = (stat.st_dev, stat.st_ino)
                    if inode in chain:
                        raise ShellError(
                            f"{entry.path!r} is a link to a directory that it lies in: the tree has no end",
                            hint=f"remove the link: rm {entry.path}",
                        )
                    pending.append((name + "/", entry.path, chain | {inode}))
                else:
                    _refuse(entry)


def _demand_text(name: str, directory: str) -> None:
    if name.isascii():
        return
    try:
        name.encode()
    except UnicodeEncodeError:
        raise ShellError(
            f"{os.fsencode(name)!r} in {directory!r} is no text in UTF-8, so it has no place in an index",
            hint="rename the file (convmv -r -f latin1 -t utf8 DIRECTORY shows how)",
        ) from None


def _refuse(entry: os.DirEntry[str]) -> None:
    import stat as stat_module

    mode = entry.stat().st_mode  # raises FileNotFoundError for a link to nothing
    kind = (
        "a fifo (named pipe)"
        if stat_module.S_ISFIFO(mode)
        else "a socket"
        if stat_module.S_ISSOCK(mode)
        else "a device"
    )
    raise ShellError(
        f"{entry.path!r} is {kind}; only files and directories have a place in an index",
        hint=f"remove it: rm {entry.path}",
    )

"""Remove originals after they were uploaded: `--move`.

Invariant: a file is removed only if it is, unchanged, the one that was hashed and is now durably stored and verified.
Whatever came or changed meanwhile stays, and so does what a link in the tree leads to.
"""

from __future__ import annotations

import os
import stat as stat_module
import time

from seamless_command.errors import ShellError

from .file_checksum import HashedFile, hash_file

TYPE_CHECKING = False  # importing typing costs a command 6 ms
if TYPE_CHECKING:
    from collections.abc import Sequence

    from .uploading import UploadItem

__all__ = ("files_to_remove", "remove_originals")

SETTLED_AFTER_S = 2.0  # a file changed more recently may have changed again within one tick of its mtime


def files_to_remove(items: Sequence[UploadItem]) -> list[str]:
    """Return what `remove_originals` would remove, as far as nothing changes."""
    removed: list[str] = []
    for item in items:
        if item.file is not None:
            removed.append(item.path)
        elif item.index is not None:
            if os.path.islink(item.path.rstrip("/")):
                removed.append(item.path.rstrip("/"))
            else:
                removed += [path for path, _ in _entries(item.path)]
    return removed


def remove_originals(items: Sequence[UploadItem]) -> list[str]:
    """Remove the files and directories of the items; return the paths of what was kept because it changed."""
    kept: list[str] = []
    for item in items:
        if item.file is not None:
            kept += _remove_file(item.path, item.file)
        elif item.index is not None:
            kept += _remove_tree(item.path, {file.path: file for file in item.index.files.values()})
    return kept


def _remove_tree(root: str, files: dict[str, HashedFile]) -> list[str]:
    kept: list[str] = []
    directories = []
    if os.path.islink(root.rstrip("/")):
        _remove_link(root.rstrip("/"), root, files, kept)
        return kept
    for path, mode in _entries(root):
        if stat_module.S_ISDIR(mode):
            directories.append(path)
        elif stat_module.S_ISLNK(mode) and os.path.isdir(path):
            _remove_link(path, path, files, kept)
        elif path in files:
            kept += _remove_file(path, files[path])
        else:
            kept.append(path)
    for directory in sorted(directories, key=len, reverse=True):
        try:
            os.rmdir(directory)
        except OSError:  # it holds what was kept
            pass
    return kept


def _remove_link(path: str, prefix: str, files: dict[str, HashedFile], kept: list[str]) -> None:
    """Remove a link to a directory if everything behind it was uploaded and is unchanged; it is only a name.

    prefix: the path of the directory as the paths in `files` begin.
    """
    from .directory_index import list_directory

    try:
        behind = list_directory(prefix).values()
    except (OSError, ShellError):
        kept.append(path)
        return
    if all(file in files and _is_unchanged(file, files[file]) for file in behind):
        os.unlink(path)
    else:
        kept.append(path)


def _remove_file(path: str, file: HashedFile) -> list[str]:
    if not _is_unchanged(path, file):
        return [path] if os.path.lexists(path) else []
    os.unlink(path)
    return []


def _is_unchanged(path: str, file: HashedFile) -> bool:
    from seamless_store.known_files import file_key

    try:
        stat = os.stat(path)
        # ctime, the last part of the key, changes when the file is linked into the store.
        if file_key(stat)[:4] != file.key[:4]:
            return False
        return time.time() - stat.st_mtime > SETTLED_AFTER_S or hash_file(path).digest == file.digest
    except (OSError, ShellError):
        return False


def _entries(root: str) -> list[tuple[str, int]]:
    """Return (path, mode) of the directory and everything below it, without following links below it."""
    found = [(root.rstrip("/") or "/", stat_module.S_IFDIR)]
    pending = [found[0][0]]
    while pending:
        with os.scandir(pending.pop()) as entries:
            for entry in entries:
                found.append((entry.path, entry.stat(follow_symlinks=False).st_mode))
                if entry.is_dir(follow_symlinks=False):
                    pending.append(entry.path)
    return found

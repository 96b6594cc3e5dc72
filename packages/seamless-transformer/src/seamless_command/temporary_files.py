"""Files that appear whole: written under a temporary name in the same directory, then renamed.

A temporary file is called `.seamless-*.part` and is locked (flock) by the process that writes it. What a killed
process has left behind is therefore recognised, and `sweep_temporaries` removes it.
"""

from __future__ import annotations

import itertools
import os
from collections.abc import Callable

__all__ = (
    "atomic_write",
    "discard",
    "is_temporary",
    "open_temporary",
    "replace_file",
    "sweep_temporaries",
    "sync_directory",
    "temporary_path",
)

SWEEP_AGE_S = 60.0  # a younger file may not be locked yet
_PREFIX = ".seamless-"
_SUFFIX = ".part"
_CREATE = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC | getattr(os, "O_NOFOLLOW", 0)

_serial = itertools.count()


def atomic_write(path: str, content: bytes, *, durable: bool = False) -> None:
    """Replace the file by one of this content, or leave it if it has it; whole or not at all.

    The mode of the file is what the umask gives. durable: it survives a power cut when this returns.
    """
    if not durable and _holds(path, content):
        return

    def write(fd: int) -> None:
        view = memoryview(content)
        while view:
            view = view[os.write(fd, view) :]
        if durable:
            os.fsync(fd)

    replace_file(path, write)
    if durable:
        sync_directory(os.path.dirname(path))


def replace_file(path: str, write: Callable[[int], object]) -> None:
    """Replace the file by what `write` writes into a descriptor; whole or, if it raises, not at all."""
    fd, temporary = open_temporary(os.path.dirname(path))
    try:
        try:
            write(fd)
        finally:
            os.close(fd)
        os.replace(temporary, path)
    except BaseException:
        discard(temporary)
        raise


def open_temporary(directory: str) -> tuple[int, str]:
    """Make a new, empty file in `directory` ("" for the current one); return its descriptor, locked, and its path."""
    import fcntl

    while True:
        path = temporary_path(directory)
        try:
            fd = os.open(path, _CREATE, 0o666)
        except FileExistsError:
            continue
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:  # no locks on this file system: then nobody will take it for stale either
            pass
        return fd, path


def temporary_path(directory: str) -> str:
    """Return a path in `directory` that nobody uses, for something that is made whole at once, such as a link."""
    name = f"{_PREFIX}{os.getpid():x}-{next(_serial):x}-{os.urandom(4).hex()}{_SUFFIX}"
    return os.path.join(directory, name)


def is_temporary(name: str) -> bool:
    """Tell whether a file of this name is one of ours that is being written, or was left behind."""
    return name.startswith(_PREFIX) and name.endswith(_SUFFIX)


def discard(path: str) -> None:
    """Remove a temporary file, if it is still there."""
    try:
        os.unlink(path)
    except OSError:
        pass  # it can be swept later; the error that brought us here matters more


def sweep_temporaries(directory: str) -> int:
    """Remove the temporary files in `directory` that no process is writing any more; return how many."""
    n_removed = 0
    with os.scandir(directory or ".") as entries:
        paths = [entry.path for entry in entries if is_temporary(entry.name)]
    for path in paths:
        n_removed += _remove_if_stale(path)
    return n_removed


def sync_directory(directory: str) -> None:
    """Make the names in `directory` ("" for the current one) durable."""
    fd = os.open(directory or ".", os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)


def _holds(path: str, content: bytes) -> bool:
    try:
        with open(path, "rb") as file:
            return file.read(len(content) + 1) == content
    except OSError:
        return False


def _remove_if_stale(path: str) -> bool:
    import fcntl
    import time

    try:
        fd = os.open(path, os.O_RDWR | os.O_CLOEXEC | os.O_NONBLOCK | getattr(os, "O_NOFOLLOW", 0))
    except OSError:
        return False
    try:
        if time.time() - os.fstat(fd).st_mtime < SWEEP_AGE_S:
            return False
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        os.unlink(path)
    except OSError:  # locked by its writer, or not ours to remove
        return False
    finally:
        os.close(fd)
    return True

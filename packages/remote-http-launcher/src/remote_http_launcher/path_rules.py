"""Which directories a helper acts on: absolute after `~`, without `..`, and not one of the system's.

A caller that has resolved a directory already (the guard) hands on a text that also has `open()`, for a descriptor of
that very directory; then this is what is acted on, whatever the text names by now.
"""

from __future__ import annotations

import os

from .errors import PathRefused

__all__ = ("check_directory_path", "open_directory", "real_path_of")

SYSTEM_DIRECTORIES = frozenset(
    ["/", "/etc", "/usr", "/bin", "/sbin", "/lib", "/lib64", "/boot", "/sys", "/proc", "/run", "/var", "/opt"]
)


def check_directory_path(text: str, *, name: str = "path") -> str:
    """Return the path with `~` expanded. name: what it is, for the message. Raises PathRefused."""
    if "\0" in text:
        raise PathRefused(f"{name} must not contain a zero byte: {text!r}")
    path = os.path.expanduser(text)
    if not path.startswith("/"):
        raise PathRefused(f"{name} must be absolute: {text!r}", hint="begin it with / or ~/")
    if ".." in path.split("/"):
        raise PathRefused(f"{name} must not contain '..': {text!r}")
    for spelling in (os.path.normpath(path), os.path.realpath(path)):
        _refuse_system(spelling.replace("//", "/"), text, name)
    return path


def open_directory(text: str) -> int:
    """Return a descriptor of the directory; the caller closes it. Raises PathRefused, FileNotFoundError."""
    opener = getattr(text, "open", None)
    try:
        if opener is not None:
            descriptor: int = opener()
        else:
            path = check_directory_path(text)
            descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    except NotADirectoryError:
        raise PathRefused(f"not a directory: {text}") from None
    try:
        _refuse_system(real_path_of(descriptor, text), text, "path")
    except BaseException:
        os.close(descriptor)
        raise
    return descriptor


def real_path_of(descriptor: int, text: str) -> str:
    """Return where the open directory is, without links; what the text resolves to where the system does not say."""
    try:
        return os.readlink(f"/proc/self/fd/{descriptor}")
    except OSError:
        return os.path.realpath(os.path.expanduser(text))


def _refuse_system(path: str, text: str, name: str) -> None:
    if path in SYSTEM_DIRECTORIES:
        doing = "use system directory as workdir" if name == "workdir" else "operate on system directory"
        raise PathRefused(f"refusing to {doing}: {str(text)!r}")

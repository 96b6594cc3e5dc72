"""Resolve a directory that a client names, once, and hold on to it.

A path is walked name by name from `/`, by descriptors, symbolic links included. What comes out is the true path,
for the policy to judge, and a descriptor of that very directory, to act on: exchanging a link or a directory
afterwards changes nothing. Nothing is opened for reading before the policy has agreed; the walk uses O_PATH.

What holds in every policy: absolute after `~`; neither the home directory nor one above it; no name that begins with a
dot, as written or as resolved; no directory of the system.
"""

from __future__ import annotations

import errno
import os
import stat

from .refusal import Refused

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ("ResolvedDirectory", "ResolvedPath", "expanded_home", "is_below", "resolve", "resolve_allowed")

LINKS_MAX = 40  # as the kernel
SIZE_MAX = 4096
NAMES_MAX = 200
_SEARCH = getattr(os, "O_PATH", os.O_RDONLY) | os.O_NOFOLLOW | os.O_CLOEXEC
_READ = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC

SYSTEM_DIRECTORIES = frozenset(
    (
        "/",
        "/etc",
        "/usr",
        "/bin",
        "/sbin",
        "/lib",
        "/lib64",
        "/boot",
        "/sys",
        "/proc",
        "/run",
        "/var",
        "/opt",
        "/dev",
    )
)
NEVER_BELOW = ("/etc", "/bin", "/sbin", "/lib", "/lib64", "/boot", "/sys", "/proc", "/dev", "/usr")


class ResolvedDirectory(str):
    """A directory as it was written, with the descriptor to act on.

    The text is what the client wrote, so that a helper repeats it in its answers. A helper that is handed one works on
    `fd` (or `open()`), never on the text.

    path: where it really is, absolute, without links.
    fd: descriptor of the directory; None if there is none yet.
    """

    path: str
    fd: int | None
    _ancestor: int
    _missing: tuple[str, ...]

    def __new__(
        cls, text: str, path: str, descriptor: int, missing: tuple[str, ...] = ()
    ) -> ResolvedDirectory:
        """descriptor: of the directory, or of the nearest one above that exists, below which `missing` lies; owned."""
        made = super().__new__(cls, text)
        made.path = path
        made.fd = None if missing else descriptor
        made._ancestor = descriptor
        made._missing = missing
        return made

    def open(self) -> int:
        """Return a new descriptor for reading; the caller closes it. Raises OSError."""
        if self.fd is None:
            raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), str(self))
        return os.open(".", _READ, dir_fd=self.fd)

    def create(self, mode: int = 0o777) -> int:
        """Make what is missing, each name below the descriptor of the one before; return `fd`. Raises OSError."""
        while self._missing:
            name = self._missing[0]
            try:
                os.mkdir(name, mode, dir_fd=self._ancestor)
            except FileExistsError:
                pass  # another process made it, or put something else there: opening it tells
            deeper = os.open(name, _SEARCH | os.O_DIRECTORY, dir_fd=self._ancestor)
            os.close(self._ancestor)
            self._ancestor = deeper
            self._missing = self._missing[1:]
        self.fd = self._ancestor
        return self.fd

    def close(self) -> None:
        """Give the descriptor back."""
        if self._ancestor >= 0:
            os.close(self._ancestor)
        self._ancestor, self.fd = -1, None


class ResolvedPath(str):
    """A path for a service: the text is as written, to be recorded, and `path` is where it really is, to be used."""

    path: str

    def __new__(cls, text: str, path: str) -> ResolvedPath:
        made = super().__new__(cls, text)
        made.path = path
        return made


def expanded_home(text: str, home: str) -> str:
    """Return the text with a leading `~` of this account replaced."""
    return home + text[1:] if text == "~" or text.startswith("~/") else text


def resolve_allowed(text: str, home: str) -> ResolvedDirectory:
    """Return the directory, if what holds in every policy holds for it. Raises Refused."""
    expanded = expanded_home(text, home)
    if not expanded.startswith("/"):
        raise Refused("path must be absolute after ~ expansion", about=text)
    if len(text) > SIZE_MAX or not text.isprintable():
        raise Refused("path is too long or holds characters that cannot be printed", about=text)
    written = _joined(_names(expanded))
    homes = (_joined(_names(home)), os.path.realpath(home))
    _check(written, text, homes)
    directory = resolve(expanded, shown=text)
    try:
        _check(directory.path, text, homes)
    except Refused:
        directory.close()
        raise
    return directory


def resolve(path: str, *, shown: str = "") -> ResolvedDirectory:
    """Return the directory at this absolute path; it need not exist. Raises Refused for what is none."""
    walk = _Walk(shown or path)
    try:
        return walk.result(path)
    finally:
        walk.close()


def is_below(path: str, root: str) -> bool:
    """Whether the path is the root or lies below it, name by name."""
    return path == root or root == "/" or path.startswith(f"{root}/")


class _Walk:
    """The descriptors from `/` down to where the walk is."""

    def __init__(self, shown: str) -> None:
        self._shown = shown
        self._names: list[str] = []
        self._fds = [os.open("/", _SEARCH | os.O_DIRECTORY)]

    def close(self) -> None:
        for descriptor in self._fds:
            os.close(descriptor)
        self._fds = []

    def result(self, path: str) -> ResolvedDirectory:
        ahead = list(_names(path))[::-1]
        n_links = 0
        while ahead:
            name = ahead.pop()
            if name == "..":
                self._up()
                continue
            try:
                descriptor = os.open(name, _SEARCH, dir_fd=self._fds[-1])
            except FileNotFoundError:
                return self._absent(name, *ahead[::-1])
            except OSError as exc:
                raise Refused(f"path cannot be resolved ({exc.strerror})", about=self._shown) from exc
            self._fds.append(descriptor)
            self._names.append(name)
            mode = os.fstat(descriptor).st_mode
            if stat.S_ISLNK(mode):
                self._up()
                n_links += 1
                target = self._target(name)
                if n_links > LINKS_MAX or len(ahead) > NAMES_MAX:
                    raise Refused("path has too many symbolic links", about=self._shown)
                if target.startswith("/"):
                    self._to_root()
                ahead.extend(list(_names(target))[::-1])
            elif not stat.S_ISDIR(mode):
                raise Refused("path is not a directory", about=self._shown)
            elif len(self._names) > NAMES_MAX:
                raise Refused("path is too deep", about=self._shown)
        return ResolvedDirectory(self._shown, self._path(), self._fds.pop())

    def _absent(self, *names: str) -> ResolvedDirectory:
        if ".." in names or len(names) > NAMES_MAX:
            raise Refused("path leads through a directory that is not there", about=self._shown)
        return ResolvedDirectory(self._shown, self._path(*names), self._fds.pop(), names)

    def _target(self, name: str) -> str:
        try:
            return os.readlink(name, dir_fd=self._fds[-1])
        except OSError as exc:  # it was exchanged a moment ago
            raise Refused("path changes while it is resolved", about=self._shown) from exc

    def _up(self) -> None:
        if self._names:
            self._names.pop()
            os.close(self._fds.pop())

    def _to_root(self) -> None:
        while self._names:
            self._up()

    def _path(self, *more: str) -> str:
        return _joined((*self._names, *more))


def _check(path: str, text: str, homes: tuple[str, ...]) -> None:
    if any(is_below(home, path) for home in homes):
        raise Refused("path must not be $HOME or an ancestor of $HOME", about=text)
    if "/." in path:
        raise Refused("path must not contain dot-prefixed segments", about=text)
    if path in SYSTEM_DIRECTORIES or any(is_below(path, root) for root in NEVER_BELOW):
        raise Refused("refusing directory of the system", about=text)


def _names(path: str) -> Iterator[str]:
    return (name for name in path.split("/") if name not in ("", "."))


def _joined(names: Iterator[str] | tuple[str, ...]) -> str:
    return "/" + "/".join(names)

"""Empty a directory of a service, and nothing else.

Everything goes through descriptors: links are removed and never followed, and a directory that is exchanged for a link
meanwhile leads nowhere. Directories whose name begins with a dot stay, with those that contain them.

Invariant: nothing outside the directory is removed, and nothing while a living server uses it, or a process has its
database open, unless forced. (A database in WAL mode, as ours is on local file systems, shows that.)
"""

from __future__ import annotations

import os
import stat

from .directories import server_directory
from .errors import DirectoryInUse, PathRefused, StateMalformed, UsageError
from .path_rules import open_directory, real_path_of
from .processes import liveness, pid_of
from .state_files import list_states

TYPE_CHECKING = False  # importing typing costs a helper 6 ms
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from typing import Any

__all__ = ("KINDS", "Cleared", "clear_directory", "database_opener", "is_kind", "users_of")

KINDS = ("hashserver", "database", "seamless")
_HEX = frozenset("0123456789abcdef")
_BUFFER_SUFFIXES = ("", ".zst", ".gz", ".BUFFERLENGTH", ".LOCK", ".zst.LOCK", ".gz.LOCK")
_DATABASE_NAMES = ("seamless.db", "seamless.db-wal", "seamless.db-shm", "seamless.db-journal")
_NO_LINK = os.O_NOFOLLOW | os.O_CLOEXEC
_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | _NO_LINK
_OPEN_BYTE = 128  # of seamless.db-shm


class Cleared:
    """What was removed, or would be. n_items: direct children that are gone wholly, with `only` files.

    n_files, n_bytes: in all. failures: what stayed although it should not, with the reason.
    """

    def __init__(self) -> None:
        self.n_items = 0
        self.n_files = 0
        self.n_bytes = 0
        self.failures: list[str] = []


def clear_directory(
    path: str, *, force: bool = False, dry_run: bool = False, only: str | None = None, recursive: bool = False
) -> Cleared:
    """Remove what is in the directory.

    force: also while a server uses it. dry_run: only count. only: `hashserver` removes only what has the name of a
    buffer, `database` only `seamless.db` and its companions, `seamless` both; markers stay, and nested directories
    (stages, subprojects) too unless `recursive`. Raises PathRefused, DirectoryInUse, UsageError.
    """
    if only is not None and only not in KINDS:
        raise UsageError(f"--only must be one of {', '.join(KINDS)}")
    try:
        descriptor = open_directory(path)
    except FileNotFoundError:
        raise PathRefused(f"path does not exist: {path}") from None
    try:
        if not force:
            real_path = real_path_of(descriptor, path)
            _refuse_if_used(real_path, path, is_nested=only is None or recursive, dry_run=dry_run)
            opener = None if dry_run else database_opener(descriptor)
            if opener is not None:
                raise DirectoryInUse(
                    f"{path} was left as it is: process {opener} has its seamless.db open",
                    hint=f"end process {opener} (ps -p {opener} -o args=), or --force",
                )
        cleared = Cleared()
        if only is None:
            _Everything(cleared, dry_run=dry_run).clear(descriptor, path)
        else:
            _clear_only(descriptor, path, cleared, only, recursive=recursive, dry_run=dry_run, force=force)
        return cleared
    finally:
        os.close(descriptor)


def is_kind(name: str, kind: str, folder: str = "") -> bool:
    """Whether a file of this name belongs to the service. folder: the two digits of the directory it is in, if any."""
    if kind != "hashserver" and not folder and name in _DATABASE_NAMES:
        return True
    if kind not in ("hashserver", "seamless"):
        return False
    digits, rest = name[:64], name[64:]
    if len(digits) < 64:
        return name == ".LOCK"
    if not _HEX.issuperset(digits) or not digits.startswith(folder):
        return False
    return rest in _BUFFER_SUFFIXES or rest.startswith("-")


def users_of(real_path: str, *, is_nested: bool = True) -> list[tuple[str, Mapping[str, Any], str]]:
    """Return key, state and liveness of the servers that use the directory, and are not dead.

    is_nested: also those of any directory below; else only of those that buffers lie in.
    """
    found: list[tuple[str, Mapping[str, Any], str]] = []
    directory = server_directory()
    for key, state in list_states(directory):
        if isinstance(state, StateMalformed) or pid_of(state) is None or state.get("dry_run") is True:
            continue
        if any(_is_meant(place, real_path, is_nested=is_nested) for place in _places(state)):
            alive = liveness(state, os.path.join(directory, f"{key}.json"))
            if alive != "dead":
                found.append((key, state, alive))
    return found


def database_opener(descriptor: int) -> int | None:
    """Return the process that has the database of the directory open, None if none is known to.

    In WAL mode each process that has it open holds a lock on one byte of `seamless.db-shm` (SQLite: "WAL-mode file
    format", section 2.3.1).
    """
    try:
        opened = os.open(f"{_DATABASE_NAMES[0]}-shm", os.O_RDONLY | _NO_LINK, dir_fd=descriptor)
    except OSError:
        return None
    try:
        import fcntl
        import struct
        import sys

        names = "start length pid type whence" if sys.platform == "darwin" else "type whence start length pid"
        layout = "qqihh" if sys.platform == "darwin" else "hhqqi4x"
        wanted = {"type": fcntl.F_WRLCK, "whence": os.SEEK_SET, "start": _OPEN_BYTE, "length": 1, "pid": 0}
        packed = struct.pack(layout, *(wanted[name] for name in names.split()))
        answer = fcntl.fcntl(opened, fcntl.F_GETLK, packed)
        found = dict(zip(names.split(), struct.unpack(layout, answer), strict=True))
    except OSError:
        return None  # a file system without locks
    finally:
        os.close(opened)
    return None if found["type"] == fcntl.F_UNLCK else int(found["pid"])


def _refuse_if_used(real_path: str, shown: str, *, is_nested: bool, dry_run: bool) -> None:
    users = users_of(real_path, is_nested=is_nested)
    if not users or dry_run:
        return
    key, state, alive = users[0]
    host = state.get("host")
    doing = "uses" if alive == "alive" else "may be using"
    raise DirectoryInUse(
        f"{shown} was left as it is: {key} (process {state.get('pid')}"
        + (f" of {host}" if alive != "alive" else "")
        + f") {doing} it",
        hint=f"rhl-stop {key}, or --force",
        host=host if isinstance(host, str) else None,
        key=key,
    )


def _places(state: Mapping[str, Any]) -> list[str]:
    """Return the paths that the server was started with, without links."""
    texts = [state.get("workdir")]
    command = state.get("command")
    if isinstance(command, str):
        words = command.split()
        if "'" in command:
            import shlex

            try:
                words = shlex.split(command)
            except ValueError:
                pass
        texts += words[1:]
    paths = (os.path.expanduser(text) for text in texts if isinstance(text, str))
    return [os.path.realpath(path) for path in paths if path.startswith("/") and "\0" not in path]


def _is_below(path: str, directory: str) -> bool:
    return path == directory or path.startswith(directory.rstrip("/") + "/")


def _is_meant(place: str, directory: str, *, is_nested: bool) -> bool:
    if is_nested or not _is_below(place, directory):
        return _is_below(place, directory)
    name, _, rest = place[len(directory.rstrip("/")) + 1 :].partition("/")
    is_folder_of_buffers = len(name) == 2 and _HEX.issuperset(name)
    is_database = name in _DATABASE_NAMES
    return not rest and (not name or is_folder_of_buffers or is_database)


class _Everything:
    """Removes all but directories that begin with a dot."""

    def __init__(self, cleared: Cleared, *, dry_run: bool) -> None:
        self._cleared = cleared
        self._dry_run = dry_run

    def clear(self, descriptor: int, path: str) -> None:
        for name in sorted(os.listdir(descriptor)):
            self._cleared.n_items += self._remove(descriptor, name, f"{path.rstrip('/')}/{name}")

    def _remove(self, descriptor: int, name: str, shown: str) -> bool:
        """Return whether it is gone wholly; a failure of one file does not keep the others."""
        try:
            return self._remove_one(descriptor, name, shown)
        except FileNotFoundError:
            return False  # somebody else removed it
        except OSError as exc:
            self._cleared.failures.append(f"{shown}: {exc.strerror or exc}")
        except RecursionError:
            self._cleared.failures.append(f"{shown}: nested too deeply")
        return False

    def _remove_one(self, descriptor: int, name: str, shown: str) -> bool:
        found = os.stat(name, dir_fd=descriptor, follow_symlinks=False)
        if not stat.S_ISDIR(found.st_mode):
            if not self._dry_run:
                os.unlink(name, dir_fd=descriptor)
            self._cleared.n_files += 1
            self._cleared.n_bytes += found.st_size
            return True
        if name.startswith("."):
            return False
        below = os.open(name, _DIRECTORY, dir_fd=descriptor)
        try:
            is_empty = True
            for child in os.listdir(below):
                is_empty = self._remove(below, child, f"{shown}/{child}") and is_empty
        finally:
            os.close(below)
        if is_empty and not self._dry_run:
            os.rmdir(name, dir_fd=descriptor)
        return is_empty


def _clear_only(
    descriptor: int,
    path: str,
    cleared: Cleared,
    kind: str,
    *,
    recursive: bool,
    dry_run: bool,
    force: bool,
    folder: str = "",
) -> None:
    for name in sorted(os.listdir(descriptor)):

        def act(name: str = name) -> None:
            found = os.stat(name, dir_fd=descriptor, follow_symlinks=False)
            if not stat.S_ISDIR(found.st_mode):
                if stat.S_ISREG(found.st_mode) and is_kind(name, kind, folder):
                    if not dry_run:
                        os.unlink(name, dir_fd=descriptor)
                    cleared.n_items += 1
                    cleared.n_files += 1
                    cleared.n_bytes += found.st_size
                return
            is_prefix = len(name) == 2 and _HEX.issuperset(name) and kind != "database"
            if folder or name.startswith(".") or not (is_prefix or recursive):
                return
            below = os.open(name, _DIRECTORY, dir_fd=descriptor)
            try:
                opener = None if is_prefix or force or dry_run else database_opener(below)
                if opener is not None:
                    raise OSError(f"process {opener} has its seamless.db open")
                _clear_only(
                    below,
                    f"{path.rstrip('/')}/{name}",
                    cleared,
                    kind,
                    recursive=recursive,
                    dry_run=dry_run,
                    force=force,
                    folder=name if is_prefix else "",
                )
                is_empty = not os.listdir(below)
            finally:
                os.close(below)
            if is_prefix and is_empty and not dry_run:
                os.rmdir(name, dir_fd=descriptor)

        _guarded(cleared, f"{path.rstrip('/')}/{name}", act)


def _guarded(cleared: Cleared, shown: str, act: Callable[[], None]) -> None:
    """Do it; a failure of one child does not keep the others."""
    try:
        act()
    except FileNotFoundError:
        pass  # somebody else removed it
    except RecursionError:
        cleared.failures.append(f"{shown}: nested too deeply")
    except OSError as exc:
        cleared.failures.append(f"{shown}: {exc.strerror or exc}")

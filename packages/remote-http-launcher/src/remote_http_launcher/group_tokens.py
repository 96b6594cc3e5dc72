"""Tokens that a group shares: `group-tokens/KEY.token` below the launcher's directory, mode 0640, of that group.

The directory of the services is private, so a token in it is out of the group's reach. What is opened for the group is
the way to this one file: the launcher's directory and `group-tokens` may be passed through (mode 0710), not listed.
Invariant: nobody outside the group, and nothing but the token, can be read for that; whatever lay open inside the
launcher's directory as long as that was closed is closed itself before.

The group is that of the directory that the service works in. A directory of everybody (/tmp) names none; there it is
the group of `group-tokens`, which stays what it was when that was made.
"""

from __future__ import annotations

import os
import stat

from .directories import BASE_VARIABLE, base_directory, group_token_path, make_private_directory
from .launch_errors import LaunchRefused

__all__ = ("share_token",)

DIRECTORY_MODE = 0o710
TOKEN_MODE = 0o640


def share_token(key: str, token: str, workdir: str) -> str:
    """Put the token where the group of the working directory can read it; return the path. Raises LaunchRefused."""
    path = group_token_path(key)
    directory = os.path.dirname(path)
    group = _group_of(workdir, directory, key)
    make_private_directory(directory)
    for each in (base_directory(), directory):
        _let_pass(each, group, key, closes=each != directory)
    _check_way(directory, group, key)
    temporary = f"{path}.{os.urandom(8).hex()}.tmp"
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    try:
        try:
            _give(descriptor, group, TOKEN_MODE, temporary, key)
            os.write(descriptor, f"{token}\n".encode("ascii"))
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
        os.rename(temporary, path)
    except BaseException:
        os.unlink(temporary)
        raise
    return path


def _group_of(workdir: str, directory: str, key: str) -> int:
    found = os.stat(workdir)
    if not found.st_mode & stat.S_IWOTH:
        return found.st_gid
    try:
        return os.stat(directory).st_gid
    except FileNotFoundError:
        raise LaunchRefused(
            f"auth: group was asked for, and {workdir} is a directory of everybody, which names no group",
            hint=f"mkdir -p {directory} && chgrp GROUP {directory}, then launch again",
            key=key,
        ) from None


def _let_pass(path: str, group: int, key: str, *, closes: bool) -> None:
    """Let the group pass through our directory, if nothing of it is open to another group yet."""
    found = os.stat(path)
    if _passes(found, group) or found.st_uid != os.getuid():
        return
    if found.st_gid != group and found.st_mode & 0o070:
        return  # another group's; _check_way says what to do
    if closes:
        for name in os.listdir(path):
            _close(os.path.join(path, name))
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        _give(descriptor, group, stat.S_IMODE(found.st_mode) & ~0o077 | DIRECTORY_MODE, path, key)
    finally:
        os.close(descriptor)


def _close(path: str) -> None:
    """Leave nothing of an entry to others than its owner; `group-tokens` itself is what is to be opened."""
    found = os.lstat(path)
    if stat.S_ISLNK(found.st_mode) or os.path.basename(path) == "group-tokens" or found.st_uid != os.getuid():
        return
    if found.st_mode & 0o077:
        os.chmod(path, stat.S_IMODE(found.st_mode) & ~0o077)


def _give(descriptor: int, group: int, mode: int, path: str, key: str) -> None:
    try:
        if os.fstat(descriptor).st_gid != group:
            os.fchown(descriptor, -1, group)
        os.fchmod(descriptor, mode)
    except PermissionError as exc:
        raise LaunchRefused(
            f"auth: group was asked for, and {path} cannot be given to the group {_name(group)}: {exc.strerror}",
            hint="chgrp the directory of the service to a group that you are in, or use auth: token",
            key=key,
        ) from exc


def _check_way(directory: str, group: int, key: str) -> None:
    """Refuse if the group cannot come as far as the directory: the token would be shared in name only."""
    path = os.path.realpath(directory)
    while True:
        found = os.stat(path)
        if not _passes(found, group):
            way = "g+x" if found.st_gid == group else "o+x"
            raise LaunchRefused(
                f"auth: group was asked for, and the group {_name(group)} cannot come to {directory}: {path} has mode "
                f"{stat.S_IMODE(found.st_mode):04o} and group {_name(found.st_gid)}",
                hint=f"chmod {way} {path}; or set {BASE_VARIABLE} to a directory that the group reaches",
                key=key,
            )
        if path == "/":
            return
        path = os.path.dirname(path)


def _passes(found: os.stat_result, group: int) -> bool:
    """Tell whether a member of the group may pass; of its other groups nothing is known."""
    return bool(found.st_mode & (stat.S_IXGRP if found.st_gid == group else stat.S_IXOTH))


def _name(group: int) -> str:
    import grp

    try:
        return grp.getgrgid(group).gr_name
    except KeyError:
        return str(group)

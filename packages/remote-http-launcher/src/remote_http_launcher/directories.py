"""Where the launcher and its helpers keep their files.

| what | default | with REMOTE_HTTP_LAUNCHER_DIR=D |
|---|---|---|
| state, log, token and lock of services of this machine | ~/.remote-http-launcher/server | D/server |
| state of services that this machine uses | ~/.remote-http-launcher/client | D/client |
| tokens that a group shares | ~/.remote-http-launcher/group-tokens | D/group-tokens |
| what is known of conda | ~/.remote-http-launcher/conda-setup.json | D/conda-setup.json |
| sockets | $XDG_RUNTIME_DIR/rhl, else /tmp/rhl-UID | D/run |

The variable is read on each machine by itself. What is made has mode 0700, but see group_tokens.py.
"""

from __future__ import annotations

import os
import stat

from .errors import LauncherError
from .keys import check_key

__all__ = (
    "base_directory",
    "client_directory",
    "client_state_path",
    "conda_cache_path",
    "group_token_path",
    "log_path",
    "make_private_directory",
    "runtime_directory",
    "server_directory",
    "server_state_path",
)

BASE_VARIABLE = "REMOTE_HTTP_LAUNCHER_DIR"
DEFAULT_BASE = "~/.remote-http-launcher"


def base_directory() -> str:
    """Return the directory of everything, absolute; it need not exist."""
    return os.path.abspath(os.path.expanduser(os.environ.get(BASE_VARIABLE) or DEFAULT_BASE))


def server_directory() -> str:
    """Return the directory of the services that run on this machine."""
    return os.path.join(base_directory(), "server")


def client_directory() -> str:
    """Return the directory of the services that this machine uses."""
    return os.path.join(base_directory(), "client")


def conda_cache_path() -> str:
    """Return the file that says how conda is activated and which environments there are."""
    return os.path.join(base_directory(), "conda-setup.json")


def server_state_path(key: str) -> str:
    """Return the state file of a service of this machine. Raises KeyInvalid."""
    return os.path.join(server_directory(), check_key(key) + ".json")


def client_state_path(key: str) -> str:
    """Return the state file of a service that this machine uses. Raises KeyInvalid."""
    return os.path.join(client_directory(), check_key(key) + ".json")


def log_path(key: str, *, previous: bool = False) -> str:
    """Return the log of a service of this machine; previous: that of the start before. Raises KeyInvalid."""
    return os.path.join(server_directory(), check_key(key) + (".log.1" if previous else ".log"))


def group_token_path(key: str) -> str:
    """Return where the token of a service lies for the group that shares it. Raises KeyInvalid."""
    return os.path.join(base_directory(), "group-tokens", check_key(key) + ".token")


def runtime_directory() -> str:
    """Return the directory of sockets, made and private; short, since a socket's path has 108 bytes at most.

    Raises LauncherError if it belongs to somebody else.
    """
    given = os.environ.get("XDG_RUNTIME_DIR", "")
    if os.environ.get(BASE_VARIABLE):
        path = os.path.join(base_directory(), "run")
    elif given.startswith("/") and os.path.isdir(given) and os.stat(given).st_uid == os.getuid():
        path = os.path.join(given, "rhl")
    else:
        path = f"/tmp/rhl-{os.getuid()}"
    make_private_directory(path)
    found = os.lstat(path)
    if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.getuid() or found.st_mode & 0o077:
        raise LauncherError(
            f"{path} is no private directory of this user (mode {stat.S_IMODE(found.st_mode):o}, "
            f"uid {found.st_uid}); sockets in it could be somebody else's",
            hint=f"remove {path}, or set {BASE_VARIABLE}",
            layer="file system",
        )
    return path


def make_private_directory(path: str) -> None:
    """Make the directory with mode 0700, and its parents, where they are missing; leave it as it is otherwise."""
    path = os.path.abspath(path)
    if os.path.isdir(path):
        return
    parent = os.path.dirname(path)
    if parent != path:
        make_private_directory(parent)
    try:
        os.mkdir(path, 0o700)
    except FileExistsError:
        if not os.path.isdir(path):
            raise

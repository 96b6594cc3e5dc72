"""What the launcher and its helpers refuse or cannot do: one class for each cause."""

from __future__ import annotations

__all__ = (
    "DirectoryInUse",
    "KeyBusy",
    "KeyInvalid",
    "LauncherError",
    "LogMissing",
    "PathRefused",
    "StateMalformed",
    "StateMissing",
    "TokenUnusable",
    "UsageError",
)


class LauncherError(RuntimeError):
    """Base class of what the launcher and its helpers raise.

    message: what failed where, and why. hint: the next thing to type, or None. layer: the part that
    failed (`launcher`, `state`, `lock`, `ssh`, `conda`, `service`, ...). host: where it happened, None for
    this machine. key: of the service, or None.
    """

    layer = "launcher"

    def __init__(
        self,
        message: str,
        *,
        hint: str | None = None,
        layer: str | None = None,
        host: str | None = None,
        key: str | None = None,
    ) -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint
        if layer is not None:
            self.layer = layer
        self.host = host
        self.key = key


class UsageError(LauncherError):
    """A command got an option or argument that it does not know, or lacks one.

    Remedy: the command with `--help`.
    """

    layer = "command line"


class KeyInvalid(LauncherError):
    """A key holds something else than letters, digits, `.`, `_` and `-`, or is longer than 200 characters.

    Remedy: `rhl-ps --key` lists the keys that there are.
    """


class PathRefused(LauncherError):
    """A directory is not absolute, contains `..`, is one of the system's, or is no directory.

    Remedy: give the absolute path of the service's own directory.
    """

    layer = "file system"


class StateMissing(LauncherError):
    """There is no state file for this key.

    Remedy: `rhl-ps --key` lists the keys that there are.
    """

    layer = "state"


class StateMalformed(LauncherError):
    """A state file holds no JSON object, or something that its reader cannot use.

    path: the file.

    Remedy: look at the file; `rhl-rm KEY` removes it when no such service runs.
    """

    layer = "state"

    def __init__(self, message: str, *, path: str, hint: str | None = None, key: str | None = None) -> None:
        super().__init__(message, hint=hint, key=key)
        self.path = path


class LogMissing(LauncherError):
    """There is no log for this key.

    Remedy: `rhl-ps --key` lists the keys that there are; `rhl-logs KEY --previous` shows the log before the last start.
    """

    layer = "log"


class KeyBusy(LauncherError):
    """Another process holds the lock of this key, and did not release it in time.

    holder: what the lock says about it: `host`, `pid`, `start_time` and more; empty where it says nothing.

    Remedy: wait for that process. If it is on another host and is gone, remove the lock file that the message names.
    """

    layer = "lock"

    def __init__(
        self, message: str, *, hint: str, host: str | None, key: str, holder: dict[str, object]
    ) -> None:
        super().__init__(message, hint=hint, host=host, key=key)
        self.holder = holder


class DirectoryInUse(LauncherError):
    """A directory was not cleared, because a server uses it or may be using it.

    Remedy: stop the server first, with `rhl-stop KEY`; or clear with `--force`.
    """

    layer = "file system"


class TokenUnusable(LauncherError):
    """A token file is readable for others, belongs to somebody else, or holds no token.

    Remedy: `rhl-stop KEY`, remove the file, and launch the service again.
    """

    layer = "token"

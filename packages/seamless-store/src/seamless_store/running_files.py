"""The files that say which steps run: where they are, how they are read and written.

Reading never waits and never follows a link: others may put anything into the directory. Format: `running_steps`.
"""

from __future__ import annotations

import contextlib
import os
import stat
import time
from typing import TYPE_CHECKING, NamedTuple

from .layout import check_digest
from .leases import Lease, LeaseInvalid

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ("CANCEL_SUFFIX", "DIRECTORY_NAME", "NEW_PREFIX", "RunningEntry", "RunningFiles", "digest_of_name")

DIRECTORY_NAME = ".running"
CANCEL_SUFFIX = ".cancel"
LOCK_NAME = ".lock"
NEW_PREFIX = ".new-"
LOCK_TIMEOUT_S = 2.0
_LOCK_POLL_S = 0.005
_MAX_FILE_BYTES = 16384
_HEX_LENGTH = 64
_READ_FLAGS = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
_NEW_FLAGS = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
_LOCK_FLAGS = os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC


class RunningEntry(NamedTuple):
    """A step that runs, or may run: who runs it, and what that process says it is doing."""

    digest: bytes
    lease: Lease
    what: str


class RunningFiles:
    """The directory `.running` of one buffer directory."""

    def __init__(self, root: str | os.PathLike[str]) -> None:
        self._root = os.path.realpath(os.fspath(root))  # one name for one directory
        self.directory = f"{self._root}/{DIRECTORY_NAME}"

    def path(self, digest: bytes) -> str:
        return f"{self.directory}/{check_digest(digest).hex()}"

    def names(self) -> list[str]:
        """Return what is in the directory; nothing if it is not there."""
        try:
            return sorted(os.listdir(self.directory))
        except OSError:
            return []

    def make_directory(self) -> None:
        """Make the directory unless it is there. Raises OSError."""
        try:
            status = os.lstat(self.directory)
        except FileNotFoundError:
            with contextlib.suppress(FileExistsError):
                os.mkdir(self.directory, 0o700)  # noqa: PTH102 (pathlib costs a command 8 ms)
                if self._is_of_group():
                    os.chmod(self.directory, 0o2770)  # noqa: PTH101
            status = os.lstat(self.directory)
        if not stat.S_ISDIR(status.st_mode):
            raise NotADirectoryError(self.directory)

    def read(self, digest: bytes) -> RunningEntry | None:
        """Return the entry of this step; None when there is no file, or one that holds no lease of ours."""
        try:
            return self.read_present(digest)
        except FileNotFoundError:
            return None

    def read_present(self, digest: bytes) -> RunningEntry | None:
        """Do as `read`, but raise FileNotFoundError when there is no file: that is told by one look, not two."""
        path = self.path(digest)
        text = _read_file(path)
        if text is None:
            return None
        try:
            lease = Lease.parse(text, path)
        except LeaseInvalid:
            return None
        return RunningEntry(digest, lease, str(_parsed(text).get("what", "")))

    def is_of_later_schema(self, digest: bytes) -> bool:
        """Whether the file of this step is a lease of a version to come: not ours to judge."""
        try:
            schema = _parsed(_read_file(self.path(digest)) or "").get("schema")
        except FileNotFoundError:
            return False
        return isinstance(schema, int) and schema > Lease.schema

    def write_new(self, text: str) -> str:
        """Write a file in the making, and return its path."""
        path = f"{self.directory}/{NEW_PREFIX}{os.urandom(16).hex()}"
        fd = os.open(path, _NEW_FLAGS, 0o600)
        try:
            if self._is_of_group():
                os.fchmod(fd, 0o640)
            os.write(fd, text.encode())
        finally:
            os.close(fd)
        return path

    def is_cancelled(self, digest: bytes, nonce: str) -> bool:
        """Whether the step under this lease is asked to stop. Usually one look at a name that does not exist."""
        path = self.path(digest) + CANCEL_SUFFIX
        try:
            return os.access(path, os.F_OK) and _read_file(path) == nonce + "\n"
        except FileNotFoundError:
            return False

    @contextlib.contextmanager
    def locked(self) -> Iterator[None]:
        """Hold the lock of the directory. Raises OSError when it cannot be had in time."""
        import fcntl

        fd = os.open(f"{self.directory}/{LOCK_NAME}", _LOCK_FLAGS, 0o600)
        try:
            if self._is_of_group() and os.fstat(fd).st_uid == os.geteuid():
                os.fchmod(fd, 0o660)
            deadline = time.monotonic() + LOCK_TIMEOUT_S
            while True:
                try:
                    fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
                except BlockingIOError:
                    if time.monotonic() > deadline:
                        raise
                    time.sleep(_LOCK_POLL_S)
                else:
                    break
            yield
        finally:
            os.close(fd)

    def _is_of_group(self) -> bool:
        return bool(os.stat(self._root).st_mode & stat.S_IWGRP)


def digest_of_name(name: str) -> bytes | None:
    """Return the digest whose lease has this name, None for any other name."""
    if len(name) != _HEX_LENGTH or set(name) - set("0123456789abcdef"):
        return None
    return bytes.fromhex(name)


def _read_file(path: str) -> str | None:
    """Return the text of a small plain file, None for anything else; never waits, never follows a link.

    Raises FileNotFoundError.
    """
    try:
        fd = os.open(path, _READ_FLAGS)
    except FileNotFoundError:
        raise
    except OSError:
        return None
    try:
        if not stat.S_ISREG(os.fstat(fd).st_mode):
            return None
        return os.read(fd, _MAX_FILE_BYTES).decode("utf-8", "replace")
    except OSError:
        return None
    finally:
        os.close(fd)


def _parsed(text: str) -> dict[str, object]:
    import json

    try:
        found = json.loads(text)
    except (ValueError, RecursionError):
        return {}
    return found if isinstance(found, dict) else {}

"""A buffer directory and the read-only directories that are asked after it, as one.

A buffer is the same wherever it lies, so the first true copy is the answer; a damaged or locked one in an
earlier directory hides no good one in a later. Only the first directory is ever written to.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from typing import Literal

from .errors import BufferDamaged, StoreError, StoreMissing
from .filesystem import OS_FILESYSTEM, SYSTEM_CLOCK, Clock, FileSystem
from .layout import MARKER, Form, LayoutName, buffer_digest, is_prefix_name
from .opened_forms import Missing, OpenedForm
from .served_directory import PLAIN_FIRST, ServedDirectory

__all__ = ("DirectoryChain", "ExtraDirectory", "extra_layout")


def extra_layout(path: str, filesystem: FileSystem = OS_FILESYSTEM) -> LayoutName:
    """Return the layout of a directory that somebody else fills.

    The marker decides. Without it: prefix if there are prefix directories and no buffer beside them, else flat.
    """
    if filesystem.exists(f"{path}/{MARKER}"):
        return "prefix"
    names = filesystem.listdir(path)
    has_prefix = any(map(is_prefix_name, names))
    return "prefix" if has_prefix and all(buffer_digest(name) is None for name in names) else "flat"


class ExtraDirectory:
    """A read-only directory that is opened when it is there: it may be mounted, or made, later."""

    def __init__(
        self,
        path: str | os.PathLike[str],
        *,
        lock_timeout_s: float = 120.0,
        hash_algorithm: Literal["sha-256", "sha3-256"] = "sha-256",
        filesystem: FileSystem = OS_FILESYSTEM,
        clock: Clock = SYSTEM_CLOCK,
    ) -> None:
        self.path = os.path.abspath(os.fspath(path))  # noqa: PTH100 (resolve() would follow links)
        self._filesystem = filesystem
        self._opened: ServedDirectory | None = None
        self._open: Callable[[LayoutName], ServedDirectory] = lambda layout: ServedDirectory(
            self.path,
            layout=layout,
            writable=False,
            lock_timeout_s=lock_timeout_s,
            hash_algorithm=hash_algorithm,
            filesystem=filesystem,
            clock=clock,
        )

    def opened(self) -> ServedDirectory | None:
        """Return the directory, or None while it is not there."""
        if self._opened is None and self._filesystem.exists(self.path):
            try:
                self._opened = self._open(extra_layout(self.path, self._filesystem))
            except (OSError, StoreMissing):
                return None
        return self._opened

    def close(self) -> None:
        if self._opened is not None:
            self._opened.close()


class DirectoryChain:
    """The main directory, and the extra ones in the order in which they are asked."""

    def __init__(self, main: ServedDirectory, extras: Sequence[ExtraDirectory] = ()) -> None:
        self.main = main
        self.extras = tuple(extras)

    def look(self, digest: bytes, preference: Sequence[Form | None] = PLAIN_FIRST) -> OpenedForm | None:
        """See ServedDirectory.look."""
        if not self.extras:
            return self.main.look(digest, preference)
        for directory in self._directories():
            opened = directory.look(digest, preference)
            if opened is not None or directory.has(digest):
                return opened
        return None

    def open_form(
        self,
        digest: bytes,
        preference: Sequence[Form | None] = PLAIN_FIRST,
        *,
        heed_locks: bool = True,
    ) -> OpenedForm | Missing:
        """See ServedDirectory.open_form. Damage is an error only if no directory has a good copy or a lock."""
        missing, failure = Missing.ABSENT, None
        for directory in self._directories():
            try:
                found = directory.open_form(digest, preference, heed_locks=heed_locks)
            except StoreError as exc:  # also a directory that cannot be read: the next one may have it
                failure = failure or exc
                continue
            if isinstance(found, OpenedForm):
                return found
            if found is Missing.LOCKED:
                missing = found
        if failure is not None and missing is Missing.ABSENT:
            raise failure
        return missing

    def has(self, digest: bytes) -> bool:
        return any(directory.has(digest) for directory in self._directories())

    def has_many(self, digests: Sequence[bytes]) -> list[bool]:
        return [self.has(digest) for digest in digests]

    def length(self, digest: bytes) -> int | None:
        """Return the length of the buffer, from the first directory that can tell; None if there is none.

        Raises BufferDamaged if there are damaged copies only.
        """
        damage = None
        for directory in self._directories():
            try:
                length = directory.length(digest)
            except BufferDamaged as exc:
                damage = damage or exc
                continue
            if length is not None:
                return length
        if damage is not None:
            raise damage
        return None

    def get(self, digest: bytes) -> bytes | memoryview | None:
        """Return the verified buffer; may wait for the locks of other writers."""
        damage = None
        for directory in self._directories():
            try:
                content = directory.get(digest)
            except BufferDamaged as exc:
                damage = damage or exc
                continue
            if content is not None:
                return content
        if damage is not None:
            raise damage
        return None

    def close(self) -> None:
        for extra in self.extras:
            extra.close()
        self.main.close()

    def _directories(self) -> Iterator[ServedDirectory]:
        yield self.main
        for extra in self.extras:
            directory = extra.opened()
            if directory is not None:
                yield directory

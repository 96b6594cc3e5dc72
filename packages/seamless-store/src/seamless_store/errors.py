"""What can go wrong with a buffer directory: one class per cause.

Every error has three machine-readable parts: `path` (the file or directory concerned), `cause` (what
was attempted, what was found, what was expected) and `remedy` (what to do next). `str()` joins them.
"""

from __future__ import annotations

import errno
import os

__all__ = (
    "BufferDamaged",
    "CompressedStreamInvalid",
    "DecompressionLimitExceeded",
    "DigestMismatch",
    "InvalidDigest",
    "LinkRefused",
    "SourceChanged",
    "StoreClosed",
    "StoreError",
    "StoreFull",
    "StoreIOError",
    "StoreLayoutUnknown",
    "StoreMissing",
    "StoreReadOnly",
    "from_os_error",
    "translated_os_errors",
)

_FULL = frozenset({errno.ENOSPC, errno.EDQUOT})
_DENIED = frozenset({errno.EROFS, errno.EACCES, errno.EPERM})


class StoreError(Exception):
    """Base class of the errors of the storage engines."""

    def __init__(self, cause: str, *, path: str = "", remedy: str = "") -> None:
        self.cause = cause
        self.path = path
        self.remedy = remedy
        super().__init__(cause)

    def __str__(self) -> str:
        return f"{self.cause} Remedy: {self.remedy}" if self.remedy else self.cause

    def __reduce__(self) -> tuple[object, ...]:
        return (_rebuild, (type(self), self.args, self.__dict__))


def _rebuild(cls: type[StoreError], args: tuple[object, ...], fields: dict[str, object]) -> StoreError:
    """Make the error again in another process, whatever the signature of its class."""
    error = cls.__new__(cls, *args)
    error.args = args
    error.__dict__.update(fields)
    return error


class BufferDamaged(StoreError):
    """A stored file does not hold the bytes that its name promises.

    digest: the digest of the name. quarantined_to: where the file was moved, "" if it was left.

    Remedy: store the buffer again, or run the step again that made it; then check the disk.
    """

    def __init__(
        self, cause: str, *, digest: bytes, path: str = "", remedy: str = "", quarantined_to: str = ""
    ) -> None:
        super().__init__(cause, path=path, remedy=remedy)
        self.digest = digest
        self.quarantined_to = quarantined_to


class DigestMismatch(StoreError):
    """Bytes that were to be stored do not have the digest under which they were announced.

    Remedy: hash the bytes again where they were made; they changed or were cut short on the way.
    """

    def __init__(self, *, expected: bytes, actual: bytes, size_bytes: int, path: str = "") -> None:
        super().__init__(
            f"Refused to store {size_bytes} bytes in {path} as {expected.hex()}: "
            f"their digest is {actual.hex()}.",
            path=path,
            remedy="hash the bytes again where they were made: they were changed or cut short on the way.",
        )
        self.expected = expected
        self.actual = actual
        self.size_bytes = size_bytes


class CompressedStreamInvalid(StoreError):
    """A zstd or gzip stream is truncated, damaged, or followed by bytes that belong to no frame.

    Remedy: compress and send it again; nothing may follow the last frame.
    """


class DecompressionLimitExceeded(StoreError):
    """A compressed stream yields more bytes than allowed.

    Remedy: store the buffer uncompressed, or raise `max_decompressed_bytes`.
    """


class InvalidDigest(StoreError, ValueError):
    """An argument is not a digest of 32 bytes.

    Remedy: pass the 32 raw bytes; `bytes.fromhex` turns 64 hex digits into them.
    """


class LinkRefused(StoreError):
    """A file cannot be linked into the buffer directory: it lies on another file system, or belongs to another
    user, or the file system has no such links.

    Remedy: store a copy of the file instead.
    """


class SourceChanged(StoreError):
    """A file that was to be stored changed after it was hashed. Nothing untrue was stored.

    path: the file. digest: what it was to hold. detail: what was found.

    Remedy: wait until nobody writes to the file, then hash it again and store it again.
    """

    def __init__(self, path: str, digest: bytes, detail: str) -> None:
        super().__init__(
            f"{path} does not hold the buffer {digest.hex()} any more: it changed since it was hashed. {detail}",
            path=path,
            remedy="wait until nobody writes to it, hash it again and store it again.",
        )
        self.digest = digest
        self.detail = detail


class StoreClosed(StoreError):
    """The buffer directory object was closed.

    Remedy: open the directory again, or a new writer.
    """


class StoreFull(StoreError):
    """No space, inodes or quota left. Nothing of the failed batch is acknowledged.

    Remedy: free space or inodes, or raise the quota (`df -h`, `df -i`).
    """


class StoreIOError(StoreError):
    """The operating system refused an operation for a reason that has no class of its own.

    Remedy: look at the kernel's messages (`dmesg`) and at the limits of open files (`ulimit -n`).
    """


class StoreLayoutUnknown(StoreError):
    """The directory holds buffers of both layouts and no marker, or the layout's name is unknown.

    Remedy: say which layout the directory has: layout='prefix' or layout='flat'.
    """


class StoreMissing(StoreError):
    """The directory does not exist, or its path is not a directory.

    Remedy: check the path and its mount, or open it with writable=True to make it.
    """


class StoreReadOnly(StoreError):
    """Writing is not permitted: by `writable=False`, the file system, or the directory's owner.

    Remedy: make the directory writable for this user, or open it with writable=False.
    """


class translated_os_errors:  # noqa: N801 (reads as a function; a class costs a third of a generator)
    """Context manager: turn an OSError inside the block into the StoreError of its cause."""

    __slots__ = ("_action", "_path")

    def __init__(self, action: str, path: str) -> None:
        self._action = action
        self._path = path

    def __enter__(self) -> None:
        return None

    def __exit__(self, kind: object, error: BaseException | None, traceback: object) -> None:
        if isinstance(error, OSError):
            raise from_os_error(error, self._action, self._path) from error


def from_os_error(exc: OSError, action: str, path: str) -> StoreError:
    """Return the StoreError for `exc`, met when doing `action` below `path`."""
    where = os.fsdecode(exc.filename) if isinstance(exc.filename, (str, bytes)) else path
    text = f"Cannot {action} in {path}: {exc.strerror or exc} ({where})."
    if exc.errno in _FULL:
        return StoreFull(
            text, path=where, remedy=f"free space or raise the quota (df -h {path}; df -i {path})."
        )
    if exc.errno in _DENIED:
        return StoreReadOnly(
            text, path=where, remedy=f"make {path} writable for this user, or open it with writable=False."
        )
    if exc.errno in (errno.EMFILE, errno.ENFILE):
        return StoreIOError(text, path=where, remedy="raise the limit of open files (ulimit -n).")
    if exc.errno == errno.ENOENT:
        return StoreMissing(text, path=where, remedy=f"check that {path} was not removed or unmounted.")
    return StoreIOError(text, path=where, remedy="look at the kernel's messages (dmesg) and check the disk.")

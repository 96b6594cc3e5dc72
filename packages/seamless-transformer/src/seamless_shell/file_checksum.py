"""The checksum of a file: SHA-256 of its content, decompressed when its name says that it is compressed.

Constant memory, whatever the size. A file that changes while it is read is refused: its checksum would be that
of a content which never existed.
"""

from __future__ import annotations

import os
import stat as stat_module
from collections.abc import Sequence

from seamless_command.errors import ShellError
from seamless_store.known_files import FileKey, file_key

from .compression import split_compression

TYPE_CHECKING = False  # importing typing costs a command 6 ms
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from seamless_store.layout import Form

__all__ = ("HashedFile", "hash_as", "hash_file", "hash_files")

READ_BYTES = 256 * 1024  # stays in the processor's cache between read and hash
THREADS_FROM_BYTES = 8 * 1024 * 1024  # below, starting a thread costs more than it saves
LARGE_BYTES = 256 * 1024  # hashing smaller files is the interpreter's work, which threads do not share
_OPEN = os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK  # non-blocking: a fifo must not hold us


class HashedFile:
    """A file and what it holds.

    digest: 32 bytes, of the decompressed content. length: of the decompressed content, in bytes.
    key: what changes when the file does (device, inode, size on disk, mtime and ctime in ns).
    """

    __slots__ = ("compression", "digest", "key", "length", "path")

    def __init__(self, path: str, digest: bytes, length: int, compression: Form | None, key: FileKey) -> None:
        self.path = path
        self.digest = digest
        self.length = length
        self.compression = compression
        self.key = key


def hash_file(path: str) -> HashedFile:
    """Return the checksum and length of the file; its name tells whether it is compressed.

    Raises OSError as open() does, ShellError for a fifo, socket or device, for a file that changes meanwhile, and
    for a damaged compressed file.
    """
    return hash_as(path, split_compression(path)[1])


def hash_as(path: str, compression: Form | None) -> HashedFile:
    """Do what `hash_file` does for a file of this compression, whatever its name. None: the bytes as they are."""
    fd = os.open(path, _OPEN)
    try:
        return _hash_descriptor(fd, os.fstat(fd), path, compression)
    finally:
        os.close(fd)


def _hash_descriptor(fd: int, before: os.stat_result, path: str, compression: Form | None) -> HashedFile:
    if not stat_module.S_ISREG(before.st_mode):
        _refuse(path, before.st_mode)
    key = file_key(before)
    if compression is None:
        digest, length = _hash_plain(fd, key[2])
    else:
        digest, length = _hash_compressed(fd, path, compression)
    if file_key(os.fstat(fd))[:4] != key[:4] or (  # a new link or mode is no change
        compression is None and length != key[2]
    ):
        raise ShellError(
            f"{path!r} changed while it was read",
            hint="wait until what writes it has finished; then try again",
        )
    return HashedFile(path, digest, length, compression, key)


def hash_files(paths: Sequence[str]) -> list[HashedFile]:
    """Return `hash_file` of each path, in order; two threads when there is much to hash.

    Raises what `hash_file` raises, for the first of the paths that cannot be hashed.
    """
    outcomes: dict[int, HashedFile | Exception] = {}
    large: list[tuple[int, int]] = []  # (size, index): left for the end, when it is known how much that is
    for index, path in enumerate(paths):
        outcome = _outcome(path, large, index)
        if outcome is not None:
            outcomes[index] = outcome
    large.sort()  # the largest first, from the end, so that two threads end together
    if len(large) > 1 and sum(size for size, _ in large) >= THREADS_FROM_BYTES:
        _hash_with_two_threads(paths, large, outcomes)
    else:
        _hash_large(paths, large, outcomes)
    return [_value(outcomes[index]) for index in range(len(paths))]


def _outcome(path: str, large: list[tuple[int, int]], index: int) -> HashedFile | Exception | None:
    """Hash a small file; add a large one to `large` and return None."""
    try:
        fd = os.open(path, _OPEN)
        try:
            stat = os.fstat(fd)
            size_bytes = stat.st_size
            if size_bytes < LARGE_BYTES:
                return _hash_descriptor(fd, stat, path, split_compression(path)[1])
        finally:
            os.close(fd)
    except (OSError, ShellError) as exc:
        return exc
    large.append((size_bytes, index))
    return None


def _hash_large(
    paths: Sequence[str], large: list[tuple[int, int]], outcomes: dict[int, HashedFile | Exception]
) -> None:
    while large:
        try:
            _, index = large.pop()
        except IndexError:  # the other thread took the last one
            return
        try:
            outcomes[index] = hash_file(paths[index])
        except (OSError, ShellError) as exc:
            outcomes[index] = exc


def _hash_with_two_threads(
    paths: Sequence[str], large: list[tuple[int, int]], outcomes: dict[int, HashedFile | Exception]
) -> None:
    import threading

    helper = threading.Thread(
        target=_hash_large, args=(paths, large, outcomes), name="seamless-shell-hash", daemon=True
    )
    helper.start()
    try:
        _hash_large(paths, large, outcomes)
    except BaseException:
        large.clear()
        raise
    helper.join()


def _value(outcome: HashedFile | Exception) -> HashedFile:
    if isinstance(outcome, Exception):
        raise outcome
    return outcome


def _hash_plain(fd: int, size_bytes: int) -> tuple[bytes, int]:
    import hashlib

    if size_bytes < READ_BYTES:
        content = os.read(fd, READ_BYTES)
        if len(content) == size_bytes:
            return hashlib.sha256(content).digest(), size_bytes
        os.lseek(fd, 0, os.SEEK_SET)
    hasher, length = hashlib.sha256(), 0
    buffer = memoryview(bytearray(READ_BYTES))
    while n_bytes := os.readv(fd, [buffer]):
        hasher.update(buffer[:n_bytes])
        length += n_bytes
    return hasher.digest(), length


def _hash_compressed(fd: int, path: str, compression: Form) -> tuple[bytes, int]:
    import hashlib

    from seamless_store.compressed import decompressed
    from seamless_store.errors import CompressedStreamInvalid, DecompressionLimitExceeded

    hasher, length = hashlib.sha256(), 0
    try:
        for piece in decompressed(compression, _chunks(fd), name=repr(path)):
            hasher.update(piece)
            length += len(piece)
    except CompressedStreamInvalid as exc:
        raise ShellError(
            exc.cause.rstrip("."),
            hint=f"make it anew; or, if it is no {compression} file, rename it so that it does not end in "
            f".{compression}",
        ) from exc
    except DecompressionLimitExceeded as exc:
        raise ShellError(exc.cause.rstrip("."), hint="decompress it, and give the plain file") from exc
    return hasher.digest(), length


def _chunks(fd: int) -> Iterator[bytes]:
    while chunk := os.read(fd, READ_BYTES):
        yield chunk


def _refuse(path: str, mode: int) -> None:
    import errno

    if stat_module.S_ISDIR(mode):
        raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), path)
    kinds: list[tuple[Callable[[int], bool], str]] = [
        (stat_module.S_ISFIFO, "a fifo (named pipe)"),
        (stat_module.S_ISSOCK, "a socket"),
    ]
    kind = next((text for test, text in kinds if test(mode)), "a device")
    raise ShellError(
        f"{path!r} is {kind}, not a regular file", hint=f"copy what it gives into a file: cat {path} > FILE"
    )

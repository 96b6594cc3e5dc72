"""Store buffers from files: small ones in batches, large and compressed ones as streams, all in bounded memory."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING

from .errors import CompressedStreamInvalid, DigestMismatch, SourceChanged, translated_os_errors
from .filesystem import OS_FILESYSTEM
from .layout import FORMS
from .publishing import SYNC_EACH_MAX, directory_of

if TYPE_CHECKING:
    from .buffer_directory import BufferDirectory
    from .layout import Form

__all__ = ("publish_files", "read_chunks", "sync_stored")

SMALL_BYTES = 1024 * 1024  # up to here a file is read whole and published together with others
BATCH_BYTES = 32 * 1024 * 1024
BATCH_FILES = 4096
_OPEN = os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK  # non-blocking: a fifo must not hold us


def publish_files(
    directory: BufferDirectory,
    files: Sequence[tuple[bytes, str, Form | None]],
    *,
    progress: Callable[[int], None] | None = None,
) -> None:
    """Store each (digest, path, compression of the file); when it returns all are durable.

    progress: called with the number of bytes of the files that were read.

    A compressed file is stored compressed, as it is. Raises OSError for a file that cannot be read, SourceChanged for
    one that does not hold the buffer of its digest: it changed since it was hashed. Then the files before it may be
    stored, and what was given that name in the directory is true.
    Memory: one batch of small files, 33 MiB at most, or a few MiB for a stream.
    """
    advance = progress or _nothing
    batch: dict[bytes, tuple[bytes, str]] = {}
    n_bytes = 0
    for digest, path, form in files:
        fd = os.open(path, _OPEN)
        try:
            size_bytes = os.fstat(fd).st_size
            if form is None and size_bytes <= SMALL_BYTES:
                if digest in batch:
                    continue
                content = _read_whole(fd, size_bytes)
                advance(len(content))
                batch[digest] = (content, path)
                n_bytes += len(content)
            else:
                _stream(directory, digest, fd, path, form, advance)
        finally:
            os.close(fd)
        if n_bytes >= BATCH_BYTES or len(batch) >= BATCH_FILES:
            _publish(directory, batch)
            batch, n_bytes = {}, 0
    _publish(directory, batch)


def sync_stored(directory: BufferDirectory, digests: Sequence[bytes]) -> None:
    """Make buffers durable that somebody else stored, perhaps without doing so: every form that is there."""
    filesystem = OS_FILESYSTEM
    places = [directory.form_path(digest, form) for digest in digests for _, form in FORMS]
    files = [path for path in places if filesystem.exists(path)]
    with translated_os_errors("make buffers durable", str(directory.root)):
        if len(files) > SYNC_EACH_MAX and filesystem.can_sync_filesystem(str(directory.root)):
            _sync(str(directory.root), filesystem.sync_filesystem)
            return
        for path in [*files, *{directory_of(path) for path in files}]:
            _sync(path, filesystem.fsync)


def _sync(path: str, sync: Callable[[int], None]) -> None:
    fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        sync(fd)
    finally:
        os.close(fd)


def _nothing(n_bytes: int) -> None:
    """What is done with progress that nobody wants to see."""


def read_chunks(fd: int) -> Iterator[memoryview]:
    """Yield the rest of an open file in chunks. Each is overwritten by the next."""
    buffer = memoryview(bytearray(SMALL_BYTES))
    while n_bytes := os.readv(fd, [buffer]):
        yield buffer[:n_bytes]


def _read_whole(fd: int, size_bytes: int) -> bytes:
    """Return the content of a file that had this size; more only if it has grown, by one byte at least."""
    content = os.read(fd, size_bytes + 1)
    while 0 < len(content) <= size_bytes:
        more = os.read(fd, size_bytes + 1 - len(content))
        if not more:
            break
        content += more
    return content


def _publish(directory: BufferDirectory, batch: dict[bytes, tuple[bytes, str]]) -> None:
    if not batch:
        return
    try:
        directory.publish([(digest, [content]) for digest, (content, _) in batch.items()])
    except DigestMismatch as exc:
        raise SourceChanged(batch[exc.expected][1], exc.expected, exc.cause) from exc


def _stream(
    directory: BufferDirectory,
    digest: bytes,
    fd: int,
    path: str,
    form: Form | None,
    advance: Callable[[int], None],
) -> None:
    try:
        with directory.writer(digest, form) as writer:
            for chunk in read_chunks(fd):
                writer.write(chunk)
                advance(len(chunk))
            writer.commit()
    except (DigestMismatch, CompressedStreamInvalid) as exc:
        raise SourceChanged(path, digest, exc.cause) from exc

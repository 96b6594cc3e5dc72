"""Write a buffer of a buffer directory into a file outside, or to a stream: whole, verified, in constant memory."""

from __future__ import annotations

import errno
import os

from seamless_command.errors import ShellError
from seamless_command.raw_output import write_all
from seamless_command.temporary_files import discard, replace_file, temporary_path

TYPE_CHECKING = False  # importing typing costs a command 6 ms
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from typing import Literal

    from seamless_store.layout import Form

    from .destination import Destination

__all__ = ("copy_buffer", "link_buffer", "write_buffer")

WHOLE_BYTES = 1024 * 1024  # up to here a buffer is read whole; above, as a stream
_REFUSALS = frozenset({errno.EXDEV, errno.EPERM, errno.EMLINK, errno.EOPNOTSUPP})


def write_buffer(
    destination: Destination,
    digest: bytes,
    path: str,
    form: Form | None,
    *,
    progress: Callable[[int], None],
) -> None:
    """Write the buffer into the file, compressed as `form`: the file is the old one or the new one, never a part.

    progress: called with the number of bytes of the buffer. Raises OSError, ShellError and StoreError.
    """
    if form is None and destination.download(digest, path, progress):
        return
    replace_file(
        path,
        lambda fd: copy_buffer(destination, digest, form, lambda piece: write_all(fd, [piece]), progress),
    )


def link_buffer(
    destination: Destination, digest: bytes, path: str, form: Form | None, kind: Literal["hard", "symbolic"]
) -> bool:
    """Make the file a link to the stored one. False, and nothing done, when it is not stored in that form.

    Raises ShellError where the file system allows no such link, and for a damaged buffer.
    """
    from .file_checksum import hash_as

    entry = destination.directory.form_path(digest, form)
    if not os.path.exists(entry):
        return False
    if form is None:
        destination.directory.path(digest)  # verifies it, or raises
    elif hash_as(entry, form).digest != digest:
        raise _damaged(destination, entry, digest)
    entry = os.path.realpath(entry)
    temporary = temporary_path(os.path.dirname(path))
    try:
        if kind == "hard":
            os.link(entry, temporary)
        else:
            os.symlink(entry, temporary)
        os.replace(temporary, path)
    except OSError as exc:
        if exc.errno not in _REFUSALS:
            raise
        raise ShellError(
            f"Cannot make a {kind} link from {path!r} to {entry!r}: {exc.strerror}",
            hint="--copy makes copies instead",
        ) from exc
    finally:
        discard(temporary)  # a rename onto another name of the same file leaves it
    return True


def copy_buffer(
    destination: Destination,
    digest: bytes,
    form: Form | None,
    write: Callable[[bytes | memoryview], None],
    progress: Callable[[int], None],
    *,
    verify_first: bool = False,
) -> None:
    """Hand the buffer, compressed as `form`, to `write` piece by piece.

    What is written is verified at the end; `verify_first`: before the first piece, for what cannot be taken back.
    """
    directory = destination.directory
    length = directory.length(digest)
    if form is not None and os.path.exists(directory.form_path(digest, form)):
        if verify_first:
            _demand_true(destination, digest)
        _copy_compressed(destination, digest, form, write)
        progress(length or 0)
        return
    if length is None:
        raise ShellError(f"The buffer {digest.hex()} is not in {destination.name!r} any more")
    if verify_first and length > WHOLE_BYTES:
        _demand_true(destination, digest)
    compressor: _Compressor | None = None
    for piece in _pieces(destination, digest, length):
        if form is not None and compressor is None:
            # A small one is a single piece, whose size goes into the header for readers that want it.
            compressor = _compressor(form, len(piece) if length <= WHOLE_BYTES else -1)
        write(piece if compressor is None else compressor.compress(piece))
        progress(len(piece))
    if compressor is not None:
        write(compressor.flush())


def _pieces(destination: Destination, digest: bytes, length: int) -> Iterator[bytes | memoryview]:
    """Yield the content; raise at its end unless it was the buffer."""
    import hashlib

    from seamless_store.compressed import decompressed
    from seamless_store.file_intake import read_chunks
    from seamless_store.layout import FORMS

    directory = destination.directory
    if length <= WHOLE_BYTES:
        content = directory.get(digest)
        if content is None:
            raise ShellError(f"The buffer {digest.hex()} is not in {destination.name!r} any more")
        yield content
        return
    streamed = destination.pieces(digest)
    if streamed is not None:
        yield from streamed
        return
    places = [(directory.form_path(digest, form), form) for _, form in FORMS]
    path, form = next(place for place in places if os.path.exists(place[0]))
    hasher = hashlib.sha256()
    fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        chunks = read_chunks(fd)
        for piece in chunks if form is None else decompressed(form, chunks, name=path):
            hasher.update(piece)
            yield piece
    finally:
        os.close(fd)
    if hasher.digest() != digest:
        raise _damaged(destination, path, digest)


def _copy_compressed(
    destination: Destination, digest: bytes, form: Form, write: Callable[[bytes | memoryview], None]
) -> None:
    """Copy the stored compressed form as it is, and verify what it holds."""
    import hashlib

    from seamless_store.compressed import Decompressor
    from seamless_store.file_intake import read_chunks

    path = destination.directory.form_path(digest, form)
    hasher, decompressor = hashlib.sha256(), Decompressor(form, name=path)
    fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        for chunk in read_chunks(fd):
            for piece in decompressor.feed(chunk):
                hasher.update(piece)
            write(chunk)
    finally:
        os.close(fd)
    decompressor.finish()
    if hasher.digest() != digest:
        raise _damaged(destination, path, digest)


class _Compressor:
    """What zlib and zstandard have in common."""

    def compress(self, piece: bytes | memoryview) -> bytes:
        raise NotImplementedError

    def flush(self) -> bytes:
        raise NotImplementedError


def _compressor(form: Form, size_bytes: int) -> _Compressor:
    compressor: _Compressor
    if form == "gz":
        import zlib

        compressor = zlib.compressobj(wbits=31)  # type: ignore[assignment]
    else:
        import zstandard

        compressor = zstandard.ZstdCompressor().compressobj(size=size_bytes)  # type: ignore[assignment]
    return compressor


def _demand_true(destination: Destination, digest: bytes) -> None:
    damaged = destination.directory.damaged_forms(digest)
    if damaged:
        raise _damaged(destination, damaged[0], digest)


def _damaged(destination: Destination, path: str, digest: bytes) -> ShellError:
    return ShellError(
        f"{destination.shown(path)!r} does not hold the buffer of its name, {digest.hex()}",
        hint="upload it again with --dest-repair, or run the step again that made it",
    )

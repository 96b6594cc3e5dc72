"""Store one buffer that arrives in chunks, plain or compressed, in constant memory."""

from __future__ import annotations

import contextlib
from types import TracebackType
from typing import TYPE_CHECKING

from .compressed import Decompressor
from .errors import DigestMismatch, StoreClosed, translated_os_errors
from .file_filler import FileFiller
from .layout import FILE_MODE, Form
from .publishing import CHUNK_BYTES, Publisher, directory_of
from .reading import DamagedFile, FileReader
from .side_hash import SideHash

if TYPE_CHECKING:
    from typing_extensions import Self

__all__ = ("BufferWriter",)


class BufferWriter:
    """A context manager: `write` chunks, then `commit`. Leaving it without commit stores nothing.

    size_bytes: decompressed bytes so far. After a DigestMismatch, CompressedStreamInvalid or
    DecompressionLimitExceeded the writer is closed and its temporary file is gone.
    """

    def __init__(self, publisher: Publisher, reader: FileReader, digest: bytes, form: Form | None) -> None:
        self.size_bytes = 0
        self._publisher = publisher
        self._reader = reader
        self._digest = digest
        self._form = form
        self._plain_path = publisher.path(digest)
        self._path = f"{self._plain_path}.{form}" if form else self._plain_path
        self._hasher = SideHash(publisher.new_hash())
        self._decompressor = (
            Decompressor(form, name=self._path, max_bytes=publisher.max_decompressed_bytes) if form else None
        )
        with translated_os_errors("store a buffer", self._path):
            self._fd, self._temporary = publisher.create_temporary(digest)
        self._file = FileFiller(publisher.filesystem, self._fd)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.abort()

    def write(self, chunk: bytes | memoryview) -> None:
        """Take the next bytes of the stream. A chunk may have any size."""
        if self._fd < 0:
            raise StoreClosed(
                f"The upload of {self._digest.hex()} is over: it was committed, aborted or refused.",
                path=self._path,
                remedy="open a new writer.",
            )
        view = memoryview(chunk).cast("B")
        try:
            for start in range(0, view.nbytes, CHUNK_BYTES):
                self._write(view[start : start + CHUNK_BYTES])
        except BaseException:
            self.abort()
            raise

    def commit(self) -> None:
        """Verify, make durable and make visible. Raises DigestMismatch or CompressedStreamInvalid."""
        try:
            if self._decompressor is not None:
                self._decompressor.finish()
            actual = self._hasher.digest()
            if actual != self._digest:
                raise DigestMismatch(
                    expected=self._digest, actual=actual, size_bytes=self.size_bytes, path=self._path
                )
            with translated_os_errors("store a buffer", self._path):
                self._publish()
        finally:
            self.abort()

    def abort(self) -> None:
        """Remove the temporary file; idempotent, and nothing after a commit."""
        fd, self._fd = self._fd, -1
        if fd >= 0:
            with contextlib.suppress(OSError):  # what matters was made durable, or is thrown away now
                self._publisher.filesystem.close(fd)
        self._hasher.close()
        temporary, self._temporary = self._temporary, ""
        self._publisher.discard([temporary])

    def _write(self, chunk: memoryview) -> None:
        if self._decompressor is None:
            self._hasher.update(chunk, self._store)
            self.size_bytes += chunk.nbytes
            return
        for piece in self._decompressor.feed(chunk):
            self._hasher.update(memoryview(piece), _nothing)
        self.size_bytes = self._decompressor.size_bytes
        self._store(chunk)

    def _store(self, chunk: memoryview) -> None:
        with translated_os_errors("store a buffer", self._path):
            self._file.write(chunk)

    def _publish(self) -> None:
        publisher, filesystem = self._publisher, self._publisher.filesystem
        filesystem.fchmod(self._fd, FILE_MODE)
        filesystem.fsync(self._fd)
        inode = filesystem.fstat(self._fd).st_ino
        if filesystem.exists(self._path) and self._present_is_true():
            publisher.fsync_path(self._path)
            publisher.sync_directories({directory_of(self._path)})
            return
        if self._form is not None:
            publisher.write_sidecar(self._digest, self.size_bytes)
        filesystem.rename(self._temporary, self._path)
        self._temporary = ""
        publisher.sync_directories({directory_of(self._path)})
        publisher.acknowledge(self._path, inode)

    def _present_is_true(self) -> bool:
        try:
            self._reader.verified_length(self._path, self._form, self._digest)
        except FileNotFoundError:
            return False
        except DamagedFile as exc:
            self._publisher.put_aside(exc.path, self._digest, exc.inode, exc.reason)
            return False
        return True


def _nothing(chunk: memoryview) -> None:
    """What there is to do while a decompressed piece is hashed."""

"""The port BufferStore over HTTP: read from folders, then servers; write to every writable server.

What is put waits in an upload queue and is given back from there until the servers have acknowledged it. Files are
streamed, and never held whole when they are large. Without a writable server, new buffers stay in memory.

Everything that is received is verified by the clients, so a buffer that is returned hashes to its checksum.
"""

from __future__ import annotations

import os
import time

from seamless_store.known_files import KnownFiles, file_key

from .first_found import first_found
from .upload_queue import UploadQueue

TYPE_CHECKING = False  # importing typing costs a command 6 ms
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path
    from typing import IO, Protocol, TypeVar

    from seamless.buffer import Buffer
    from seamless.checksum import Checksum
    from seamless_store.layout import Form

    from .buffer_folder import BufferFolder
    from .upload_queue import _BufferWriter

    T = TypeVar("T")

    class _BufferReader(Protocol):
        """What the store needs of a client to read; `BufferClient` offers it."""

        def get_many_sync(self, checksums: Sequence[Checksum]) -> list[Buffer | None]: ...

        def has_many_sync(self, checksums: Sequence[Checksum]) -> list[bool]: ...

        def length_many_sync(self, checksums: Sequence[Checksum]) -> list[int | None]: ...

        def download_sync(
            self, checksum: Checksum, to_path: str, progress: Callable[[int, int | None], None] | None
        ) -> bool: ...

    class _FileWriter(_BufferWriter, Protocol):
        """What the store needs of a client to write; `BufferClient` offers it."""

        def promise_sync(self, checksum: Checksum) -> None: ...

        def write_file_sync(self, checksum: Checksum, path: str, form: Form | None) -> object: ...


__all__ = ("RemoteBufferStore",)

STREAM_FROM_BYTES = 1 << 20  # a larger file is streamed; smaller ones travel together
SETTLED_NS = 2_000_000_000
FILES_AT_ONCE = 5_000  # of which the servers are asked in one request


class RemoteBufferStore:
    """folders: read first. readers: servers, in order. writers: servers that get everything new."""

    def __init__(
        self,
        *,
        folders: Sequence[BufferFolder] = (),
        readers: Sequence[_BufferReader] = (),
        writers: Sequence[_FileWriter] = (),
        queue: UploadQueue | None = None,
    ) -> None:
        self._folders = tuple(folders)
        self._readers = tuple(readers)
        self._writers = tuple(writers)
        self._queue = UploadQueue(writers) if queue is None else queue
        self._verified = KnownFiles()

    @property
    def writable(self) -> bool:
        """Whether new buffers go to a server."""
        return bool(self._writers)

    # Reading

    def get(self, checksum: Checksum) -> Buffer | None:
        return self.get_many([checksum])[0]

    def get_many(self, checksums: Sequence[Checksum]) -> list[Buffer | None]:
        return self._look(
            checksums,
            lambda buffer: buffer,
            lambda folder, checksum: folder.get(checksum),
            lambda server, asked: server.get_many_sync(asked),
        )

    def has(self, checksum: Checksum) -> bool:
        return self.has_many([checksum])[0]

    def has_many(self, checksums: Sequence[Checksum]) -> list[bool]:
        found = self._look(
            checksums,
            lambda buffer: True,
            lambda folder, checksum: None if folder.length(checksum) is None else True,
            lambda server, asked: [present or None for present in server.has_many_sync(asked)],
        )
        return [present is True for present in found]

    def length(self, checksum: Checksum) -> int | None:
        return self.length_many([checksum])[0]

    def length_many(self, checksums: Sequence[Checksum]) -> list[int | None]:
        return self._look(
            checksums,
            len,
            lambda folder, checksum: folder.length(checksum),
            lambda server, asked: server.length_many_sync(asked),
        )

    def path(self, checksum: Checksum) -> Path | None:
        from pathlib import Path

        for folder in self._folders:
            path = folder.path(checksum)
            if path is not None and self._holds(path, checksum):
                return Path(path)
        return None

    def _holds(self, path: str, checksum: Checksum) -> bool:
        """Whether the file holds the buffer; read once, while it stays as it is."""
        try:
            with open(path, "rb") as file:
                status = os.fstat(file.fileno())
                key = file_key(status)
                if self._verified.holds(path, key):
                    return True
                if _digest_of(file) != checksum.bytes():
                    return False
        except OSError:
            return False
        if (
            time.time_ns() - status.st_ctime_ns > SETTLED_NS
        ):  # else it could still change within its time stamp
            self._verified.add(path, key)
        return True

    def _look(
        self,
        checksums: Sequence[Checksum],
        of_pending: Callable[[Buffer], T],
        of_folder: Callable[[BufferFolder, Checksum], T | None],
        of_servers: Callable[[_BufferReader, list[Checksum]], Sequence[T | None]],
    ) -> list[T | None]:
        """Look into the queue, the folders and the servers, each for what is not found yet; repeats are asked once."""
        found: dict[Checksum, T | None] = {}
        for checksum in checksums:
            if checksum in found:
                continue
            pending = self._queue.pending(checksum.bytes())
            if pending is not None:
                found[checksum] = of_pending(pending)
                continue
            answer = None
            for folder in self._folders:
                answer = of_folder(folder, checksum)
                if answer is not None:
                    break
            found[checksum] = answer
        missing = [checksum for checksum, answer in found.items() if answer is None]
        if missing:
            answers = first_found(self._readers, missing, of_servers)
            found.update(zip(missing, answers, strict=True))
        return [found[checksum] for checksum in checksums]

    def download(
        self, checksum: Checksum, path: str, progress: Callable[[int], object] | None = None
    ) -> bool:
        """Write the buffer into a file, which is whole and true or as it was; False when nobody has it.

        In constant memory. progress: called with the number of bytes that came.
        """
        pending = self._queue.pending(checksum.bytes())
        if pending is not None:
            pending.save(path)
            return True
        (done,) = first_found(
            self._readers,
            [checksum],
            lambda client, asked: [client.download_sync(asked[0], path, _steps(progress)) or None],
        )
        if not done and self._folders:
            buffer = self.get(checksum)
            if buffer is not None:
                buffer.save(path)
                done = True
        return done is True

    # Writing

    def put(self, buffer: Buffer) -> None:
        self.put_many([buffer])

    def put_many(self, buffers: Sequence[Buffer]) -> None:
        if self._writers:
            self._queue.put(buffers)
        elif buffers:
            from seamless.embedded import keep_in_memory

            keep_in_memory(buffers)

    def put_files(self, files: Sequence[tuple[Checksum, str, Form | None]]) -> None:
        """Upload them at once; small ones travel together, large and compressed ones are streamed as they are."""
        if not self._writers:
            from seamless.file_buffers import read_buffer

            self.put_many([read_buffer(*file) for file in files])
            return
        distinct = list({file[0]: file for file in files}.values())
        for start in range(0, len(distinct), FILES_AT_ONCE):
            self._put_files(distinct[start : start + FILES_AT_ONCE])

    def _put_files(self, files: list[tuple[Checksum, str, Form | None]]) -> None:
        from seamless.file_buffers import read_buffer

        checksums = [file[0] for file in files]
        lacking = [writer.has_many_sync(checksums) for writer in self._writers]
        for index, (checksum, path, form) in enumerate(files):
            writers = [
                writer for writer, present in zip(self._writers, lacking, strict=True) if not present[index]
            ]
            if not writers:
                continue
            if form is None and os.stat(path).st_size <= STREAM_FROM_BYTES:
                self._queue.put([read_buffer(checksum, path, form)])
                continue
            for writer in writers:
                writer.write_file_sync(checksum, path, form)

    def promise(self, checksum: Checksum) -> None:
        from .errors import RemoteError

        for writer in self._writers:
            try:
                writer.promise_sync(checksum)
            except RemoteError:
                pass  # a hint: whoever needs the buffer learns soon enough

    def flush(self) -> None:
        """Return when every server has acknowledged what was put. Raises UploadFailed."""
        self._queue.flush()

    def close(self) -> None:
        """Flush. What is stored can still be read: steps that have finished may need it."""
        self._queue.close()


def _steps(progress: Callable[[int], object] | None) -> Callable[[int, int | None], None] | None:
    """Turn what takes steps into what takes the sum so far."""
    if progress is None:
        return None
    so_far = 0

    def note(received: int, total: int | None) -> None:
        nonlocal so_far
        progress(received - so_far)
        so_far = received

    return note


def _digest_of(file: IO[bytes]) -> bytes:
    import hashlib

    hasher = hashlib.sha256()
    while piece := file.read(STREAM_FROM_BYTES):
        hasher.update(piece)
    return hasher.digest()

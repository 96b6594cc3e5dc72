"""Read and verify one stored file: plain, zstd or gzip.

Nothing unverified is ever returned, and no memory is taken on the word of an unverified stream: the
content of a compressed file is collected only up to the length that its sidecar says or that a first
pass in constant memory has verified.
"""

from __future__ import annotations

import os
import stat as stat_module
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

from .compressed import decompressed
from .errors import CompressedStreamInvalid, StoreIOError
from .known_files import KnownFiles, file_key
from .layout import FILE_MODE, FORMS, LENGTH_SUFFIX, Form
from .side_hash import hash_read

if TYPE_CHECKING:
    from hashlib import _Hash

    from .filesystem import Clock, FileSystem

__all__ = ("MAP_MIN_BYTES", "DamagedFile", "FileReader")

MAP_MIN_BYTES = 1024 * 1024
ALWAYS_HASHED_MAX_BYTES = 64 * 1024  # hashing this costs less than 60 us: not worth remembering
SETTLED_AFTER_S = 2.0  # a file changed more recently may change again within one tick of its ctime
_HASH_BYTES = 8 * 1024 * 1024
_READ_BYTES = 1024 * 1024
_OPEN = os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK  # non-blocking: a fifo of that name must not hold us


class DamagedFile(Exception):
    """A file does not hold what its name says. Internal: the directory turns it into BufferDamaged.

    Remedy: as for BufferDamaged.
    """

    def __init__(self, path: str, stat: os.stat_result, reason: str) -> None:
        super().__init__(reason)
        self.path = path
        self.reason = reason
        self.inode = (stat.st_dev, stat.st_ino)
        self.changed_at = max(stat.st_mtime, 0.0)


class FileReader:
    """Reads the files of one buffer directory. Thread-safe. Raises FileNotFoundError and DamagedFile."""

    def __init__(
        self,
        root: str,
        *,
        filesystem: FileSystem,
        clock: Clock,
        verified: KnownFiles,
        new_hash: Callable[[], _Hash],
        max_decompressed_bytes: int,
    ) -> None:
        self._root = root
        self._filesystem = filesystem
        self._clock = clock
        self._verified = verified
        self._new_hash = new_hash
        self._max_bytes = max_decompressed_bytes
        self._is_local: bool | None = None

    def first_true(self, path: str, digest: bytes) -> tuple[bytes | memoryview | None, list[DamagedFile]]:
        """Try the forms of the buffer whose plain form is `path`; return the first true content, or None,
        and the damaged files met on the way."""
        damaged: list[DamagedFile] = []
        for suffix, form in FORMS:
            if form is not None and not self._filesystem.exists(path + suffix):
                continue
            try:
                return self.content(path + suffix, form, digest), damaged
            except FileNotFoundError:
                continue
            except DamagedFile as exc:
                damaged.append(exc)
        return None, damaged

    def check_forms(self, path: str, digest: bytes) -> tuple[int, list[DamagedFile]]:
        """Hash every stored form again; return how many are true, and the damaged ones."""
        n_true, damaged = 0, []
        for suffix, form in FORMS:
            try:
                self.verified_length(path + suffix, form, digest, again=True)
            except FileNotFoundError:
                continue
            except DamagedFile as exc:
                damaged.append(exc)
            else:
                n_true += 1
        return n_true, damaged

    def is_file(self, path: str) -> bool:
        """Tell whether a regular file of this name is there; cheap when nothing is."""
        if not self._filesystem.exists(path):
            return False
        try:
            return stat_module.S_ISREG(self._filesystem.stat(path).st_mode)
        except FileNotFoundError:
            return False

    def content(self, path: str, form: Form | None, digest: bytes) -> bytes | memoryview:
        """Return the verified buffer in this file."""
        if form is not None:
            return self._decompressed_content(path, form, digest)
        fd, stat = self._open(path)
        try:
            if stat.st_size < MAP_MIN_BYTES:
                return self._read_small(fd, stat, path, digest)
            return self._read_large(fd, stat, path, digest)
        finally:
            self._filesystem.close(fd)

    def opened(
        self, path: str, form: Form | None, digest: bytes, *, quick: bool = False
    ) -> tuple[int, os.stat_result, bytes | None] | None:
        """Open this file, after verifying it if it is plain; return (descriptor, stat, content).

        A file of at most ALWAYS_HASHED_MAX_BYTES is read and closed: (-1, stat, content); else the content is None.
        quick: return None instead of hashing more than that.
        """
        fd, stat = self._open(path)
        kept = -1
        content = None
        try:
            if stat.st_size <= ALWAYS_HASHED_MAX_BYTES:
                content = self._whole(fd, stat)
                if form is None:
                    hasher = self._new_hash()
                    hasher.update(content)
                    self._check(hasher.digest(), digest, path, stat)
            elif form is None and not self._verified.holds(path, file_key(stat)):
                if quick:
                    return None
                hasher = self._new_hash()
                self._hash_plain(fd, hasher)
                self._check(hasher.digest(), digest, path, stat)
                self._remember(path, stat)
            if content is None:
                kept = fd
            return kept, stat, content
        finally:
            if kept < 0:
                self._filesystem.close(fd)

    def verified_length(self, path: str, form: Form | None, digest: bytes, *, again: bool = False) -> int:
        """Return the length of the buffer in this file, after verifying it in constant memory.

        again: verify a plain file even if it is known to be true.
        """
        fd, stat = self._open(path)
        try:
            if form is None and not again and self._verified.holds(path, file_key(stat)):
                return stat.st_size
            hasher, n_bytes = self._new_hash(), 0
            if form is None:
                n_bytes = self._hash_plain(fd, hasher)
            else:
                for piece in self._decompressed(fd, stat, path, form):
                    hasher.update(piece)
                    n_bytes += len(piece)
            self._check(hasher.digest(), digest, path, stat)
        finally:
            self._filesystem.close(fd)
        self._remember(path, stat)
        return n_bytes

    def sidecar_length(self, sidecar: str) -> int | None:
        """Return the number in a `.BUFFERLENGTH` file; None if it is missing or not a number."""
        try:
            fd = self._filesystem.open(sidecar, _OPEN)
        except (FileNotFoundError, PermissionError):
            return None
        try:
            text = self._filesystem.read(fd, 32)
        except IsADirectoryError:
            return None
        finally:
            self._filesystem.close(fd)
        return int(text) if text.isdigit() else None

    def _open(self, path: str) -> tuple[int, os.stat_result]:
        try:
            fd = self._filesystem.open(path, _OPEN)
        except PermissionError as exc:
            raise StoreIOError(
                f"Cannot read {path}: {exc.strerror}.",
                path=path,
                remedy=f"make it readable: chmod a+r {path}",
            ) from exc
        except NotADirectoryError as exc:
            raise FileNotFoundError(path) from exc
        stat = self._filesystem.fstat(fd)
        if not stat_module.S_ISREG(stat.st_mode):
            self._filesystem.close(fd)
            raise DamagedFile(path, stat, "it is not a regular file")
        return fd, stat

    def _read_small(self, fd: int, stat: os.stat_result, path: str, digest: bytes) -> bytes:
        content = self._whole(fd, stat)
        is_whole = len(content) == stat.st_size > ALWAYS_HASHED_MAX_BYTES
        if is_whole and self._verified.holds(path, file_key(stat)):
            return content
        hasher = self._new_hash()
        hasher.update(content)
        self._check(hasher.digest(), digest, path, stat)
        if stat.st_size > ALWAYS_HASHED_MAX_BYTES:
            self._remember(path, stat)
        return content

    def _whole(self, fd: int, stat: os.stat_result) -> bytes:
        content = self._filesystem.read(fd, stat.st_size)
        while len(content) < stat.st_size:
            more = self._filesystem.read(fd, stat.st_size - len(content))
            if not more:
                break
            content += more
        return content

    def _read_large(self, fd: int, stat: os.stat_result, path: str, digest: bytes) -> memoryview:
        known = self._verified.holds(path, file_key(stat))
        view = self._map(fd, stat)
        hasher = self._new_hash()
        if view is None:
            view = memoryview(bytearray(stat.st_size))
            position = 0
            while position < stat.st_size:
                n_bytes = self._filesystem.readinto(fd, view[position : position + _READ_BYTES])
                if not n_bytes:
                    raise DamagedFile(path, stat, f"it ended after {position} of {stat.st_size} bytes")
                if not known:
                    hasher.update(view[position : position + n_bytes])
                position += n_bytes
            view = view.toreadonly()
        elif not known:
            for start in range(0, stat.st_size, _HASH_BYTES):
                hasher.update(view[start : start + _HASH_BYTES])
        if not known:
            self._check(hasher.digest(), digest, path, stat)
            self._remember(path, stat)
        return view

    def _map(self, fd: int, stat: os.stat_result) -> memoryview | None:
        """Map the file, or return None where it might change under us or cannot be mapped."""
        if self._is_local is None:
            self._is_local = not self._filesystem.is_network(self._root)
        if not self._is_local or stat.st_mode & 0o777 != FILE_MODE:
            return None
        try:
            return self._filesystem.map(fd, stat.st_size)
        except OSError:  # no more descriptors, mappings, or a file system without mmap: read it instead
            return None

    def _decompressed_content(self, path: str, form: Form, digest: bytes) -> bytes | memoryview:
        """Return the content, taking memory only for as much as a sidecar or a first pass says."""
        size_bytes = self.sidecar_length(path[: -len(form) - 1] + LENGTH_SUFFIX)
        if size_bytes is not None and size_bytes <= self._max_bytes:
            content = self._collect(path, form, digest, size_bytes)
            if content is not None:
                return content
        content = self._collect(path, form, digest, self.verified_length(path, form, digest))
        if content is None:
            raise DamagedFile(path, self._filesystem.stat(path), "it changed while it was read")
        return content

    def _collect(self, path: str, form: Form, digest: bytes, size_bytes: int) -> bytes | memoryview | None:
        """Return the verified content, or None if there is more of it than `size_bytes`."""
        content, hasher = bytearray(), self._new_hash()
        fd, stat = self._open(path)
        try:
            for piece in self._decompressed(fd, stat, path, form):
                if len(content) + len(piece) > size_bytes:
                    return None
                content += piece
                hasher.update(piece)
        finally:
            self._filesystem.close(fd)
        self._check(hasher.digest(), digest, path, stat)
        return bytes(content) if len(content) < MAP_MIN_BYTES else memoryview(content).toreadonly()

    def _hash_plain(self, fd: int, hasher: _Hash) -> int:
        return hash_read(hasher, lambda piece: self._filesystem.readinto(fd, piece), piece_bytes=_READ_BYTES)

    def _pieces(self, fd: int) -> Iterator[memoryview]:
        buffer = memoryview(bytearray(_READ_BYTES))
        while n_bytes := self._filesystem.readinto(fd, buffer):
            yield buffer[:n_bytes]

    def _decompressed(self, fd: int, stat: os.stat_result, path: str, form: Form) -> Iterator[bytes]:
        try:
            yield from decompressed(form, self._pieces(fd), name=path, max_bytes=self._max_bytes)
        except CompressedStreamInvalid as exc:
            raise DamagedFile(path, stat, exc.cause) from exc

    def _check(self, actual: bytes, digest: bytes, path: str, stat: os.stat_result) -> None:
        if actual != digest:
            raise DamagedFile(path, stat, f"its {stat.st_size} bytes have the digest {actual.hex()}")

    def _remember(self, path: str, stat: os.stat_result) -> None:
        """Remember a verified file, unless it is so fresh that a change could go unnoticed."""
        if self._clock.time() - stat.st_ctime > SETTLED_AFTER_S:
            self._verified.add(path, file_key(stat))

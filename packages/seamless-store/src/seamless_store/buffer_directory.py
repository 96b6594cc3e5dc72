"""A directory of buffers, each in a file named by its digest.

Invariant: a file that we made visible under a digest is complete and true. It got its name by a rename
after its data were durable, and nobody writes to it again. Readers never trust: what `get` returns was
hashed, in this process, since the file last changed. Any number of processes, ours and the
reference's, may use one directory at once, without a server and without locks.
Format: contracts/buffer-directory.md.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, Literal

from .compressed import MAX_DECOMPRESSED_BYTES
from .damage import DamageKeeper
from .errors import (
    StoreClosed,
    StoreLayoutUnknown,
    StoreReadOnly,
    translated_os_errors,
)
from .filesystem import OS_FILESYSTEM, SYSTEM_CLOCK, Clock, FileSystem
from .known_files import KnownFiles
from .layout import (
    FORM_SUFFIXES,
    FORMS,
    LENGTH_SUFFIX,
    Form,
    LayoutName,
    buffer_digest,
    check_digest,
    is_prefix_name,
)
from .linking import Linker, LinkSource
from .lock_files import wait_for_locks
from .opening import detect_layout, ensure_marker, hash_function, make_root
from .publishing import Publisher, directory_of
from .quarantine import Quarantine, QuarantinedFile
from .reading import DamagedFile, FileReader
from .streaming import BufferWriter
from .sweeping import names_in, sweep_temporaries

if TYPE_CHECKING:
    from pathlib import Path
    from types import TracebackType

    from typing_extensions import Self

__all__ = ("BufferDirectory",)


class BufferDirectory:
    """Buffers under their digests, in one directory. Safe for many threads and processes.

    path: the directory; made, with its parents, when it is missing and `writable`.
    layout: "prefix" (files in 256 subdirectories) or "flat". None: as the directory has it; a new or
        empty one gets "prefix".
    writable: False writes nothing at all, not even to put damaged files aside.
    lock_timeout_s: when a lock file of another program counts as stale.
    hash_algorithm: "sha-256" or "sha3-256".
    max_decompressed_bytes: no compressed buffer may be larger than this.

    >>> import hashlib, tempfile
    >>> with tempfile.TemporaryDirectory() as folder, BufferDirectory(folder) as buffers:
    ...     digest = hashlib.sha256(b"hello").digest()
    ...     buffers.publish([(digest, [b"hel", b"lo"])])
    ...     buffers.get(digest)
    b'hello'
    """

    def __init__(
        self,
        path: str | os.PathLike[str],
        *,
        layout: LayoutName | None = None,
        writable: bool = True,
        lock_timeout_s: float = 120.0,
        filesystem: FileSystem = OS_FILESYSTEM,
        clock: Clock = SYSTEM_CLOCK,
        hash_algorithm: Literal["sha-256", "sha3-256"] = "sha-256",
        max_decompressed_bytes: int = MAX_DECOMPRESSED_BYTES,
    ) -> None:
        root = os.path.abspath(os.fspath(path))  # noqa: PTH100 (resolve() would follow links)
        if layout not in (None, "prefix", "flat"):
            raise StoreLayoutUnknown(
                f"{layout!r} is not a layout of a buffer directory.",
                path=root,
                remedy="say 'prefix' or 'flat', or leave it out.",
            )
        if not lock_timeout_s > 0:
            raise ValueError(f"lock_timeout_s is {lock_timeout_s!r}; expected a number of seconds above 0")
        self._root = root
        self._filesystem = filesystem
        self._clock = clock
        self._lock_timeout_s = lock_timeout_s
        self._writable = writable
        self._closed = False
        new_hash = hash_function(hash_algorithm)
        verified = KnownFiles()
        with translated_os_errors("open the buffer directory", root):
            parents = make_root(filesystem, root, writable=writable)
            self._layout: LayoutName = layout or detect_layout(filesystem, root)
            self._prefix_length = 2 if self._layout == "prefix" else 0
            if writable and self._layout == "prefix":
                ensure_marker(filesystem, root)
        self._quarantine = Quarantine(root, filesystem=filesystem, clock=clock)
        self._reader = FileReader(
            root,
            filesystem=filesystem,
            clock=clock,
            verified=verified,
            new_hash=new_hash,
            max_decompressed_bytes=max_decompressed_bytes,
        )
        self._publisher = Publisher(
            root,
            is_prefix=self._layout == "prefix",
            filesystem=filesystem,
            quarantine=self._quarantine,
            verified=verified,
            new_hash=new_hash,
            unsynced_parents=parents,
            max_decompressed_bytes=max_decompressed_bytes,
        )
        self._damage = DamageKeeper(self._publisher, clock, writable=writable)
        self._linker = Linker(self._publisher, self._reader, clock)
        self._verified = verified

    def __repr__(self) -> str:
        return f"BufferDirectory({self._root!r}, layout={self._layout!r}, writable={self._writable})"

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    @property
    def root(self) -> Path:
        from pathlib import Path

        return Path(self._root)

    @property
    def layout(self) -> LayoutName:
        return self._layout

    @property
    def writable(self) -> bool:
        return self._writable

    # Reading

    def get(self, digest: bytes) -> bytes | memoryview | None:
        """Return the buffer, verified, or None when the directory does not hold it.

        From 1 MiB on the result is a read-only memoryview; where the file cannot change under it
        (mode 0444, local file system) it maps the file without a copy.
        A missing or damaged file is looked for once more after other writers' lock files are gone.
        Raises BufferDamaged if only damaged files remain; they are put into quarantine when this
        directory is writable and they were not written to in the last 10 s. Raises
        DecompressionLimitExceeded for a compressed file beyond max_decompressed_bytes.
        """
        path = self._path(digest)
        with translated_os_errors("read a buffer", path):
            content, damaged = self._reader.first_true(path, digest)
            if content is None and (self._wait_for_locks(path) or damaged):
                content, damaged = self._reader.first_true(path, digest)
            if damaged:
                self._damage.report(damaged, digest, found=content is not None)
            return content

    def get_many(self, digests: Sequence[bytes]) -> list[bytes | memoryview | None]:
        return [self.get(digest) for digest in digests]

    def has(self, digest: bytes) -> bool:
        """Tell whether a file of this buffer is there, in any form, by name alone."""
        path = self._path(digest)
        with translated_os_errors("look for a buffer", path):
            return (
                self._reader.is_file(path)
                or self._reader.is_file(path + ".zst")
                or self._reader.is_file(path + ".gz")
            )

    def has_many(self, digests: Sequence[bytes]) -> list[bool]:
        return [self.has(digest) for digest in digests]

    def length(self, digest: bytes) -> int | None:
        """Return the length of the buffer in bytes, or None when the directory does not hold it.

        A compressed buffer without sidecar is decompressed to count, and verified by the way; when
        writable, the sidecar is then written. Raises BufferDamaged as `get` does.
        """
        path = self._path(digest)
        with translated_os_errors("find the length of a buffer", path):
            with contextlib.suppress(FileNotFoundError, NotADirectoryError):
                if self._reader.is_file(path):
                    return self._filesystem.stat(path).st_size
            forms = [form for form in FORMS[1:] if self._reader.is_file(path + form[0])]
            if not forms:
                return None
            length = self._reader.sidecar_length(path + LENGTH_SUFFIX)
            return self._count(path, forms, digest) if length is None else length

    def length_many(self, digests: Sequence[bytes]) -> list[int | None]:
        return [self.length(digest) for digest in digests]

    def path(self, digest: bytes) -> Path | None:
        """Return a file that holds exactly the buffer, verified; None if there is no plain form.

        Do not write to it. Raises BufferDamaged as `get` does.
        """
        from pathlib import Path  # costs a command 8 ms that does without

        path = self._path(digest)
        with translated_os_errors("read a buffer", path):
            try:
                self._reader.verified_length(path, None, digest)
            except FileNotFoundError:
                return None
            except DamagedFile as exc:
                self._damage.report([exc], digest, found=False)
            return Path(path)

    def verify(self, digest: bytes) -> bool:
        """Hash every stored form again; True if there is one and all are true. Changes nothing."""
        path = self._path(digest)
        with translated_os_errors("verify a buffer", path):
            n_true, damaged = self._reader.check_forms(path, digest)
        return n_true > 0 and not damaged

    def damaged_forms(self, digest: bytes) -> list[str]:
        """Hash every stored form again; return the paths of those that are damaged. Changes nothing."""
        path = self._path(digest)
        with translated_os_errors("verify a buffer", path):
            return [file.path for file in self._reader.check_forms(path, digest)[1]]

    def form_path(self, digest: bytes, form: Form | None = None) -> str:
        """Return where this form of the buffer lies if it is stored; says nothing of whether it is."""
        return f"{self._path(digest)}.{form}" if form else self._path(digest)

    def iterate(self) -> Iterator[bytes]:
        """Yield the digests of all buffers that are there by name, each once, in ascending order.

        Buffers that come or go meanwhile may or may not be among them.
        """
        for directory in self._directories():
            with translated_os_errors("list buffers", directory):
                names = names_in(self._filesystem, directory)
            yield from sorted({digest for digest in map(buffer_digest, names) if digest is not None})

    def quarantined(self) -> list[QuarantinedFile]:
        """Return the damaged files that were put aside."""
        with translated_os_errors("list damaged files", self._quarantine.path):
            return self._quarantine.files()

    # Writing

    def publish(
        self,
        items: Sequence[tuple[bytes, Sequence[bytes | memoryview]]],
        *,
        verified: bool = False,
    ) -> None:
        """Store a batch of buffers, each given as digest and parts; when it returns all are durable.

        verified: the caller vouches for the digests, and that nobody changes the parts meanwhile.
        Buffers that are present and intact are not written again; a damaged file is put into
        quarantine and replaced. Equal digests in one batch are stored once.

        Raises DigestMismatch if any item has another digest: then nothing of the batch is visible.
        After StoreFull or another error some buffers may be visible, and true; none is acknowledged.
        """
        self._demand_writable()
        self._publisher.publish(items, verified=verified)

    def put_compressed(self, digest: bytes, form: Form, chunks: Iterable[bytes | memoryview]) -> None:
        """Store a compressed form as it is, after verifying what it decompresses to."""
        with self.writer(digest, form) as writer:
            for chunk in chunks:
                writer.write(chunk)
            writer.commit()

    def writer(self, digest: bytes, form: Form | None = None) -> BufferWriter:
        """Return a context manager that stores one buffer from chunks, in constant memory.

        form: the chunks are a complete zstd ("zst") or gzip ("gz") stream, and are stored as such.
        """
        self._demand_writable()
        if form not in (None, "zst", "gz"):
            raise ValueError(f"form is {form!r}; expected 'zst', 'gz' or None for plain")
        return BufferWriter(self._publisher, self._reader, check_digest(digest), form)

    def link(self, sources: Sequence[LinkSource], *, symbolic: bool = False) -> None:
        """Store files by links to them instead of copies; durable when it returns.

        Only for files that nobody will change any more. A buffer that is there in the same form is left
        as it is. Raises SourceChanged for a file that changed since it was hashed, LinkRefused where the
        file system allows no such link.
        """
        self._demand_writable()
        self._linker.link(sources, symbolic=symbolic)

    def repair(self, digest: bytes) -> list[str]:
        """Put every damaged form into quarantine; return where each is now. Then store the buffer again."""
        self._demand_writable()
        path = self._path(digest)
        with translated_os_errors("put damaged files aside", path):
            return self._damage.put_aside(self._reader.check_forms(path, digest)[1], digest)

    def sweep(self, max_age_s: float = 3600.0) -> int:
        """Remove temporary files that no living process is writing; return how many.

        A file whose writer can be told dead goes at once, one whose writer lives stays. Where that
        cannot be told (another machine, container or program), its age since the last write decides.
        """
        self._demand_writable()
        with translated_os_errors("sweep temporary files", self._root):
            return sweep_temporaries(
                (self._root, *self._directories()),
                max_age_s=max_age_s,
                filesystem=self._filesystem,
                clock=self._clock,
            )

    def close(self) -> None:
        """Forget everything; idempotent. Views that were handed out stay valid."""
        self._closed = True
        self._verified.clear()

    # Private

    def _path(self, digest: bytes) -> str:
        self._demand_open()
        name = check_digest(digest).hex()
        return f"{self._root}/{name[:2]}/{name}" if self._prefix_length else f"{self._root}/{name}"

    def _wait_for_locks(self, path: str) -> bool:
        return wait_for_locks(
            directory_of(path),
            [path + suffix for suffix in FORM_SUFFIXES],
            filesystem=self._filesystem,
            clock=self._clock,
            timeout_s=self._lock_timeout_s,
        )

    def _count(self, path: str, forms: list[tuple[str, Form | None]], digest: bytes) -> int | None:
        damaged: list[DamagedFile] = []
        for suffix, form in forms:
            try:
                length = self._reader.verified_length(path + suffix, form, digest)
            except FileNotFoundError:
                continue
            except DamagedFile as exc:
                damaged.append(exc)
                continue
            if self._writable:
                with contextlib.suppress(OSError):  # only a convenience for the next caller
                    self._publisher.write_sidecar(digest, length)
            if damaged:
                self._damage.report(damaged, digest, found=True)
            return length
        if damaged:
            self._damage.report(damaged, digest, found=False)
        return None

    def _directories(self) -> list[str]:
        """Return the directories that hold buffers, sorted."""
        self._demand_open()
        if self._layout == "flat":
            return [self._root]
        with translated_os_errors("list the buffer directory", self._root):
            names = self._filesystem.listdir(self._root)
        return [f"{self._root}/{name}" for name in sorted(names) if is_prefix_name(name)]

    def _demand_open(self) -> None:
        if self._closed:
            raise StoreClosed(
                f"The buffer directory {self._root} was closed.", path=self._root, remedy="open it again."
            )

    def _demand_writable(self) -> None:
        self._demand_open()
        if not self._writable:
            raise StoreReadOnly(
                f"Cannot store in {self._root}: it was opened with writable=False.",
                path=self._root,
                remedy="open it with writable=True.",
            )

"""Upload to and download from services (`SEAMLESS_REMOTE_CLIENTS`), as if they were a buffer directory.

What needs the files themselves (links, repairs) is refused, with the way out: give the directory with --destination.
Small buffers are fetched many at a time, large ones are streamed through a file.
"""

from __future__ import annotations

import os

from seamless.checksum import Checksum
from seamless_command.errors import ShellError

from .destination import Destination

TYPE_CHECKING = False  # importing typing costs a command 6 ms
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence
    from types import TracebackType
    from typing import Protocol

    from seamless.buffer import Buffer
    from seamless.ports import BufferStore
    from seamless_command.scope import Scope
    from seamless_store.layout import Form

    class _ServiceStore(BufferStore, Protocol):
        """The store of services can write a buffer into a file without holding it."""

        def download(
            self, checksum: Checksum, path: str, progress: Callable[[int], object] | None = None
        ) -> bool: ...


__all__ = ("ServiceDestination", "ServiceDirectory", "open_services")

SMALL_BYTES = 1024 * 1024
FETCHED_BYTES = 32 * 1024 * 1024  # how much is fetched ahead
FETCHED_ITEMS = 1000
STORED_BYTES = 32 * 1024 * 1024  # how much is uploaded between two steps of the progress
_PIECE_BYTES = 1024 * 1024


class ServiceDirectory:
    """The buffers of services, with the methods of a buffer directory that uploads and downloads use."""

    root = os.devnull  # in no directory that anybody uploads

    def __init__(self, store: _ServiceStore, name: str) -> None:
        self.store = store
        self._name = name
        self._expected: list[bytes] = []
        self._fetched: dict[bytes, Buffer | None] = {}

    def close(self) -> None:
        """Nothing to let go of: the stores are closed with the command."""

    def has(self, digest: bytes) -> bool:
        return self.store.has(Checksum(digest))

    def has_many(self, digests: Sequence[bytes]) -> list[bool]:
        return self.store.has_many([Checksum(digest) for digest in digests])

    def length(self, digest: bytes) -> int | None:
        fetched = self._fetched.get(digest)
        return self.store.length(Checksum(digest)) if fetched is None else len(fetched)

    def length_many(self, digests: Sequence[bytes]) -> list[int | None]:
        return self.store.length_many([Checksum(digest) for digest in digests])

    def expect(self, digests: Sequence[bytes]) -> None:
        """Be prepared to be asked for these, in this order: small ones are then fetched together."""
        lengths = self.length_many(digests)
        small = [d for d, length in zip(digests, lengths, strict=True) if (length or 0) <= SMALL_BYTES]
        self._expected = list(dict.fromkeys(small))[::-1]

    def fetch_ahead(self, digest: bytes) -> None:
        """Fetch what was announced, from this one on, if it is not at hand."""
        if digest in self._fetched or not self._expected or digest not in self._expected[-FETCHED_ITEMS:]:
            return
        asked: list[Checksum] = []
        while self._expected and len(asked) < FETCHED_ITEMS:
            asked.append(Checksum(self._expected.pop()))
        self._fetched = {
            checksum.bytes(): buffer
            for checksum, buffer in zip(asked, self.store.get_many(asked), strict=True)
        }

    def get(self, digest: bytes) -> bytes | memoryview | None:
        self.fetch_ahead(digest)
        buffer = self._fetched.get(digest) or self.store.get(Checksum(digest))
        return None if buffer is None else buffer.content

    def pieces(self, digest: bytes) -> Iterator[bytes]:
        """Yield a large buffer, through a file that is gone at the end."""
        import tempfile

        with tempfile.TemporaryDirectory(prefix="seamless-") as folder:
            path = os.path.join(folder, "buffer")
            if not self.store.download(Checksum(digest), path):
                raise ShellError(f"The buffer {digest.hex()} is not in {self._name!r} any more")
            with open(path, "rb") as file:
                while piece := file.read(_PIECE_BYTES):
                    yield piece

    def form_path(self, digest: bytes, form: Form | None) -> str:
        """Return a path at which there is no file."""
        return os.path.join(os.devnull, digest.hex())

    def path(self, digest: bytes) -> str | None:
        return None

    def damaged_forms(self, digest: bytes) -> list[str]:
        """Return the address of the buffer if it is there and cannot be read; it is verified as it arrives."""
        if not self.has(digest):
            return []
        length = self.store.length(Checksum(digest)) or 0
        if length <= SMALL_BYTES:
            is_true = self.store.get(Checksum(digest)) is not None
        else:
            is_true = any(True for _ in self._drained(digest))
        return [] if is_true else [f"{self._name}/{digest.hex()}"]

    def _drained(self, digest: bytes) -> Iterable[bool]:
        import tempfile

        with tempfile.TemporaryDirectory(prefix="seamless-") as folder:
            if self.store.download(Checksum(digest), os.path.join(folder, "buffer")):
                yield True

    def repair(self, digest: bytes) -> None:
        raise ShellError(
            f"The damaged buffer {digest.hex()} is behind a server, whose directory cannot be repaired from here",
            hint="on the server's machine: seamless-upload --destination DIRECTORY --dest-repair FILE",
        )

    def link(self, sources: Sequence[object], *, symbolic: bool) -> None:
        raise ShellError(
            f"Cannot make links to {self._name!r}, which is a server",
            hint="--copy stores copies; or give the server's directory with --destination",
        )

    def publish(self, contents: Sequence[tuple[bytes, Sequence[bytes]]]) -> None:
        """Store contents, each given as digest and parts; they are acknowledged when this returns."""
        from seamless.buffer import Buffer

        self.store.put_many(
            [Buffer._from_parts(tuple(parts), Checksum(digest)) for digest, parts in contents]
        )
        self.store.flush()


class ServiceDestination(Destination):
    """The services of a scope, and how messages call them."""

    directory: ServiceDirectory  # type: ignore[assignment] # it offers what a destination uses of one

    def __init__(self, store: _ServiceStore, name: str) -> None:
        super().__init__(ServiceDirectory(store, name), name)  # type: ignore[arg-type] # see above

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        from seamless.lifecycle import close

        close()

    def shown(self, path: str) -> str:
        return path

    def expect(self, digests: Sequence[bytes]) -> None:
        self.directory.expect(digests)

    def publish_files(
        self, files: Sequence[tuple[bytes, str, Form | None]], progress: Callable[[int], None]
    ) -> None:
        """Upload the files, a part at a time; all of them are acknowledged when this returns."""
        part: list[tuple[Checksum, str, Form | None]] = []
        size = 0
        for digest, path, form in files:
            part.append((Checksum(digest), path, form))
            size += os.stat(path).st_size
            if size >= STORED_BYTES or len(part) >= FETCHED_ITEMS:
                self.directory.store.put_files(part)
                progress(size)
                part, size = [], 0
        self.directory.store.put_files(part)
        self.directory.store.flush()
        progress(size)

    def sync_stored(self, digests: Sequence[bytes]) -> None:
        """Nothing to do: a server acknowledges what is durable."""

    def pieces(self, digest: bytes) -> Iterator[bytes]:
        return self.directory.pieces(digest)

    def download(self, digest: bytes, path: str, progress: Callable[[int], None]) -> bool:
        """Write a large buffer into a file, whole and true or not at all."""
        length = self.directory.length(digest) or 0
        self.directory.fetch_ahead(digest)
        if length <= SMALL_BYTES:
            return False
        return self.directory.store.download(Checksum(digest), path, progress)


def open_services(scope: Scope) -> ServiceDestination:
    """Return the services of the scope. Raises what making their clients raises."""
    return ServiceDestination(scope.active.buffers, scope.location)  # type: ignore[arg-type] # the store of services

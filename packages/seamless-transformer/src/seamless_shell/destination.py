"""What a command uploads to or downloads from: `--destination DIR`, services, or the directory of the cache."""

from __future__ import annotations

import os

from seamless_command.errors import ShellError

TYPE_CHECKING = False  # importing typing costs a command 6 ms
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from types import TracebackType

    from seamless_command.scope import Scope
    from seamless_store.buffer_directory import BufferDirectory
    from seamless_store.layout import Form, LayoutName
    from typing_extensions import Self

__all__ = ("Destination", "open_destination")


class Destination:
    """An open buffer directory, and how the user calls it; a context manager that closes it."""

    __slots__ = ("directory", "name")

    def __init__(self, directory: BufferDirectory, name: str) -> None:
        self.directory = directory
        self.name = name

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.directory.close()

    def shown(self, path: str) -> str:
        """Return a path in the directory as the user would write it."""
        return self.name.rstrip("/") + path[len(str(self.directory.root)) :]

    def expect(self, digests: Sequence[bytes]) -> None:
        """Say which buffers will be read next; a directory needs no such hint."""

    def publish_files(
        self, files: Sequence[tuple[bytes, str, Form | None]], progress: Callable[[int], None]
    ) -> None:
        """Store the buffers that files hold, each given as digest, path and compression."""
        from seamless_store.file_intake import publish_files

        publish_files(self.directory, files, progress=progress)

    def sync_stored(self, digests: Sequence[bytes]) -> None:
        """Make durable what was stored already."""
        from seamless_store.file_intake import sync_stored

        sync_stored(self.directory, digests)

    def pieces(self, digest: bytes) -> Iterator[bytes | memoryview] | None:
        """Yield a verified large buffer; None: read it from its file."""
        return None

    def download(self, digest: bytes, path: str, progress: Callable[[int], None]) -> bool:
        """Write a large buffer into a file, whole and true. False: it is to be copied like any other."""
        return False


def open_destination(scope: Scope, destination: str | None, *, action: str, writable: bool) -> Destination:
    """Open the directory. action: "upload" or "download".

    Raises ShellError when there is none, StoreError when it cannot be used.
    """
    from seamless_store.buffer_directory import BufferDirectory
    from seamless_store.errors import StoreMissing
    from seamless_store.layout import MARKER

    if destination is not None:
        if not os.path.isdir(destination):
            raise ShellError(
                f"The destination {destination!r} is not a directory",
                hint=f"make it (mkdir {destination}), or give another --destination",
            )
        has_marker = os.path.exists(os.path.join(destination, MARKER))
        layout: LayoutName = "prefix" if has_marker else "flat"
        return Destination(BufferDirectory(destination, layout=layout, writable=writable), destination)
    if scope.has_services:
        from .service_destination import open_services

        return open_services(scope)
    if not scope.has_cluster:
        raise ShellError(
            f"Cannot {action} without a cluster defined",
            hint="export SEAMLESS_CACHE=$HOME/seamless-cache, or give --destination DIR",
        )
    from seamless.cache_paths import cache_root, working_directory

    root = cache_root()
    assert root is not None  # has_cluster says so
    name = working_directory(root, scope.project, scope.subproject, scope.stage)
    try:
        return Destination(BufferDirectory(name, writable=writable), name)
    except StoreMissing:
        raise ShellError(
            f"There is no cache {name!r}: nothing was ever stored there",
            hint="check SEAMLESS_CACHE, --project and --stage",
        ) from None

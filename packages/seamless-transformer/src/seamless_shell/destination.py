"""The buffer directory that a command uploads to or downloads from: `--destination DIR`, or the cache's own."""

from __future__ import annotations

import os

from seamless_command.errors import ShellError

TYPE_CHECKING = False  # importing typing costs a command 6 ms
if TYPE_CHECKING:
    from types import TracebackType

    from seamless_command.scope import Scope
    from seamless_store.buffer_directory import BufferDirectory
    from seamless_store.layout import LayoutName
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

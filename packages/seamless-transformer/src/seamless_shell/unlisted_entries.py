"""What lies in a directory and is not in its index: counted before a download, removed by `--dest-rm`."""

from __future__ import annotations

import os
import stat as stat_module

from seamless_command.errors import ShellError
from seamless_command.sidecars import CHECKSUM_SUFFIX
from seamless_command.temporary_files import is_temporary

TYPE_CHECKING = False  # importing typing costs a command 6 ms
if TYPE_CHECKING:
    from collections.abc import Collection

__all__ = ("demand_removable", "remove_entries", "unlisted_entries")


def unlisted_entries(root: str, listed: Collection[str]) -> list[str]:
    """Return the paths of files and directories below `root` that do not belong there, each after what it holds.

    listed: relative paths of the files that do. Directories on the way to them belong, and so do their `.CHECKSUM`
    files. Links are not followed: a link that leads to listed files belongs.
    """
    wanted = set(listed)
    wanted |= {name + CHECKSUM_SUFFIX for name in listed}
    folders: set[str] = set()
    for name in listed:
        folder = name.rpartition("/")[0]
        while folder and folder not in folders:
            folders.add(folder)
            folder = folder.rpartition("/")[0]
    found: list[str] = []
    pending = [""]
    while pending:
        prefix = pending.pop()
        try:
            entries = os.scandir(f"{root}/{prefix}")
        except FileNotFoundError:
            continue
        with entries:
            for entry in entries:
                name = prefix + entry.name
                if entry.is_dir(follow_symlinks=False):
                    pending.append(name + "/")
                    if name not in folders:
                        found.append(f"{root}/{name}")
                elif name not in wanted and name not in folders and not is_temporary(entry.name):
                    found.append(f"{root}/{name}")
    return sorted(found, key=lambda path: (path.count("/"), path), reverse=True)


def demand_removable(root: str) -> None:
    """Raise ShellError for a directory in which nothing is to be removed by mistake."""
    real = os.path.realpath(root)
    home = os.path.realpath(os.path.expanduser("~"))
    here = os.path.realpath(".")
    for place, what in (
        ("/", "the root directory"),
        (home, "your home directory"),
        (here, "the current directory"),
    ):
        if place == real or place.startswith(real.rstrip("/") + "/"):
            raise ShellError(
                f"--dest-rm in {root!r} would empty {what}", hint="give a directory of its own: -o DIRECTORY"
            )


def remove_entries(paths: Collection[str]) -> None:
    """Remove files, links and directories, each after what it holds; a directory that got new files stays."""
    for path in paths:
        try:
            if stat_module.S_ISDIR(os.lstat(path).st_mode):
                os.rmdir(path)
            else:
                os.unlink(path)
        except FileNotFoundError:  # somebody else removed it
            continue

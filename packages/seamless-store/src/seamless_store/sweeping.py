"""Remove the temporary files that interrupted writers have left."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable
from typing import TYPE_CHECKING

from .layout import temporary_owner

if TYPE_CHECKING:
    from .filesystem import Clock, FileSystem

__all__ = ("names_in", "sweep_temporaries")


def sweep_temporaries(
    directories: Iterable[str], *, max_age_s: float, filesystem: FileSystem, clock: Clock
) -> int:
    """Remove what no living process is writing; return how many files that were.

    A file whose writer can be told dead goes at once, one whose writer lives stays. Where that cannot be
    told (another machine, container or program), it goes `max_age_s` after the last write.
    """
    n_removed = 0
    for directory in dict.fromkeys(directories):
        for name in names_in(filesystem, directory):
            owner = temporary_owner(name)
            path = f"{directory}/{name}"
            if owner is not None and _is_stale(path, owner, max_age_s, filesystem, clock):
                with contextlib.suppress(FileNotFoundError):  # another sweeper was first
                    filesystem.unlink(path)
                    n_removed += 1
    return n_removed


def names_in(filesystem: FileSystem, directory: str) -> list[str]:
    """Return the names in a directory; none if it is gone or no directory."""
    try:
        return filesystem.listdir(directory)
    except (FileNotFoundError, NotADirectoryError):
        return []


def _is_stale(path: str, owner: str, max_age_s: float, filesystem: FileSystem, clock: Clock) -> bool:
    lives = filesystem.process_lives(owner.rpartition("-")[0])
    if lives is not None:
        return not lives
    try:
        age_s = clock.time() - filesystem.stat(path).st_mtime
    except FileNotFoundError:
        return False
    return age_s > max_age_s

"""What is done about damaged files: reported, and put into quarantine where we may."""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from typing import TYPE_CHECKING

from .errors import BufferDamaged

if TYPE_CHECKING:
    from .filesystem import Clock
    from .publishing import Publisher
    from .reading import DamagedFile

__all__ = ("DamageKeeper",)

LEAVE_ALONE_S = 10.0  # a damaged file written to this recently may still be in the making


class DamageKeeper:
    """Deals with the damaged files of one buffer directory."""

    def __init__(self, publisher: Publisher, clock: Clock, *, writable: bool) -> None:
        self._publisher = publisher
        self._clock = clock
        self._writable = writable

    def report(self, damaged: Sequence[DamagedFile], digest: bytes, *, found: bool) -> None:
        """Put damaged files aside where we may; raise BufferDamaged unless the buffer was found."""
        moved_to = ""
        for file in damaged:
            if self._writable and self._clock.time() - file.changed_at > LEAVE_ALONE_S:
                with contextlib.suppress(BufferDamaged, PermissionError):  # not ours to move
                    moved_to = self._move(file, digest) or moved_to
        if found:
            return
        first = damaged[0]
        raise BufferDamaged(
            f"{first.path} does not hold the buffer of its name: {first.reason}."
            + (f" It was moved to {moved_to}." if moved_to else ""),
            digest=digest,
            path=first.path,
            remedy="store the buffer again, or run the step again that made it; then check the disk.",
            quarantined_to=moved_to,
        ) from first

    def put_aside(self, damaged: Sequence[DamagedFile], digest: bytes) -> list[str]:
        """Put the files aside, however fresh they are; return where each is now. Raises BufferDamaged if it may
        not be moved."""
        return [moved_to for file in damaged if (moved_to := self._move(file, digest))]

    def _move(self, file: DamagedFile, digest: bytes) -> str:
        return self._publisher.put_aside(file.path, digest, file.inode, file.reason)

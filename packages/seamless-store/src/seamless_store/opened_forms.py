"""An open file of a buffer, ready to be sent: its descriptor or, when it is small, its bytes.

A server sends files, not memory: by `sendfile`, or a part of them. So it needs the file open, with its
size and its form, after its content was verified; what was verified is what is then sent, because
nobody writes to a file after it has its name.
"""

from __future__ import annotations

import enum
import os
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from typing_extensions import Self

    from .filesystem import FileSystem
    from .layout import Form

__all__ = ("Missing", "OpenedForm")


class Missing(enum.Enum):
    """Why there is no file to be opened."""

    ABSENT = "absent"
    LOCKED = "locked"  # absent or damaged, and another writer's lock file says that it is at work


class OpenedForm:
    """One stored form of a buffer. Close it, or use it as a context manager.

    form: None for plain, "zst" or "gz". size_bytes: of the file, so compressed if the form is. modified_s: its
    mtime. content: the bytes of a file of at most 64 KiB, else None; then `fd` is the open file.
    """

    __slots__ = ("_filesystem", "content", "fd", "form", "modified_s", "size_bytes")

    def __init__(
        self, fd: int, stat: os.stat_result, content: bytes | None, form: Form | None, filesystem: FileSystem
    ) -> None:
        self.fd = fd
        self.form = form
        self.size_bytes = stat.st_size
        self.modified_s = stat.st_mtime
        self.content = content
        self._filesystem = filesystem

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the file; idempotent."""
        fd, self.fd = self.fd, -1
        if fd >= 0:
            self._filesystem.close(fd)

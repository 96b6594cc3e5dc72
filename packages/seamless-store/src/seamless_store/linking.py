"""Store a file of the user by a link to it instead of a copy.

A hard link costs no space and no time, and shares the file's fate: whoever writes into the file changes the buffer.
Then readers find out (they hash what has changed) and the buffer counts as damaged; nobody ever gets wrong bytes. The
same holds for a symbolic link, which is also lost when the file is moved. The mode of the file is left as it is.

Invariant: a name that we make visible is complete and true. The file is linked under a temporary name first; only if
that link is the very file that was hashed, unchanged since, does it get its final name, and never in place of another
file that can be read.
"""

from __future__ import annotations

import errno
import os
import stat as stat_module
from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple

from .errors import LinkRefused, SourceChanged, translated_os_errors
from .known_files import FileKey, file_key
from .layout import check_digest
from .publishing import SYNC_EACH_MAX, directory_of
from .reading import SETTLED_AFTER_S, DamagedFile

if TYPE_CHECKING:
    from .filesystem import Clock
    from .layout import Form
    from .publishing import Publisher
    from .reading import FileReader

__all__ = ("LinkSource", "Linker")

_REFUSALS = frozenset({errno.EXDEV, errno.EPERM, errno.EMLINK, errno.EOPNOTSUPP, errno.ENOSYS})


class LinkSource(NamedTuple):
    """A file that holds a buffer.

    form: how it is compressed. size_bytes: length of the buffer, decompressed.
    key: of the file when it was hashed (`known_files.file_key`).
    """

    digest: bytes
    path: str
    form: Form | None
    size_bytes: int
    key: FileKey


class Linker:
    """Links files into one buffer directory."""

    def __init__(self, publisher: Publisher, reader: FileReader, clock: Clock) -> None:
        self._publisher = publisher
        self._reader = reader
        self._clock = clock

    def link(self, sources: Sequence[LinkSource], *, symbolic: bool) -> None:
        """See BufferDirectory.link."""
        filesystem = self._publisher.filesystem
        new: dict[str, LinkSource] = {}
        for source in sources:
            entry = self._publisher.path(check_digest(source.digest)) + (
                f".{source.form}" if source.form else ""
            )
            if not filesystem.exists(entry):
                new.setdefault(entry, source)
        if not new:
            return
        with translated_os_errors("link files", directory_of(next(iter(new)))):
            self._link(new, symbolic)

    def _link(self, new: dict[str, LinkSource], symbolic: bool) -> None:
        publisher = self._publisher
        temporaries: dict[str, str] = {}
        sync_each = len(new) <= SYNC_EACH_MAX or not publisher.syncs_whole()
        try:
            for entry, source in new.items():
                temporaries[entry] = self._link_temporary(source, symbolic)
                if source.form is not None:
                    publisher.write_sidecar(source.digest, source.size_bytes, fsync=sync_each)
                if sync_each and not symbolic:
                    publisher.fsync_path(temporaries[entry])
            if not sync_each:
                publisher.sync_filesystem()
            for entry, temporary in temporaries.items():
                self._give_name(temporary, entry)
        finally:
            publisher.discard(temporaries.values())
        publisher.sync_directories({directory_of(entry) for entry in new})

    def _link_temporary(self, source: LinkSource, symbolic: bool) -> str:
        """Link the file under a temporary name; return that, or raise because the file is not what was hashed."""
        filesystem = self._publisher.filesystem
        real_path = os.path.realpath(source.path)
        fd, temporary = self._publisher.create_temporary(
            source.digest
        )  # makes the directory, and takes the name
        filesystem.close(fd)
        filesystem.unlink(temporary)
        try:
            if symbolic:
                filesystem.symlink(real_path, temporary)
            else:
                filesystem.link(real_path, temporary)
        except FileNotFoundError as exc:
            raise SourceChanged(source.path, source.digest, "It is gone.") from exc
        except OSError as exc:
            if exc.errno not in _REFUSALS:
                raise
            kind = "symbolic" if symbolic else "hard"
            raise LinkRefused(
                f"Cannot make a {kind} link to {source.path} in {directory_of(temporary)}: {exc.strerror}.",
                path=source.path,
                remedy="store a copy instead.",
            ) from exc
        try:
            self._demand_unchanged(source, temporary)
        except BaseException:
            self._publisher.discard([temporary])
            raise
        return temporary

    def _demand_unchanged(self, source: LinkSource, temporary: str) -> None:
        try:
            stat = self._publisher.filesystem.stat(temporary)
        except FileNotFoundError as exc:
            raise SourceChanged(source.path, source.digest, "It is gone.") from exc
        # The last part of the key, ctime, changes with every link.
        if file_key(stat)[:4] != source.key[:4] or not stat_module.S_ISREG(stat.st_mode):
            raise SourceChanged(source.path, source.digest, "It is another file, or was written to.")
        if self._clock.time() - stat.st_mtime > SETTLED_AFTER_S:
            return
        try:  # so fresh that a change could have gone unnoticed within one tick of its mtime
            self._reader.verified_length(temporary, source.form, source.digest, again=True)
        except DamagedFile as exc:
            raise SourceChanged(source.path, source.digest, f"Now {exc.reason}.") from exc

    def _give_name(self, temporary: str, entry: str) -> None:
        filesystem = self._publisher.filesystem
        if stat_module.S_ISLNK(filesystem.lstat(temporary).st_mode):
            if not filesystem.exists(entry):
                filesystem.rename(temporary, entry)
            return
        try:
            filesystem.link(temporary, entry)
        except FileExistsError:  # somebody was first, or it is a symbolic link to nothing
            if not filesystem.exists(entry):
                filesystem.rename(temporary, entry)

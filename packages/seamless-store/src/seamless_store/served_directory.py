"""A buffer directory as a server needs it: open files instead of bytes, and no wait inside.

Two kinds of questions. The quick ones (`look`, `is_known_stored`) cost a few system calls and at most 64 KiB of
hashing, so that an event loop may ask them itself; they may leave a question open. The thorough ones (`open_form`,
`confirm`) may hash a whole file and belong into a thread; they never wait for other writers' lock files, but say
that there are some, so that waiting costs the caller no thread.
"""

from __future__ import annotations

import contextlib
from collections.abc import Sequence

from .buffer_directory import BufferDirectory
from .errors import from_os_error, translated_os_errors
from .known_files import file_key
from .layout import FILE_MODE, FORM_SUFFIXES, Form
from .lock_files import is_locked
from .opened_forms import Missing, OpenedForm
from .publishing import directory_of
from .reading import DamagedFile

__all__ = ("PLAIN_FIRST", "ServedDirectory")

PLAIN_FIRST: tuple[Form | None, ...] = (None, "zst", "gz")


class ServedDirectory(BufferDirectory):
    """Takes the arguments of BufferDirectory."""

    def look(self, digest: bytes, preference: Sequence[Form | None] = PLAIN_FIRST) -> OpenedForm | None:
        """Open the preferred form that is there, if that takes no long hashing; None leaves everything open."""
        path = self._path(digest)
        try:
            for form in preference:
                try:
                    found = self._reader.opened(_place(path, form), form, digest, quick=True)
                except FileNotFoundError:
                    continue
                except DamagedFile:
                    return None
                return None if found is None else OpenedForm(*found, form, self._filesystem)
        except OSError as exc:  # no `with`: this is the way of every small answer
            raise from_os_error(exc, "read a buffer", path) from exc
        return None

    def open_form(
        self,
        digest: bytes,
        preference: Sequence[Form | None] = PLAIN_FIRST,
        *,
        heed_locks: bool = True,
    ) -> OpenedForm | Missing:
        """Open the first form, in the order of preference, that is there and not damaged.

        A plain file is verified; a compressed one is opened as it is. heed_locks: False when locks were waited
        for. Raises BufferDamaged if only damaged files remain; they are put aside as by `get`.
        """
        path = self._path(digest)
        damaged: list[DamagedFile] = []
        with translated_os_errors("read a buffer", path):
            for form in preference:
                try:
                    found = self._reader.opened(_place(path, form), form, digest)
                except FileNotFoundError:
                    continue
                except DamagedFile as exc:
                    damaged.append(exc)
                    continue
                assert found is not None  # nothing was asked to be quick
                opened = OpenedForm(*found, form, self._filesystem)
                if damaged:
                    self._damage.report(damaged, digest, found=True)
                return opened
            if heed_locks and self._is_locked(path):
                return Missing.LOCKED
            if damaged:
                self._damage.report(damaged, digest, found=False)
            return Missing.ABSENT

    def is_known_stored(self, digest: bytes, form: Form | None = None) -> bool:
        """Tell whether `confirm` would say yes without hashing or syncing anything; quick."""
        path = _place(self._path(digest), form)
        try:
            key = file_key(self._filesystem.stat(path))
        except (FileNotFoundError, NotADirectoryError):
            return False
        return self._verified.holds(path, key) and self._publisher.durable.holds(path, key)

    def confirm(self, digest: bytes, form: Form | None = None) -> bool:
        """Tell whether this form is stored and true; if it is, it is also durable when this returns.

        A damaged file is left where it is, to be replaced by the upload that it calls for.
        """
        self._demand_writable()
        path = _place(self._path(digest), form)
        filesystem, publisher = self._filesystem, self._publisher
        with translated_os_errors("look for a buffer", path):
            try:
                stat = filesystem.stat(path)
                if not self._verified.holds(path, file_key(stat)):
                    self._reader.verified_length(path, form, digest)
                if stat.st_mode & 0o777 != FILE_MODE and publisher.is_ours_alone(path, stat):
                    with contextlib.suppress(PermissionError):
                        filesystem.chmod(path, FILE_MODE)
                if not publisher.durable.holds(path, file_key(stat)):
                    publisher.fsync_path(path)
                    publisher.sync_directories({directory_of(path)})
                key = file_key(filesystem.stat(path))
            except (FileNotFoundError, NotADirectoryError, DamagedFile):
                return False
        publisher.durable.add(path, key)
        return True

    def is_there(self, digest: bytes, form: Form | None = None) -> bool:
        """Tell whether the name of this form exists; quick, and by name alone."""
        return self._filesystem.exists(_place(self._path(digest), form))

    def _is_locked(self, path: str) -> bool:
        return is_locked(
            directory_of(path),
            [path + suffix for suffix in FORM_SUFFIXES],
            filesystem=self._filesystem,
            clock=self._clock,
            timeout_s=self._lock_timeout_s,
        )


def _place(path: str, form: Form | None) -> str:
    return f"{path}.{form}" if form else path

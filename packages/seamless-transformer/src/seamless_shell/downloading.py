"""Download buffers into files: look at what is there, ask, write what is missing, then tidy up.

Everything that can be refused is refused before anything is written: a damaged index, a path that leads out of its
directory, a missing buffer, an unlisted file. Each file is the old one or the new one at any moment.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, NamedTuple

from seamless_command.errors import ShellError
from seamless_command.temporary_files import sweep_temporaries

from .file_checksum import hash_as

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence
    from typing import Literal

    from seamless_command.messages import Messages
    from seamless_store.layout import Form

    from .confirmation import Answer
    from .destination import Destination
    from .download_targets import DownloadTarget, IndexedTarget

__all__ = ("DownloadOptions", "WantedFile", "download_files", "wanted_files")

SHOWN_MAX = 10


class DownloadOptions(NamedTuple):
    """How to download.

    link: make links to the stored files instead of copies. existing: what is done about a file that is there already;
    None replaces it if it differs. incremental: do not read a file that is, by a hard link, the stored one.
    """

    link: Literal["hard", "symbolic"] | None = None
    existing: Literal["skip", "verify"] | None = None
    incremental: bool = False
    answer: Answer = None


class WantedFile(NamedTuple):
    """A file to be written. form: how it is compressed. root: the directory of the index that it comes from."""

    path: str
    digest: bytes
    form: Form | None
    root: str | None


def wanted_files(
    targets: Iterable[DownloadTarget], indices: Iterable[IndexedTarget], form: Form | None
) -> list[WantedFile]:
    """Return every file that is to be there in the end.

    form: of the files of directories. None: plain, but what is there compressed stays compressed.
    """
    wanted = [
        WantedFile(_with_suffix(target.path, target.form), target.digest, target.form, None)
        for target in targets
        if not target.is_directory
    ]
    for indexed in indices:
        root = indexed.target.path
        exists = os.path.isdir(root)
        for name, digest in indexed.files.items():
            path = f"{root}/{name}"
            present = _form_present(path) if exists and form is None else form
            wanted.append(WantedFile(_with_suffix(path, present), digest, present, root))
    return wanted


def _form_present(path: str) -> Form | None:
    """Return how a file is compressed that is there instead of the plain one."""
    if os.path.lexists(path):
        return None
    forms: tuple[Form, ...] = ("gz", "zst")
    return next((form for form in forms if os.path.isfile(f"{path}.{form}")), None)


def download_files(
    wanted: Sequence[WantedFile],
    destination: Destination,
    options: DownloadOptions,
    messages: Messages,
    *,
    dry_run: bool = False,
) -> None:
    """Write what is not there yet. Raises ShellError before anything is written, OSError and StoreError."""
    from seamless_command.progress import byte_progress

    from .confirmation import confirm_transfer
    from .transfer_limits import human_size

    checked_folders: set[str] = set()
    new, n_replaced = [], 0
    for file in wanted:
        state = _state(file, destination, options)
        if state != "same":
            _check_folders(file, checked_folders)
            new.append(file)
            n_replaced += state == "other"
    _demand_present(new, destination)
    n_bytes = sum(n or 0 for n in destination.directory.length_many([file.digest for file in new]))
    summary = f"ownload {len(new)} files, total {human_size(n_bytes)}"
    if dry_run:
        messages.say(0, f"Would d{summary}")
        return
    confirm_transfer("download", len(new), n_bytes, options.answer)
    messages.say(1, f"D{summary}" if new else "Download no files")
    folders = {os.path.dirname(file.path) for file in new}
    for folder in folders:
        os.makedirs(folder or ".", exist_ok=True)
        sweep_temporaries(folder)
    destination.expect([file.digest for file in new])
    with byte_progress("Download", n_bytes, quiet=messages.verbosity < 0) as progress:
        for file in new:
            _fetch(file, destination, options, progress.advance)
    if n_replaced:
        messages.say(0, f"Replaced {n_replaced} files that held something else")


def _fetch(
    file: WantedFile, destination: Destination, options: DownloadOptions, advance: Callable[[int], None]
) -> None:
    from .buffer_output import link_buffer, write_buffer

    if options.link is not None and link_buffer(destination, file.digest, file.path, file.form, options.link):
        return
    write_buffer(destination, file.digest, file.path, file.form, progress=advance)


def _with_suffix(path: str, form: Form | None) -> str:
    return path if form is None else f"{path}.{form}"


def _state(
    file: WantedFile, destination: Destination, options: DownloadOptions
) -> Literal["absent", "same", "other"]:
    """Tell what is there now. Raises ShellError for a directory, and for another content if that is to fail."""
    if not os.path.exists(file.path):
        return "absent"
    if os.path.isdir(file.path):
        raise ShellError(
            f"{file.path!r} is a directory, and would be replaced by a file", hint="remove or rename it"
        )
    if options.existing == "skip":
        return "same"
    entry = destination.directory.form_path(file.digest, file.form)
    if options.incremental and os.path.exists(entry) and os.path.samefile(entry, file.path):
        return "same"
    if _holds(file):
        return "same"
    if options.existing == "verify":
        raise ShellError(
            f"Destination entry '{file.path}' does not match checksum '{file.digest.hex()}'",
            hint="--dest-repair replaces it",
        )
    return "other"


def _holds(file: WantedFile) -> bool:
    try:
        return hash_as(file.path, file.form).digest == file.digest
    except ShellError:  # no compressed file, no regular file, or one that is being written
        return False


def _check_folders(file: WantedFile, checked: set[str]) -> None:
    """Refuse to write through a link, or below a file, inside the directory of an index."""
    if file.root is None:
        return
    folder = os.path.dirname(file.path)
    while len(folder) > len(file.root) and folder not in checked:
        checked.add(folder)
        if os.path.islink(folder):
            raise ShellError(
                f"{folder!r} is a link, so {file.path!r} may lie outside of {file.root!r}",
                hint=f"remove the link (rm {folder}) to have a directory of your own there",
            )
        if os.path.lexists(folder) and not os.path.isdir(folder):
            raise ShellError(
                f"{folder!r} is a file, and {file.path!r} is to lie below it", hint="remove or rename it"
            )
        folder = os.path.dirname(folder)


def _demand_present(files: Sequence[WantedFile], destination: Destination) -> None:
    present = destination.directory.has_many([file.digest for file in files])
    missing = [file for file, is_there in zip(files, present, strict=True) if not is_there]
    if not missing:
        return
    lines = [f"  {file.digest.hex()}  {file.path}" for file in missing[:SHOWN_MAX]]
    if len(missing) > SHOWN_MAX:
        lines.append(f"  and {len(missing) - SHOWN_MAX} more")
    raise ShellError(
        f"{len(missing)} of {len(files)} buffers are not in {destination.name!r}; nothing was written:\n"
        + "\n".join(lines),
        hint="upload them from where they are, or run the step again that made them",
    )

"""Upload files and directories: hash them, store what is missing, write their sidecars.

Invariant: a sidecar is written only when every buffer that it stands for is durably stored; an original is removed only
after that (`moving`).
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, NamedTuple

from seamless_command.errors import ShellError
from seamless_command.sidecars import (
    CHECKSUM_SUFFIX,
    INDEX_SUFFIX,
    SidecarInvalid,
    read_checksum,
    sidecar_target,
)

from .compression import split_compression
from .file_checksum import HashedFile, hash_files

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from typing import Literal

    from seamless_command.messages import Messages

    from .confirmation import Answer
    from .destination import Destination
    from .directory_index import DirectoryIndex

__all__ = ("UploadItem", "UploadOptions", "prepare_items", "upload_items")


class UploadOptions(NamedTuple):
    """How to upload.

    link: store links instead of copies. existing: what is done about buffers that are there already.
    incremental: do not hash a file again that is, by a hard link, the stored one.
    durable: everything survives a power cut, sidecars too. dry_run: store nothing, only say how much it would be.
    """

    link: Literal["hard", "symbolic"] | None = None
    existing: Literal["skip", "verify", "repair"] = "skip"
    incremental: bool = False
    answer: Answer = None
    durable: bool = False
    dry_run: bool = False


class UploadItem:
    """One file or directory of the command line. target: what its sidecars are named after."""

    __slots__ = ("file", "index", "path", "target")

    def __init__(self, path: str, target: str, file: HashedFile | None, index: DirectoryIndex | None) -> None:
        self.path = path
        self.target = target
        self.file = file
        self.index = index

    @property
    def digest(self) -> bytes:
        found = self.file if self.file is not None else self.index
        assert found is not None
        return found.digest

    @property
    def files(self) -> list[HashedFile]:
        """All files of the item."""
        if self.index is not None:
            return list(self.index.files.values())
        return [] if self.file is None else [self.file]


def prepare_items(paths: Sequence[str], destination: Destination, *, incremental: bool) -> list[UploadItem]:
    """Hash everything. Raises OSError and ShellError before anything is stored."""
    from .directory_index import index_directory

    hash_paths = _hash_unless_linked(destination) if incremental else hash_files
    directories = {path for path in paths if os.path.isdir(path)}
    plain = [path for path in paths if path not in directories]
    hashed = dict(zip(plain, hash_paths(plain), strict=True))
    items = []
    for path in dict.fromkeys(paths):
        if path in directories:
            _demand_outside(path, destination)
            index = index_directory(path, hash_paths=hash_paths)
            items.append(UploadItem(path, sidecar_target(path), None, index))
        else:
            items.append(UploadItem(path, split_compression(path)[0], hashed[path], None))
    _demand_distinct(items)
    return items


def upload_items(
    items: Sequence[UploadItem], destination: Destination, options: UploadOptions, messages: Messages
) -> None:
    """Store what is missing, then write the sidecars. Raises ShellError and StoreError."""
    from .confirmation import confirm_transfer
    from .transfer_limits import human_size

    files = {file.digest: file for item in items for file in item.files}
    indices = {item.index.digest: item.index.content for item in items if item.index is not None}
    digests = list(dict.fromkeys([*files, *indices]))
    repaired = _check_existing(digests, destination, options)
    present = destination.directory.has_many(digests)
    missing = [digest for digest, is_there in zip(digests, present, strict=True) if not is_there]
    for digest in set(digests) - set(missing):
        if digest in files:
            messages.say(2, f"Already stored: {files[digest].path!r}, checksum {digest.hex()}")
    n_bytes = sum(len(indices[digest]) if digest in indices else files[digest].length for digest in missing)
    if options.dry_run:
        messages.say(0, f"Would upload {len(missing)} files, total {human_size(n_bytes)}")
        return
    if missing:
        confirm_transfer("upload", len(missing), n_bytes, options.answer)
        messages.say(0, f"Upload {len(missing)} files, total {human_size(n_bytes)}")
    else:
        messages.say(1, "Upload no files")
    new_files = [files[digest] for digest in missing if digest not in indices]
    new_indices = [(digest, [indices[digest]]) for digest in missing if digest in indices]
    _store(new_files, destination, options, messages, copied=repaired)
    destination.directory.publish(new_indices)
    if options.durable:
        destination.sync_stored([digest for digest in digests if digest not in set(missing)])
    _write_sidecars(items, durable=options.durable)


def _check_existing(digests: Sequence[bytes], destination: Destination, options: UploadOptions) -> set[bytes]:
    """Verify or repair what is there already, as asked; return the digests of what was put aside."""
    repaired: set[bytes] = set()
    if options.existing == "skip":
        return repaired
    for digest in digests:
        damaged = destination.directory.damaged_forms(digest)
        if not damaged:
            continue
        if options.existing == "verify":
            raise ShellError(
                f"Destination entry '{destination.shown(damaged[0])}' does not match checksum '{digest.hex()}'",
                hint="--dest-repair puts it aside and stores the buffer again",
            )
        if not options.dry_run:
            destination.directory.repair(digest)
        repaired.add(digest)
    return repaired


def _store(
    files: Sequence[HashedFile],
    destination: Destination,
    options: UploadOptions,
    messages: Messages,
    *,
    copied: set[bytes],
) -> None:
    from seamless_command.progress import byte_progress
    from seamless_store.errors import LinkRefused

    linked = [] if options.link is None else [file for file in files if file.digest not in copied]
    if linked:
        from seamless_store.linking import LinkSource

        messages.say(1, f"Link {len(linked)} files: from now on they must never be changed in place")
        sources = [
            LinkSource(file.digest, file.path, file.compression, file.length, file.key) for file in linked
        ]
        try:
            destination.directory.link(sources, symbolic=options.link == "symbolic")
        except LinkRefused as exc:
            raise ShellError(exc.cause.rstrip("."), hint="--copy stores copies instead") from exc
        files = [file for file in files if file.digest in copied]
    with byte_progress(
        "Upload", sum(file.key[2] for file in files), quiet=messages.verbosity < 0
    ) as progress:
        destination.publish_files(
            [(file.digest, file.path, file.compression) for file in files], progress.advance
        )


def _write_sidecars(items: Sequence[UploadItem], *, durable: bool) -> None:
    from seamless_command.sidecars import write_checksum, write_index

    for item in items:
        if item.index is not None:
            write_index(item.target, item.index.content, durable=durable)
        write_checksum(item.target, item.digest.hex(), durable=durable)


def _demand_outside(path: str, destination: Destination) -> None:
    inner, outer = os.path.realpath(destination.directory.root), os.path.realpath(path)
    if inner == outer or inner.startswith(outer.rstrip("/") + "/"):
        raise ShellError(
            f"The destination {destination.name!r} lies in {path!r}, which is to be uploaded into it",
            hint="upload the files that you mean, or choose another destination",
        )


def _demand_distinct(items: Sequence[UploadItem]) -> None:
    """Refuse two items that would write different sidecars of one name, such as a.txt and another a.txt.gz."""
    seen: dict[str, UploadItem] = {}
    for item in items:
        other = seen.setdefault(item.target, item)
        if other.digest != item.digest:
            raise ShellError(
                f"{other.path!r} and {item.path!r} differ, but both are named {item.target + CHECKSUM_SUFFIX!r}",
                hint="upload them one after the other, and rename the checksum file in between",
            )


def _hash_unless_linked(destination: Destination) -> Callable[[Sequence[str]], list[HashedFile]]:
    """Return a `hash_files` that takes the word of the sidecars for a file that is the stored one itself."""

    def hash_paths(paths: Sequence[str]) -> list[HashedFile]:
        known = {path: file for path in paths if (file := _linked_file(path, destination)) is not None}
        hashed = hash_files([path for path in paths if path not in known])
        known.update((file.path, file) for file in hashed)
        return [known[path] for path in paths]

    indices: dict[str, dict[str, str]] = {}

    def _linked_file(path: str, destination: Destination) -> HashedFile | None:
        from seamless_store.known_files import file_key

        stem, form = split_compression(path)
        hex_ = _checksum_of_sidecar(stem) or _checksum_of_index(stem, indices)
        if hex_ is None:
            return None
        digest = bytes.fromhex(hex_)
        try:
            stat = os.stat(path)
            entry = os.stat(destination.directory.form_path(digest, form))
        except OSError:
            return None
        if (stat.st_dev, stat.st_ino) != (entry.st_dev, entry.st_ino):
            return None
        length = stat.st_size if form is None else destination.directory.length(digest)
        return None if length is None else HashedFile(path, digest, length, form, file_key(stat))

    return hash_paths


def _checksum_of_sidecar(stem: str) -> str | None:
    try:
        return read_checksum(stem + CHECKSUM_SUFFIX)
    except (OSError, SidecarInvalid):
        return None


def _checksum_of_index(stem: str, indices: dict[str, dict[str, str]]) -> str | None:
    """Return what the index of a directory above says of a file. indices: those that were read already."""
    import json

    from seamless.checksum import is_checksum_text

    directory, _, name = stem.rpartition("/")
    while directory:
        if directory not in indices:
            try:
                with open(directory + INDEX_SUFFIX, "rb") as file:
                    content = json.loads(file.read())
            except (OSError, ValueError):
                content = {}
            indices[directory] = content if isinstance(content, dict) else {}
        found = indices[directory].get(name)
        if isinstance(found, str) and is_checksum_text(found):
            return found
        directory, _, parent = directory.rpartition("/")
        name = f"{parent}/{name}"
    return None

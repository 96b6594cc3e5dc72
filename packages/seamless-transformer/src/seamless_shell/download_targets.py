"""What the words of a download mean: which checksum, and where to.

A word is a checksum, `X.CHECKSUM`, `X.INDEX`, or X itself with such a file beside it. It stands for a directory if
there is `X.INDEX`. The checksum file decides; the index file only saves reading the index from the store.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, NamedTuple

from seamless.checksum import is_checksum_text
from seamless_command.errors import ShellError
from seamless_command.sidecars import (
    CHECKSUM_SUFFIX,
    INDEX_SUFFIX,
    SidecarInvalid,
    read_checksum,
    sidecar_target,
)

from .compression import split_compression

if TYPE_CHECKING:
    from collections.abc import Sequence

    from seamless_store.layout import Form

    from .destination import Destination

__all__ = ("DownloadTarget", "IndexedTarget", "parse_targets", "read_index")


class DownloadTarget(NamedTuple):
    """One file or directory to download.

    path: where to, without the suffix of `form`. source: what its sidecars are named after, None for a raw checksum.
    """

    path: str
    digest: bytes
    is_directory: bool
    form: Form | None
    source: str | None


class IndexedTarget(NamedTuple):
    """A directory to download. content: its index as it is stored. files: relative path -> digest."""

    target: DownloadTarget
    content: bytes
    files: dict[str, bytes]


def parse_targets(
    words: Sequence[str], outputs: Sequence[str], *, raw_are_directories: bool, form: Form | None
) -> list[DownloadTarget]:
    """Return what each word stands for. outputs: where the first of them go instead.

    Raises ShellError, and OSError for a file that cannot be read.
    """
    if len(outputs) > len(words):
        raise ShellError(
            f"There are {len(outputs)} outputs for {len(words)} downloads: {outputs[len(words)]!r} is one too many",
            hint="the first -o is for the first word, and so on",
        )
    targets = []
    for position, word in enumerate(words):
        target = _parse(word, raw_are_directories)
        if position < len(outputs):
            path = outputs[position]
            target = target._replace(path=sidecar_target(path) if target.is_directory else path, form=None)
        targets.append(target if form is None else target._replace(form=form))
    _demand_distinct(targets)
    return targets


def _parse(word: str, raw_are_directories: bool) -> DownloadTarget:
    if not word:
        raise ShellError("An empty word is no checksum, file or directory")
    if is_checksum_text(word):
        return DownloadTarget(word, bytes.fromhex(word), raw_are_directories, None, None)
    if word.endswith(INDEX_SUFFIX):
        return _of_index(word, word[: -len(INDEX_SUFFIX)])
    if word.endswith(CHECKSUM_SUFFIX):
        return _of_sidecar(word[: -len(CHECKSUM_SUFFIX)], None, word)
    stem = sidecar_target(word)
    if not os.path.exists(stem + CHECKSUM_SUFFIX):
        if os.path.exists(stem + INDEX_SUFFIX):
            return _of_index(stem + INDEX_SUFFIX, stem)
        plain, form = split_compression(stem)
        if form is not None and os.path.exists(plain + CHECKSUM_SUFFIX):
            return _of_sidecar(plain, form, plain + CHECKSUM_SUFFIX)
        raise ShellError(
            f"{word!r} is no checksum, and there is no {stem + CHECKSUM_SUFFIX!r} that says what it holds",
            hint="give a checksum of 64 hexadecimal digits, or X for which there is X.CHECKSUM",
        )
    target = _of_sidecar(stem, None, stem + CHECKSUM_SUFFIX)
    return target._replace(is_directory=True) if word.endswith("/") else target


def _of_sidecar(stem: str, form: Form | None, sidecar: str) -> DownloadTarget:
    try:
        digest = bytes.fromhex(read_checksum(sidecar))
    except SidecarInvalid as exc:
        raise ShellError(
            str(exc), hint=f"seamless-checksum-file {stem} writes it anew from the file"
        ) from exc
    is_directory = form is None and os.path.exists(stem + INDEX_SUFFIX)
    return DownloadTarget(stem, digest, is_directory, form, stem)


def _of_index(index: str, stem: str) -> DownloadTarget:
    if os.path.exists(stem + CHECKSUM_SUFFIX):
        return _of_sidecar(stem, None, stem + CHECKSUM_SUFFIX)._replace(is_directory=True)
    import hashlib

    with open(index, "rb") as file:
        return DownloadTarget(stem, hashlib.sha256(file.read()).digest(), True, None, stem)


def _demand_distinct(targets: Sequence[DownloadTarget]) -> None:
    seen: dict[str, DownloadTarget] = {}
    for target in targets:
        other = seen.setdefault(os.path.abspath(target.path), target)
        if other.digest != target.digest:
            raise ShellError(f"Two downloads go to {target.path!r}", hint="-o OUTPUT says where each goes")


def read_index(target: DownloadTarget, destination: Destination) -> IndexedTarget:
    """Read the index of a directory, from the file beside it or from the store, and check it.

    Raises ShellError for what is no index, and for a path in it that would leave the directory.
    """
    content = _local_index(target)
    if content is None:
        stored = destination.directory.get(target.digest)
        if stored is None:
            raise ShellError(
                f"The index {target.digest.hex()} of {target.path!r} is not in {destination.name!r}",
                hint="upload it from where it is: seamless-upload DIRECTORY",
            )
        content = bytes(stored)
    return IndexedTarget(target, content, _parsed(target, content))


def _local_index(target: DownloadTarget) -> bytes | None:
    import hashlib

    if target.source is None:
        return None
    try:
        with open(target.source + INDEX_SUFFIX, "rb") as file:
            content = file.read()
    except OSError:
        return None
    return content if hashlib.sha256(content).digest() == target.digest else None


def _parsed(target: DownloadTarget, content: bytes) -> dict[str, bytes]:
    import json

    from seamless.deep import validate_index

    what = f"{target.digest.hex()} of {target.path!r}"
    try:
        index = json.loads(content)
        validate_index(index, "deepfolder")
    except (ValueError, TypeError, RecursionError) as exc:
        raise ShellError(
            f"{what} is no index of a directory: {exc}", hint="without --directory, it is a file"
        ) from exc
    for path in index:
        parent = path.rpartition("/")[0]
        while parent:
            if parent in index:
                raise ShellError(f"The index {what} has a file {parent!r} and a file {path!r} below it")
            parent = parent.rpartition("/")[0]
    return {path: bytes.fromhex(hex_) for path, hex_ in index.items()}

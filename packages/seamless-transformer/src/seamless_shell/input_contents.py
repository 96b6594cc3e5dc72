"""What the inputs of a command hold: their checksums, and where the content of each can be had."""

from __future__ import annotations

from collections.abc import Mapping

from seamless_command.errors import ShellError

from .compression import split_compression
from .file_checksum import HashedFile, hash_files

TYPE_CHECKING = False  # importing typing costs a command 6 ms
if TYPE_CHECKING:
    from .input_words import InputPath

__all__ = ("InputContent", "read_inputs")


class InputContent:
    """One input by content.

    kind: "file" or "directory". digest: of the file (decompressed), or of the directory's index. index_content: that
    index. files: what the content is read from; empty when only a sidecar file is there.
    """

    __slots__ = ("digest", "files", "index_content", "kind", "label", "pin")

    def __init__(
        self,
        pin: str,
        kind: str,
        label: str,
        digest: bytes,
        index_content: bytes | None,
        files: tuple[HashedFile, ...],
    ) -> None:
        self.pin = pin
        self.kind = kind
        self.label = label
        self.digest = digest
        self.index_content = index_content
        self.files = files


def read_inputs(inputs: Mapping[str, InputPath]) -> list[InputContent]:
    """Return the content of each input, by pin, in the same order.

    A file or directory that is there must be what its sidecar says, if it has one. Raises ShellError.
    """
    plain = [found.path for found in inputs.values() if found.kind == "file" and found.exists]
    hashed = {file.path: file for file in hash_files(plain)}
    return [_content(pin, found, hashed.get(found.path)) for pin, found in inputs.items()]


def _content(pin: str, found: InputPath, file: HashedFile | None) -> InputContent:
    stated = _stated_digest(found) if found.has_sidecar else None
    if found.kind == "file":
        if file is not None and stated is not None and file.digest != stated:
            raise _differs(found, "file", f"seamless-checksum-file {found.path}")
        digest = file.digest if file is not None else stated
        assert digest is not None  # an input exists, or has a sidecar
        return InputContent(pin, "file", found.label, digest, None, () if file is None else (file,))
    if found.exists:
        from .directory_index import index_directory

        index = index_directory(found.path)
        if stated is not None and index.digest != stated:
            raise _differs(found, "directory", f"seamless-checksum-index {found.path}")
        return InputContent(
            pin, "directory", found.label, index.digest, index.content, tuple(index.files.values())
        )
    assert stated is not None
    return InputContent(pin, "directory", found.label, stated, _stated_index(found, stated), ())


def _stated_digest(found: InputPath) -> bytes:
    from seamless_command.sidecars import CHECKSUM_SUFFIX, SidecarInvalid, read_checksum

    sidecar = split_compression(found.path)[0] + CHECKSUM_SUFFIX
    try:
        return bytes.fromhex(read_checksum(sidecar))
    except SidecarInvalid as exc:
        raise ShellError(
            f"{found.label}, .CHECKSUM file exists, but does not contain a valid checksum",
            hint=f"{exc.reason}; write it anew (seamless-checksum-file), or remove {exc.path}",
        ) from exc


def _stated_index(found: InputPath, digest: bytes) -> bytes:
    """Return the content of the `.INDEX` file. Raises ShellError unless it is what `.CHECKSUM` says."""
    import hashlib

    from seamless_command.sidecars import INDEX_SUFFIX

    with open(found.path + INDEX_SUFFIX, "rb") as file:
        content = file.read()
    if hashlib.sha256(content).digest() != digest:
        raise ShellError(
            f"{found.label}: {found.path}{INDEX_SUFFIX} is not the index that {found.path}.CHECKSUM names.",
            hint=f"remove both, or write them anew from the directory: seamless-checksum-index {found.path}",
        )
    return content


def _differs(found: InputPath, kind: str, command: str) -> ShellError:
    return ShellError(
        f"Argument exists as {kind} and .CHECKSUM file, but the checksums are not the same\n{found.label}",
        hint=f"if the {kind} is right: {command}; if the checksum is right: seamless-download {found.path}",
    )

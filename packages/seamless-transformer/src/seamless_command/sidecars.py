"""The small files beside a file or directory that say what it is, or was: `X.CHECKSUM` and `X.INDEX`.

Invariant: a reader sees the old content of a sidecar or the new one, never a part. A sidecar is trusted in place of
the file that it describes, so half of one would be worse than none.
"""

from __future__ import annotations

from .errors import ShellError
from .temporary_files import atomic_write

__all__ = (
    "CHECKSUM_SUFFIX",
    "INDEX_SUFFIX",
    "SidecarInvalid",
    "parse_checksum",
    "read_checksum",
    "sidecar_target",
    "write_checksum",
    "write_index",
)

CHECKSUM_SUFFIX = ".CHECKSUM"
INDEX_SUFFIX = ".INDEX"
MAX_CHECKSUM_BYTES = 64 * 1024  # a checksum with comments; whatever is longer is another kind of file


class SidecarInvalid(Exception):
    """A `.CHECKSUM` file holds something else than one checksum.

    path: the file. reason: what it holds.

    Remedy: write it anew: `seamless-checksum-file FILE`, or `seamless-checksum-index DIRECTORY`.
    """

    def __init__(self, path: str, reason: str) -> None:
        super().__init__(f"{path!r} is no checksum file: {reason}")
        self.path = path
        self.reason = reason


def read_checksum(path: str) -> str:
    """Return the checksum in this file: 64 lower-case hexadecimal digits. Raises OSError and SidecarInvalid.

    Blank lines and lines that begin with `#` do not count.
    """
    with open(path, "rb") as file:
        content = file.read(MAX_CHECKSUM_BYTES + 1)
    return parse_checksum(content, path)


def parse_checksum(content: bytes, path: str) -> str:
    """Return the checksum that the content of a `.CHECKSUM` file holds. Raises SidecarInvalid, which names `path`."""
    from seamless.checksum import is_checksum_text

    if len(content) > MAX_CHECKSUM_BYTES:
        raise SidecarInvalid(path, f"it is longer than {MAX_CHECKSUM_BYTES} bytes")
    try:
        text = content.decode()
    except UnicodeDecodeError:
        raise SidecarInvalid(path, "it holds bytes that are no text") from None
    lines = [line.strip() for line in text.splitlines()]
    lines = [line for line in lines if line and not line.startswith("#")]
    if not lines:
        raise SidecarInvalid(path, "it is empty")
    if len(lines) > 1:
        raise SidecarInvalid(path, f"it holds {len(lines)} lines; expected one checksum")
    if not is_checksum_text(lines[0]):
        raise SidecarInvalid(path, f"it holds {lines[0][:80]!r}; expected 64 lower-case hexadecimal digits")
    return lines[0]


def sidecar_target(path: str) -> str:
    """Return what the sidecars of a directory are named after: its path without a slash at the end.

    `.` and `..` have no name of their own: there it is the absolute path, so the sidecars lie beside the directory.
    """
    import os

    target = path.rstrip("/")
    if os.path.basename(target) in (".", ".."):
        target = os.path.abspath(path)
    if not target.rstrip("/"):
        raise ShellError(
            "the root directory has no place for sidecars beside it", hint="name a directory in it"
        )
    return target


def write_checksum(target: str, checksum_hex: str, *, durable: bool = False) -> None:
    """Write `target.CHECKSUM`. durable: it survives a power cut when this returns."""
    atomic_write(target + CHECKSUM_SUFFIX, f"{checksum_hex}\n".encode(), durable=durable)


def write_index(target: str, content: bytes, *, durable: bool = False) -> None:
    """Write `target.INDEX`."""
    atomic_write(target + INDEX_SUFFIX, content, durable=durable)

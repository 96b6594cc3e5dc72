"""Buffers from files, plain or compressed, verified."""

from __future__ import annotations

from typing import TYPE_CHECKING

from .errors import FileChanged

if TYPE_CHECKING:
    from seamless_store.layout import Form

    from .buffer import Buffer
    from .checksum import Checksum

__all__ = ("read_buffer",)


def read_buffer(checksum: Checksum, path: str, form: Form | None) -> Buffer:
    """Return the buffer that the file holds. Raises OSError, and FileChanged unless it has this checksum."""
    from .buffer import Buffer

    with open(path, "rb") as file:
        content = file.read()
    if form is not None:
        from seamless_store.compressed import decompressed
        from seamless_store.errors import CompressedStreamInvalid, DecompressionLimitExceeded

        try:
            content = b"".join(decompressed(form, [content], name=path))
        except (CompressedStreamInvalid, DecompressionLimitExceeded) as exc:
            raise FileChanged(path, checksum, exc.cause) from exc
    buffer = Buffer(content)
    if buffer.get_checksum() != checksum:
        raise FileChanged(path, checksum, f"Its checksum is {buffer.get_checksum()}.")
    return buffer

"""Compress to zstd or gzip, in constant memory; equal content gives equal bytes with one version of the library.

Nothing of time, place or name goes into the stream: gzip has mtime 0 and no name, zstd states the size of the content.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .layout import Form

__all__ = ("compressed",)

GZIP_LEVEL = 6
ZSTD_LEVEL = 3
_GZIP_WBITS = 31  # zlib: a gzip frame around the largest window


def compressed(form: Form, chunks: Iterable[bytes | memoryview], *, size_bytes: int) -> Iterator[bytes]:
    """Yield the compressed stream in pieces.

    size_bytes: how much the chunks hold in all; another amount is an error of zstd.

    >>> import gzip
    >>> gzip.decompress(b"".join(compressed("gz", [b"hel", b"lo"], size_bytes=5)))
    b'hello'
    """
    if form == "gz":
        import zlib

        gzip_stream = zlib.compressobj(GZIP_LEVEL, zlib.DEFLATED, _GZIP_WBITS)
        yield from (piece for chunk in chunks if (piece := gzip_stream.compress(chunk)))
        yield gzip_stream.flush()
    else:
        import zstandard

        zstd_stream = zstandard.ZstdCompressor(level=ZSTD_LEVEL).compressobj(size=size_bytes)
        yield from (piece for chunk in chunks if (piece := zstd_stream.compress(chunk)))
        yield zstd_stream.flush()

"""From an answer to a verified buffer, in memory or in a file.

Invariant: what is returned, or renamed to its final name, hashes to the checksum that was asked for. Compressed answers
(zstd, gzip) are decompressed strictly and in bounded pieces; the digest is that of the content. Hashing overlaps with
receiving when there is much: one chunk is hashed by a helper thread while the next one arrives.
"""

from __future__ import annotations

import hashlib
import mmap
import os

from seamless.buffer import Buffer

from .http_message import ExchangeFailed

TYPE_CHECKING = False  # importing typing costs a command 6 ms
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from seamless.checksum import Checksum
    from seamless_store.layout import Form

    from .light_http import Response

    Progress = Callable[[int, "int | None"], None]

__all__ = ("Mismatch", "form_of", "receive_buffer", "receive_file")

LARGE_BYTES = 1024 * 1024  # from here on: memory of its own, hashed while it arrives
PIECE_BYTES = 1024 * 1024
_FORMS: dict[str, Form | None] = {
    "": None,
    "identity": None,
    "zstd": "zst",
    "x-zstd": "zst",
    "gzip": "gz",
    "x-gzip": "gz",
}


class Mismatch:
    """What came is not the buffer: `found` is the digest of what came, or says why it could not be decoded."""

    __slots__ = ("found",)

    def __init__(self, found: str) -> None:
        self.found = found


def form_of(response: Response) -> Form | None:
    """Return how the body is compressed. Raises ExchangeFailed for a coding that was not asked for."""
    coding = response.headers.get("content-encoding", "").strip().lower()
    if coding not in _FORMS:
        raise ExchangeFailed("damaged", f"the answer has the content encoding {coding[:40]!r}")
    return _FORMS[coding]


def receive_buffer(response: Response, checksum: Checksum) -> Buffer | Mismatch:
    """Return the buffer that the answer holds."""
    form = form_of(response)
    length = response.length
    if form is None and length is not None and length >= LARGE_BYTES:
        return _receive_large(response, checksum, length)
    content = (
        b"".join(bytes(piece) for piece in response.pieces()) if length is None else response.read(length)
    )
    if form is not None:
        try:
            content = b"".join(_decompressed(form, iter((content,))))
        except _Undecodable as exc:
            return Mismatch(str(exc))
    digest = hashlib.sha256(content).digest()
    if digest != checksum.bytes():
        return Mismatch(digest.hex())
    return Buffer._from_parts((content,), checksum)


def _receive_large(response: Response, checksum: Checksum, length: int) -> Buffer | Mismatch:
    from seamless.parts import mark_immutable
    from seamless_store.side_hash import SideHash

    try:
        memory = _memory(length)
    except (OSError, MemoryError) as exc:
        raise ExchangeFailed("too-large", f"{length} bytes do not fit into memory") from exc
    view = memoryview(memory)
    hasher = SideHash(hashlib.sha256())
    try:
        start, end = 0, _fill(response, view, 0)
        while start < end:
            following = [end]

            def receive_next(_: memoryview, end: int = end, following: list[int] = following) -> None:
                following[0] = _fill(response, view, end)

            hasher.update(view[start:end], receive_next)
            start, end = end, following[0]
    finally:
        hasher.close()
    if start != length:
        raise ExchangeFailed("truncated", f"{start} bytes came instead of {length}")
    digest = hasher.digest()
    if digest != checksum.bytes():
        return Mismatch(digest.hex())
    mark_immutable(memory)
    return Buffer._from_parts((view.toreadonly(),), checksum)


def _fill(response: Response, view: memoryview, start: int) -> int:
    """Receive up to PIECE_BYTES at `start`; return where it ends."""
    end = min(len(view), start + PIECE_BYTES)
    while start < end and (n := response.read_into(view[start:end])):
        start += n
    return start


def _memory(length: int) -> mmap.mmap:
    if not hasattr(mmap, "MAP_PRIVATE") or not hasattr(mmap, "MAP_ANONYMOUS"):
        return mmap.mmap(-1, length)
    memory = mmap.mmap(-1, length, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
    if hasattr(mmap, "MADV_HUGEPAGE"):
        try:
            memory.madvise(mmap.MADV_HUGEPAGE)
        except OSError:
            pass  # a kernel without huge pages
    return memory


def receive_file(
    response: Response, checksum: Checksum, descriptor: int, progress: Progress | None = None
) -> Mismatch | None:
    """Write the buffer that the answer holds to an open file, in constant memory; None when it is the right one."""
    from seamless_store.side_hash import SideHash

    form = form_of(response)
    hasher = SideHash(hashlib.sha256())
    total = response.length
    received = 0

    def count(n_bytes: int) -> None:
        nonlocal received
        received += n_bytes
        if progress is not None:
            progress(received, total)

    try:
        if form is not None:
            try:
                for piece in _decompressed(form, _counted(response, count)):
                    hasher.update(memoryview(piece), lambda chunk: _write_all(descriptor, chunk))
            except _Undecodable as exc:
                return Mismatch(str(exc))
        else:
            _receive_plain(response, hasher.update, descriptor, count)
    finally:
        hasher.close()
    digest = hasher.digest()
    return None if digest == checksum.bytes() else Mismatch(digest.hex())


def _receive_plain(
    response: Response,
    update: Callable[[memoryview, Callable[[memoryview], None]], None],
    descriptor: int,
    count: Callable[[int], None],
) -> None:
    """Hash and write each piece while the next one arrives in the other one of two buffers."""
    size = PIECE_BYTES if response.length is None else max(1, min(PIECE_BYTES, response.length))
    buffers = (memoryview(bytearray(size)), memoryview(bytearray(size)))
    turn = 0
    n = _fill(response, buffers[0], 0)
    while n:
        following = [0]
        spare = buffers[1 - turn]

        def meanwhile(chunk: memoryview, spare: memoryview = spare, following: list[int] = following) -> None:
            _write_all(descriptor, chunk)
            following[0] = _fill(response, spare, 0)

        update(buffers[turn][:n], meanwhile)
        count(n)
        turn, n = 1 - turn, following[0]


def _counted(response: Response, count: Callable[[int], None]) -> Iterator[memoryview]:
    for piece in response.pieces():
        yield piece
        count(len(piece))


def _write_all(descriptor: int, chunk: memoryview) -> None:
    while chunk:
        chunk = chunk[os.write(descriptor, chunk) :]


class _Undecodable(Exception):
    """A compressed answer that is damaged or too large."""


def _decompressed(form: Form, chunks: Iterator[bytes | memoryview]) -> Iterator[bytes]:
    from seamless_store.compressed import Decompressor
    from seamless_store.errors import CompressedStreamInvalid, DecompressionLimitExceeded

    decompressor = Decompressor(form, name="the answer")
    try:
        for chunk in chunks:
            yield from decompressor.feed(chunk)
        decompressor.finish()
    except (CompressedStreamInvalid, DecompressionLimitExceeded) as exc:
        raise _Undecodable(exc.cause) from exc

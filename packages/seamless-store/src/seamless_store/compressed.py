"""Decompress zstd and gzip streams strictly and in constant memory.

Strictly: a stream is one or more complete frames (zstd) or members (gzip) and nothing else. Truncated
input, a damaged frame, and bytes after the last frame are CompressedStreamInvalid.

In constant memory: no call yields more than PIECE_BYTES at a time, whatever the ratio. zlib bounds its
output itself. For zstd the frames are walked block by block (RFC 8878, section 3.1.1), because one
block yields at most 128 KiB: 8 blocks are handed to the library at a time. Windows above 128 MiB
(`zstd --long=28` and more) are refused.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Any

from .errors import CompressedStreamInvalid, DecompressionLimitExceeded

if TYPE_CHECKING:
    from .layout import Form

__all__ = ("MAX_DECOMPRESSED_BYTES", "PIECE_BYTES", "Decompressor", "decompressed")

PIECE_BYTES = 1024 * 1024
MAX_DECOMPRESSED_BYTES = 64 * 1024**3
_BLOCKS_PER_PIECE = PIECE_BYTES // (128 * 1024)
_ZSTD_MAGIC = b"\x28\xb5\x2f\xfd"
_SKIPPABLE_MAGIC = 0x184D2A50  # the last hex digit is free


class Decompressor:
    """Push-style decompressor: `feed` chunks of any size, then `finish`.

    name: what the errors call the stream. max_bytes: DecompressionLimitExceeded beyond it.
    size_bytes: how much came out so far.
    """

    def __init__(self, form: Form, *, name: str, max_bytes: int = MAX_DECOMPRESSED_BYTES) -> None:
        self.size_bytes = 0
        self._name = name
        self._form = form
        self._max_bytes = max_bytes
        self._codec: _Gzip | _Zstd = _Gzip() if form == "gz" else _Zstd()

    def feed(self, chunk: bytes | memoryview) -> Iterator[bytes]:
        """Yield what the chunk decompresses to, in pieces of at most about PIECE_BYTES."""
        pieces = self._codec.feed(chunk)
        while True:
            try:
                piece = next(pieces, None)
            except _Invalid as exc:
                raise CompressedStreamInvalid(
                    f"The {self._form} stream of {self._name} is damaged after {self.size_bytes} bytes: "
                    f"{exc}.",
                    path=self._name,
                    remedy="compress and send it again; nothing may follow the last frame.",
                ) from exc
            if piece is None:
                return
            self.size_bytes += len(piece)
            if self.size_bytes > self._max_bytes:
                raise DecompressionLimitExceeded(
                    f"The {self._form} stream of {self._name} yields more than {self._max_bytes} bytes.",
                    path=self._name,
                    remedy="store it uncompressed, or raise max_decompressed_bytes.",
                )
            yield piece

    def finish(self) -> None:
        """Declare the end of the input. Raises CompressedStreamInvalid inside a frame or without any."""
        if not self._codec.complete:
            raise CompressedStreamInvalid(
                f"The {self._form} stream of {self._name} ends inside a frame ({self.size_bytes} bytes).",
                path=self._name,
                remedy="compress and send it again: it was cut short.",
            )


def decompressed(
    form: Form, chunks: Iterable[bytes | memoryview], *, name: str, max_bytes: int = MAX_DECOMPRESSED_BYTES
) -> Iterator[bytes]:
    """Yield the decompressed stream in pieces; raise at its end unless it was complete."""
    decompressor = Decompressor(form, name=name, max_bytes=max_bytes)
    for chunk in chunks:
        yield from decompressor.feed(chunk)
    decompressor.finish()


class _Invalid(Exception):
    """The stream is not what its form demands; the text says why."""


class _Gzip:
    """One or more gzip members (RFC 1952)."""

    def __init__(self) -> None:
        self._member: Any = None  # zlib's decompressor type has no public name
        self._n_members = 0

    @property
    def complete(self) -> bool:
        return self._member is None and self._n_members > 0

    def feed(self, chunk: bytes | memoryview) -> Iterator[bytes]:
        import zlib

        rest: bytes | memoryview = chunk
        full = False
        while len(rest) or full:
            if self._member is None:
                self._member = zlib.decompressobj(wbits=31)
            try:
                piece = self._member.decompress(rest, PIECE_BYTES)
            except zlib.error as exc:
                raise _Invalid(str(exc)) from exc
            full = len(piece) == PIECE_BYTES
            rest = self._member.unconsumed_tail
            if self._member.eof:
                rest, full = self._member.unused_data, False
                self._member = None
                self._n_members += 1
            if piece:
                yield piece


class _Zstd:
    """One or more zstd frames, skippable ones included."""

    def __init__(self) -> None:
        import zstandard

        self._library = zstandard
        self._context = zstandard.ZstdDecompressor()
        self._frame: Any = None  # zstandard's decompression object has no public name
        self._n_frames = 0
        self._state = "magic"
        self._wanted = 4  # bytes until the state changes
        self._field = b""  # bytes of a header field seen so far
        self._has_checksum = False
        self._is_last = False

    @property
    def complete(self) -> bool:
        return self._state == "magic" and not self._field and self._n_frames > 0

    def feed(self, chunk: bytes | memoryview) -> Iterator[bytes]:
        view = memoryview(chunk)
        start = position = n_blocks = 0
        while position < len(view):
            taken = min(self._wanted, len(view) - position)
            if self._state not in ("body", "checksum", "skip"):
                self._field += bytes(view[position : position + taken])
            position += taken
            self._wanted -= taken
            if self._wanted:
                break
            state, field, self._field = self._state, self._field, b""
            if state == "magic":
                start = position
                if field == _ZSTD_MAGIC:
                    self._frame = self._context.decompressobj()
                    yield from self._decompress(field)
            elif state == "skip":
                start = position
            elif state == "body":
                n_blocks += 1
            self._advance(state, field)
            while not self._wanted and self._state in ("body", "skip"):  # an element of no bytes
                self._advance(self._state, b"")
            if self._state == "magic" and self._frame is not None:
                yield from self._decompress(view[start:position])
                self._end_frame()
                start, n_blocks = position, 0
            elif n_blocks == _BLOCKS_PER_PIECE:
                yield from self._decompress(view[start:position])
                start, n_blocks = position, 0
        if self._frame is not None and start < position:
            yield from self._decompress(view[start:position])

    def _advance(self, state: str, field: bytes) -> None:
        """Go from a finished element of the format to the next."""
        if state == "magic":
            number = int.from_bytes(field, "little")
            if field == _ZSTD_MAGIC:
                self._state, self._wanted = "descriptor", 1
            elif number & ~0xF == _SKIPPABLE_MAGIC:
                self._state, self._wanted = "skip size", 4
            else:
                raise _Invalid(f"no frame begins with {field.hex()}")
        elif state == "skip size":
            self._state, self._wanted = "skip", int.from_bytes(field, "little")
        elif state == "skip":
            self._n_frames += 1
            self._state, self._wanted = "magic", 4
        elif state == "descriptor":
            descriptor = field[0]
            is_single, dictionary_flag, size_flag = descriptor >> 5 & 1, descriptor & 3, descriptor >> 6
            self._has_checksum = bool(descriptor & 4)
            size_bytes = (is_single, 2, 4, 8)[size_flag]
            self._wanted = (1 - is_single) + (0, 1, 2, 4)[dictionary_flag] + size_bytes
            self._state = "header"
        elif state == "block":
            header = int.from_bytes(field, "little")
            self._is_last = bool(header & 1)
            kind, size = header >> 1 & 3, header >> 3
            if kind == 3:
                raise _Invalid("a block is of the reserved kind")
            self._state, self._wanted = "body", 1 if kind == 1 else size
        elif state == "body" and self._is_last and self._has_checksum:
            self._state, self._wanted = "checksum", 4
        elif state == "checksum" or (state == "body" and self._is_last):
            self._state, self._wanted = "magic", 4
        else:  # a header, or a block that is not the last one
            self._state, self._wanted = "block", 3

    def _decompress(self, part: bytes | memoryview) -> Iterator[bytes]:
        try:
            piece = self._frame.decompress(part)
        except self._library.ZstdError as exc:
            raise _Invalid(str(exc)) from exc
        if piece:
            yield piece

    def _end_frame(self) -> None:
        if not self._frame.eof:
            raise _Invalid("a frame goes on after its last block")
        self._frame = None
        self._n_frames += 1

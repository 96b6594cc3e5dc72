from __future__ import annotations

import gzip
import random

import pytest
import zstandard
from hypothesis import given, settings
from hypothesis import strategies as st
from seamless_store.compressed import PIECE_BYTES, Decompressor, decompressed
from seamless_store.errors import CompressedStreamInvalid, DecompressionLimitExceeded

SKIPPABLE = b"\x53\x2a\x4d\x18" + (5).to_bytes(4, "little") + b"notes"


def _zstd(content: bytes, **options: object) -> bytes:
    return zstandard.ZstdCompressor(**options).compress(content)


def _zstd_streamed(content: bytes) -> bytes:
    stream = zstandard.ZstdCompressor(write_checksum=True).compressobj()
    return stream.compress(content) + stream.flush()


COMPRESSORS = {
    "gz": [gzip.compress, lambda content: gzip.compress(content, 0)],
    "zst": [
        _zstd,
        _zstd_streamed,
        lambda content: _zstd(content, level=19, write_checksum=True),
        lambda content: _zstd(content, write_content_size=False),
    ],
}
FORMS = st.sampled_from(["gz", "zst"])


def _decompress(form: str, stream: bytes, chunk_bytes: int, **options: int) -> bytes:
    chunks = [stream[start : start + chunk_bytes] for start in range(0, len(stream), chunk_bytes)]
    return b"".join(decompressed(form, chunks, name="test", **options))


@st.composite
def streams(draw):
    """A stream of one to three frames, and what it holds."""
    form = draw(FORMS)
    parts = draw(st.lists(st.binary(max_size=2000), min_size=1, max_size=3))
    repeat = draw(st.sampled_from([1, 1, 500]))
    frames = [draw(st.sampled_from(COMPRESSORS[form]))(part * repeat) for part in parts]
    return form, b"".join(frames), b"".join(part * repeat for part in parts)


@settings(max_examples=150, deadline=None)
@given(stream=streams(), chunk_bytes=st.integers(1, 5000))
def test_frames_in_chunks_of_any_size_give_the_content(stream, chunk_bytes):
    form, compressed, content = stream
    assert _decompress(form, compressed, chunk_bytes) == content


@settings(max_examples=150, deadline=None)
@given(
    form=FORMS,
    variant=st.integers(0, 1),
    content=st.binary(max_size=3000),
    cut=st.floats(0, 1, exclude_max=True),
    chunk_bytes=st.integers(1, 5000),
)
def test_frame_that_is_cut_short_anywhere_is_refused(form, variant, content, cut, chunk_bytes):
    frame = COMPRESSORS[form][variant](content)
    with pytest.raises(CompressedStreamInvalid):
        _decompress(form, frame[: int(len(frame) * cut)], chunk_bytes)


@settings(max_examples=100, deadline=None)
@given(stream=streams(), junk=st.binary(min_size=1, max_size=40), chunk_bytes=st.integers(1, 5000))
def test_bytes_after_the_last_frame_are_refused(stream, junk, chunk_bytes):
    form, compressed, _ = stream
    with pytest.raises(CompressedStreamInvalid):
        _decompress(form, compressed + junk, chunk_bytes)


@settings(max_examples=200, deadline=None)
@given(form=FORMS, noise=st.binary(max_size=300), chunk_bytes=st.integers(1, 400))
def test_noise_is_refused_and_never_anything_worse(form, noise, chunk_bytes):
    head = {"gz": b"\x1f\x8b\x08\x00\x00\x00\x00\x00", "zst": b"\x28\xb5\x2f\xfd"}[form]
    for stream in (noise, head + noise):
        try:
            _decompress(form, stream, chunk_bytes, max_bytes=10_000_000)
        except (CompressedStreamInvalid, DecompressionLimitExceeded):
            continue


@pytest.mark.parametrize("position", ["before", "between", "after"])
def test_skippable_zstd_frames_are_skipped(position):
    frames = [_zstd(b"first"), _zstd(b"second")]
    frames.insert(["before", "between", "after"].index(position), SKIPPABLE)
    for chunk_bytes in (1, 3, 1000):
        assert _decompress("zst", b"".join(frames), chunk_bytes) == b"firstsecond"


def test_truncated_skippable_frame_is_refused():
    with pytest.raises(CompressedStreamInvalid, match="ends inside a frame"):
        _decompress("zst", _zstd(b"first") + SKIPPABLE[:-1], 1000)


@pytest.mark.parametrize("form", ["gz", "zst"])
def test_bomb_comes_out_in_bounded_pieces(form):
    content = bytes(200_000_000)
    compressed = COMPRESSORS[form][0](content)
    decompressor = Decompressor(form, name="bomb")
    sizes = [len(piece) for piece in decompressor.feed(compressed)]
    decompressor.finish()
    assert sum(sizes) == len(content)
    assert max(sizes) <= PIECE_BYTES


@pytest.mark.parametrize("form", ["gz", "zst"])
def test_limit_is_exact(form):
    compressed = COMPRESSORS[form][0](bytes(5_000_000))
    assert len(_decompress(form, compressed, 1000, max_bytes=5_000_000)) == 5_000_000
    with pytest.raises(DecompressionLimitExceeded, match="4999999"):
        _decompress(form, compressed, 1000, max_bytes=4_999_999)


@pytest.mark.parametrize("form", ["gz", "zst"])
def test_stream_with_a_flipped_bit_never_passes_as_the_content(form):
    content = random.Random(5).randbytes(3000)
    compressed = bytearray({"gz": gzip.compress, "zst": _zstd_streamed}[form](content))
    for position in range(0, len(compressed), 7):
        compressed[position] ^= 0x10
        try:
            outcome = _decompress(form, bytes(compressed), 512)
        except (CompressedStreamInvalid, DecompressionLimitExceeded):
            outcome = None
        header_only = position < 20  # names, times and the like may change without harm
        assert outcome is None or (header_only and outcome == content), position
        compressed[position] ^= 0x10

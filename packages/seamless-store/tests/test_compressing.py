from __future__ import annotations

import gzip
import tracemalloc

import pytest
import zstandard
from hypothesis import given
from hypothesis import strategies as st
from seamless_store.compressed import decompressed
from seamless_store.compressing import compressed

FORMS = st.sampled_from(["gz", "zst"])


@given(form=FORMS, chunks=st.lists(st.binary(max_size=300), max_size=8))
def test_what_was_compressed_comes_back(form, chunks):
    stream = compressed(form, chunks, size_bytes=sum(map(len, chunks)))
    assert b"".join(decompressed(form, stream, name="test")) == b"".join(chunks)


@given(form=FORMS, content=st.binary(min_size=2, max_size=5000), data=st.data())
def test_the_stream_does_not_depend_on_how_the_content_comes(form, content, data):
    cut = data.draw(st.integers(0, len(content)))
    whole = b"".join(compressed(form, [content], size_bytes=len(content)))
    parts = [memoryview(content)[:cut], content[cut:]]
    assert b"".join(compressed(form, parts, size_bytes=len(content))) == whole


def test_gzip_has_neither_time_nor_name():
    stream = b"".join(compressed("gz", [b"hello"], size_bytes=5))
    assert stream[:8] == b"\x1f\x8b\x08\0\0\0\0\0"
    assert gzip.decompress(stream) == b"hello"


def test_zstd_states_the_size_of_the_content():
    stream = b"".join(compressed("zst", [b"hel", b"lo"], size_bytes=5))
    assert zstandard.frame_content_size(stream) == 5


def test_wrong_size_is_noticed():
    with pytest.raises(zstandard.ZstdError):
        list(compressed("zst", [b"hello"], size_bytes=6))


@pytest.mark.parametrize("form", ["gz", "zst"])
def test_memory_does_not_grow_with_the_content(form):
    chunk = bytes(1 << 20)
    tracemalloc.start()
    try:
        n_bytes = sum(map(len, compressed(form, (chunk for _ in range(64)), size_bytes=64 << 20)))
        _now, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert 0 < n_bytes < 1 << 20
    assert peak < 8 << 20

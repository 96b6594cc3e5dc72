"""Buffers in parts: digests, stability, files."""

from __future__ import annotations

import hashlib
import mmap

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from seamless.parts import (
    digest_of_parts,
    is_frozen_array,
    is_stable,
    join_parts,
    length_of_parts,
    mark_immutable,
    snapshot_parts,
    write_file,
)


@given(st.lists(st.binary(max_size=9000) | st.binary(max_size=9000).map(memoryview), max_size=4))
def test_digest_and_length_are_those_of_the_joined_parts(parts):
    content = b"".join(parts)
    assert digest_of_parts(parts) == hashlib.sha256(content).digest()
    assert length_of_parts(parts) == len(content)
    assert join_parts(tuple(parts)) == content


def test_joining_one_bytes_part_copies_nothing():
    content = b"abc"
    assert join_parts((content,)) is content


def test_bytes_are_stable_and_bytearrays_are_not():
    assert is_stable(b"abc")
    assert is_stable(memoryview(b"abc"))
    assert not is_stable(memoryview(bytearray(b"abc")))
    assert not is_stable(memoryview(bytearray(b"abc")).toreadonly())


def test_mapped_memory_is_stable_only_when_marked(tmp_path):
    (tmp_path / "x").write_bytes(b"abc" * 1000)
    with open(tmp_path / "x", "rb") as file:
        mapped = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
    array = np.frombuffer(mapped, np.uint8)
    before = is_frozen_array(array)
    mark_immutable(mapped)
    assert (before, is_frozen_array(array), is_stable(memoryview(mapped))) == (False, True, True)


def test_snapshot_of_other_memory_is_independent():
    memory = bytearray(b"abc")
    (kept,) = snapshot_parts((memoryview(memory).toreadonly(),))
    memory[:] = b"xyz"
    assert bytes(kept) == b"abc"
    assert is_stable(kept)


def test_written_file_replaces_the_old_one(tmp_path):
    (tmp_path / "x").write_bytes(b"old")
    write_file(tmp_path / "x", (b"new", memoryview(b"er")))
    assert (tmp_path / "x").read_bytes() == b"newer"


def test_missing_directory_is_named(tmp_path):
    with pytest.raises(FileNotFoundError, match="absent"):
        write_file(tmp_path / "absent" / "x", (b"new",))

from __future__ import annotations

import gc
import gzip
import hashlib
import mmap
import os
import pickle
import shutil
import stat
import threading
from pathlib import Path

import pytest
import zstandard
from seamless_store.buffer_directory import BufferDirectory
from seamless_store.errors import (
    BufferDamaged,
    CompressedStreamInvalid,
    DecompressionLimitExceeded,
    DigestMismatch,
    InvalidDigest,
    StoreClosed,
    StoreLayoutUnknown,
    StoreMissing,
    StoreReadOnly,
)

HELLO = b"hello, buffer"
LARGE = os.urandom(3 * 1024 * 1024 + 16) + b"!"  # tests replace the last byte
COMPRESS = {"zst": zstandard.compress, "gz": gzip.compress}


def _digest(content: bytes) -> bytes:
    return hashlib.sha256(content).digest()


def _put(directory: BufferDirectory, *contents: bytes) -> None:
    directory.publish([(_digest(content), [content]) for content in contents])


def _file(directory: BufferDirectory, content: bytes, suffix: str = "") -> Path:
    name = _digest(content).hex() + suffix
    return directory.root / name[:2] / name if directory.layout == "prefix" else directory.root / name


def _damage(path: Path, content: bytes = b"damaged", *, age_s: float = 60.0) -> None:
    """Replace a file's content and let it look as if that had happened `age_s` ago."""
    path.parent.mkdir(exist_ok=True)
    path.unlink(missing_ok=True)
    path.write_bytes(content)
    path.chmod(0o444)
    then = path.stat().st_mtime - age_s
    os.utime(path, (then, then))


def _files(root: Path) -> list[str]:
    return sorted(str(path.relative_to(root)) for path in root.rglob("*") if path.is_file())


@pytest.fixture(params=["prefix", "flat"])
def buffers(request, tmp_path):
    with BufferDirectory(tmp_path / "buffers", layout=request.param) as directory:
        yield directory


# Storing and reading


@pytest.mark.parametrize("content", [b"", b"x", HELLO, b"z" * 70_000, LARGE], ids=len)
def test_what_was_published_is_there(buffers, content):
    _put(buffers, content)
    assert buffers.get(_digest(content)) == content
    assert buffers.has(_digest(content))
    assert buffers.length(_digest(content)) == len(content)
    assert buffers.path(_digest(content)).read_bytes() == content
    assert buffers.verify(_digest(content))


def test_what_was_not_published_is_not_there(buffers):
    assert buffers.get(_digest(HELLO)) is None
    assert not buffers.has(_digest(HELLO))
    assert buffers.length(_digest(HELLO)) is None
    assert buffers.path(_digest(HELLO)) is None
    assert not buffers.verify(_digest(HELLO))


def test_many_forms_keep_the_order_and_accept_repeats(buffers):
    _put(buffers, b"a", b"b")
    digests = [_digest(content) for content in (b"b", b"missing", b"a", b"b")]
    assert buffers.get_many(digests) == [b"b", None, b"a", b"b"]
    assert buffers.has_many(digests) == [True, False, True, True]
    assert buffers.length_many(digests) == [1, None, 1, 1]


def test_parts_of_any_kind_are_joined(buffers):
    words = memoryview(b"12345678").cast("H")
    square = memoryview(bytes(range(16))).cast("B", (4, 4))
    content = b"ab" + b"12345678" + bytes(range(16)) + b"" + b"end"
    buffers.publish([(_digest(content), [b"ab", words, square, b"", bytearray(b"end")])])
    assert buffers.get(_digest(content)) == content


def test_more_parts_than_one_system_call_takes_are_all_written(buffers):
    parts = [b"%d," % number for number in range(3000)]
    buffers.publish([(_digest(b"".join(parts)), parts)])
    assert buffers.get(_digest(b"".join(parts))) == b"".join(parts)


def test_strided_part_is_refused_with_the_remedy(buffers):
    with pytest.raises(TypeError, match="ascontiguousarray"):
        buffers.publish([(_digest(b"02"), [memoryview(b"0123")[::2]])])


def test_bare_bytes_instead_of_parts_are_refused(buffers):
    with pytest.raises(TypeError, match="into a list"):
        buffers.publish([(_digest(HELLO), HELLO)])


def test_equal_buffers_in_one_batch_are_stored_once(buffers):
    buffers.publish([(_digest(HELLO), [HELLO])] * 3)
    assert list(buffers.iterate()) == [_digest(HELLO)]


def test_empty_batch_does_nothing(buffers):
    before = _files(buffers.root)
    buffers.publish([])
    assert _files(buffers.root) == before


def test_large_batch_is_stored_whole(buffers):
    contents = [b"buffer %d" % number for number in range(500)]
    buffers.publish([(_digest(content), [content]) for content in contents], verified=True)
    assert buffers.get_many([_digest(content) for content in contents]) == contents
    assert list(buffers.iterate()) == sorted(_digest(content) for content in contents)


def test_files_have_the_documented_names_and_modes(tmp_path):
    with BufferDirectory(tmp_path / "buffers") as directory:
        _put(directory, HELLO)
        directory.put_compressed(_digest(b"zz"), "zst", [zstandard.compress(b"zz")])
    name, other = _digest(HELLO).hex(), _digest(b"zz").hex()
    assert _files(tmp_path / "buffers") == sorted(
        [
            ".HASHSERVER_PREFIX",
            f"{name[:2]}/{name}",
            f"{other[:2]}/{other}.zst",
            f"{other[:2]}/{other}.BUFFERLENGTH",
        ]
    )
    assert (tmp_path / "buffers/.HASHSERVER_PREFIX").read_bytes() == b"1\n"
    assert stat.S_IMODE((tmp_path / "buffers" / name[:2] / name).stat().st_mode) == 0o444
    assert stat.S_IMODE((tmp_path / "buffers" / name[:2]).stat().st_mode) == 0o3775


def test_sha3_digests_are_checked_as_such(tmp_path):
    directory = BufferDirectory(tmp_path, hash_algorithm="sha3-256")
    directory.publish([(hashlib.sha3_256(HELLO).digest(), [HELLO])])
    assert directory.get(hashlib.sha3_256(HELLO).digest()) == HELLO
    with pytest.raises(DigestMismatch):
        _put(directory, HELLO)


def test_prefix_directory_that_someone_removed_is_made_again(tmp_path):
    directory = BufferDirectory(tmp_path)
    _put(directory, HELLO)
    _file(directory, HELLO).unlink()
    _file(directory, HELLO).parent.rmdir()
    _put(directory, HELLO)
    assert directory.get(_digest(HELLO)) == HELLO


def test_missing_parents_of_the_directory_are_made(tmp_path):
    directory = BufferDirectory(tmp_path / "a/b/c")
    _put(directory, HELLO)
    assert _file(directory, HELLO).read_bytes() == HELLO


# Wrong digests


@pytest.mark.provokes("DigestMismatch")
def test_wrong_digest_refuses_the_whole_batch(buffers):
    with pytest.raises(DigestMismatch, match="hash the bytes again") as caught:
        buffers.publish([(_digest(b"good"), [b"good"]), (_digest(b"claimed"), [b"actual"])])
    assert (caught.value.expected, caught.value.actual) == (_digest(b"claimed"), _digest(b"actual"))
    assert list(buffers.iterate()) == []
    assert [name for name in _files(buffers.root) if "-" in name] == []


@pytest.mark.parametrize("is_present", [False, True])
def test_wrong_digest_of_a_large_buffer_is_refused(buffers, is_present):
    _put(buffers, *[LARGE] * is_present)
    with pytest.raises(DigestMismatch):
        buffers.publish([(_digest(LARGE), [LARGE[:-1], b"?"])])
    assert [name for name in _files(buffers.root) if "-" in name] == []
    assert buffers.has(_digest(LARGE)) is is_present


def test_wrong_digest_is_refused_even_when_the_true_buffer_is_present(buffers):
    _put(buffers, HELLO)
    with pytest.raises(DigestMismatch):
        buffers.publish([(_digest(HELLO), [b"another"])])


@pytest.mark.provokes("InvalidDigest")
@pytest.mark.parametrize("digest", [b"", b"short", "a" * 64, None, 5, bytearray(32), b"x" * 33])
@pytest.mark.parametrize("method", ["get", "has", "length", "path", "verify", "writer"])
def test_what_is_no_digest_is_refused_by_every_function(buffers, method, digest):
    with pytest.raises(InvalidDigest, match="32 raw bytes"):
        getattr(buffers, method)(digest)
    with pytest.raises(InvalidDigest):
        buffers.publish([(digest, [b"x"])], verified=True)


# Large buffers


def test_large_buffer_is_a_read_only_mapping_of_its_file(buffers):
    _put(buffers, LARGE)
    view = buffers.get(_digest(LARGE))
    assert isinstance(view, memoryview)
    assert view.readonly
    assert isinstance(view.obj, mmap.mmap)


def test_mapping_is_closed_when_it_is_no_longer_referenced(buffers):
    _put(buffers, LARGE)
    view = buffers.get(_digest(LARGE))
    path = str(_file(buffers, LARGE))
    assert path in Path("/proc/self/maps").read_text()
    del view
    gc.collect()
    assert path not in Path("/proc/self/maps").read_text()


def test_large_buffer_that_others_may_write_to_is_read_not_mapped(buffers):
    _put(buffers, LARGE)
    _file(buffers, LARGE).chmod(0o644)
    view = buffers.get(_digest(LARGE))
    assert view == LARGE
    assert isinstance(view.obj, bytearray)


def test_reading_leaves_no_file_open(buffers):
    _put(buffers, HELLO)
    before = len(os.listdir("/proc/self/fd"))
    buffers.get(_digest(HELLO))
    buffers.get(_digest(b"missing"))
    buffers.length(_digest(HELLO))
    assert len(os.listdir("/proc/self/fd")) == before


# Damage


@pytest.mark.provokes("BufferDamaged")
@pytest.mark.provokes("DamagedFile")
@pytest.mark.parametrize("content", [HELLO, LARGE], ids=len)
@pytest.mark.parametrize("damaged", [b"", b"x", b"same size"], ids=["empty", "short", "same size"])
def test_damaged_file_is_reported_and_put_into_quarantine(buffers, content, damaged):
    wrong = (damaged * len(content))[: len(content)] if damaged == b"same size" else damaged
    _damage(_file(buffers, content), wrong)
    with pytest.raises(BufferDamaged, match="store the buffer again") as caught:
        buffers.get(_digest(content))
    assert Path(caught.value.quarantined_to).read_bytes() == wrong
    assert [file.path for file in buffers.quarantined()] == [caught.value.quarantined_to]
    assert "digest" in buffers.quarantined()[0].reason
    assert buffers.quarantined()[0].digest == _digest(content)
    assert stat.S_IMODE((buffers.root / ".quarantine").stat().st_mode) == 0o700
    assert buffers.get(_digest(content)) is None


@pytest.mark.invariant("I-24")
@pytest.mark.parametrize("content", [HELLO, LARGE], ids=len)
def test_publishing_replaces_a_damaged_file_of_any_size(buffers, content):
    _damage(_file(buffers, content), b"?" * len(content), age_s=0.0)
    _put(buffers, content)
    assert buffers.get(_digest(content)) == content
    assert len(buffers.quarantined()) == 1


@pytest.mark.invariant("I-22")
def test_file_that_changed_after_it_was_verified_is_found_out(buffers):
    _put(buffers, LARGE)
    buffers.get(_digest(LARGE))
    path = _file(buffers, LARGE)
    path.chmod(0o644)
    with open(path, "r+b") as file:
        file.write(b"?")
    path.chmod(0o444)
    with pytest.raises(BufferDamaged):
        buffers.get(_digest(LARGE))
    with pytest.raises(BufferDamaged):
        buffers.path(_digest(LARGE))


def test_damaged_file_that_was_just_written_is_left_where_it_is(buffers):
    _damage(_file(buffers, HELLO), age_s=0.0)
    with pytest.raises(BufferDamaged) as caught:
        buffers.get(_digest(HELLO))
    assert caught.value.quarantined_to == ""
    assert _file(buffers, HELLO).exists()


def test_damaged_plain_file_beside_a_true_compressed_one_is_replaced_by_it(buffers):
    buffers.put_compressed(_digest(HELLO), "zst", [zstandard.compress(HELLO)])
    _damage(_file(buffers, HELLO))
    assert buffers.get(_digest(HELLO)) == HELLO
    assert len(buffers.quarantined()) == 1


@pytest.mark.parametrize("make", [os.mkdir, os.mkfifo], ids=["directory", "fifo"])
def test_what_is_no_file_is_damage_and_does_not_block(buffers, make):
    _file(buffers, HELLO).parent.mkdir(exist_ok=True)
    make(_file(buffers, HELLO))
    assert not buffers.has(_digest(HELLO))
    assert buffers.length(_digest(HELLO)) is None
    with pytest.raises(BufferDamaged, match="not a regular file"):
        buffers.get(_digest(HELLO))
    _put(buffers, HELLO)
    assert buffers.get(_digest(HELLO)) == HELLO


def test_two_damaged_files_of_one_name_are_both_kept(buffers):
    for content in (b"first", b"second"):
        _damage(_file(buffers, HELLO), content)
        _put(buffers, HELLO)
    assert {Path(file.path).read_bytes() for file in buffers.quarantined()} == {b"first", b"second"}


def test_verify_finds_damage_and_changes_nothing(buffers):
    _put(buffers, HELLO, LARGE)
    _damage(_file(buffers, LARGE), b"?" * len(LARGE))
    assert buffers.verify(_digest(HELLO))
    assert not buffers.verify(_digest(LARGE))
    assert buffers.quarantined() == []


# Compressed forms


@pytest.mark.parametrize("form", ["zst", "gz"])
@pytest.mark.parametrize("content", [b"", HELLO, LARGE], ids=len)
def test_compressed_buffer_is_read_as_its_content(buffers, form, content):
    buffers.put_compressed(_digest(content), form, [COMPRESS[form](content)])
    assert buffers.get(_digest(content)) == content
    assert buffers.has(_digest(content))
    assert buffers.length(_digest(content)) == len(content)
    assert buffers.path(_digest(content)) is None
    assert buffers.verify(_digest(content))
    assert list(buffers.iterate()) == [_digest(content)]
    assert _file(buffers, content, ".BUFFERLENGTH").read_bytes() == str(len(content)).encode()


@pytest.mark.parametrize("form", ["zst", "gz"])
@pytest.mark.parametrize("sidecar", [None, b"", b"abc", b"3", b"99999999999999999999", b"-1"])
def test_missing_or_wrong_sidecar_does_not_mislead_get(buffers, form, sidecar):
    buffers.put_compressed(_digest(LARGE), form, [COMPRESS[form](LARGE)])
    path = _file(buffers, LARGE, ".BUFFERLENGTH")
    path.unlink()
    path.write_bytes(sidecar or b"")
    assert buffers.get(_digest(LARGE)) == LARGE


@pytest.mark.parametrize("form", ["zst", "gz"])
def test_length_without_sidecar_is_counted_and_written_down(buffers, form):
    buffers.put_compressed(_digest(LARGE), form, [COMPRESS[form](LARGE)])
    _file(buffers, LARGE, ".BUFFERLENGTH").unlink()
    assert buffers.length(_digest(LARGE)) == len(LARGE)
    assert _file(buffers, LARGE, ".BUFFERLENGTH").read_bytes() == str(len(LARGE)).encode()


def test_sidecar_goes_when_the_plain_form_comes(buffers):
    buffers.put_compressed(_digest(HELLO), "zst", [zstandard.compress(HELLO)])
    _put(buffers, HELLO)
    assert not _file(buffers, HELLO, ".BUFFERLENGTH").exists()
    assert buffers.length(_digest(HELLO)) == len(HELLO)


@pytest.mark.provokes("CompressedStreamInvalid")
@pytest.mark.parametrize("form", ["zst", "gz"])
@pytest.mark.parametrize(
    "spoil",
    [
        lambda s: s[:-1],
        lambda s: s[: len(s) // 2],
        lambda s: b"",
        lambda s: s + b"\0",
        lambda s: s + b"junk...",
    ],
    ids=["without its end", "half", "nothing", "zero byte after", "junk after"],
)
def test_stream_that_is_not_exactly_whole_frames_is_refused(buffers, form, spoil):
    with pytest.raises(CompressedStreamInvalid):
        buffers.put_compressed(_digest(LARGE), form, [spoil(COMPRESS[form](LARGE))])
    assert _files(buffers.root) in ([], [".HASHSERVER_PREFIX"])


@pytest.mark.parametrize("form", ["zst", "gz"])
def test_compressed_stream_of_another_buffer_is_refused(buffers, form):
    with pytest.raises(DigestMismatch):
        buffers.put_compressed(_digest(HELLO), form, [COMPRESS[form](b"another")])
    assert _files(buffers.root) in ([], [".HASHSERVER_PREFIX"])


@pytest.mark.parametrize("form", ["zst", "gz"])
def test_damaged_compressed_file_is_put_aside_and_can_be_replaced(buffers, form):
    _damage(_file(buffers, HELLO, "." + form), COMPRESS[form](HELLO)[:-3])
    with pytest.raises(BufferDamaged):
        buffers.get(_digest(HELLO))
    assert buffers.get(_digest(HELLO)) is None
    _damage(_file(buffers, HELLO, "." + form), COMPRESS[form](b"another"))
    buffers.put_compressed(_digest(HELLO), form, [COMPRESS[form](HELLO)])
    assert buffers.get(_digest(HELLO)) == HELLO
    assert len(buffers.quarantined()) == 2


@pytest.mark.invariant("I-26")
@pytest.mark.provokes("DecompressionLimitExceeded")
def test_decompression_stops_at_the_limit(tmp_path):
    bomb = zstandard.compress(bytes(50_000_000))
    directory = BufferDirectory(tmp_path, max_decompressed_bytes=1_000_000)
    with pytest.raises(DecompressionLimitExceeded, match="1000000"):
        directory.put_compressed(_digest(bytes(50_000_000)), "zst", [bomb])
    _damage(_file(directory, HELLO, ".zst"), bomb)
    with pytest.raises(DecompressionLimitExceeded):
        directory.get(_digest(HELLO))


# Streaming uploads


def test_streamed_buffer_is_visible_only_after_commit(buffers):
    with buffers.writer(_digest(LARGE)) as writer:
        writer.write(LARGE[:1_000_000])
        writer.write(memoryview(LARGE)[1_000_000:])
        assert not buffers.has(_digest(LARGE))
        writer.commit()
    assert buffers.get(_digest(LARGE)) == LARGE
    assert writer.size_bytes == len(LARGE)


def test_very_large_buffer_is_stored_by_every_way(buffers):
    content = LARGE[: 1 << 20] * 20
    digest, half = _digest(content), len(content) // 2
    for verified in (False, True):
        buffers.publish([(digest, [content[:half], content[half:]])], verified=verified)
        assert buffers.verify(digest)
        _file(buffers, content).unlink()
    with buffers.writer(digest) as writer:
        writer.write(content)
        writer.commit()
    assert buffers.get(digest) == content


def test_helper_thread_of_a_large_upload_ends_with_it(buffers):
    before = threading.active_count()
    with buffers.writer(_digest(LARGE)) as writer:
        writer.write(LARGE)
        assert threading.active_count() == before + 1
    assert threading.active_count() == before
    _put(buffers, LARGE)
    assert threading.active_count() == before


def test_writer_that_is_left_without_commit_stores_nothing(buffers):
    with buffers.writer(_digest(HELLO)) as writer:
        writer.write(HELLO)
    assert _files(buffers.root) in ([], [".HASHSERVER_PREFIX"])
    with pytest.raises(StoreClosed, match="open a new writer"):
        writer.write(HELLO)


def test_writer_refuses_the_wrong_content_and_removes_it(buffers):
    with buffers.writer(_digest(HELLO)) as writer:
        writer.write(b"something else")
        with pytest.raises(DigestMismatch):
            writer.commit()
    assert _files(buffers.root) in ([], [".HASHSERVER_PREFIX"])


def test_refused_upload_leaves_the_copy_that_another_has_stored(buffers):
    with buffers.writer(_digest(HELLO)) as writer:
        writer.write(b"wrong")
        _put(buffers, HELLO)
        with pytest.raises(DigestMismatch):
            writer.commit()
    assert buffers.get(_digest(HELLO)) == HELLO


def test_upload_of_a_present_buffer_keeps_the_present_file(buffers):
    _put(buffers, HELLO)
    inode = _file(buffers, HELLO).stat().st_ino
    with buffers.writer(_digest(HELLO)) as writer:
        writer.write(HELLO)
        writer.commit()
    assert _file(buffers, HELLO).stat().st_ino == inode


def test_temporary_file_of_an_upload_is_private(buffers):
    with buffers.writer(_digest(HELLO)) as writer:
        writer.write(HELLO)
        (name,) = [name for name in _files(buffers.root) if "-" in name]
        assert stat.S_IMODE((buffers.root / name).stat().st_mode) == 0o600
        assert name.rpartition("/")[2].startswith(_digest(HELLO).hex() + "-")


def test_writer_refuses_an_unknown_form(buffers):
    with pytest.raises(ValueError, match="'br'"):
        buffers.writer(_digest(HELLO), "br")


# Opening


def test_new_directory_gets_the_prefix_layout_and_its_marker(tmp_path):
    assert BufferDirectory(tmp_path / "new").layout == "prefix"
    assert (tmp_path / "new/.HASHSERVER_PREFIX").read_bytes() == b"1\n"


def test_directory_with_flat_buffers_keeps_its_layout(tmp_path):
    _put(BufferDirectory(tmp_path, layout="flat"), HELLO)
    directory = BufferDirectory(tmp_path)
    assert directory.layout == "flat"
    assert directory.get(_digest(HELLO)) == HELLO
    assert not (tmp_path / ".HASHSERVER_PREFIX").exists()


def test_prefix_directory_that_lost_its_marker_gets_it_back(tmp_path):
    _put(BufferDirectory(tmp_path), HELLO)
    (tmp_path / ".HASHSERVER_PREFIX").unlink()
    assert BufferDirectory(tmp_path).get(_digest(HELLO)) == HELLO
    assert (tmp_path / ".HASHSERVER_PREFIX").exists()


def test_other_files_in_the_directory_do_not_matter(tmp_path):
    (tmp_path / "seamless.db").write_bytes(b"")
    assert BufferDirectory(tmp_path).layout == "prefix"
    assert list(BufferDirectory(tmp_path).iterate()) == []


@pytest.mark.provokes("StoreLayoutUnknown")
def test_directory_with_both_layouts_and_no_marker_asks_which(tmp_path):
    _put(BufferDirectory(tmp_path, layout="prefix"), HELLO)
    _put(BufferDirectory(tmp_path, layout="flat"), b"flat")
    (tmp_path / ".HASHSERVER_PREFIX").unlink()
    with pytest.raises(StoreLayoutUnknown, match="layout='prefix' or layout='flat'"):
        BufferDirectory(tmp_path)
    assert BufferDirectory(tmp_path, layout="flat").get(_digest(b"flat")) == b"flat"


@pytest.mark.provokes("StoreMissing")
def test_opening_a_missing_directory_for_reading_says_so(tmp_path):
    with pytest.raises(StoreMissing, match="no buffer directory"):
        BufferDirectory(tmp_path / "missing", writable=False)
    assert not (tmp_path / "missing").exists()


def test_opening_a_file_says_that_it_is_no_directory(tmp_path):
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(StoreMissing, match="not a directory"):
        BufferDirectory(tmp_path / "file")


def test_directory_that_was_removed_is_reported_by_name(tmp_path):
    directory = BufferDirectory(tmp_path / "gone")
    shutil.rmtree(tmp_path / "gone")
    assert directory.get(_digest(HELLO)) is None
    with pytest.raises(StoreMissing, match="gone"):
        _put(directory, HELLO)
    with pytest.raises(StoreMissing, match="gone"):
        directory.writer(_digest(HELLO))


@pytest.mark.parametrize("timeout_s", [0, -1, float("nan")])
def test_lock_timeout_must_be_positive(tmp_path, timeout_s):
    with pytest.raises(ValueError, match="lock_timeout_s"):
        BufferDirectory(tmp_path, lock_timeout_s=timeout_s)


def test_unknown_layout_and_hash_are_refused(tmp_path):
    with pytest.raises(StoreLayoutUnknown, match="'nested'"):
        BufferDirectory(tmp_path, layout="nested")
    with pytest.raises(ValueError, match="'md5'"):
        BufferDirectory(tmp_path, hash_algorithm="md5")


@pytest.mark.provokes("StoreClosed")
def test_closed_directory_refuses_everything_and_may_be_closed_again(buffers):
    _put(buffers, LARGE)
    view = buffers.get(_digest(LARGE))
    buffers.close()
    buffers.close()
    for use in (buffers.get, buffers.has, buffers.length, buffers.path, buffers.verify, buffers.writer):
        with pytest.raises(StoreClosed, match="open it again"):
            use(_digest(HELLO))
    for use_all in (lambda: _put(buffers, HELLO), lambda: list(buffers.iterate()), buffers.sweep):
        with pytest.raises(StoreClosed):
            use_all()
    assert view == LARGE


# Read-only


@pytest.mark.invariant("I-25")
@pytest.mark.provokes("StoreReadOnly")
def test_read_only_directory_serves_and_writes_nothing(tmp_path):
    with BufferDirectory(tmp_path) as writer:
        _put(writer, HELLO)
        writer.put_compressed(_digest(b"zz"), "gz", [gzip.compress(b"zz")])
        _file(writer, b"zz", ".BUFFERLENGTH").unlink()
    directory = BufferDirectory(tmp_path, writable=False)
    _damage(_file(directory, b"broken"))
    before = _files(tmp_path)
    assert directory.get(_digest(HELLO)) == HELLO
    assert directory.length(_digest(b"zz")) == 2
    with pytest.raises(BufferDamaged):
        directory.get(_digest(b"broken"))
    for use in (lambda: _put(directory, b"new"), lambda: directory.writer(_digest(b"new")), directory.sweep):
        with pytest.raises(StoreReadOnly, match="writable=True"):
            use()
    assert _files(tmp_path) == before


# Sweeping


def test_sweep_removes_only_old_temporaries_of_unknown_writers(buffers):
    _put(buffers, HELLO)
    old, new = _file(buffers, HELLO, "-abc123"), _file(buffers, HELLO, "-def456")
    for path in (old, new):
        path.write_bytes(b"partial")
    os.utime(old, (1, 1))
    assert buffers.sweep(max_age_s=100.0) == 1
    assert (old.exists(), new.exists()) == (False, True)
    assert buffers.get(_digest(HELLO)) == HELLO


def test_sweep_spares_an_upload_in_progress_whatever_its_age(buffers):
    with buffers.writer(_digest(HELLO)) as writer:
        writer.write(HELLO)
        assert buffers.sweep(max_age_s=-1.0) == 0
        writer.commit()
    assert buffers.get(_digest(HELLO)) == HELLO


# Errors


def test_errors_survive_the_way_to_another_process():
    error = DigestMismatch(expected=b"a" * 32, actual=b"b" * 32, size_bytes=3, path="/x")
    copy = pickle.loads(pickle.dumps(error))
    assert type(copy) is DigestMismatch
    assert (str(copy), copy.expected, copy.path, copy.remedy) == (
        str(error),
        b"a" * 32,
        "/x",
        error.remedy,
    )

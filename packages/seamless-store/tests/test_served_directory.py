from __future__ import annotations

import gzip
import hashlib
import os
import threading

import pytest
from seamless_store.directory_chain import DirectoryChain, ExtraDirectory, extra_layout
from seamless_store.errors import BufferDamaged, StoreReadOnly
from seamless_store.opened_forms import Missing, OpenedForm
from seamless_store.served_directory import ServedDirectory

SMALL = b"a small buffer"
LARGE = os.urandom(300_000)


def _digest(content):
    return hashlib.sha256(content).digest()


def _file(directory, content, suffix=""):
    name = _digest(content).hex() + suffix
    return directory.root / name[:2] / name if directory.layout == "prefix" else directory.root / name


def _place(directory, content, stored, suffix="", age_s=60.0):
    """Put a file there behind the directory's back, as an old one."""
    path = _file(directory, content, suffix)
    path.parent.mkdir(exist_ok=True)
    path.unlink(missing_ok=True)
    path.write_bytes(stored)
    then = path.stat().st_mtime - age_s
    os.utime(path, (then, then))
    return path


def _read(opened):
    with opened:
        return opened.content if opened.content is not None else os.pread(opened.fd, opened.size_bytes, 0)


@pytest.fixture(params=["prefix", "flat"])
def served(request, tmp_path):
    with ServedDirectory(tmp_path / "main", layout=request.param, lock_timeout_s=5.0) as directory:
        yield directory


@pytest.mark.parametrize("content", [b"", SMALL, LARGE], ids=len)
def test_open_form_gives_what_was_published(served, content):
    served.publish([(_digest(content), [content])])
    opened = served.open_form(_digest(content))
    assert (opened.form, opened.size_bytes) == (None, len(content))
    assert _read(opened) == content


def test_look_finds_small_and_known_files_and_hashes_no_large_one(served):
    served.publish([(_digest(LARGE), [LARGE])])
    assert _read(served.look(_digest(LARGE))) == LARGE  # known: written by this process
    _place(served, SMALL, SMALL)
    assert _read(served.look(_digest(SMALL))) == SMALL
    unknown = LARGE + b"!"
    _place(served, unknown, unknown)
    assert served.look(_digest(unknown)) is None
    assert _read(served.open_form(_digest(unknown))) == unknown


def test_look_does_not_pass_over_a_preferred_form_that_needs_hashing(served):
    _place(served, LARGE, LARGE)
    _place(served, LARGE, gzip.compress(LARGE), ".gz")
    assert served.look(_digest(LARGE)) is None
    with served.look(_digest(LARGE), ("gz", None, "zst")) as opened:
        assert opened.form == "gz"


@pytest.mark.invariant("I-120")
@pytest.mark.parametrize("content", [SMALL, LARGE], ids=len)
def test_a_damaged_plain_file_is_never_opened(served, content):
    path = _place(served, content, b"x" + content[1:])
    assert served.look(_digest(content)) is None
    with pytest.raises(BufferDamaged):
        served.open_form(_digest(content))
    assert not path.exists()
    assert len(served.quarantined()) == 1
    assert served.open_form(_digest(content)) is Missing.ABSENT


def test_a_good_form_is_opened_although_another_is_damaged(served):
    _place(served, SMALL, b"damaged")
    _place(served, SMALL, gzip.compress(SMALL), ".gz")
    with served.open_form(_digest(SMALL)) as opened:
        assert gzip.decompress(opened.content) == SMALL
    assert not _file(served, SMALL).exists()


def test_a_directory_of_that_name_is_damage(served):
    _file(served, SMALL).mkdir(parents=True)
    with pytest.raises(BufferDamaged, match="regular file"):
        served.open_form(_digest(SMALL))


@pytest.mark.parametrize("lock", ["of the directory", "of the file"])
def test_a_lock_is_told_and_not_waited_for(served, lock):
    path = _place(served, SMALL, b"half")
    lock_path = path.parent / ".LOCK" if lock == "of the directory" else path.with_name(path.name + ".LOCK")
    lock_path.touch()
    assert served.open_form(_digest(SMALL)) is Missing.LOCKED
    assert path.exists()  # what another writer is making is not moved away
    with pytest.raises(BufferDamaged):
        served.open_form(_digest(SMALL), heed_locks=False)
    os.utime(lock_path, (0, 0))
    assert served.open_form(_digest(SMALL)) is Missing.ABSENT


# What a second upload asks


def test_published_buffer_is_known_to_be_stored(served):
    served.publish([(_digest(SMALL), [SMALL])])
    assert served.is_known_stored(_digest(SMALL))
    assert not served.is_known_stored(_digest(SMALL), "gz")
    assert not served.is_known_stored(_digest(LARGE))


def test_confirm_verifies_makes_durable_and_remembers(served):
    path = _place(served, LARGE, LARGE)
    os.utime(path, (1, 1))
    assert not served.is_known_stored(_digest(LARGE))
    assert served.confirm(_digest(LARGE))
    assert path.stat().st_mode & 0o777 == 0o444


def test_confirm_says_no_to_a_damaged_file_and_leaves_it(served):
    path = _place(served, LARGE, LARGE + b"!")
    assert not served.confirm(_digest(LARGE))
    assert path.exists()
    assert served.is_there(_digest(LARGE))
    assert not served.confirm(_digest(SMALL))
    assert not served.is_there(_digest(SMALL))


@pytest.mark.parametrize(
    ("stored", "is_true"),
    [(gzip.compress(SMALL), True), (gzip.compress(SMALL)[:-4], False), (gzip.compress(LARGE), False)],
    ids=["true", "cut short", "another"],
)
def test_confirm_decompresses_a_compressed_form(served, stored, is_true):
    _place(served, SMALL, stored, ".gz")
    assert served.confirm(_digest(SMALL), "gz") == is_true


def test_a_read_only_directory_confirms_nothing(tmp_path):
    (tmp_path / "main").mkdir()
    with ServedDirectory(tmp_path / "main", writable=False) as served, pytest.raises(StoreReadOnly):
        served.confirm(_digest(SMALL))


# The chain


@pytest.fixture(params=["prefix", "prefix without marker", "flat"])
def chain(request, tmp_path):
    extra = tmp_path / "extra"
    with ServedDirectory(extra, layout="flat" if request.param == "flat" else "prefix") as filled:
        filled.publish([(_digest(SMALL), [SMALL]), (_digest(LARGE), [LARGE])])
        filled.put_compressed(_digest(SMALL * 9), "gz", [gzip.compress(SMALL * 9)])
    if request.param == "prefix without marker":
        (extra / ".HASHSERVER_PREFIX").unlink()
    chain = DirectoryChain(
        ServedDirectory(tmp_path / "main"), [ExtraDirectory(tmp_path / "none"), ExtraDirectory(extra)]
    )
    yield chain
    chain.close()


@pytest.mark.invariant("I-121")
def test_every_question_is_answered_from_the_extra_directories_too(chain):
    assert _read(chain.look(_digest(SMALL))) == SMALL
    assert _read(chain.open_form(_digest(LARGE))) == LARGE
    assert _read(chain.open_form(_digest(SMALL * 9))) == gzip.compress(SMALL * 9)
    assert chain.has_many([_digest(c) for c in (SMALL, LARGE, SMALL * 9, b"no")]) == [True, True, True, False]
    assert [chain.length(_digest(c)) for c in (SMALL, LARGE, SMALL * 9, b"no")] == [14, 300_000, 126, None]
    assert chain.get(_digest(SMALL * 9)) == SMALL * 9
    assert chain.get(_digest(b"no")) is None
    assert chain.open_form(_digest(b"no")) is Missing.ABSENT


def test_a_damaged_copy_hides_no_good_one(chain):
    _place(chain.main, SMALL, b"damaged")
    assert _read(chain.open_form(_digest(SMALL))) == SMALL
    _place(chain.main, LARGE, b"damaged")
    assert chain.get(_digest(LARGE)) == LARGE


def test_damage_without_a_good_copy_is_an_error(chain):
    _place(chain.main, b"only here", b"damaged")
    with pytest.raises(BufferDamaged):
        chain.open_form(_digest(b"only here"))


def test_a_lock_in_one_directory_hides_nothing_in_another(chain):
    path = _place(chain.main, SMALL, b"half")
    path.with_name(path.name + ".LOCK").touch()
    assert _read(chain.open_form(_digest(SMALL))) == SMALL
    path = _place(chain.main, b"only here", b"half")
    path.with_name(path.name + ".LOCK").touch()
    assert chain.open_form(_digest(b"only here")) is Missing.LOCKED


def test_an_extra_directory_may_come_later_and_is_never_written_to(tmp_path):
    chain = DirectoryChain(ServedDirectory(tmp_path / "main"), [ExtraDirectory(tmp_path / "later")])
    assert not chain.has(_digest(SMALL))
    (tmp_path / "later").mkdir()
    (tmp_path / "later" / _digest(SMALL).hex()).write_bytes(SMALL)
    (tmp_path / "later" / _digest(LARGE).hex()).write_bytes(b"damaged")
    assert chain.has(_digest(SMALL))
    assert extra_layout(str(tmp_path / "later")) == "flat"
    with pytest.raises(BufferDamaged):
        chain.open_form(_digest(LARGE))
    assert sorted(path.name for path in (tmp_path / "later").iterdir()) == sorted(
        [_digest(SMALL).hex(), _digest(LARGE).hex()]
    )
    chain.close()


def test_threads_may_open_and_publish_at_once(served):
    contents = [b"%d" % n * 30_000 for n in range(8)]
    failures = []

    def work(content):
        try:
            for _ in range(5):
                served.publish([(_digest(content), [content])])
                opened = served.open_form(_digest(content))
                assert isinstance(opened, OpenedForm)
                assert _read(opened) == content
        except BaseException as exc:
            failures.append(exc)

    threads = [threading.Thread(target=work, args=(content,)) for content in contents for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []

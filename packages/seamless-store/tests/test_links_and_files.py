"""Buffers that come from files: by link, or copied in batches and streams; and the repair of damaged entries."""

from __future__ import annotations

import errno
import gzip
import hashlib
import os
import pickle
import stat
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import zstandard
from seamless_store import file_intake
from seamless_store.buffer_directory import BufferDirectory
from seamless_store.errors import LinkRefused, SourceChanged, StoreReadOnly
from seamless_store.file_intake import publish_files
from seamless_store.filesystem import OsFileSystem
from seamless_store.known_files import file_key
from seamless_store.layout import Form
from seamless_store.linking import LinkSource


@pytest.fixture
def buffers(tmp_path: Path) -> Iterator[BufferDirectory]:
    with BufferDirectory(tmp_path / "store", layout="flat") as directory:
        yield directory


def sha256(content: bytes) -> bytes:
    return hashlib.sha256(content).digest()


def source_of(path: Path, content: bytes, form: Form | None = None) -> LinkSource:
    return LinkSource(sha256(content), str(path), form, len(content), file_key(path.stat()))


def write(path: Path, content: bytes, *, age_s: int = 3600) -> Path:
    path.write_bytes(content)
    os.utime(path, (path.stat().st_mtime - age_s,) * 2)
    return path


# ---- links


def test_hard_link_shares_the_file_and_keeps_its_mode(buffers: BufferDirectory, tmp_path: Path):
    path = write(tmp_path / "a", b"alpha")
    path.chmod(0o640)
    buffers.link([source_of(path, b"alpha")])
    entry = Path(buffers.form_path(sha256(b"alpha")))
    assert entry.samefile(path)
    assert stat.S_IMODE(path.stat().st_mode) == 0o640
    assert buffers.get(sha256(b"alpha")) == b"alpha"
    assert sorted(os.listdir(buffers.root)) == [entry.name]


def test_publishing_leaves_the_mode_of_a_linked_file(buffers: BufferDirectory, tmp_path: Path):
    hard, soft = write(tmp_path / "a", b"alpha"), write(tmp_path / "b", b"beta")
    buffers.link([source_of(hard, b"alpha")])
    buffers.link([source_of(soft, b"beta")], symbolic=True)
    modes = [path.stat().st_mode for path in (hard, soft)]
    buffers.publish([(sha256(b"alpha"), [b"alpha"]), (sha256(b"beta"), [b"beta"])])
    assert [path.stat().st_mode for path in (hard, soft)] == modes


def test_symbolic_link_leads_to_the_file_itself(buffers: BufferDirectory, tmp_path: Path):
    path = write(tmp_path / "a", b"alpha")
    (tmp_path / "way").symlink_to("a")
    buffers.link([source_of(tmp_path / "way", b"alpha")], symbolic=True)
    entry = Path(buffers.form_path(sha256(b"alpha")))
    assert entry.readlink() == path
    assert buffers.get(sha256(b"alpha")) == b"alpha"


def test_hard_link_of_a_symbolic_link_is_one_of_its_target(buffers: BufferDirectory, tmp_path: Path):
    path = write(tmp_path / "a", b"alpha")
    (tmp_path / "way").symlink_to("a")
    buffers.link([source_of(tmp_path / "way", b"alpha")])
    entry = Path(buffers.form_path(sha256(b"alpha")))
    assert not entry.is_symlink()
    assert entry.samefile(path)


@pytest.mark.parametrize("symbolic", [False, True])
def test_compressed_file_is_linked_as_it_is_with_its_length(
    buffers: BufferDirectory, tmp_path: Path, symbolic: bool
):
    path = write(tmp_path / "a.gz", gzip.compress(b"alpha"))
    buffers.link([source_of(path, b"alpha", "gz")], symbolic=symbolic)
    assert Path(buffers.form_path(sha256(b"alpha"), "gz")).samefile(path)
    assert (buffers.root / f"{sha256(b'alpha').hex()}.BUFFERLENGTH").read_text() == "5"
    assert buffers.get(sha256(b"alpha")) == b"alpha"


@pytest.mark.parametrize("layout", ["flat", "prefix"])
def test_many_links_at_once(tmp_path: Path, layout: str):
    contents = [b"%d" % number for number in range(60)]
    paths = [write(tmp_path / str(number), content) for number, content in enumerate(contents)]
    with BufferDirectory(tmp_path / "store", layout=layout) as buffers:
        buffers.link([source_of(path, content) for path, content in zip(paths, contents, strict=True)])
        assert buffers.get_many([sha256(content) for content in contents]) == contents
        assert all(buffers.path(sha256(c)).samefile(p) for c, p in zip(contents, paths, strict=True))


def test_present_entry_is_left_and_equal_files_are_linked_once(buffers: BufferDirectory, tmp_path: Path):
    one, two = write(tmp_path / "one", b"alpha"), write(tmp_path / "two", b"alpha")
    buffers.publish([(sha256(b"beta"), [b"beta"])])
    entry = Path(buffers.form_path(sha256(b"beta")))
    inode = entry.stat().st_ino
    buffers.link([source_of(one, b"alpha"), source_of(two, b"alpha")])
    buffers.link([source_of(write(tmp_path / "b", b"beta"), b"beta")])
    assert Path(buffers.form_path(sha256(b"alpha"))).samefile(one)
    assert entry.stat().st_ino == inode


@pytest.mark.parametrize("symbolic", [False, True])
def test_symbolic_link_to_nothing_is_replaced(buffers: BufferDirectory, tmp_path: Path, symbolic: bool):
    entry = Path(buffers.form_path(sha256(b"alpha")))
    entry.symlink_to("gone")
    path = write(tmp_path / "a", b"alpha")
    buffers.link([source_of(path, b"alpha")], symbolic=symbolic)
    assert entry.samefile(path)


@pytest.mark.invariant("I-101")
@pytest.mark.provokes("SourceChanged")
@pytest.mark.parametrize("symbolic", [False, True])
@pytest.mark.parametrize("change", ["written to", "replaced", "written to within one tick", "gone"])
def test_file_that_changed_since_it_was_hashed_is_never_linked(
    buffers: BufferDirectory, tmp_path: Path, symbolic: bool, change: str
):
    path = write(tmp_path / "a", b"alpha")
    os.utime(path)
    source = source_of(path, b"alpha")
    times = (path.stat().st_atime_ns, path.stat().st_mtime_ns)
    changes = {
        "written to": lambda: write(path, b"other", age_s=7200),
        "replaced": lambda: write(tmp_path / "b", b"alpha").replace(path),
        "written to within one tick": lambda: (path.write_bytes(b"alphA"), os.utime(path, ns=times)),
        "gone": path.unlink,
    }
    changes[change]()
    with pytest.raises(SourceChanged, match="a does not hold"):
        buffers.link([source], symbolic=symbolic)
    assert os.listdir(buffers.root) == []


def test_nothing_of_a_batch_is_linked_when_one_file_changed(buffers: BufferDirectory, tmp_path: Path):
    good, bad = write(tmp_path / "good", b"alpha"), write(tmp_path / "bad", b"beta")
    sources = [source_of(good, b"alpha"), source_of(bad, b"beta")]
    write(bad, b"other", age_s=7200)
    with pytest.raises(SourceChanged):
        buffers.link(sources)
    assert os.listdir(buffers.root) == []


@pytest.mark.provokes("LinkRefused")
@pytest.mark.parametrize("number", [errno.EXDEV, errno.EPERM, errno.EMLINK])
def test_link_that_the_system_refuses_says_to_copy(tmp_path: Path, number: int):
    class NoLinks(OsFileSystem):
        def link(self, source: str, target: str) -> None:
            raise OSError(number, os.strerror(number), source, None, target)

    path = write(tmp_path / "a", b"alpha")
    with (
        BufferDirectory(tmp_path / "store", layout="flat", filesystem=NoLinks()) as buffers,
        pytest.raises(LinkRefused, match="copy instead"),
    ):
        buffers.link([source_of(path, b"alpha")])
    assert os.listdir(tmp_path / "store") == []


def test_linking_needs_a_writable_directory(tmp_path: Path):
    path = write(tmp_path / "a", b"alpha")
    (tmp_path / "store").mkdir()
    with BufferDirectory(tmp_path / "store", writable=False) as buffers, pytest.raises(StoreReadOnly):
        buffers.link([source_of(path, b"alpha")])


def test_change_of_a_linked_file_is_found_out(buffers: BufferDirectory, tmp_path: Path):
    path = write(tmp_path / "a", b"alpha")
    buffers.link([source_of(path, b"alpha")])
    assert buffers.damaged_forms(sha256(b"alpha")) == []
    write(path, b"other")
    assert buffers.damaged_forms(sha256(b"alpha")) == [buffers.form_path(sha256(b"alpha"))]


# ---- files


@pytest.mark.parametrize("layout", ["flat", "prefix"])
def test_files_are_stored_by_their_kind(tmp_path: Path, layout: str, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(file_intake, "BATCH_FILES", 3)
    contents = [b"", b"small", b"x" * 3_000_000, *(b"%d" % number for number in range(8))]
    files = [
        (sha256(content), str(write(tmp_path / str(number), content)), None)
        for number, content in enumerate(contents)
    ]
    packed = zstandard.compress(b"packed")
    files.append((sha256(b"packed"), str(write(tmp_path / "p.zst", packed)), "zst"))
    with BufferDirectory(tmp_path / "store", layout=layout) as buffers:
        publish_files(buffers, files)
        publish_files(buffers, files)
        assert buffers.get_many([digest for digest, _, _ in files]) == [*contents, b"packed"]
        assert Path(buffers.form_path(sha256(b"packed"), "zst")).read_bytes() == packed


@pytest.mark.invariant("I-101")
@pytest.mark.parametrize("size", [5, 3_000_000])
@pytest.mark.parametrize("form", [None, "gz"])
def test_changed_file_is_refused_and_leaves_nothing(
    buffers: BufferDirectory, tmp_path: Path, size: int, form: Form | None
):
    path = write(tmp_path / "a", os.urandom(size))
    with pytest.raises(SourceChanged, match="a does not hold") as caught:
        publish_files(buffers, [(sha256(b"alpha"), str(path), form)])
    assert (caught.value.path, caught.value.digest) == (str(path), sha256(b"alpha"))
    assert pickle.loads(pickle.dumps(caught.value)).digest == sha256(b"alpha")
    assert os.listdir(buffers.root) == []


def test_file_that_grows_while_it_is_read_is_refused(
    buffers: BufferDirectory, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    path = write(tmp_path / "log", b"alpha")
    real = os.read

    def grow(fd: int, n_bytes: int) -> bytes:
        with path.open("ab") as file:
            file.write(b"beta")
        return real(fd, n_bytes)

    monkeypatch.setattr(os, "read", grow)
    with pytest.raises(SourceChanged):
        publish_files(buffers, [(sha256(b"alpha"), str(path), None)])


def test_memory_for_many_and_large_files_is_bounded(tmp_path: Path):
    for number in range(120):
        (tmp_path / str(number)).write_bytes(os.urandom(1_000_000))
    with (tmp_path / "large").open("wb") as file:
        file.truncate(150_000_000)
    code = (
        "import hashlib, os, resource, sys\n"
        "from seamless_store.buffer_directory import BufferDirectory\n"
        "from seamless_store.file_intake import publish_files\n"
        "files = []\n"
        "for name in sorted(os.listdir()):\n"
        "    hasher = hashlib.sha256()\n"
        "    with open(name, 'rb') as file:\n"
        "        while chunk := file.read(1 << 20):\n"
        "            hasher.update(chunk)\n"
        "    files.append((hasher.digest(), name, None))\n"
        "before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss\n"
        "with BufferDirectory('store') as buffers:\n"
        "    publish_files(buffers, files)\n"
        "print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before)\n"
    )
    growth_kib = int(subprocess.check_output([sys.executable, "-c", code], cwd=tmp_path, timeout=50))
    assert growth_kib < 64 * 1024


# ---- repair


@pytest.mark.parametrize("form", [None, "gz"])
def test_damaged_form_is_found_put_aside_and_stored_again(
    buffers: BufferDirectory, tmp_path: Path, form: Form | None
):
    digest = sha256(b"alpha")
    entry = Path(buffers.form_path(digest, form))
    entry.write_bytes(b"damaged")
    assert buffers.damaged_forms(digest) == [str(entry)]
    (kept,) = buffers.repair(digest)
    assert Path(kept).read_bytes() == b"damaged"
    assert not entry.exists()
    assert buffers.damaged_forms(digest) == []
    publish_files(buffers, [(digest, str(write(tmp_path / "a", b"alpha")), None)])
    assert buffers.get(digest) == b"alpha"


def test_repair_leaves_true_forms(buffers: BufferDirectory):
    digest = sha256(b"alpha")
    buffers.publish([(digest, [b"alpha"])])
    Path(buffers.form_path(digest, "gz")).write_bytes(b"damaged")
    assert buffers.damaged_forms(digest) == [buffers.form_path(digest, "gz")]
    buffers.repair(digest)
    assert buffers.get(digest) == b"alpha"
    assert not Path(buffers.form_path(digest, "gz")).exists()

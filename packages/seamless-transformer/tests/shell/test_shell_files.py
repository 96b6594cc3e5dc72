"""Files to checksums and back: compression, checksums, indices, sidecars."""

from __future__ import annotations

import gzip
import hashlib
import json
import os
import signal
import socket
import stat
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest
import zstandard
from seamless_command.errors import ShellError
from seamless_command.sidecars import SidecarInvalid, read_checksum, write_checksum, write_index
from seamless_command.temporary_files import atomic_write, open_temporary, sweep_temporaries
from seamless_shell.compression import split_compression
from seamless_shell.directory_index import index_directory
from seamless_shell.file_checksum import hash_file, hash_files


def sha256(content: bytes) -> bytes:
    return hashlib.sha256(content).digest()


# ---- compression


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("a.txt", ("a.txt", None)),
        ("a.txt.gz", ("a.txt", "gz")),
        ("d/a.zst", ("d/a", "zst")),
        (".gz", (".gz", None)),
        ("d/.zst", ("d/.zst", None)),
        ("a.GZ", ("a.GZ", None)),
        ("a.gz.zst", ("a.gz", "zst")),
        ("gz", ("gz", None)),
    ],
)
def test_suffix_tells_the_compression(name: str, expected: tuple[str, str | None]):
    assert split_compression(name) == expected


# ---- checksum of a file


@pytest.mark.parametrize("size", [0, 1, 262_143, 262_144, 262_145, 3_000_000])
def test_checksum_is_that_of_the_bytes(tmp_path: Path, size: int):
    content = os.urandom(size)
    path = tmp_path / "file"
    path.write_bytes(content)
    found = hash_file(str(path))
    assert (found.path, found.digest, found.length, found.compression) == (
        str(path),
        sha256(content),
        size,
        None,
    )


@pytest.mark.parametrize("size", [0, 6, 5_000_000])
def test_compressed_files_have_the_checksum_of_their_content(tmp_path: Path, size: int):
    content = b"%d" % size * (size // 7)
    (tmp_path / "a.gz").write_bytes(gzip.compress(content))
    (tmp_path / "a.zst").write_bytes(zstandard.compress(content))
    found = hash_files([str(tmp_path / "a.gz"), str(tmp_path / "a.zst")])
    assert [(file.digest, file.length, file.compression) for file in found] == [
        (sha256(content), len(content), "gz"),
        (sha256(content), len(content), "zst"),
    ]


GZ = gzip.compress(b"alpha\n" * 1000)
ZST = zstandard.compress(b"alpha\n" * 1000)


@pytest.mark.provokes("ShellError")
@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("plain.gz", b"not compressed"),
        ("plain.zst", b"not compressed"),
        ("empty.gz", b""),
        ("cut.gz", GZ[:-5]),
        ("cut.zst", ZST[:-3]),
        ("tail.gz", GZ + b"x"),
        ("tail.zst", ZST + b"xxxx"),
    ],
)
def test_damaged_compressed_file_is_named_with_the_remedy(tmp_path: Path, name: str, content: bytes):
    path = tmp_path / name
    path.write_bytes(content)
    with pytest.raises(ShellError, match=name) as caught:
        hash_file(str(path))
    assert caught.value.hint is not None
    assert "rename it" in caught.value.hint


def test_missing_file_and_directory_are_what_the_system_says(tmp_path: Path):
    with pytest.raises(FileNotFoundError, match="No such file or directory: 'zz'"):
        hash_file("zz")
    with pytest.raises(IsADirectoryError, match=str(tmp_path)):
        hash_file(str(tmp_path))


def test_fifo_and_device_are_refused_at_once(tmp_path: Path):
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(ShellError, match="fifo"):
        hash_file(str(tmp_path / "pipe"))
    with pytest.raises(ShellError, match="device"):
        hash_file("/dev/null")


def test_file_that_changes_while_it_is_hashed_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    path = tmp_path / "log"
    path.write_bytes(b"a" * 400_000)
    real = os.readv

    def append_meanwhile(fd: int, buffers: list[memoryview]) -> int:
        with path.open("ab") as file:
            file.write(b"more")
        monkeypatch.setattr(os, "readv", real)
        return real(fd, buffers)

    monkeypatch.setattr(os, "readv", append_meanwhile)
    with pytest.raises(ShellError, match="changed while it was read"):
        hash_file(str(path))


def test_large_files_are_hashed_by_two_threads_in_order(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    contents = [os.urandom(size) for size in (10, 5_000_000, 300, 0, 5_000_000)]
    paths = [str(tmp_path / str(number)) for number in range(len(contents))]
    for path, content in zip(paths, contents, strict=True):
        Path(path).write_bytes(content)
    threads, both, real = set(), threading.Barrier(2, timeout=20), os.readv

    def read_together(fd: int, buffers: list[memoryview]) -> int:
        threads.add(threading.current_thread().name)
        both.wait()  # only two threads at once get past here; only large files come here
        return real(fd, buffers)

    monkeypatch.setattr(os, "readv", read_together)
    assert [file.digest for file in hash_files(paths)] == [sha256(content) for content in contents]
    assert len(threads) == 2


def test_first_bad_file_of_many_is_reported(tmp_path: Path):
    paths = [str(tmp_path / name) for name in ("a", "b", "missing", "gone")]
    for path in paths[:2]:
        Path(path).write_bytes(os.urandom(5_000_000))
    with pytest.raises(FileNotFoundError, match="missing"):
        hash_files(paths)


def test_memory_stays_constant(tmp_path: Path):
    path = tmp_path / "bomb.zst"
    compressor = zstandard.ZstdCompressor().compressobj()
    with path.open("wb") as file:
        for _ in range(300):
            file.write(compressor.compress(bytes(1_000_000)))
        file.write(compressor.flush())
    code = (
        "import resource, sys\n"
        "from seamless_shell.file_checksum import hash_file\n"
        "before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss\n"
        "print(hash_file(sys.argv[1]).length)\n"
        "print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before)\n"
    )
    output = subprocess.check_output([sys.executable, "-c", code, str(path)], text=True, timeout=50)
    length, growth_kib = map(int, output.split())
    assert length == 300_000_000
    assert growth_kib < 24 * 1024


# ---- index of a directory


def test_index_is_recursive_sorted_and_canonical(tmp_path: Path):
    (tmp_path / "d/s").mkdir(parents=True)
    (tmp_path / "d/empty").mkdir()
    (tmp_path / "d/x").write_text("1")
    (tmp_path / "d/s/y").write_text("2")
    (tmp_path / "d/.hidden").write_text("3")
    (tmp_path / "d/z.CHECKSUM").write_text("4")
    index = index_directory(str(tmp_path / "d") + "/")
    assert list(index.files) == [".hidden", "s/y", "x", "z.CHECKSUM"]
    expected = {
        name: sha256(text).hex() for name, text in zip(index.files, (b"3", b"2", b"1", b"4"), strict=True)
    }
    assert index.content == json.dumps(expected, indent=2).encode() + b"\n"
    assert index.digest == sha256(index.content)
    assert index.files["s/y"].path == str(tmp_path / "d/s/y")


def test_index_of_the_recorded_directory_and_of_an_empty_one(tmp_path: Path):
    (tmp_path / "d/s").mkdir(parents=True)
    (tmp_path / "d/x").write_text("1")
    (tmp_path / "d/s/y").write_text("2")
    (tmp_path / "e").mkdir()
    index = index_directory(str(tmp_path / "d"))
    assert index.digest.hex() == "542fcee33900549e806b270a3dc4462f430c1d658a811c8b6ce777abe8139e41"
    assert index_directory(str(tmp_path / "e")).content == b"{}\n"


def test_compression_does_not_change_the_index(tmp_path: Path):
    for name in ("plain", "packed"):
        (tmp_path / name).mkdir()
    (tmp_path / "plain/a.txt").write_text("alpha\n")
    (tmp_path / "packed/a.txt.gz").write_bytes(gzip.compress(b"alpha\n"))
    assert (
        index_directory(str(tmp_path / "plain")).content == index_directory(str(tmp_path / "packed")).content
    )


def test_two_files_of_one_name_are_both_named(tmp_path: Path):
    (tmp_path / "a").write_text("1")
    (tmp_path / "a.gz").write_bytes(gzip.compress(b"1"))
    with pytest.raises(ShellError) as caught:
        index_directory(str(tmp_path))
    assert repr(str(tmp_path / "a")) in caught.value.message
    assert repr(str(tmp_path / "a.gz")) in caught.value.message


def test_links_to_files_and_directories_are_followed(tmp_path: Path):
    (tmp_path / "d").mkdir()
    (tmp_path / "outside").mkdir()
    (tmp_path / "outside/f").write_text("1")
    (tmp_path / "d/file").symlink_to("../outside/f")
    (tmp_path / "d/one").symlink_to("../outside")
    (tmp_path / "d/two").symlink_to("../outside")
    assert list(index_directory(str(tmp_path / "d")).files) == ["file", "one/f", "two/f"]


def test_loop_of_links_is_refused(tmp_path: Path):
    (tmp_path / "d/s").mkdir(parents=True)
    (tmp_path / "d/s/up").symlink_to("..")
    with pytest.raises(ShellError, match="d/s/up"):
        index_directory(str(tmp_path / "d"))


def test_link_to_nothing_is_named(tmp_path: Path):
    (tmp_path / "broken").symlink_to("nowhere")
    with pytest.raises(FileNotFoundError, match="broken"):
        index_directory(str(tmp_path))


def test_fifo_and_socket_in_a_directory_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    for name in ("with_fifo", "with_socket"):
        (tmp_path / name).mkdir()
    os.mkfifo(tmp_path / "with_fifo/p")
    monkeypatch.chdir(tmp_path / "with_socket")  # the path of a socket has at most 107 bytes
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind("s")
        with pytest.raises(ShellError, match=r"with_socket/s' is a socket"):
            index_directory(str(tmp_path / "with_socket"))
    with pytest.raises(ShellError, match=r"with_fifo/p' is a fifo"):
        index_directory(str(tmp_path / "with_fifo"))


def test_name_that_is_no_text_is_refused(tmp_path: Path):
    Path(os.fsdecode(os.fsencode(tmp_path) + b"/caf\xe9")).write_text("1")
    with pytest.raises(ShellError, match=r"caf\\xe9"):
        index_directory(str(tmp_path))


def test_names_beyond_ascii_are_kept_as_they_are(tmp_path: Path):
    (tmp_path / "häß 1\n.txt").write_text("1")
    assert list(index_directory(str(tmp_path)).files) == ["häß 1\n.txt"]


def test_file_is_not_a_directory(tmp_path: Path):
    (tmp_path / "f").write_text("1")
    with pytest.raises(NotADirectoryError):
        index_directory(str(tmp_path / "f"))


# ---- sidecars

HEX = "b6a98d9ce9a2d9149288fa3df42d377c3e42737afdcdaf714e33c0a100b51060"


@pytest.mark.parametrize("text", [HEX, HEX + "\n", f"# made by hand\n\n  {HEX} \r\n\n", f"{HEX}\n#end"])
def test_checksum_file_is_read(tmp_path: Path, text: str):
    (tmp_path / "a.CHECKSUM").write_bytes(text.encode())
    assert read_checksum(str(tmp_path / "a.CHECKSUM")) == HEX


@pytest.mark.provokes("SidecarInvalid")
@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"# nothing\n",
        HEX.encode()[:-1],
        HEX.encode() + b"0",
        HEX.upper().encode(),
        f"{HEX}\n{HEX}\n".encode(),
        b"\xff" * 64,
        HEX.encode() + b" a.txt",
        b" " * 70_000 + HEX.encode(),
    ],
)
def test_anything_else_is_no_checksum_file(tmp_path: Path, content: bytes):
    path = str(tmp_path / "a.CHECKSUM")
    Path(path).write_bytes(content)
    with pytest.raises(SidecarInvalid, match=r"a\.CHECKSUM") as caught:
        read_checksum(path)
    assert caught.value.path == path


def test_sidecars_are_written_with_the_mode_of_the_umask(tmp_path: Path):
    target = str(tmp_path / "a")
    former = os.umask(0o027)
    try:
        write_checksum(target, HEX)
        write_index(target, b"{}\n", durable=True)
    finally:
        os.umask(former)
    assert (tmp_path / "a.CHECKSUM").read_text() == HEX + "\n"
    assert (tmp_path / "a.INDEX").read_bytes() == b"{}\n"
    assert [stat.S_IMODE(file.stat().st_mode) for file in tmp_path.iterdir()] == [0o640, 0o640]


def test_equal_sidecar_is_left_and_another_is_replaced(tmp_path: Path):
    target, path = str(tmp_path / "a"), tmp_path / "a.CHECKSUM"
    write_checksum(target, HEX)
    inode = path.stat().st_ino
    write_checksum(target, HEX)
    assert path.stat().st_ino == inode
    write_checksum(target, "0" * 64)
    assert path.read_text() == "0" * 64 + "\n"


def test_failed_write_leaves_the_old_file_and_nothing_else(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    path = tmp_path / "a"
    path.write_bytes(b"old")

    def fail(source: str, target: str) -> None:
        raise OSError("no")

    monkeypatch.setattr(os, "replace", fail)
    with pytest.raises(OSError, match="no"):
        atomic_write(str(path), b"new")
    assert (path.read_bytes(), list(tmp_path.iterdir())) == (b"old", [path])


@pytest.mark.invariant("I-100")
def test_killed_writer_never_leaves_half_a_file(tmp_path: Path):
    path = tmp_path / "d.INDEX"
    code = (
        "import os, sys\n"
        "from seamless_command.temporary_files import atomic_write\n"
        "n = os.getpid() % 1000 * 10_000\n"
        "while True:\n"
        "    n += 1\n"
        "    atomic_write(sys.argv[1], b'%08d' % n * 100_000)\n"
    )
    path.write_bytes(b"%08d" % 0 * 100_000)
    for _ in range(4):
        known = path.read_bytes()[:8]
        with subprocess.Popen([sys.executable, "-c", code, str(path)]) as writer:
            deadline = time.monotonic() + 20
            while path.read_bytes()[:8] == known:
                assert time.monotonic() < deadline
            writer.send_signal(signal.SIGKILL)
        content = path.read_bytes()
        assert content == content[:8] * 100_000


def test_left_over_temporaries_are_swept_and_those_in_use_are_not(tmp_path: Path):
    code = (
        "import os, signal, sys\n"
        "from seamless_command.temporary_files import open_temporary\n"
        "open_temporary(sys.argv[1])\n"
        "os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    subprocess.run([sys.executable, "-c", code, str(tmp_path)], timeout=20, check=False)
    (left,) = tmp_path.iterdir()
    fd, in_use = open_temporary(str(tmp_path))
    assert sweep_temporaries(str(tmp_path)) == 0  # too young to judge
    for path in (left, in_use):
        os.utime(path, (1, 1))
    assert sweep_temporaries(str(tmp_path)) == 1
    os.close(fd)
    assert [str(path) for path in tmp_path.iterdir()] == [in_use]

"""seamless-download: what the words mean, what is written, what is refused before anything is written, kills."""

from __future__ import annotations

import contextlib
import gzip
import hashlib
import json
import os
import random
import resource
import signal
import stat
import subprocess
import time
from pathlib import Path

import pytest
import zstandard
from seamless_store.known_files import file_key


def hex_of(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


@pytest.fixture
def buf(shell) -> Path:
    """A buffer directory with a file a, a compressed file c.gz and a directory d; they themselves are gone."""
    folder = shell.folder / "buf"
    folder.mkdir()
    shell.write("a", "alpha")
    shell.write("c.gz", gzip.compress(b"gamma", mtime=0))
    shell.write("d/x", "1")
    shell.write("d/s/y", "2")
    shell.answer("seamless-upload", "-q", "--destination", "buf", "a", "c.gz", "d")
    for name in ("a", "c.gz", "d/x", "d/s/y"):
        (shell.folder / name).unlink()
    (shell.folder / "d/s").rmdir()
    (shell.folder / "d").rmdir()
    return folder


def download(shell, *argv: str, **options) -> subprocess.CompletedProcess[bytes]:
    return shell.run("seamless-download", "--destination", "buf", *argv, **options)


def written(shell) -> dict[str, bytes]:
    """Return the files that are no sidecars, outside of the buffer directory."""
    return {
        name: content
        for name, content in shell.files().items()
        if not name.startswith("buf/") and not name.endswith((".CHECKSUM", ".INDEX"))
    }


TREE = {"d/x": b"1", "d/s/y": b"2"}


# ---- what the words mean


@pytest.mark.parametrize(
    ("argv", "files"),
    [
        (["a"], {"a": b"alpha"}),
        (["a.CHECKSUM"], {"a": b"alpha"}),
        (["a", "c"], {"a": b"alpha", "c": b"gamma"}),
        (["c.gz"], {"c.gz": gzip.compress(b"gamma", mtime=0)}),
        (["d"], TREE),
        (["d/"], TREE),
        (["d.INDEX"], TREE),
        (["d.CHECKSUM"], TREE),
        (["-o", "out/b", "a"], {"out/b": b"alpha"}),
        (["-o", "b", "a.CHECKSUM", "c"], {"b": b"alpha", "c": b"gamma"}),
        ([hex_of(b"alpha")], {hex_of(b"alpha"): b"alpha"}),
        (["-o", "b", hex_of(b"alpha")], {"b": b"alpha"}),
        (["-o", "e", "d"], {"e/x": b"1", "e/s/y": b"2"}),
    ],
)
def test_word_stands_for_a_file_or_directory(shell, buf, argv, files):
    done = download(shell, *argv)
    assert (done.returncode, done.stdout, done.stderr) == (0, b"", b"")
    assert written(shell) == files


def test_raw_checksum_of_a_directory_is_named_as_such(shell, buf):
    digest = shell.files()["d.CHECKSUM"].decode().strip()
    assert download(shell, "--directory", "-o", "e", digest).returncode == 0
    assert written(shell) == {"e/x": b"1", "e/s/y": b"2"}
    assert shell.files()["e.INDEX"] == shell.files()["d.INDEX"]
    assert shell.files()["e.CHECKSUM"] == shell.files()["d.CHECKSUM"]


def test_index_alone_says_what_a_directory_holds(shell, buf):
    (shell.folder / "d.CHECKSUM").unlink()
    assert download(shell, "d").returncode == 0
    assert written(shell) == TREE


def test_index_beside_is_not_trusted_when_it_is_another(shell, buf):
    shell.write("d.INDEX", "{}\n")
    assert download(shell, "d").returncode == 0
    assert written(shell) == TREE
    assert hex_of(shell.files()["d.INDEX"]) + "\n" == shell.files()["d.CHECKSUM"].decode()


def test_files_have_the_mode_of_the_umask(shell, buf):
    done = subprocess.run(
        ["bash", "-c", "umask 027; seamless-download --destination buf a"],
        cwd=shell.folder,
        env=shell.variables(None),
        timeout=30,
        check=False,
    )
    assert done.returncode == 0
    assert stat.S_IMODE((shell.folder / "a").stat().st_mode) == 0o640


def test_cache_is_read_when_no_destination_is_given(shell):
    shell.write("a", "alpha")
    shell.answer("seamless-upload", "--project", "p", "a")
    (shell.folder / "a").unlink()
    assert shell.run("seamless-download", "a").returncode == 1
    shell.answer("seamless-download", "--project", "p", "a")
    assert shell.files()["a"] == b"alpha"


def test_without_cache_and_destination_there_is_nothing_to_download_from(shell, buf):
    done = shell.run("seamless-download", "a", cache=False)
    assert done.returncode == 1
    assert b"Cannot download without a cluster defined" in done.stderr


# ---- standard output


@pytest.mark.parametrize("size", [0, 5, 3_000_000])
def test_standard_output_gets_the_bytes_as_they_are(shell, buf, size):
    content = os.urandom(size)
    shell.write("b", content)
    shell.answer("seamless-upload", "-q", "--destination", "buf", "b")
    assert download(shell, "--stdout", "b").stdout == content


@pytest.mark.parametrize(
    ("argv", "text"),
    [
        (["a", "c"], "Cannot download and print multiple files to stdout"),
        (["d"], "Cannot download and print directory to stdout"),
        (["-o", "b", "a"], "--stdout and -o exclude each other"),
        (["0" * 64], "is not in 'buf'"),
    ],
)
def test_standard_output_takes_one_file(shell, buf, argv, text):
    done = download(shell, "--stdout", *argv)
    assert (done.returncode, done.stdout) == (1, b"")
    assert text in done.stderr.decode()


@pytest.mark.parametrize("size", [5, 3_000_000])
@pytest.mark.parametrize("form", ["", ".zst"])
def test_nothing_of_a_damaged_buffer_is_printed(shell, buf, size, form):
    good, bad = os.urandom(size), os.urandom(size)
    (buf / (hex_of(good) + form)).write_bytes(zstandard.compress(bad) if form else bad)
    done = download(shell, "--stdout", hex_of(good))
    assert (done.returncode, done.stdout) == (1, b"")
    assert b"does not hold the buffer" in done.stderr


# ---- what is there already


def test_equal_file_is_left_and_another_is_replaced_and_told(shell, buf):
    download(shell, "d")
    inode = (shell.folder / "d/x").stat().st_ino
    shell.write("d/s/y", "something else")
    done = download(shell, "d")
    assert done.stderr == b"seamless-download: Replaced 1 files that held something else\n"
    assert (shell.folder / "d/x").stat().st_ino == inode
    assert written(shell) == TREE


def test_skip_leaves_and_verify_refuses_another_file(shell, buf):
    shell.write("d/x", "other")
    assert download(shell, "--dest-verify", "d").returncode == 1
    assert written(shell) == {"d/x": b"other"}
    done = download(shell, "--dest-skip", "d")
    assert (done.returncode, done.stderr) == (0, b"")
    assert written(shell) == {"d/x": b"other", "d/s/y": b"2"}
    done = download(shell, "--dest-verify", "d")
    text = f"Destination entry 'd/x' does not match checksum '{hex_of(b'1')}'"
    assert text in done.stderr.decode()
    assert download(shell, "--dest-repair", "d").returncode == 0
    assert written(shell) == TREE


def test_file_that_is_there_compressed_stays_compressed(shell, buf):
    packed = gzip.compress(b"1")
    shell.write("d/x.gz", packed)
    assert download(shell, "d").returncode == 0
    assert written(shell) == {"d/x.gz": packed, "d/s/y": b"2"}
    shell.write("d/x.gz", gzip.compress(b"other"))
    assert download(shell, "d").returncode == 0
    assert gzip.decompress(written(shell)["d/x.gz"]) == b"1"
    assert "d/x" not in written(shell)


def test_unlisted_entries_are_counted_and_removed_only_when_asked(shell, buf):
    download(shell, "d")
    shell.write("d/extra", "e")
    shell.write("d/t/deep/er", "e")
    (shell.folder / "d/link").symlink_to("/")
    before = shell.files()
    done = download(shell, "d")
    assert done.returncode == 1
    assert b"ERROR: Directory 'd' contains 5 unlisted entries; use --dest-rm to remove them" in done.stderr
    done = download(shell, "--dest-rm", "--dry-run", "d")
    assert done.returncode == 0
    assert sorted(done.stdout.decode().splitlines()) == [
        f"would remove d/{name}" for name in ("extra", "link", "t", "t/deep", "t/deep/er")
    ]
    assert shell.files() == before
    assert download(shell, "--dest-rm", "d").returncode == 0
    assert written(shell) == TREE
    assert sorted(path.name for path in (shell.folder / "d").iterdir()) == ["s", "x"]


def test_nothing_is_removed_when_the_download_fails(shell, buf):
    shell.write("d/extra", "e")
    (buf / hex_of(b"2")).unlink()
    assert download(shell, "--dest-rm", "d").returncode == 1
    assert written(shell) == {"d/extra": b"e"}


@pytest.mark.parametrize("output", [".", "..", "/", "~"])
def test_places_of_the_user_are_never_emptied(shell, buf, output):
    output = str(shell.home) if output == "~" else output
    digest = shell.files()["d.CHECKSUM"].decode().strip()
    shell.home.joinpath("precious").write_text("p")
    done = download(shell, "--dest-rm", "--directory", "-o", output, digest)
    assert done.returncode == 1
    assert shell.home.joinpath("precious").read_text() == "p"
    assert written(shell) == {}


# ---- what is refused before anything is written


def _index(shell, buf: Path, index: object) -> str:
    content = json.dumps(index).encode()
    (buf / hex_of(content)).write_bytes(content)
    return hex_of(content)


ONE = hex_of(b"1")


@pytest.mark.invariant("I-104")
@pytest.mark.parametrize(
    "index",
    [
        {"good": ONE, "../evil": ONE},
        {"good": ONE, "/tmp/evil": ONE},
        {"good": ONE, "a/../../evil": ONE},
        {"good": ONE, "evil\0": ONE},
        {"good": ONE, "": ONE},
        {"good": ONE, "s//evil": ONE},
        {"good": ONE, "./evil": ONE},
        {"good": ONE, "good/evil": ONE},
        {"good": "no checksum"},
        {"good": {"nested": ONE}},
        [ONE],
        "text",
    ],
)
def test_index_that_leaves_its_directory_or_is_none_writes_nothing(shell, buf, index):
    before = shell.files()
    digest = _index(shell, buf, index)
    done = download(shell, "--directory", "-o", "out", digest, "a")
    assert done.returncode == 1
    assert done.stderr.startswith(b"\nERROR: ")
    assert b"Traceback" not in done.stderr
    assert {**before, f"buf/{digest}": (buf / digest).read_bytes()} == shell.files()
    assert not (shell.folder.parent / "evil").exists()


@pytest.mark.parametrize("content", [b"not json", b"[" * 100_000, b"\xff"])
def test_what_is_no_json_is_no_index(shell, buf, content):
    (buf / hex_of(content)).write_bytes(content)
    done = download(shell, "--directory", "-o", "out", hex_of(content))
    assert done.returncode == 1
    assert b"no index of a directory" in done.stderr
    assert written(shell) == {}


@pytest.mark.invariant("I-104")
def test_nothing_is_written_through_a_link_out_of_the_directory(shell, buf):
    (shell.folder / "outside").mkdir()
    (shell.folder / "d").mkdir()
    (shell.folder / "d/s").symlink_to("../outside")
    done = download(shell, "d")
    assert done.returncode == 1
    assert b"'d/s' is a link" in done.stderr
    assert written(shell) == {}


def test_file_in_place_of_a_directory_and_the_reverse_are_named(shell, buf):
    shell.write("d/s", "file")
    assert b"'d/s' is a file" in download(shell, "--dest-rm", "d").stderr
    (shell.folder / "a").mkdir()
    assert b"'a' is a directory" in download(shell, "a").stderr
    assert written(shell) == {"d/s": b"file"}


def test_every_missing_buffer_is_named_and_nothing_is_written(shell, buf):
    (buf / hex_of(b"1")).unlink()
    (buf / hex_of(b"2")).unlink()
    done = download(shell, "a", "d")
    assert done.returncode == 1
    assert b"2 of 3 buffers are not in 'buf'" in done.stderr
    assert f"{hex_of(b'1')}  d/x" in done.stderr.decode()
    assert f"{hex_of(b'2')}  d/s/y" in done.stderr.decode()
    assert written(shell) == {}


def test_many_missing_buffers_are_summed_up(shell, buf):
    digest = _index(shell, buf, {f"{n:02}": hex_of(b"gone %d" % n) for n in range(25)})
    text = download(shell, "--directory", "-o", "out", digest).stderr.decode()
    assert text.count("  out/") == 10
    assert "and 15 more" in text


@pytest.mark.parametrize(
    ("argv", "text"),
    [
        (["zz"], "'zz.CHECKSUM'"),
        (["--incremental", "a"], "--incremental requires --hardlink"),
        (["-o", "x", "-o", "y", "a"], "'y' is one too many"),
        (["-o", "x", "-o", "x", "a", "c"], "Two downloads go to 'x'"),
        ([""], "empty word"),
    ],
)
def test_wrong_words_are_refused(shell, buf, argv, text):
    done = download(shell, *argv)
    assert done.returncode == 1
    assert text in done.stderr.decode()
    assert written(shell) == {}


def test_invalid_checksum_file_is_named(shell, buf):
    shell.write("a.CHECKSUM", "nonsense")
    done = download(shell, "a")
    assert done.returncode == 1
    assert b"'a.CHECKSUM' is no checksum file" in done.stderr


def test_too_much_is_refused_off_a_terminal(shell, buf):
    limit = {"SEAMLESS_MAX_DOWNLOAD_FILES": "1"}
    done = download(shell, "d", environment=limit)
    assert done.returncode == 1
    assert b"ERROR: Cannot confirm download of 2 files, total 2.00 B. Exiting." in done.stderr
    assert written(shell) == {}
    assert download(shell, "-y", "d", environment=limit).returncode == 0
    assert download(shell, "-n", "d", environment=limit).returncode == 0  # all is there: nothing to ask


@pytest.mark.parametrize("size", [5, 3_000_000])
@pytest.mark.parametrize("form", ["", ".gz"])
@pytest.mark.parametrize("options", [(), ("--hardlink",), ("--compression", "gz")])
def test_damaged_buffer_is_reported_and_never_becomes_a_file(shell, buf, size, form, options):
    good, bad = os.urandom(size), os.urandom(size)
    (buf / (hex_of(good) + form)).write_bytes(gzip.compress(bad) if form else bad)
    done = download(shell, *options, "-o", "out", hex_of(good))
    assert done.returncode == 1
    assert b"does not hold the buffer" in done.stderr
    assert b"Traceback" not in done.stderr
    assert written(shell) == {}


# ---- links, compression, indices


def test_hard_links_share_the_stored_file(shell, buf):
    assert download(shell, "--hardlink", "d", "c").returncode == 0
    assert (shell.folder / "d/x").samefile(buf / hex_of(b"1"))
    assert written(shell)["c"] == b"gamma"  # stored compressed only: a copy
    assert download(shell, "--hardlink", "--incremental", "d").returncode == 0


def test_hard_link_of_a_compressed_buffer_has_its_suffix(shell, buf):
    assert download(shell, "--hardlink", "--compression", "gz", "c").returncode == 0
    assert (shell.folder / "c.gz").samefile(buf / (hex_of(b"gamma") + ".gz"))


@pytest.mark.parametrize("option", ["--softlink", "--symlink"])
def test_symbolic_links_lead_to_the_stored_file(shell, buf, option):
    assert download(shell, option, "a").returncode == 0
    assert (shell.folder / "a").readlink() == buf / hex_of(b"alpha")


def test_link_replaces_another_file_and_leaves_no_temporary_file(shell, buf):
    shell.write("d/x", "other")
    assert download(shell, "--hardlink", "d").returncode == 0
    assert download(shell, "--hardlink", "d").returncode == 0
    assert written(shell) == TREE


@pytest.mark.parametrize(("form", "unpack"), [("gz", gzip.decompress), ("zst", zstandard.decompress)])
def test_compression_is_appended_to_every_name(shell, buf, form, unpack):
    assert download(shell, "--compression", form, "a", "c", "d").returncode == 0
    assert {name: unpack(content) for name, content in written(shell).items()} == {
        f"a.{form}": b"alpha",
        f"c.{form}": b"gamma",
        f"d/x.{form}": b"1",
        f"d/s/y.{form}": b"2",
    }
    before = shell.files()
    assert download(shell, "--compression", form, "a", "c", "d").returncode == 0
    assert shell.files() == before


def test_large_buffers_are_compressed_and_decompressed_as_streams(shell, buf):
    content = os.urandom(1000) * 5000
    (buf / (hex_of(content) + ".zst")).write_bytes(zstandard.compress(content))
    assert download(shell, "-o", "plain", hex_of(content)).returncode == 0
    assert download(shell, "--compression", "gz", "-o", "packed", hex_of(content)).returncode == 0
    assert written(shell)["plain"] == content
    assert gzip.decompress(written(shell)["packed.gz"]) == content


def test_index_writes_checksums_and_no_files(shell, buf):
    for name in ("d.INDEX",):
        (shell.folder / name).unlink()
    assert download(shell, "--index", "d/", "-o", "e").returncode == 0
    assert written(shell) == {}
    assert shell.files()["e/s/y.CHECKSUM"].decode() == hex_of(b"2") + "\n"
    assert shell.files()["e/x.CHECKSUM"].decode() == hex_of(b"1") + "\n"
    assert hex_of(shell.files()["e.INDEX"]) + "\n" == shell.files()["e.CHECKSUM"].decode()


def test_checksums_of_listed_files_are_not_unlisted(shell, buf):
    assert download(shell, "--index", "d").returncode == 0
    assert download(shell, "d").returncode == 0
    assert written(shell) == TREE


def test_buffer_directory_is_not_changed_by_a_download(shell, buf):
    before = {path: file_key(path.stat()) for path in [buf, *buf.iterdir()]}
    download(shell, "a", "c", "d")
    download(shell, "0" * 64)
    assert {path: file_key(path.stat()) for path in [buf, *buf.iterdir()]} == before


# ---- what goes wrong on the way


def _full_disk() -> None:
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000))


def test_full_disk_leaves_the_old_file(shell, buf):
    content = os.urandom(3_000_000)
    (buf / hex_of(content)).write_bytes(content)
    shell.write("out", "old")
    done = subprocess.run(
        ["seamless-download", "--destination", "buf", "-o", "out", hex_of(content)],
        cwd=shell.folder,
        env=shell.variables(None),
        capture_output=True,
        timeout=30,
        preexec_fn=_full_disk,
        check=False,
    )
    assert done.returncode == 1
    assert b"ERROR: " in done.stderr
    assert b"Traceback" not in done.stderr
    assert written(shell) == {"out": b"old"}


@pytest.mark.slow
@pytest.mark.invariant("I-100")
def test_killed_download_leaves_old_or_new_files_only(shell, buf):
    old = {f"e/{number}": os.urandom(random.choice((10, 3000, 1_200_000))) for number in range(40)}
    new = {name: os.urandom(len(content)) for name, content in old.items()}
    for name, content in new.items():
        shell.write(name, content)
    shell.answer("seamless-upload", "-q", "--destination", "buf", "e")
    start = time.monotonic()
    shell.answer("seamless-download", "--destination", "buf", "-o", "other", "e")
    uninterrupted_s = time.monotonic() - start
    for attempt in range(6):
        for name, content in old.items():
            shell.write(name, content)
        with shell.start("seamless-download", "-q", "--destination", "buf", "e") as process:
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(uninterrupted_s * (0.4 + 0.1 * attempt))
            process.kill()
        found = shell.files()
        assert [name for name in old if found[name] not in (old[name], new[name])] == []
    assert download(shell, "e").returncode == 0  # temporary files that are left are no unlisted entries
    assert {name: shell.files()[name] for name in new} == new


def test_left_over_temporary_files_are_swept(shell, buf):
    for name in (".seamless-1-0-00000000.part", "d/.seamless-1-0-00000000.part"):
        os.utime(shell.write(name, "half"), (1, 1))
    assert download(shell, "a", "d").returncode == 0
    assert written(shell) == {"a": b"alpha", **TREE}


def test_interrupt_ends_with_130_and_no_half_file(shell, buf, wait_until):
    digest = hashlib.sha256(bytes(400_000_000)).hexdigest()
    with (buf / digest).open("wb") as file:
        file.truncate(400_000_000)
    out = shell.folder / "out"
    with shell.start(
        "seamless-download", "--destination", "buf", "-o", "out/big", digest, stderr=subprocess.PIPE
    ) as process:
        wait_until(lambda: out.exists() and list(out.iterdir()))  # its temporary file
        process.send_signal(signal.SIGINT)
        _, stderr = process.communicate(timeout=20)
    assert process.returncode == 130
    assert b"Traceback" not in stderr
    assert list(out.iterdir()) == []


def test_reader_that_goes_away_is_no_error_worth_a_word(shell, buf):
    content = os.urandom(3_000_000)
    (buf / hex_of(content)).write_bytes(content)
    done = subprocess.run(
        [
            "bash",
            "-c",
            f"seamless-download --destination buf --stdout {hex_of(content)} | head -c 10 | wc -c",
        ],
        cwd=shell.folder,
        env=shell.variables(None),
        capture_output=True,
        timeout=30,
        check=False,
    )
    assert (done.stdout.strip(), done.stderr) == (b"10", b"")

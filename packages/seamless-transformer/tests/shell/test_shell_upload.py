"""seamless-upload: into the cache, into a buffer directory, by copy, by link, with --move; and what can go wrong."""

from __future__ import annotations

import contextlib
import gzip
import hashlib
import os
import random
import resource
import signal
import stat
import subprocess
import threading
import time
from pathlib import Path

import pytest
from seamless_command.errors import ShellError
from seamless_command.messages import Messages
from seamless_shell import moving, uploading
from seamless_shell.destination import Destination
from seamless_shell.moving import remove_originals
from seamless_shell.uploading import UploadOptions, prepare_items, upload_items
from seamless_store.buffer_directory import BufferDirectory
from seamless_store.known_files import file_key


def hex_of(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


@pytest.fixture
def buf(shell) -> Path:
    folder = shell.folder / "buf"
    folder.mkdir()
    return folder


def upload(shell, *argv: str, **options) -> subprocess.CompletedProcess[bytes]:
    return shell.run("seamless-upload", "--destination", "buf", *argv, **options)


def entries(buf: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in buf.rglob("*") if path.is_file()}


# ---- what is stored


def test_file_directory_and_index_are_stored_and_counted(shell, buf):
    shell.write("a", "alpha")
    shell.write("d/x", "1")
    shell.write("d/s/y", "2")
    done = upload(shell, "a", "d")
    index = shell.files()["d.INDEX"]
    n_bytes = len(index) + 5 + 1 + 1
    assert done.stderr.decode() == f"seamless-upload: Upload 4 files, total {n_bytes}.00 B\n"
    assert entries(buf) == {hex_of(content): content for content in (b"alpha", b"1", b"2", index)}
    assert shell.files()["a.CHECKSUM"].decode() == hex_of(b"alpha") + "\n"
    assert shell.files()["d.CHECKSUM"].decode() == hex_of(index) + "\n"
    assert {stat.S_IMODE(path.stat().st_mode) for path in buf.iterdir()} == {0o444}


def test_what_is_there_already_is_neither_counted_nor_written_again(shell, buf):
    shell.write("a", "alpha")
    upload(shell, "a")
    inode = (buf / hex_of(b"alpha")).stat().st_ino
    done = upload(shell, "a")
    assert (done.returncode, done.stderr) == (0, b"")
    assert (buf / hex_of(b"alpha")).stat().st_ino == inode
    assert b"Upload no files" in upload(shell, "-v", "a").stderr


def test_equal_files_are_stored_once(shell, buf):
    shell.write("a", "alpha")
    shell.write("b", "alpha")
    assert b"Upload 1 files, total 5.00 B" in upload(shell, "a", "b").stderr


def test_cache_is_the_destination_when_none_is_given(shell):
    shell.write("a", "alpha")
    shell.answer("seamless-upload", "a")
    shell.answer("seamless-upload", "--project", "p:q", "--stage", "s", "a")
    digest = hex_of(b"alpha")
    assert (shell.cache / "__TOPLEVEL__" / digest[:2] / digest).read_bytes() == b"alpha"
    assert (shell.cache / "p/q/STAGE-s" / digest[:2] / digest).read_bytes() == b"alpha"


def test_uploaded_file_is_found_by_a_step(shell, runs):
    shell.write("a.txt", "alpha\n")
    shell.answer("seamless-upload", "a.txt")
    (shell.folder / "a.txt").unlink()
    assert shell.answer("seamless-run", "cat", "a.txt") == b"alpha\n"


def test_checksum_files_are_passed_over(shell, buf):
    shell.write("a", "alpha")
    upload(shell, "a")
    done = upload(shell, "a", "a.CHECKSUM")
    assert done.returncode == 0
    assert "a.CHECKSUM.CHECKSUM" not in shell.files()


def test_compressed_directory_is_stored_compressed_under_plain_names(shell, buf):
    packed = gzip.compress(b"alpha", mtime=0)
    shell.write("d/a.gz", packed)
    upload(shell, "d")
    assert entries(buf)[hex_of(b"alpha") + ".gz"] == packed
    assert entries(buf)[hex_of(b"alpha") + ".BUFFERLENGTH"] == b"5"
    assert b'"a": ' in shell.files()["d.INDEX"]


# ---- what is refused


@pytest.mark.parametrize(
    ("argv", "text"),
    [
        (["zz"], "No such file or directory: 'zz'"),
        (["a", "-y"], "Option -y must be specified before upload targets"),
        (["--incremental", "a"], "--incremental requires --hardlink"),
        (["--move", "--symlink", "a"], "--move would remove what --symlink leads to"),
        (["--project", "a:", "a"], "empty part"),
        ([""], "empty word"),
    ],
)
def test_wrong_usage_writes_nothing(shell, buf, argv, text):
    shell.write("a", "alpha")
    done = upload(shell, *argv)
    assert done.returncode == 1
    assert text in done.stderr.decode()
    assert sorted(shell.files()) == ["a"]


def test_nothing_to_upload_is_wrong_usage(shell, buf):
    assert upload(shell).returncode == 2


def test_file_whose_name_begins_with_a_dash_can_be_uploaded(shell, buf):
    shell.write("-y", "alpha")
    assert upload(shell, "--", "-y").returncode == 0
    assert hex_of(b"alpha") in entries(buf)


def test_missing_destination_is_named(shell):
    shell.write("a", "alpha")
    done = shell.run("seamless-upload", "--destination", "nowhere", "a")
    assert done.returncode == 1
    assert b"'nowhere' is not a directory" in done.stderr
    assert b"mkdir nowhere" in done.stderr


def test_destination_inside_the_uploaded_directory_is_refused(shell):
    shell.write("d/a", "alpha")
    (shell.folder / "d/buf").mkdir()
    done = shell.run("seamless-upload", "--move", "--destination", "d/buf", "d")
    assert done.returncode == 1
    assert b"lies in 'd'" in done.stderr
    assert sorted(shell.files()) == ["d/a"]


def test_two_files_with_one_checksum_file_are_refused(shell, buf):
    shell.write("a", "alpha")
    shell.write("a.gz", gzip.compress(b"other"))
    done = upload(shell, "a", "a.gz")
    assert done.returncode == 1
    assert b"'a.CHECKSUM'" in done.stderr
    assert entries(buf) == {}


def test_too_much_is_refused_off_a_terminal_and_goes_with_yes(shell, buf):
    shell.write("a", "alpha")
    limit = {"SEAMLESS_MAX_UPLOAD_SIZE": "4 B"}
    for argv in (["a"], ["-n", "a"]):
        done = upload(shell, *argv, environment=limit)
        assert done.returncode == 1
        assert b"ERROR: Cannot confirm upload of 1 files, total 5.00 B. Exiting." in done.stderr
        assert sorted(shell.files()) == ["a"]
    assert upload(shell, "-y", "a", environment=limit).returncode == 0
    assert upload(shell, "-n", "a", environment=limit).returncode == 0  # it is there now: nothing to ask


def test_dry_run_changes_nothing(shell, buf):
    shell.write("d/a", "alpha")
    done = upload(shell, "--dry-run", "--move", "d")
    assert done.returncode == 0
    assert b"Would upload 2 files" in done.stderr
    assert done.stdout == b"would remove d\nwould remove d/a\n"
    assert sorted(shell.files()) == ["d/a"]


# ---- entries that are there already


def _damage(buf: Path, content: bytes) -> Path:
    path = buf / hex_of(content)
    path.chmod(0o644)
    path.write_bytes(b"damaged")
    return path


def test_skip_trusts_verify_detects_repair_replaces(shell, buf):
    shell.write("a", "alpha")
    upload(shell, "a")
    path = _damage(buf, b"alpha")
    assert upload(shell, "--dest-skip", "a").returncode == 0
    assert path.read_bytes() == b"damaged"
    done = upload(shell, "--dest-verify", "a")
    assert done.returncode == 1
    text = f"Destination entry 'buf/{hex_of(b'alpha')}' does not match checksum '{hex_of(b'alpha')}'"
    assert text in done.stderr.decode()
    assert path.read_bytes() == b"damaged"
    assert upload(shell, "--dest-repair", "a").returncode == 0
    assert path.read_bytes() == b"alpha"
    assert [kept.read_bytes() for kept in (buf / ".quarantine").glob(f"{hex_of(b'alpha')}-*Z")] == [
        b"damaged"
    ]


def test_repaired_entry_is_a_copy_even_with_links(shell, buf):
    shell.write("a", "alpha")
    upload(shell, "a")
    path = _damage(buf, b"alpha")
    assert upload(shell, "--hardlink", "--dest-repair", "a").returncode == 0
    assert path.read_bytes() == b"alpha"
    assert path.stat().st_nlink == 1


@pytest.mark.parametrize("mode", ["--dest-verify", "--dest-repair"])
def test_good_entry_is_never_touched(shell, buf, mode):
    shell.write("a", "alpha")
    upload(shell, "a")
    before = file_key((buf / hex_of(b"alpha")).stat())
    assert upload(shell, mode, "a").returncode == 0
    assert file_key((buf / hex_of(b"alpha")).stat()) == before


# ---- links


def test_hard_links_share_the_file(shell, buf):
    path = shell.write("d/a", "alpha")
    path.chmod(0o640)
    assert upload(shell, "--hardlink", "d").returncode == 0
    assert (buf / hex_of(b"alpha")).samefile(path)
    assert stat.S_IMODE(path.stat().st_mode) == 0o640


def test_symbolic_links_lead_to_the_file(shell, buf):
    path = shell.write("a", "alpha")
    assert upload(shell, "--symlink", "a").returncode == 0
    assert (buf / hex_of(b"alpha")).readlink() == path


def test_links_work_in_the_cache_too(shell):
    path = shell.write("a", "alpha")
    shell.answer("seamless-upload", "--hardlink", "a")
    digest = hex_of(b"alpha")
    assert (shell.cache / "__TOPLEVEL__" / digest[:2] / digest).samefile(path)


def test_incremental_does_not_read_what_is_linked_already(shell, buf, monkeypatch):
    shell.write("d/a", "alpha")
    shell.write("f", "file")
    assert upload(shell, "--hardlink", "d", "f").returncode == 0
    shell.write("d/new", "new")
    monkeypatch.chdir(shell.folder)
    read, real = [], uploading.hash_files

    def noting(paths):
        read.extend(paths)
        return real(paths)

    monkeypatch.setattr(uploading, "hash_files", noting)
    with BufferDirectory("buf", layout="flat") as directory:
        items = prepare_items(["d", "f"], Destination(directory, "buf"), incremental=True)
    assert read == ["d/new"]
    assert [file.digest.hex() for file in items[0].files] == [hex_of(b"alpha"), hex_of(b"new")]
    assert items[1].digest.hex() == hex_of(b"file")


def test_incremental_reads_a_file_that_is_another_one_now(shell, buf):
    path = shell.write("a", "alpha")
    assert upload(shell, "--hardlink", "a").returncode == 0
    path.unlink()
    shell.write("a", "other")
    assert upload(shell, "--hardlink", "--incremental", "a").returncode == 0
    assert entries(buf) == {hex_of(b"alpha"): b"alpha", hex_of(b"other"): b"other"}


@pytest.mark.skipif(not Path("/dev/shm").is_dir(), reason="needs a second file system")
def test_hard_link_to_another_file_system_says_to_copy(shell, buf, tmp_path):
    elsewhere = Path("/dev/shm") / f"seamless-test-{os.getpid()}"
    elsewhere.write_bytes(b"alpha")
    try:
        done = upload(shell, "--hardlink", str(elsewhere))
    finally:
        elsewhere.unlink()
    assert done.returncode == 1
    assert b"--copy" in done.stderr
    assert entries(buf) == {}


# ---- move


def test_move_removes_files_and_trees_that_are_stored(shell, buf):
    shell.write("a", "alpha")
    shell.write("d/s/x", "1")
    (shell.folder / "d/empty").mkdir()
    done = upload(shell, "--move", "a", "d/")
    assert (done.returncode, done.stdout) == (0, b"")
    assert sorted(path.name for path in shell.folder.iterdir()) == [
        "a.CHECKSUM",
        "buf",
        "d.CHECKSUM",
        "d.INDEX",
    ]
    assert {hex_of(b"alpha"), hex_of(b"1")} <= set(entries(buf))


def test_move_by_hard_link_keeps_the_content(shell, buf):
    shell.write("a", "alpha")
    assert upload(shell, "--move", "--hardlink", "a").returncode == 0
    assert not (shell.folder / "a").exists()
    assert (buf / hex_of(b"alpha")).read_bytes() == b"alpha"


@pytest.mark.invariant("I-102")
def test_move_does_not_trust_a_damaged_entry(shell, buf):
    shell.write("a", "alpha")
    upload(shell, "a")
    _damage(buf, b"alpha")
    assert upload(shell, "--move", "a").returncode == 1
    assert shell.files()["a"] == b"alpha"
    assert upload(shell, "--move", "--dest-repair", "a").returncode == 0
    assert (buf / hex_of(b"alpha")).read_bytes() == b"alpha"
    assert "a" not in shell.files()


def test_move_removes_links_and_not_what_they_lead_to(shell, buf):
    target, file = shell.write("outside/x", "1"), shell.write("file", "2")
    (shell.folder / "d").mkdir()
    (shell.folder / "d/folder").symlink_to("../outside")
    (shell.folder / "d/file").symlink_to("../file")
    (shell.folder / "way").symlink_to("outside")
    assert upload(shell, "--move", "d", "way").returncode == 0
    assert (target.read_bytes(), file.read_bytes()) == (b"1", b"2")
    assert not (shell.folder / "d").exists()
    assert not (shell.folder / "way").is_symlink()
    assert {hex_of(b"1"), hex_of(b"2")} <= set(entries(buf))


@pytest.mark.invariant("I-102")
def test_move_keeps_what_came_or_changed_meanwhile(shell, buf, monkeypatch):
    monkeypatch.chdir(shell.folder)
    for name in ("d/changed", "d/same", "d/ticked", "single"):
        shell.write(name, "alpha")
    with BufferDirectory("buf", layout="flat") as directory:
        destination = Destination(directory, "buf")
        items = prepare_items(["d", "single"], destination, incremental=False)
        upload_items(items, destination, UploadOptions(durable=True), Messages("test", -1))
    times = (shell.folder / "d/ticked").stat().st_mtime_ns
    shell.write("d/ticked", "alphA")
    os.utime("d/ticked", ns=(times, times))  # as a change within one tick of the clock leaves it
    for name in ("d/new", "d/changed", "single"):
        shell.write(name, "something longer")
    assert sorted(remove_originals(items)) == ["d/changed", "d/new", "d/ticked", "single"]
    left = {name: content for name, content in shell.files().items() if "buf" not in name}
    assert left == {
        "d.CHECKSUM": left["d.CHECKSUM"],
        "d.INDEX": left["d.INDEX"],
        "d/changed": b"something longer",
        "d/new": b"something longer",
        "d/ticked": b"alphA",
        "single": b"something longer",
        "single.CHECKSUM": left["single.CHECKSUM"],
    }


def test_move_that_keeps_something_says_so_and_fails(shell, buf, monkeypatch):
    from seamless_shell import upload_command

    monkeypatch.chdir(shell.folder)
    shell.write("a", "alpha")
    real = moving.remove_originals
    monkeypatch.setattr(
        moving, "remove_originals", lambda items: (shell.write("a", "other!"), real(items))[1]
    )
    assert upload_command.main(["-q", "--move", "--destination", "buf", "a"]) == 1
    assert shell.files()["a"] == b"other!"
    assert entries(buf) == {hex_of(b"alpha"): b"alpha"}


# ---- what goes wrong on the way


@pytest.mark.invariant("I-101")
@pytest.mark.parametrize("link", [None, "hard", "symbolic"])
def test_file_that_changes_after_it_was_hashed_is_not_stored(shell, buf, monkeypatch, link):
    monkeypatch.chdir(shell.folder)
    shell.write("a", "alpha")
    with BufferDirectory("buf", layout="flat") as directory:
        destination = Destination(directory, "buf")
        items = prepare_items(["a"], destination, incremental=False)
        shell.write("a", "other")
        with pytest.raises(Exception, match="does not hold the buffer"):
            upload_items(items, destination, UploadOptions(link=link), Messages("test", -1))
    assert sorted(shell.files()) == ["a"]


@pytest.mark.invariant("I-101")
def test_file_that_is_written_to_all_the_time_never_gives_a_false_entry(shell, buf):
    path = shell.write("log", bytes(3_000_000))
    stop = threading.Event()

    def write() -> None:
        with path.open("r+b", buffering=0) as file:
            while not stop.is_set():
                file.seek(random.randrange(3_000_000))
                file.write(os.urandom(8))

    writer = threading.Thread(target=write)
    writer.start()
    try:
        codes = {upload(shell, "log").returncode for _ in range(3)}
    finally:
        stop.set()
        writer.join()
    assert codes <= {0, 1}
    assert all(hex_of(content) == name for name, content in entries(buf).items())


def _full_disk() -> None:
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000))


def test_full_disk_ends_in_an_error_and_leaves_nothing(shell, buf):
    shell.write("a", os.urandom(50_000))
    shell.write("b", os.urandom(3_000_000))
    done = subprocess.run(
        ["seamless-upload", "--destination", "buf", "a", "b"],
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
    assert all(hex_of(content) == name for name, content in entries(buf).items())
    assert sorted(name for name in shell.files() if not name.startswith("buf/")) == ["a", "b"]


@pytest.mark.slow
@pytest.mark.invariant("I-103")
@pytest.mark.parametrize("options", [(), ("--hardlink",), ("--move",)])
def test_killed_upload_leaves_true_entries_and_loses_nothing(shell, buf, options):
    contents = {f"d/{number}": os.urandom(random.choice((10, 3000, 1_200_000))) for number in range(40)}
    for name, content in contents.items():
        shell.write(name, content)
    uninterrupted_s = _time_of_an_upload(shell)
    for attempt in range(6):
        with shell.start("seamless-upload", "-q", "--destination", "buf", *options, "d") as process:
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(uninterrupted_s * (0.3 + 0.15 * attempt))
            process.kill()
        found = shell.files()
        stored = {name: content for name, content in entries(buf).items() if len(name) == 64}
        assert all(hex_of(content) == name for name, content in stored.items())
        assert [
            name
            for name, content in contents.items()
            if found.get(name, stored.get(hex_of(content))) != content
        ] == []
        assert len(found.get("d.CHECKSUM", b"x" * 65)) == 65
        for name in {"d.CHECKSUM"} & set(found):
            assert {hex_of(content) for content in contents.values()} <= set(stored), name


def _time_of_an_upload(shell) -> float:
    (shell.folder / "other").mkdir()
    start = time.monotonic()
    shell.answer("seamless-upload", "-q", "--destination", "other", "d")
    for name in ("d.CHECKSUM", "d.INDEX"):
        (shell.folder / name).unlink()
    return time.monotonic() - start


def test_interrupt_ends_with_130_and_no_half_file(shell, buf, wait_until):
    with shell.write("big", b"").open("r+b") as file:
        file.truncate(400_000_000)
    with shell.start(
        "seamless-upload", "-y", "--destination", "buf", "big", stderr=subprocess.PIPE
    ) as process:
        wait_until(lambda: list(buf.iterdir()))  # its temporary file
        process.send_signal(signal.SIGINT)
        _, stderr = process.communicate(timeout=20)
    assert process.returncode == 130
    assert b"Traceback" not in stderr
    assert list(buf.iterdir()) == []
    assert sorted(shell.files()) == ["big"]


def test_index_refuses_what_it_cannot_hold_before_anything_is_stored(shell, buf, monkeypatch):
    monkeypatch.chdir(shell.folder)
    shell.write("a", "alpha")
    shell.write("d/x", "1")
    os.mkfifo(shell.folder / "d/pipe")
    with BufferDirectory("buf", layout="flat") as directory, pytest.raises(ShellError, match="fifo"):
        prepare_items(["a", "d"], Destination(directory, "buf"), incremental=False)
    assert list(buf.iterdir()) == []


def test_messages_of_every_level_are_shown(shell, buf):
    shell.write("a", "alpha")
    upload(shell, "-q", "a")
    assert upload(shell, "-q", "a").stderr == b""
    assert b"Already stored: 'a'" in upload(shell, "-vv", "a").stderr

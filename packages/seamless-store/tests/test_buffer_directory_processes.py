"""Real processes on real disks: kill -9, eight at once, a full disk, another user."""

from __future__ import annotations

import hashlib
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from seamless_store.buffer_directory import BufferDirectory
from seamless_store.errors import StoreFull
from seamless_store.layout import buffer_digest, temporary_owner

KILL_LOOP_S = 4.0
DEADLINE_S = 30.0


def _digest(content: bytes) -> bytes:
    return hashlib.sha256(content).digest()


def _start(program: str, *arguments: object, **options: object) -> subprocess.Popen[str]:
    command = [sys.executable, "-c", program, *map(str, arguments)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True, **options)


def _untrue_files(root: Path) -> list[Path]:
    files = [path for path in root.rglob("*") if buffer_digest(path.name) is not None]
    return [path for path in files if _digest(path.read_bytes()) != buffer_digest(path.name)]


PUBLISH_FOREVER = """
import hashlib, os, sys
from seamless_store.buffer_directory import BufferDirectory
directory = BufferDirectory(sys.argv[1])
print("ready", flush=True)
while True:
    batch = [os.urandom(size) for size in (10, 1000, 50_000, 300_000)] + [os.urandom(50) for _ in range(8)]
    digests = [hashlib.sha256(content).digest() for content in batch]
    directory.publish([(digest, [content]) for digest, content in zip(digests, batch)])
    print("".join(digest.hex() for digest in digests), flush=True)
"""


@pytest.mark.invariant("I-21")
def test_killed_publisher_leaves_true_files_and_all_that_it_acknowledged(tmp_path):
    deadline = time.monotonic() + KILL_LOOP_S
    n_kills = 0
    acknowledged: list[bytes] = []
    while time.monotonic() < deadline or n_kills == 0:
        process = _start(PUBLISH_FOREVER, tmp_path / "buffers")
        assert process.stdout.readline() == "ready\n"
        lines = [process.stdout.readline() for _ in range(n_kills % 5)]
        time.sleep(0.003 * (n_kills % 7))  # the kill shall hit different places; nothing waits for this
        process.send_signal(signal.SIGKILL)
        rest = process.communicate(timeout=DEADLINE_S)[0].splitlines()
        whole = [line.strip() for line in (*lines, *rest) if len(line.strip()) == 12 * 64]
        acknowledged += [bytes.fromhex(line[i : i + 64]) for line in whole for i in range(0, len(line), 64)]
        n_kills += 1
    directory = BufferDirectory(tmp_path / "buffers")
    assert acknowledged
    assert all(directory.verify(digest) for digest in acknowledged)
    assert _untrue_files(tmp_path) == []
    directory.sweep(max_age_s=3600.0)  # the writers are known to be dead: age does not matter
    assert [path for path in tmp_path.rglob("*") if temporary_owner(path.name)] == []


PUBLISH_AND_READ = """
import hashlib, random, sys
from seamless_store.buffer_directory import BufferDirectory
directory = BufferDirectory(sys.argv[1])
rng = random.Random(int(sys.argv[2]))
contents = [b"%d" % number * (1 + number * 40) for number in range(120)]
rng.shuffle(contents)
digest = lambda content: hashlib.sha256(content).digest()
for start in range(0, len(contents), 15):
    for content in rng.sample(contents, 5):
        assert directory.get(digest(content)) in (None, content)
    directory.publish([(digest(content), [content]) for content in contents[start : start + 15]])
assert directory.get_many([digest(content) for content in contents]) == contents
assert directory.quarantined() == []
"""


def test_eight_processes_store_the_same_buffers_in_one_directory(tmp_path):
    processes = [_start(PUBLISH_AND_READ, tmp_path / "buffers", number) for number in range(8)]
    assert [(process.communicate(timeout=DEADLINE_S), process.returncode)[1] for process in processes] == [
        0
    ] * 8
    assert len(list(BufferDirectory(tmp_path / "buffers").iterate())) == 120
    assert _untrue_files(tmp_path) == []
    assert [path for path in tmp_path.rglob("*") if temporary_owner(path.name)] == []


@pytest.fixture
def small_disk(tmp_path):
    """A file system of 2 MB with room for 60 files."""
    mount = tmp_path / "disk"
    mount.mkdir()
    options = "size=2048k,nr_inodes=60,mode=777"
    command = ["mount", "-t", "tmpfs", "-o", options, "seamless-store-test", str(mount)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        pytest.skip(f"mounting a small disk needs root and the right to mount: {done.stderr.strip()}")
    yield mount
    subprocess.run(["umount", "-l", str(mount)], check=True)


@pytest.mark.provokes("StoreFull")
def test_full_disk_is_reported_and_the_store_goes_on_when_there_is_space_again(small_disk):
    directory = BufferDirectory(small_disk / "buffers")
    directory.publish([(_digest(b"before"), [b"before"])])
    large = os.urandom(3_000_000)
    with pytest.raises(StoreFull, match="No space left"):
        directory.publish([(_digest(b"small"), [b"small"]), (_digest(large), [large])])
    assert list(directory.iterate()) == [_digest(b"before")]
    assert [path for path in small_disk.rglob("*") if temporary_owner(path.name)] == []
    fits = large[:1_000_000]
    directory.publish([(_digest(fits), [fits])])
    assert directory.get(_digest(fits)) == fits
    with pytest.raises(StoreFull), directory.writer(_digest(large)) as writer:
        writer.write(large)
    assert [path for path in small_disk.rglob("*") if temporary_owner(path.name)] == []


def test_disk_without_inodes_left_is_reported_as_full(small_disk):
    directory = BufferDirectory(small_disk / "buffers")
    contents = [b"%d" % number for number in range(100)]
    with pytest.raises(StoreFull):
        directory.publish([(_digest(content), [content]) for content in contents])
    assert directory.get(_digest(contents[0])) in (None, contents[0])
    assert [path for path in small_disk.rglob("*") if temporary_owner(path.name)] == []


USE_AS_ANOTHER_USER = """
import hashlib, os, pathlib, sys  # all before: another user may not be able to read this Python
from seamless_store.buffer_directory import BufferDirectory
from seamless_store.errors import BufferDamaged, StoreReadOnly
if os.geteuid() == 0:
    os.setgroups([])
    os.setgid(65534)
    os.setuid(65534)
digest = lambda content: hashlib.sha256(content).digest()
directory = BufferDirectory(sys.argv[1])
assert directory.get(digest(b"here")) == b"here"
assert directory.length(digest(b"here")) == 4
assert directory.path(digest(b"here")) is not None
assert directory.get(digest(b"missing")) is None
new = digest(b"new")
for use in (lambda: directory.publish([(new, [b"new"])]), lambda: directory.writer(new)):
    try:
        use()
    except StoreReadOnly as exc:
        assert "make" in exc.remedy and sys.argv[1] in exc.path, exc
    else:
        raise AssertionError("stored in a directory of another user")
try:
    directory.get(digest(b"broken"))
except BufferDamaged as exc:
    assert exc.quarantined_to == "", exc
else:
    raise AssertionError("returned a damaged buffer")
print("done")
"""


def test_directory_of_another_user_is_readable_and_refuses_writes_by_name(tmp_path):
    root = tmp_path / "buffers"
    directory = BufferDirectory(root)
    directory.publish([(_digest(content), [content]) for content in (b"here", b"broken")])
    broken = root / _digest(b"broken").hex()[:2] / _digest(b"broken").hex()
    broken.chmod(0o644)
    broken.write_bytes(b"not true")
    os.utime(broken, (1, 1))
    before = sorted(root.rglob("*"))
    directories = [root, *(path for path in before if path.is_dir())]
    for path in directories:
        path.chmod(0o555)
    opened = [path for path in (tmp_path, *tmp_path.parents[:2]) if os.geteuid() == path.stat().st_uid]
    modes = [path.stat().st_mode for path in opened]
    for path in opened:
        path.chmod(0o755)
    try:
        process = _start(USE_AS_ANOTHER_USER, root, stderr=subprocess.PIPE)
        stdout, stderr = process.communicate(timeout=DEADLINE_S)
    finally:
        for path, mode in zip(opened, modes, strict=True):
            path.chmod(mode)
        for path in directories:
            path.chmod(0o755)
    assert (stdout, stderr) == ("done\n", "")
    assert sorted(root.rglob("*")) == before

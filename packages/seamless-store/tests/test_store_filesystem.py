from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from pathlib import Path

import pytest
from seamless_store import filesystem as filesystem_module
from seamless_store.filesystem import (
    OS_FILESYSTEM,
    SYSTEM_CLOCK,
    Clock,
    FileSystem,
    OsFileSystem,
    is_network_filesystem,
)
from seamless_store.known_files import KnownFiles, file_key
from seamless_store.testing.simulated_filesystem import SimulatedWorld


def test_both_file_systems_and_clocks_offer_the_whole_port():
    world = SimulatedWorld()
    assert isinstance(OS_FILESYSTEM, FileSystem)
    assert isinstance(world.process(), FileSystem)
    assert isinstance(SYSTEM_CLOCK, Clock)
    assert isinstance(world.clock, Clock)


def test_local_directory_is_not_a_network_file_system(tmp_path):
    assert not is_network_filesystem(tmp_path)
    assert not is_network_filesystem(tmp_path / "does/not/exist")


MOUNTS = r"""
22 1 8:1 / / rw - ext4 /dev/root rw
23 22 0:5 / /home rw shared:7 - nfs4 server:/home rw
24 22 0:6 / /home/me/fast\040disk rw - xfs /dev/sdb rw
25 22 0:7 / /mnt/ssh rw - fuse.sshfs host: rw
26 22 0:8 / /mnt/twice rw - ext4 /dev/sdc rw
27 26 0:9 / /mnt/twice rw - lustre tank rw
28 22 0:9 / /odd rw - somethingnew x rw
"""


@pytest.mark.parametrize(
    ("path", "kind"),
    [
        ("/var/cache", "ext4"),
        ("/home", "nfs4"),
        ("/home/me/x", "nfs4"),
        ("/homestead", "ext4"),
        ("/home/me/fast disk/x", "xfs"),
        ("/mnt/ssh/x", "fuse.sshfs"),
        ("/mnt/twice", "lustre"),
        ("/odd", "somethingnew"),
    ],
)
def test_type_is_that_of_the_innermost_and_latest_mount(path, kind):
    assert filesystem_module._type_in_mount_table(MOUNTS.strip().encode().splitlines(), path) == kind


def test_unknown_file_system_type_counts_as_network(monkeypatch):
    monkeypatch.setattr(filesystem_module, "_filesystem_type", lambda path: "somethingnew")
    assert is_network_filesystem("/odd")


def test_whole_sync_is_trusted_only_on_known_file_systems_and_kernels(monkeypatch, tmp_path):
    monkeypatch.setattr(filesystem_module, "_filesystem_type", lambda path: "ext4")
    monkeypatch.setattr(filesystem_module, "_kernel_version", lambda: (5, 8))
    assert OS_FILESYSTEM.can_sync_filesystem("/x")
    monkeypatch.setattr(filesystem_module, "_kernel_version", lambda: (5, 7))
    assert not OS_FILESYSTEM.can_sync_filesystem("/x")
    monkeypatch.setattr(filesystem_module, "_kernel_version", lambda: (6, 1))
    monkeypatch.setattr(filesystem_module, "_filesystem_type", lambda path: "nfs4")
    assert not OS_FILESYSTEM.can_sync_filesystem("/x")


def test_sync_of_a_file_system_reports_a_bad_descriptor():
    with pytest.raises(OSError, match="syncfs"):
        OS_FILESYSTEM.sync_filesystem(-1)


def test_identity_of_this_process_is_alive_and_that_of_no_other():
    identity = OS_FILESYSTEM.process_identity()
    pid, start, scope = identity.split(".")
    assert int(pid, 16) == os.getpid()
    assert OS_FILESYSTEM.process_lives(identity) is True
    assert OS_FILESYSTEM.process_lives(f"{pid}.{int(start, 16) + 1:x}.{scope}") is False
    assert OS_FILESYSTEM.process_lives(f"{pid}.{start}.00000000") is None


@pytest.mark.parametrize("identity", ["", "abc", "1.2", "x.y.z", "tmp8k2j1", "1.2.3.4"])
def test_foreign_names_tell_nothing_about_a_process(identity):
    assert OS_FILESYSTEM.process_lives(identity) is None


SHOW_IDENTITY = """
import sys
from seamless_store.filesystem import OS_FILESYSTEM
print(OS_FILESYSTEM.process_identity(), flush=True)
sys.stdin.read()
"""


def test_killed_process_is_dead_even_before_it_is_reaped():
    process = subprocess.Popen(
        [sys.executable, "-c", SHOW_IDENTITY], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    identity = process.stdout.readline().strip()
    assert OS_FILESYSTEM.process_lives(identity) is True
    process.send_signal(signal.SIGKILL)
    os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)  # dead, not reaped
    assert OS_FILESYSTEM.process_lives(identity) is False
    process.communicate(timeout=30)
    assert OS_FILESYSTEM.process_lives(identity) is False


def test_child_after_a_fork_has_an_identity_of_its_own():
    filesystem = OsFileSystem()
    parent_identity = filesystem.process_identity()
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        os.write(writer, filesystem.process_identity().encode())
        os._exit(0)
    os.waitpid(child, 0)
    assert os.read(reader, 100).decode().split(".")[0] == f"{child:x}"
    assert filesystem.process_identity() == parent_identity
    os.close(reader)
    os.close(writer)


def test_known_file_is_forgotten_when_it_changes(tmp_path):
    known = KnownFiles()
    path = tmp_path / "file"
    path.write_bytes(b"one")
    known.add(str(path), file_key(path.stat()))
    assert known.holds(str(path), file_key(path.stat()))
    os.utime(path, ns=(1, 1))
    assert not known.holds(str(path), file_key(path.stat()))


def test_least_recently_used_files_are_forgotten_first(tmp_path):
    known = KnownFiles(capacity=2)
    key = file_key(tmp_path.stat())
    known.add("a", key)
    known.add("b", key)
    assert known.holds("a", key)
    known.add("c", key)
    assert [known.holds(path, key) for path in "abc"] == [True, False, True]
    assert len(known) == 2


def test_known_files_stay_bounded_and_usable_under_many_threads(tmp_path):
    known = KnownFiles(capacity=10)
    key = file_key(tmp_path.stat())

    def work(offset):
        for number in range(5000):
            known.add(f"{(number + offset) % 40}", key)
            known.holds(f"{number % 40}", key)

    threads = [threading.Thread(target=work, args=(offset,)) for offset in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    known.add("last", key)
    assert known.holds("last", key)
    assert len(known) <= 20


def test_opening_and_using_a_directory_imports_no_heavy_module(tmp_path):
    program = (
        "import sys; from seamless_store.buffer_directory import BufferDirectory as B; "
        "d = B(sys.argv[1]); assert d.get(bytes(32)) is None; "
        "heavy = {'numpy', 'asyncio', 'apsw', 'zstandard', 'ctypes', 'subprocess', 'mmap', 'logging'}; "
        "print(sorted(heavy & set(sys.modules)))"
    )
    done = subprocess.run(
        [sys.executable, "-c", program, str(tmp_path)], capture_output=True, text=True, check=True
    )
    assert done.stdout == "[]\n"
    assert Path(tmp_path / ".HASHSERVER_PREFIX").exists()

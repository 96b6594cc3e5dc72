"""One holder for each key, whatever races and whoever dies."""

from __future__ import annotations

import errno
import fcntl
import json
import os
import stat
import subprocess
import sys
import threading
import time

import pytest
from remote_http_launcher import key_lock
from remote_http_launcher.errors import KeyBusy, KeyInvalid
from remote_http_launcher.key_lock import KeyLock
from remote_http_launcher.processes import identity_of
from remote_http_launcher.testing.processes import dead_pid, server_folder, service_process, state_of

# each turn appends "in" and "out" to a file; turns must not mix
CONTENDER = """
import os, sys
from remote_http_launcher.key_lock import KeyLock
for _ in range(int(sys.argv[2])):
    with KeyLock("k", timeout_s=50):
        descriptor = os.open(sys.argv[1], os.O_WRONLY | os.O_APPEND | os.O_CREAT)
        os.write(descriptor, b"%d in\\n" % os.getpid())
        os.sched_yield()
        os.write(descriptor, b"%d out\\n" % os.getpid())
        os.close(descriptor)
"""
HOLDER = """
import sys, time
from remote_http_launcher.key_lock import KeyLock
KeyLock("k").acquire()
print("held", flush=True)
time.sleep(60)
"""


def test_lock_says_who_holds_it_and_leaves_nothing_but_its_guard():
    with KeyLock("k") as lock:
        lease = json.loads((server_folder() / "k.lock").read_text())
        assert lease == lock.holder()
        assert lease["pid"] == os.getpid()
        assert set(lease) == {"schema", "nonce", *identity_of(os.getpid())}
        assert stat.S_IMODE((server_folder() / "k.lock").stat().st_mode) == 0o600
    assert sorted(os.listdir(server_folder())) == ["k.guard"]
    assert lock.holder() is None


@pytest.mark.invariant("I-188")
@pytest.mark.parametrize("has_flock", [True, False], ids=["flock", "no flock"])
def test_turns_of_many_processes_never_mix(tmp_path, has_flock: bool):
    log = tmp_path / "turns"
    prefix = "" if has_flock else _WITHOUT_FLOCK
    running = [
        subprocess.Popen([sys.executable, "-c", prefix + CONTENDER, str(log), "5"], env=os.environ)
        for _ in range(8)
    ]
    assert [process.wait(55) for process in running] == [0] * 8
    lines = log.read_text().splitlines()
    assert len(lines) == 80
    assert all(
        first == second.replace("out", "in") for first, second in zip(lines[::2], lines[1::2], strict=True)
    )


_WITHOUT_FLOCK = """
import errno, fcntl
def flock(*_): raise OSError(errno.ENOLCK, "No locks available")
fcntl.flock = flock
"""


def test_threads_of_one_process_take_turns():
    inside, highest = [0], [0]

    def work() -> None:
        for _ in range(5):
            with KeyLock("k"):
                inside[0] += 1
                highest[0] = max(highest[0], inside[0])
                time.sleep(0)
                inside[0] -= 1

    threads = [threading.Thread(target=work) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert highest == [1]


@pytest.mark.provokes("KeyBusy")
def test_lock_of_a_living_process_is_not_taken_and_its_holder_is_named():
    holder = subprocess.Popen([sys.executable, "-c", HOLDER], stdout=subprocess.PIPE, env=os.environ)
    assert holder.stdout is not None
    try:
        assert holder.stdout.readline() == b"held\n"
        with pytest.raises(KeyBusy, match=f"process {holder.pid} of host .* it is alive") as caught:
            KeyLock("k", timeout_s=0.05).acquire()
        assert caught.value.holder["pid"] == holder.pid
        holder.kill()
        holder.wait(10)
        with KeyLock("k", timeout_s=10) as lock:  # a killed holder is in nobody's way
            assert lock.holder()["pid"] == os.getpid()
    finally:
        holder.kill()
        holder.wait(10)
        holder.stdout.close()


@pytest.mark.invariant("I-188")
@pytest.mark.parametrize(
    "changes", [{"boot_id": "b", "machine_id": "m", "host": "login2"}, {"pid_namespace": "pid:[1]"}]
)
def test_lease_of_another_machine_is_never_broken(changes: dict[str, str]):
    lease = {"schema": 1, **identity_of(os.getpid()), "nonce": "n", **changes, "pid": dead_pid()}
    path = server_folder() / "k.lock"
    path.write_text(json.dumps(lease))
    with pytest.raises(KeyBusy, match="cannot be told from here") as caught:
        KeyLock("k", timeout_s=0.05).acquire()
    assert caught.value.host == lease["host"]
    assert f"rm {path}" in str(caught.value.hint)
    assert json.loads(path.read_text()) == lease


@pytest.mark.parametrize("content", ["", "{", "[]", "{}"])
def test_lease_that_cannot_be_read_is_not_broken(content: str):
    (server_folder() / "k.lock").write_text(content)
    with pytest.raises(KeyBusy):
        KeyLock("k", timeout_s=0.05).acquire()
    assert (server_folder() / "k.lock").read_text() == content


def test_lease_of_a_recycled_pid_is_replaced():
    with service_process() as stranger:
        lease = {**state_of(stranger), "nonce": "n", "start_time": 1}
        (server_folder() / "k.lock").write_text(json.dumps(lease))
        with KeyLock("k", timeout_s=5) as lock:
            assert lock.holder()["pid"] == os.getpid()


@pytest.mark.parametrize("has_flock", [True, False], ids=["flock", "no flock"])
def test_lease_that_came_in_the_place_of_a_dead_one_stays(has_flock: bool):
    lock = KeyLock("k")
    path = server_folder() / "k.lock"
    living = json.dumps({"schema": 1, **identity_of(os.getpid()), "nonce": "newer"})
    path.write_text(living)  # the dead one that was seen before has gone meanwhile
    assert not lock._remove_dead(has_flock)
    assert path.read_text() == living
    assert os.listdir(server_folder()) == ["k.lock"]


def test_without_flock_one_process_at_a_time_judges_a_lease(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(fcntl, "flock", _no_locks)
    dead = json.dumps({"schema": 1, **identity_of(os.getpid()), "nonce": "n", "start_time": 1})
    (server_folder() / "k.lock").write_text(dead)
    (server_folder() / "k.lock.breaking").write_text("{}")
    with pytest.raises(KeyBusy, match="it is dead") as caught:
        KeyLock("k", timeout_s=0.05).acquire()
    assert "k.lock.breaking" in str(caught.value.hint)
    assert (server_folder() / "k.lock").read_text() == dead
    (server_folder() / "k.lock.breaking").unlink()
    with KeyLock("k", timeout_s=0.05) as lock:
        assert lock.holder()["pid"] == os.getpid()
    assert sorted(os.listdir(server_folder())) == ["k.guard"]


def _no_locks(*_: object) -> None:
    raise OSError(errno.ENOLCK, "No locks available")


def test_file_system_without_hard_links_will_do(monkeypatch: pytest.MonkeyPatch):
    def no_link(*_: object) -> None:
        raise OSError(errno.EPERM, "Operation not permitted")

    monkeypatch.setattr(key_lock.os, "link", no_link)
    with KeyLock("k") as lock:
        assert lock.holder()["pid"] == os.getpid()
        with pytest.raises(KeyBusy):
            KeyLock("k", timeout_s=0).acquire()
    assert sorted(os.listdir(server_folder())) == ["k.guard"]


def test_link_whose_answer_was_lost_counts(monkeypatch: pytest.MonkeyPatch):
    link = os.link

    def lossy(source: str, target: str) -> None:
        link(source, target)
        raise FileExistsError(errno.EEXIST, "File exists")

    monkeypatch.setattr(key_lock.os, "link", lossy)
    with KeyLock("k", timeout_s=0) as lock:
        assert lock.holder()["pid"] == os.getpid()


def test_lock_is_not_inherited_by_a_started_service():
    with KeyLock("k") as lock:
        assert fcntl.fcntl(lock._guard, fcntl.F_GETFD) & fcntl.FD_CLOEXEC
        with pytest.raises(RuntimeError, match="held already"):
            lock.acquire()
    lock.release()  # nothing happens


def test_key_is_checked():
    with pytest.raises(KeyInvalid):
        KeyLock("a/b")

"""Which steps run: one process each, told truly whatever is killed, forged or in the way."""

from __future__ import annotations

import dataclasses
import os
import random
import signal
import socket
import stat
import subprocess
import sys
import textwrap
import threading
from pathlib import Path

import pytest
from seamless_store import running_files, running_steps
from seamless_store.leases import Lease
from seamless_store.running_steps import RunningSteps

DIGEST = bytes(range(32))
OTHER = bytes(range(1, 33))
DEADLINE_S = 20.0

HOLD = """
    import sys
    from seamless_store.running_steps import RunningSteps
    with RunningSteps(sys.argv[1]).announce(bytes.fromhex(sys.argv[2]), "holding") as announcement:
        print(announcement.nonce, flush=True)
        sys.stdin.read()
    """
WAIT_FOR_CANCEL = """
    import sys, time
    from seamless_store.running_steps import RunningSteps
    with RunningSteps(sys.argv[1]).announce(bytes.fromhex(sys.argv[2]), "waiting") as announcement:
        print("ready", flush=True)
        while not announcement.cancel_requested():
            time.sleep(0.005)
    print("stopped", flush=True)
    """
COMPETE = """
    import fcntl, os, sys, time
    from seamless_store.running_steps import RunningSteps
    root, digest, inside = sys.argv[1:]
    fd = os.open(inside, os.O_RDWR | os.O_CREAT)
    print("ready", flush=True)
    while True:
        with RunningSteps(root).announce(bytes.fromhex(digest), "competing") as announcement:
            if announcement.nonce is not None:
                try:
                    fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
                except BlockingIOError:
                    print("two at once", flush=True)
                    sys.exit(1)
                time.sleep(0.0005)
                fcntl.flock(fd, fcntl.LOCK_UN)
    """


@pytest.fixture
def root(tmp_path: Path) -> Path:
    root = tmp_path / "buffers"
    root.mkdir(mode=0o755)
    return root


@pytest.fixture
def steps(root: Path) -> RunningSteps:
    return RunningSteps(root)


@pytest.fixture
def file(root: Path) -> Path:
    """Where the lease of DIGEST stands."""
    return root / ".running" / DIGEST.hex()


@pytest.fixture
def start(root: Path):
    """Start a process with one of the programs above, and wait until it has said its first line."""
    started: list[subprocess.Popen[str]] = []

    def start(program: str, *arguments: str) -> subprocess.Popen[str]:
        command = [sys.executable, "-c", textwrap.dedent(program), str(root), DIGEST.hex(), *arguments]
        process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        started.append(process)
        assert process.stdout.readline()
        return process

    yield start
    for process in started:
        process.kill()
        process.communicate()


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def names(root: Path) -> set[str]:
    return {path.name for path in (root / ".running").iterdir()} - {".lock"}


# ---- announcing


def test_an_announced_step_has_a_lease_until_it_ends(steps, file, root):
    with steps.announce(DIGEST, "bash step") as announcement:
        entry = steps.holder(DIGEST)
        assert (entry.lease.nonce, entry.what) == (announcement.nonce, "bash step")
        assert entry.lease.pid == os.getpid()
        assert Lease.read(file) == entry.lease
        assert names(root) == {DIGEST.hex()}
    assert steps.holder(DIGEST) is None
    assert names(root) == set()


def test_the_lease_goes_when_the_step_raises(steps, file):
    def run():
        with steps.announce(DIGEST, "x"):
            assert file.exists()
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run()
    assert not file.exists()


def test_the_lease_goes_with_an_announcement_that_was_never_ended(steps, file):
    announcement = steps.announce(DIGEST, "x").__enter__()
    assert file.exists()
    del announcement
    assert not file.exists()


def test_looking_makes_nothing(steps, root):
    assert steps.holder(DIGEST) is None
    assert steps.request_cancel(DIGEST) == "not-running"
    assert steps.list() == ()
    assert list(root.iterdir()) == []


def test_it_is_private(steps, file):
    with steps.announce(DIGEST, "x"):
        assert (mode(file.parent), mode(file)) == (0o700, 0o600)


def test_in_a_directory_of_a_group_the_group_sees_it(steps, root, file):
    root.chmod(0o775)
    with steps.announce(DIGEST, "x"):
        assert (mode(file.parent), mode(file)) == (0o2770, 0o640)


def test_steps_of_one_process_share_a_lease(steps, root, file):
    with steps.announce(DIGEST, "one") as one:
        with RunningSteps(root).announce(DIGEST, "two") as two:
            assert one.nonce == two.nonce is not None
            assert not two.runs_elsewhere
        assert file.exists()
        assert one.nonce == steps.holder(DIGEST).lease.nonce
    assert not file.exists()


def test_different_steps_have_different_leases(steps):
    with steps.announce(OTHER, "second") as second, steps.announce(DIGEST, "first") as first:
        assert first.nonce != second.nonce
        assert [(entry.digest, entry.what) for entry in steps.list()] == [
            (DIGEST, "first"),
            (OTHER, "second"),
        ]


def test_a_step_that_another_process_runs_is_not_announced_again(steps, start, file):
    process = start(HOLD)
    before = file.read_bytes()
    with steps.announce(DIGEST, "me too") as announcement:
        assert announcement.runs_elsewhere
        assert announcement.elsewhere.lease.pid == process.pid
        assert announcement.elsewhere.what == "holding"
        assert announcement.nonce is None
        assert not announcement.cancel_requested()
    assert file.read_bytes() == before


def test_when_the_other_process_has_ended_it_is(steps, start):
    process = start(HOLD)
    process.communicate("")
    with steps.announce(DIGEST, "x") as announcement:
        assert announcement.nonce is not None


@pytest.mark.invariant("I-81")
def test_a_killed_process_holds_nothing(steps, start, file):
    process = start(HOLD)
    process.kill()
    process.wait()
    assert file.exists()
    assert steps.holder(DIGEST) is None
    assert not file.exists()


@pytest.mark.invariant("I-81")
def test_the_lease_of_a_killed_process_is_taken_over(steps, start, file):
    process = start(HOLD)
    process.kill()
    process.wait()
    with steps.announce(DIGEST, "x") as announcement:
        assert Lease.read(file).nonce == announcement.nonce


@pytest.mark.invariant("I-81")
def test_a_process_of_which_nobody_knows_is_neither_dead_nor_waited_for(steps, file):
    lease = dataclasses.replace(Lease.of_this_process(), machine_id="another", host="elsewhere")
    file.parent.mkdir()
    lease.write(file)
    assert steps.holder(DIGEST).lease == lease
    with steps.announce(DIGEST, "x") as announcement:
        assert (announcement.runs_elsewhere, announcement.nonce) == (False, None)
    assert Lease.read(file) == lease


def test_what_this_process_left_before_it_became_another_program_is_replaced(steps, file):
    file.parent.mkdir()
    Lease.of_this_process().write(file)
    with steps.announce(DIGEST, "x") as announcement:
        assert Lease.read(file).nonce == announcement.nonce


def test_a_fork_ends_nothing_of_its_parent(steps, file):
    with steps.announce(DIGEST, "x") as announcement:
        pid = os.fork()
        if pid == 0:
            announcement.__exit__()
            os._exit(0 if file.exists() else 1)
        assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0
        assert steps.holder(DIGEST).lease.nonce == announcement.nonce


@pytest.mark.invariant("I-80")
@pytest.mark.timeout(120)
def test_never_two_processes_at_once_although_some_are_killed(start, tmp_path):
    inside = str(tmp_path / "inside")
    processes = [start(COMPETE, inside) for _ in range(3)]
    chance = random.Random(5)
    for _ in range(12):
        victim = processes.pop(0)
        with pytest.raises(subprocess.TimeoutExpired):  # one that ends by itself has met another
            victim.wait(chance.uniform(0.02, 0.15))
        victim.kill()
        processes.append(start(COMPETE, inside))
    assert [process.poll() for process in processes] == [None] * 3


@pytest.mark.invariant("I-80")
def test_a_lease_that_took_the_place_of_an_ended_one_is_never_replaced(steps, file, start, monkeypatch):
    """One process ends its step and another begins it, just while this one reads the lease of the first."""
    start(HOLD)
    first = file.read_bytes()
    real = running_files._read_file

    def read_late(path: str) -> str | None:
        if path == str(file) and file.exists() and file.read_bytes() == first:
            file.unlink()
            try:
                return real(path)
            finally:
                second = Lease.parse(first.decode(), file)
                dataclasses.replace(second, nonce="f" * 32).write(file)
        return real(path)

    monkeypatch.setattr(running_files, "_read_file", read_late)

    with steps.announce(DIGEST, "x") as announcement:
        assert (announcement.runs_elsewhere, announcement.nonce) == (True, None)
    assert Lease.read(file).nonce == "f" * 32


def test_many_threads_of_one_process(steps, file):
    nonces: list[str | None] = []

    def run():
        for _ in range(50):
            with steps.announce(DIGEST, "x") as announcement:
                nonces.append(announcement.nonce)

    threads = [threading.Thread(target=run) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(nonces) == 200
    assert None not in nonces
    assert not file.exists()


# ---- cancelling


def test_a_running_step_hears_of_a_cancellation(steps, start, root):
    process = start(WAIT_FOR_CANCEL)
    assert steps.request_cancel(DIGEST) == "canceled"
    assert process.communicate(timeout=DEADLINE_S)[0] == "stopped\n"
    assert names(root) == set()


def test_a_step_of_this_process_hears_of_a_cancellation(steps):
    with steps.announce(DIGEST, "x") as announcement:
        assert not announcement.cancel_requested()
        steps.request_cancel(DIGEST)
        assert announcement.cancel_requested()
    assert not announcement.cancel_requested()


def test_a_step_that_nobody_runs_is_not_cancelled(steps, start, root):
    process = start(HOLD)
    process.kill()
    process.wait()
    assert steps.request_cancel(DIGEST) == "not-running"
    assert names(root) == set()


@pytest.mark.invariant("I-82")
def test_a_cancellation_never_stops_a_later_run(steps, file):
    cancel = file.with_name(file.name + ".cancel")
    with steps.announce(DIGEST, "first") as first:
        steps.request_cancel(DIGEST)
        stale = cancel.read_bytes()
        assert stale.decode() == f"{first.nonce}\n"
    cancel.write_bytes(stale)
    with steps.announce(DIGEST, "second") as second:
        assert not second.cancel_requested()
        assert not cancel.exists()
        cancel.write_bytes(stale)
        assert not second.cancel_requested()


# ---- what is in the way


def _fifo(path: Path) -> None:
    os.mkfifo(path)


def _socket(path: Path) -> None:
    listener = socket.socket(socket.AF_UNIX)
    here = Path.cwd()
    os.chdir(path.parent)
    listener.bind(path.name)
    os.chdir(here)
    listener.close()


def _link(path: Path) -> None:
    target = path.parent.parent / "precious"
    target.write_text(Lease.of_this_process().text())
    path.symlink_to(target)


HOSTILE = {
    "empty": lambda path: path.write_text(""),
    "nonsense": lambda path: path.write_text("nonsense"),
    "deep": lambda path: path.write_text("[" * 16000),
    "large": lambda path: path.write_text(" " * 100_000_000),
    "bytes": lambda path: path.write_bytes(b"\xff\0"),
    "fifo": _fifo,
    "socket": _socket,
    "link": _link,
}


@pytest.mark.parametrize("make", HOSTILE.values(), ids=HOSTILE.keys())
def test_what_is_no_lease_is_replaced(steps, file, make):
    file.parent.mkdir()
    make(file)
    assert steps.holder(DIGEST) is None
    assert steps.request_cancel(DIGEST) == "not-running"
    with steps.announce(DIGEST, "x") as announcement:
        assert Lease.read(file).nonce == announcement.nonce
    assert not file.exists()


def test_a_link_is_not_followed(steps, file, root):
    file.parent.mkdir()
    _link(file)
    before = (root / "precious").read_bytes()
    with steps.announce(DIGEST, "x"):
        assert not file.is_symlink()
    assert (root / "precious").read_bytes() == before


@pytest.mark.parametrize("make", HOSTILE.values(), ids=HOSTILE.keys())
def test_what_is_no_cancellation_stops_nothing(steps, file, make):
    with steps.announce(DIGEST, "x") as announcement:
        make(file.with_name(file.name + ".cancel"))
        assert not announcement.cancel_requested()


@pytest.mark.invariant("I-83")
@pytest.mark.parametrize(
    "make",
    [
        Path.mkdir,
        lambda path: path.write_text('{"schema": 2, "host": "later"}'),
    ],
    ids=["directory", "later"],
)
def test_without_a_lease_a_step_runs_all_the_same(steps, file, make):
    file.parent.mkdir()
    make(file)
    before = file.stat()
    with steps.announce(DIGEST, "x") as announcement:
        assert (announcement.nonce, announcement.runs_elsewhere) == (None, False)
    assert file.stat() == before


@pytest.mark.invariant("I-83")
def test_a_directory_that_is_none_gives_no_lease(steps, root, tmp_path):
    (tmp_path / "elsewhere").mkdir()
    (root / ".running").symlink_to(tmp_path / "elsewhere")
    with steps.announce(DIGEST, "x") as announcement:
        assert announcement.nonce is None
    assert list((tmp_path / "elsewhere").iterdir()) == []


@pytest.mark.invariant("I-83")
def test_a_missing_root_gives_no_lease(tmp_path):
    with RunningSteps(tmp_path / "gone").announce(DIGEST, "x") as announcement:
        assert announcement.nonce is None


@pytest.mark.invariant("I-83")
def test_a_lock_that_somebody_keeps_delays_a_step_and_does_not_stop_it(steps, start, root, monkeypatch):
    import fcntl

    process = start(HOLD)
    process.kill()
    process.wait()
    monkeypatch.setattr(running_files, "LOCK_TIMEOUT_S", 0.1)
    with (root / ".running" / ".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        with steps.announce(DIGEST, "x") as announcement:
            assert announcement.nonce is None


@pytest.mark.parametrize("what", ["full", "no links"])
def test_a_file_system_that_refuses_gives_no_lease(steps, root, monkeypatch, what):
    def refuse(*_: object) -> None:
        raise OSError(28 if what == "full" else 1, what)

    monkeypatch.setattr(running_steps.os, {"full": "write", "no links": "link"}[what], refuse)
    with steps.announce(DIGEST, "x") as announcement:
        assert announcement.nonce is None
    monkeypatch.undo()
    assert DIGEST.hex() not in names(root)
    with steps.announce(DIGEST, "x") as announcement:
        assert announcement.nonce is not None


# ---- cleaning


def test_the_first_announcement_removes_what_the_dead_have_left(steps, root, file):
    directory = root / ".running"
    directory.mkdir()
    dead = dataclasses.replace(Lease.of_this_process(), start_time=1)
    for name in ("aa" * 32, "bb" * 32):
        dead.write(directory / name)
    unknown = dataclasses.replace(dead, machine_id="another")
    unknown.write(directory / ("cc" * 32))
    (directory / ("cc" * 32 + ".cancel")).write_text(unknown.nonce + "\n")
    (directory / ("aa" * 32 + ".cancel")).write_text(dead.nonce + "\n")
    (directory / ("dd" * 32 + ".cancel")).write_text("nobody\n")
    (directory / ".new-old").touch()
    os.utime(directory / ".new-old", (0, 0))
    (directory / ".new-young").touch()
    (directory / "foreign").touch()
    with steps.announce(DIGEST, "x"):
        assert names(root) == {DIGEST.hex(), "cc" * 32, "cc" * 32 + ".cancel", ".new-young", "foreign"}


def test_an_interrupt_while_announcing_leaves_nothing(steps, root, monkeypatch):
    link = os.link

    def link_and_interrupt(*arguments: str) -> None:
        link(*arguments)
        os.kill(os.getpid(), signal.SIGINT)

    monkeypatch.setattr(running_steps.os, "link", link_and_interrupt)
    with pytest.raises(KeyboardInterrupt):
        steps.announce(DIGEST, "x").__enter__()
    assert names(root) == set()
    assert running_steps._held == {}

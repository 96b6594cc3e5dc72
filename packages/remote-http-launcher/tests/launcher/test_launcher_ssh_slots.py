"""Calls at once to a host: counted over all processes of a user, and given up by those that die."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from pathlib import Path

import pytest
from remote_http_launcher.ssh import SshExecutor
from remote_http_launcher.ssh_errors import SshBusy
from remote_http_launcher.ssh_slots import CALLS_AT_ONCE, slot

CALL = (
    "import sys; from remote_http_launcher.ssh import SshExecutor; "
    "sys.exit(SshExecutor(sys.argv[1]).run(sys.argv[2:]).exit_code)"
)
HOLD = (
    "import sys; from remote_http_launcher.ssh_slots import slot\n"
    "with slot(sys.argv[1], 'h'):\n    print('held', flush=True); sys.stdin.read()\n"
)
FORK = """\
import os, sys
from remote_http_launcher.ssh_slots import slot
read, write = os.pipe()
with slot(sys.argv[1], "h"):
    child = os.fork()
    if not child:
        os.close(write)
        os.read(read, 1)  # until the parent is done
        os._exit(0)
for _ in range(20):
    with slot(sys.argv[1], "h", timeout_s=0):
        pass
os.close(write)
os.waitpid(child, 0)
"""


def _most_at_once(log: Path) -> int:
    running = most = 0
    for line in log.read_text().splitlines():
        running += {"start": 1, "end": -1}[line]
        most = max(most, running)
    assert running == 0
    return most


def _counted(ssh_host) -> Path:
    """Put a helper on the host that notes its start and its end; return its log."""
    log = ssh_host.folder / "sessions"
    helper = ssh_host.bin / "counted"
    helper.write_text(f"#!/bin/sh\necho start >> {log}\nsleep 0.5\necho end >> {log}\n")
    helper.chmod(0o700)
    return log


@pytest.mark.slow
@pytest.mark.invariant("I-221")
def test_twenty_processes_never_have_more_sessions_than_slots(ssh_host):
    log = _counted(ssh_host)
    clients = [
        subprocess.Popen([sys.executable, "-c", CALL, "tb-host", "counted"], stderr=subprocess.PIPE)
        for _ in range(20)
    ]
    said = [client.communicate(timeout=50)[1] for client in clients]
    SshExecutor("tb-host").run(["true"])  # for this process to close what the clients had opened
    assert [client.returncode for client in clients] == [0] * 20, said
    assert log.read_text().count("start\n") == 20
    assert 2 <= _most_at_once(log) <= CALLS_AT_ONCE
    assert ssh_host.handshakes() == 1


@pytest.mark.invariant("I-221")
def test_threads_share_the_slots_of_their_process(ssh_host):
    log = _counted(ssh_host)
    threads = [threading.Thread(target=SshExecutor("tb-host").run, args=(["counted"],)) for _ in range(12)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert log.read_text().count("start\n") == 12
    assert _most_at_once(log) <= CALLS_AT_ONCE


@pytest.mark.provokes("SshBusy")
@pytest.mark.invariant("I-221")
def test_slots_of_a_killed_process_are_free_again(tmp_path):
    path = str(tmp_path / "slot")
    holders = [
        subprocess.Popen(
            [sys.executable, "-c", HOLD, path], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        for _ in range(CALLS_AT_ONCE)
    ]
    assert [holder.stdout.readline() for holder in holders] == ["held\n"] * CALLS_AT_ONCE
    with pytest.raises(SshBusy, match="8 calls to 'h'"), slot(path, "h", timeout_s=0.1):
        pass
    holders[3].send_signal(signal.SIGKILL)
    with slot(path, "h"):
        pass
    for holder in holders:
        holder.communicate("", timeout=20)
    assert sorted(os.listdir(tmp_path)) == [f"slot.{n}" for n in range(CALLS_AT_ONCE)]


def test_slot_is_given_up_though_a_forked_process_has_it_open(tmp_path):
    done = subprocess.run(
        [sys.executable, "-c", FORK, str(tmp_path / "slot")], capture_output=True, text=True, timeout=30
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert os.listdir(tmp_path) == ["slot.0"]

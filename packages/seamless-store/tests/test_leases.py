"""Leases: written whole, read strictly, and never called dead for lack of knowledge."""

from __future__ import annotations

import dataclasses
import os
import subprocess
import sys

import pytest
from seamless_store.leases import Lease, LeaseInvalid, Liveness


@pytest.fixture
def lease():
    return Lease.of_this_process()


def test_a_lease_comes_back_as_written(lease, tmp_path):
    lease.write(tmp_path / "lease")
    assert Lease.read(tmp_path / "lease") == lease
    assert [p.name for p in tmp_path.iterdir()] == ["lease"]


def test_no_file_is_no_lease(tmp_path):
    assert Lease.read(tmp_path / "lease") is None


def test_two_leases_of_one_process_differ(lease):
    assert Lease.of_this_process() != lease


def test_this_process_lives(lease):
    assert lease.liveness() is Liveness.ALIVE


def test_a_process_that_ended_is_dead(lease):
    process = subprocess.Popen([sys.executable, "-c", ""])
    process.wait()
    assert dataclasses.replace(lease, pid=process.pid).liveness() is Liveness.DEAD


def test_a_process_that_ended_unnoticed_by_its_parent_is_dead(lease):
    process = subprocess.Popen([sys.executable, "-c", ""])
    os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)
    assert dataclasses.replace(lease, pid=process.pid).liveness() is Liveness.DEAD
    process.wait()


def test_a_pid_that_is_used_again_is_not_the_holder(lease):
    assert dataclasses.replace(lease, start_time=lease.start_time - 1).liveness() is Liveness.DEAD


def test_another_boot_of_this_machine_is_dead(lease):
    assert dataclasses.replace(lease, boot_id="another").liveness() is Liveness.DEAD


@pytest.mark.parametrize(
    "change",
    [{"machine_id": "another"}, {"machine_id": ""}, {"pid_namespace": "another"}, {"start_time": None}],
)
def test_what_cannot_be_told_is_unknown(lease, change):
    assert dataclasses.replace(lease, **change).liveness() is Liveness.UNKNOWN


@pytest.mark.provokes("LeaseInvalid")
@pytest.mark.parametrize(
    "text",
    ["", "{}", "[]", "nonsense", '{"schema": 2}', '{"schema": 1, "pid": "7"}', "\xff"],
)
def test_a_file_that_holds_no_lease_is_reported(tmp_path, text):
    (tmp_path / "lease").write_text(text, encoding="latin-1")
    with pytest.raises(LeaseInvalid, match="lease"):
        Lease.read(tmp_path / "lease")


def test_a_lease_of_a_later_schema_is_not_taken_for_ours(lease, tmp_path):
    dataclasses.replace(lease, schema=2).write(tmp_path / "lease")
    with pytest.raises(LeaseInvalid, match="schema 1"):
        Lease.read(tmp_path / "lease")

"""`auth: group`: the group of the data reaches the token and nothing else; others reach nothing."""

from __future__ import annotations

import grp  # noqa: F401  (for a process that may not read this installation any more)
import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from remote_http_launcher import run
from remote_http_launcher.directories import group_token_path
from remote_http_launcher.group_tokens import share_token
from remote_http_launcher.helpers.rm import main as rm
from remote_http_launcher.helpers.stop import main as stop
from remote_http_launcher.launch_errors import LaunchRefused

GROUP = 54321 if os.getuid() == 0 else os.getgid()
OTHER_GROUP = 54322
is_root = pytest.mark.skipif(os.getuid() != 0, reason="only root can become another user")


class Shared:
    """base: the launcher's directory, closed at first. workdir: of the group."""

    def __init__(self, folder: Path) -> None:
        folder.chmod(0o755)
        self.base = folder / "launcher"
        self.base.mkdir(0o700)
        self.workdir = folder / "work"
        self.workdir.mkdir(0o770)
        os.chown(self.workdir, -1, GROUP)

    def config(self, world, **more) -> dict:
        return world.config(workdir=str(self.workdir), auth="group", **more)


@pytest.fixture
def shared(world, monkeypatch) -> Iterator[Shared]:
    folder = Path(
        tempfile.mkdtemp(prefix="rhl-group-", dir="/tmp")
    )  # pytest's own directory is closed to others
    found = Shared(folder)
    world.server, world.client = found.base / "server", found.base / "client"
    world.server_folders.append(world.server)
    monkeypatch.setenv("REMOTE_HTTP_LAUNCHER_DIR", str(found.base))
    try:
        yield found
    finally:
        world.end_all()
        shutil.rmtree(folder)


def _mode(path: Path) -> int:
    return path.stat().st_mode & 0o7777


def _read_as(group: int, path: Path) -> str | None:
    """Return what another user of the group reads, None if refused."""
    done = subprocess.run(
        ["cat", str(path)],
        user=65534,
        group=group,
        extra_groups=[],
        capture_output=True,
        text=True,
        timeout=20,
    )
    return done.stdout if done.returncode == 0 else None


@pytest.mark.invariant("I-222")
def test_group_token_has_a_place_that_the_group_can_enter(world, shared):
    found = run(shared.config(world))
    path = Path(found["token_file"])
    assert path == shared.base / "group-tokens" / "svc.token"
    assert path.read_text() == (shared.base / "server" / "svc.token").read_text()
    assert world.state()["token_file"] == found["launched"]["token_file"] == str(path)
    assert {each.name: _mode(each) for each in (path, path.parent, shared.base)} == {
        "svc.token": 0o640,
        "group-tokens": 0o710,
        "launcher": 0o710,
    }
    assert {each.stat().st_gid for each in (path, path.parent, shared.base)} == {GROUP}
    assert not (shared.base / "client" / "svc.token").exists()
    assert run(shared.config(world)) == found
    assert {each.name for each in shared.base.iterdir() if _mode(each) & 0o077} == {"group-tokens"}


@is_root
@pytest.mark.invariant("I-222")
def test_another_user_of_the_group_reads_the_token_and_nothing_else(world, shared):
    (shared.base / "server").mkdir(
        0o755
    )  # as another implementation leaves it, in a directory that is closed
    (shared.base / "conda-setup.json").write_text("{}")
    (shared.base / "conda-setup.json").chmod(0o644)
    found = run(shared.config(world))
    path = Path(found["token_file"])
    assert _read_as(GROUP, path) == path.read_text()
    assert _read_as(OTHER_GROUP, path) is None
    others = [each for each in shared.base.rglob("*") if each.is_file() and each != path]
    assert len(others) > 3
    assert [each for each in others if _read_as(GROUP, each) is not None] == []


@pytest.mark.invariant("I-222")
@pytest.mark.parametrize("auth", ["token", "none"])
def test_token_of_the_group_goes_when_the_service_is_started_otherwise(world, shared, auth):
    path = Path(run(shared.config(world))["token_file"])
    assert stop(["svc"]) == 0
    found = run({**shared.config(world), "auth": auth})
    assert not path.exists()
    assert found.get("token_file") == {"token": str(shared.base / "client" / "svc.token"), "none": None}[auth]
    assert "token_file" not in world.state()


def test_token_of_the_group_goes_with_the_state(world, shared):
    path = Path(run(shared.config(world))["token_file"])
    assert stop(["svc"]) == rm(["svc"]) == 0
    assert not path.exists()


def test_client_that_asked_otherwise_is_told(world, shared, capsys):
    run(shared.config(world))
    run({**shared.config(world), "auth": "token"})
    assert "it runs with auth 'group', asked for is 'token'" in capsys.readouterr().err


def test_service_in_a_directory_of_everybody_takes_the_group_of_the_others(world, shared):
    shared.workdir.chmod(0o1777)
    with pytest.raises(LaunchRefused, match="a directory of everybody") as caught:
        run(shared.config(world))
    assert f"chgrp GROUP {shared.base}/group-tokens" in (caught.value.hint or "")
    assert world.starts() == []
    (shared.base / "group-tokens").mkdir(0o700)
    os.chown(shared.base / "group-tokens", -1, GROUP)
    found = run(shared.config(world))
    assert Path(found["token_file"]).stat().st_gid == GROUP


def test_way_that_is_closed_to_the_group_is_named(world, shared):
    shared.base.parent.chmod(0o700)
    with pytest.raises(LaunchRefused, match=f"{shared.base.parent} has mode 0700") as caught:
        run(shared.config(world))
    assert "chmod o+x" in (caught.value.hint or "") or "chmod g+x" in (caught.value.hint or "")
    assert world.starts() == []


@is_root
def test_directory_that_is_another_groups_is_left_to_it(world, shared):
    shared.base.chmod(0o750)
    os.chown(shared.base, -1, OTHER_GROUP)
    with pytest.raises(LaunchRefused, match=f"{shared.base} has mode 0750 and group {OTHER_GROUP}"):
        run(shared.config(world))
    assert (_mode(shared.base), shared.base.stat().st_gid) == (0o750, OTHER_GROUP)
    shared.base.chmod(0o751)
    run(shared.config(world))
    assert _mode(shared.base) == 0o751


@is_root
def test_user_outside_the_group_is_refused(shared):
    for path in (shared.base.parent, shared.base, shared.workdir):
        os.chown(path, 65534, -1)
    shared.workdir.chmod(0o775)
    child = os.fork()
    if not child:
        code = 1
        try:
            os.setgroups([])
            os.setgid(65534)
            os.setuid(65534)
            share_token("svc", "x" * 32, str(shared.workdir))
        except LaunchRefused as exc:
            code = 0 if f"cannot be given to the group {GROUP}" in exc.message else 2
        finally:
            os._exit(code)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    assert not Path(group_token_path("svc")).exists()
    assert _mode(shared.base) == 0o700

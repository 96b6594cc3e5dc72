"""State files are whole or absent, private, and one that cannot be read hides no other."""

from __future__ import annotations

import json
import os
import stat
import subprocess
import sys
import threading
from pathlib import Path

import pytest
from remote_http_launcher import directories, state_files
from remote_http_launcher.errors import KeyInvalid, LauncherError, StateMalformed, StateMissing
from remote_http_launcher.keys import check_key
from remote_http_launcher.state_files import list_states, read_state, update_state, write_state


def test_state_comes_back_and_is_private(tmp_path: Path):
    path = str(tmp_path / "k.json")
    write_state(path, {"status": "starting", "meta": {"é": None}})
    assert read_state(path) == {"status": "starting", "meta": {"é": None}}
    assert stat.S_IMODE(os.stat(path).st_mode) == 0o600
    assert os.listdir(tmp_path) == ["k.json"]


@pytest.mark.provokes("StateMissing")
def test_missing_state_is_named(tmp_path: Path):
    with pytest.raises(StateMissing, match="no state file for 'k'"):
        read_state(str(tmp_path / "k.json"))


@pytest.mark.provokes("StateMalformed")
@pytest.mark.parametrize(
    "content", [b"", b"{", b"[1]", b"\xff", b'"x"', b"[" * 100_000, b" " * (4 * 1024 * 1024 + 1)]
)
def test_malformed_state_is_named(tmp_path: Path, content: bytes):
    path = tmp_path / "k.json"
    path.write_bytes(content)
    with pytest.raises(StateMalformed, match=r"k\.json") as caught:
        read_state(str(path))
    assert (caught.value.path, caught.value.key) == (str(path), "k")


@pytest.mark.invariant("I-186")
def test_whatever_is_in_the_directory_the_good_states_are_listed(tmp_path: Path):
    write_state(str(tmp_path / "good.json"), {"a": 1})
    (tmp_path / "bad.json").write_text("{")
    (tmp_path / "dir.json").mkdir()
    (tmp_path / "dangling.json").symlink_to("nowhere")
    os.mkfifo(tmp_path / "fifo.json")
    (tmp_path / "no key.json").write_text("{}")
    (tmp_path / "k.json.tmp").write_text("{}")
    listed = list_states(str(tmp_path))
    assert [key for key, _ in listed] == ["bad", "dir", "fifo", "good"]
    assert listed[3][1] == {"a": 1}
    assert all(isinstance(state, StateMalformed) for _, state in listed[:3])


def test_directory_that_is_missing_has_no_states(tmp_path: Path):
    assert list_states(str(tmp_path / "none")) == []


@pytest.mark.invariant("I-185")
def test_readers_never_see_half_a_state_while_many_write(tmp_path: Path):
    path = str(tmp_path / "k.json")
    write_state(path, {"n": 0, "text": ""})
    errors: list[BaseException] = []

    def write(number: int) -> None:
        try:
            for _ in range(20):
                write_state(path, {"n": number, "text": str(number) * 20_000})
        except BaseException as exc:
            errors.append(exc)

    threads = [threading.Thread(target=write, args=(n,)) for n in range(1, 5)]
    for thread in threads:
        thread.start()
    seen = [read_state(path) for _ in range(200)]
    for thread in threads:
        thread.join()
    assert errors == []
    assert all(state["text"] == str(state["n"]) * 20_000 for state in seen if state["n"])
    assert os.listdir(tmp_path) == ["k.json"]


def test_failed_write_leaves_the_old_state_and_nothing_else(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    path = str(tmp_path / "k.json")
    write_state(path, {"n": 1})
    monkeypatch.setattr(state_files.os, "fsync", _no_space)
    with pytest.raises(OSError, match="No space"):
        write_state(path, {"n": 2})
    monkeypatch.undo()
    assert read_state(path) == {"n": 1}
    assert os.listdir(tmp_path) == ["k.json"]


@pytest.mark.parametrize("newer", [{"pid": 2, "start_time": 7}, {"pid": 1, "start_time": 8}])
def test_state_of_a_newer_process_is_not_changed(tmp_path: Path, newer: dict[str, int]):
    path = str(tmp_path / "k.json")
    write_state(path, newer)
    assert not update_state(path, {"pid": 1, "start_time": 7}, {"status": "stale"})
    assert read_state(path) == newer
    assert update_state(path, newer, {"status": "stale"})
    assert read_state(path) == {**newer, "status": "stale"}


@pytest.mark.provokes("KeyInvalid")
@pytest.mark.parametrize("key", ["", "a/b", "a b", "é", "a\n", "a" * 201])
def test_key_with_other_characters_is_refused(key: str):
    with pytest.raises(KeyInvalid, match="invalid key"):
        check_key(key)


@pytest.mark.parametrize("key", ["a", ".", "..", "-x", "hashserver-local-rw-a--b--STAGE-s"])
def test_key_stays_below_the_directory(key: str):
    path = directories.server_state_path(key)
    assert os.path.dirname(os.path.normpath(path)) == directories.server_directory()


def test_everything_lies_below_the_directory_of_the_variable(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("REMOTE_HTTP_LAUNCHER_DIR", str(tmp_path / "d"))
    assert directories.server_state_path("k") == f"{tmp_path}/d/server/k.json"
    assert directories.client_state_path("k") == f"{tmp_path}/d/client/k.json"
    assert directories.log_path("k") == f"{tmp_path}/d/server/k.log"
    assert directories.log_path("k", previous=True) == f"{tmp_path}/d/server/k.log.1"
    assert directories.conda_cache_path() == f"{tmp_path}/d/conda-setup.json"
    assert directories.runtime_directory() == f"{tmp_path}/d/run"
    assert {stat.S_IMODE(os.stat(tmp_path / p).st_mode) for p in ("d", "d/run")} == {0o700}


def test_default_directories_are_below_home():
    home = os.environ["HOME"]
    assert directories.server_directory() == f"{home}/.remote-http-launcher/server"
    assert directories.client_directory() == f"{home}/.remote-http-launcher/client"


def test_sockets_are_never_put_where_others_can_reach(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))
    (tmp_path / "rhl").mkdir(mode=0o755)
    (tmp_path / "rhl").chmod(0o755)
    with pytest.raises(LauncherError, match="no private directory"):
        directories.runtime_directory()
    (tmp_path / "rhl").chmod(0o700)
    assert directories.runtime_directory() == f"{tmp_path}/rhl"


def test_killed_writer_leaves_the_old_state_or_the_new_one(tmp_path: Path):
    path = tmp_path / "k.json"
    write_state(str(path), {"n": "old"})
    code = (
        "import os, sys\n"
        "from remote_http_launcher import state_files\n"
        "calls = []\n"
        "def trace(event, arguments):\n"
        "    if event in ('open', 'os.rename', 'os.remove'):\n"
        "        calls.append(event)\n"
        "        if len(calls) > int(sys.argv[2]): os._exit(9)\n"
        "sys.addaudithook(trace)\n"
        "state_files.write_state(sys.argv[1], {'n': 'new'})\n"
    )
    for n in range(4):
        subprocess.run([sys.executable, "-c", code, str(path), str(n)], timeout=30, check=False)
        assert json.loads(path.read_text())["n"] in ("old", "new")
    assert json.loads(path.read_text())["n"] == "new"


def _no_space(descriptor: int) -> None:
    raise OSError(28, "No space left on device")

"""rhl-clear empties exactly the directory, and none that a server uses."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from remote_http_launcher import clearing
from remote_http_launcher.clearing import clear_directory, is_kind
from remote_http_launcher.errors import DirectoryInUse, PathRefused, UsageError
from remote_http_launcher.helpers import clear
from remote_http_launcher.path_rules import check_directory_path
from remote_http_launcher.state_files import write_state
from remote_http_launcher.testing.processes import server_folder, service_process, state_of

CS = "58" + "ab" * 31
NAMES = st.sampled_from(["a", "b", ".c", "58", CS, f"{CS}.zst", "seamless.db", "link"])


@pytest.fixture
def data(tmp_path: Path) -> Path:
    folder = tmp_path / "data"
    for name in (
        "58/" + CS,
        f"58/{CS}.zst",
        f"58/{CS}.BUFFERLENGTH",
        "58/other",
        CS,
        "seamless.db",
        "seamless.db-wal",
    ):
        _put(folder / name)
    for name in (
        ".HASHSERVER_PREFIX",
        ".quarantine/x",
        "notes.txt",
        "STAGE-a/.HASHSERVER_PREFIX",
        "STAGE-a/58/" + CS,
    ):
        _put(folder / name)
    _put(folder / "STAGE-a/SUBSTAGE-b/seamless.db")
    return folder


def _put(path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("12345")


def _files(folder: Path) -> list[str]:
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if not path.is_dir())


def test_nested_directories_go_and_dot_directories_stay(data: Path):
    cleared = clear_directory(str(data))
    assert _files(data) == [".quarantine/x"]
    assert (cleared.n_items, cleared.n_files, cleared.failures) == (7, 12, [])


def test_dry_run_counts_the_same_and_removes_nothing(data: Path, capsys: pytest.CaptureFixture[str]):
    before = _files(data)
    assert clear.main([str(data), "--dry-run"]) == 0
    assert capsys.readouterr().out == f"would remove 7 item(s) from {data} (12 files, 60 bytes)\n"
    assert _files(data) == before


@pytest.mark.parametrize(
    ("only", "recursive", "gone"),
    [
        ("hashserver", False, [f"58/{CS}", f"58/{CS}.zst", f"58/{CS}.BUFFERLENGTH", CS]),
        ("database", False, ["seamless.db", "seamless.db-wal"]),
        ("database", True, ["seamless.db", "seamless.db-wal", "STAGE-a/SUBSTAGE-b/seamless.db"]),
        (
            "hashserver",
            True,
            [f"58/{CS}", f"58/{CS}.zst", f"58/{CS}.BUFFERLENGTH", CS, f"STAGE-a/58/{CS}"],
        ),
    ],
)
def test_only_one_kind_goes_and_stages_only_when_asked(
    data: Path, only: str, recursive: bool, gone: list[str]
):
    before = _files(data)
    assert clear_directory(str(data), only=only, recursive=recursive, dry_run=True).n_files == len(gone)
    assert _files(data) == before
    assert clear_directory(str(data), only=only, recursive=recursive).n_items == len(gone)
    assert sorted(set(before) - set(_files(data))) == sorted(gone)


@pytest.mark.parametrize(
    ("name", "folder", "expected"),
    [
        (CS, "", True),
        (CS, "58", True),
        (CS, "59", False),
        (CS.upper(), "", False),
        (f"{CS}.txt", "", False),
        (f"{CS}-1f.2a.00000000-1", "58", True),
        (f"{CS}.zst.LOCK", "58", True),
        (CS[:63], "", False),
        (".HASHSERVER_PREFIX", "", False),
        ("seamless.db", "", False),
    ],
)
def test_buffers_are_known_by_their_names(name: str, folder: str, expected: bool):
    assert is_kind(name, "hashserver", folder) is expected


@pytest.mark.provokes("DirectoryInUse")
@pytest.mark.invariant("I-191")
@pytest.mark.parametrize("where", ["workdir", "below", "command", "link"])
def test_directory_of_a_living_server_is_left_as_it_is(data: Path, tmp_path: Path, where: str):
    (tmp_path / "link").symlink_to(data)
    places: dict[str, dict[str, object]] = {
        "workdir": {"workdir": str(data)},
        "below": {"workdir": str(data / "STAGE-a")},
        "command": {"workdir": "/tmp", "command": f"seamless-database '{data}/seamless.db'"},
        "link": {"workdir": str(tmp_path / "link")},
    }
    before = _files(data)
    with service_process() as process:
        write_state(str(server_folder() / "k.json"), {**state_of(process), **places[where]})
        with pytest.raises(DirectoryInUse, match=f"k \\(process {process.pid}\\) uses it") as caught:
            clear_directory(str(data))
        assert caught.value.key == "k"
        assert clear_directory(str(data), dry_run=True).n_items == 7
        assert _files(data) == before
        assert clear_directory(str(data), force=True).n_items == 7
    assert _files(data) == [".quarantine/x"]


def test_directory_of_a_server_that_may_live_elsewhere_is_left_as_it_is(data: Path):
    with service_process() as process:
        state = {
            **state_of(process),
            "boot_id": "b",
            "machine_id": "m",
            "host": "login2",
            "workdir": str(data),
        }
        write_state(str(server_folder() / "k.json"), state)
        with pytest.raises(DirectoryInUse, match="of login2\\) may be using it"):
            clear_directory(str(data))


@pytest.mark.parametrize("workdir", ["..", "../other", "../data2"])
def test_servers_of_other_directories_are_in_nobodys_way(data: Path, workdir: str):
    with service_process() as process:
        write_state(
            str(server_folder() / "k.json"),
            {**state_of(process), "workdir": os.path.normpath(data / workdir)},
        )
        assert clear_directory(str(data)).n_items == 7


def test_dead_servers_and_malformed_states_are_in_nobodys_way(data: Path):
    with service_process() as process:
        state = {**state_of(process), "workdir": str(data), "start_time": 1}
        write_state(str(server_folder() / "k.json"), state)
        (server_folder() / "bad.json").write_text("{")
        assert clear_directory(str(data)).n_items == 7


@pytest.mark.invariant("I-190")
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=40)
@given(
    st.lists(st.lists(NAMES, min_size=1, max_size=4), max_size=12), st.sampled_from([None, *clearing.KINDS])
)
def test_nothing_outside_goes_whatever_is_inside(
    tmp_path_factory: pytest.TempPathFactory, paths: list[list[str]], only: str | None
):
    root = tmp_path_factory.mktemp("root")
    (root / "inside").mkdir()
    for name in ("seamless.db", CS, "58/" + CS, "deep/er/x"):
        _put(root / "outside" / name)
    for path in paths:
        place = root.joinpath("inside", *path)
        try:
            place.parent.mkdir(parents=True, exist_ok=True)
            if path[-1] == "link":
                place.symlink_to(root / "outside")
            else:
                _put(place)
        except (FileExistsError, NotADirectoryError, IsADirectoryError):
            continue
        except PermissionError:
            continue
    outside = _files(root / "outside")
    clear_directory(str(root / "inside"), only=only, recursive=only is not None)
    assert _files(root / "outside") == outside
    assert sorted(os.listdir(root)) == ["inside", "outside"]


def test_directory_exchanged_for_a_link_leads_nowhere(
    data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    _put(tmp_path / "outside" / "58" / CS)
    real = os.stat

    def exchange(name: object, **options: object) -> os.stat_result:
        found = real(name, **options)  # type: ignore[call-overload]
        if name == "58" and not (tmp_path / "moved").exists():
            os.rename(data / "58", tmp_path / "moved")
            (data / "58").symlink_to(tmp_path / "outside" / "58")
        return found

    monkeypatch.setattr(clearing.os, "stat", exchange)
    cleared = clear_directory(str(data))
    monkeypatch.undo()
    assert _files(tmp_path / "outside") == [f"58/{CS}"]
    assert cleared.failures == [f"{data}/58: Not a directory"]


def test_what_cannot_be_removed_is_named_and_the_rest_goes(
    data: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    real = os.unlink

    def stubborn(name: str, **options: object) -> None:
        if name == "notes.txt":
            raise PermissionError(1, "Operation not permitted")
        real(name, **options)  # type: ignore[arg-type]

    monkeypatch.setattr(clearing.os, "unlink", stubborn)
    assert clear.main([str(data)]) == 1
    monkeypatch.undo()
    out, err = capsys.readouterr()
    assert out == f"removed 6 item(s) from {data}\n"
    assert err == f"rhl-clear: {data}/notes.txt: Operation not permitted\n"
    assert _files(data) == [".quarantine/x", "notes.txt"]


def test_directory_that_was_resolved_before_is_acted_on_by_its_descriptor(data: Path, tmp_path: Path):
    class Resolved(str):
        def open(self) -> int:
            return os.open(data, os.O_RDONLY | os.O_DIRECTORY)

    _put(tmp_path / "other" / "x")
    assert clear_directory(Resolved(tmp_path / "other")).n_items == 7
    assert _files(tmp_path / "other") == ["x"]


@pytest.mark.provokes("PathRefused")
@pytest.mark.parametrize(
    "path",
    ["x", "", "/etc", "/", "//", "/etc/", "/etc/.", "/a/../b", "/nowhere/at/all", "/etc/passwd", "a\0b"],
)
def test_path_that_is_no_directory_of_a_service_is_refused(path: str):
    with pytest.raises(PathRefused):
        clear_directory(path)


def test_link_to_a_system_directory_is_refused(tmp_path: Path):
    (tmp_path / "link").symlink_to("/etc")
    with pytest.raises(PathRefused, match="system directory as workdir"):
        check_directory_path(str(tmp_path / "link"), name="workdir")
    assert check_directory_path("~/x") == os.path.join(os.environ["HOME"], "x")


def test_unknown_kind_is_refused(data: Path):
    with pytest.raises(UsageError, match="--only must be one of"):
        clear_directory(str(data), only="everything")
    assert clear.main([str(data), "--recursive"]) == 1

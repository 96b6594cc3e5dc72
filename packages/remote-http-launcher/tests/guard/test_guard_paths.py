"""A directory is resolved once, and what is acted on is that very directory."""

from __future__ import annotations

import os
import threading
from pathlib import Path

import pytest
from remote_http_launcher.guard.paths import ResolvedDirectory, is_below, resolve, resolve_allowed
from remote_http_launcher.guard.policy import Policy
from remote_http_launcher.guard.refusal import Refused


@pytest.fixture
def place(tmp_path: Path) -> Path:
    (tmp_path / "data" / "proj").mkdir(parents=True)
    (tmp_path / "data" / "proj" / "inside").touch()
    (tmp_path / "outside").mkdir()
    (tmp_path / "outside" / "secret").touch()
    (tmp_path / "home").mkdir()
    return tmp_path


def _is_at(directory: ResolvedDirectory) -> str:
    assert directory.fd is not None
    return str(Path(f"/proc/self/fd/{directory.fd}").readlink())


def test_text_is_as_written_and_path_is_where_it_is(place: Path):
    (place / "link").symlink_to("data/../data/./proj")
    directory = resolve(f"{place}//link/.")
    assert (directory, directory.path) == (f"{place}//link/.", str(place / "data" / "proj"))
    assert _is_at(directory) == directory.path
    directory.close()


def test_path_is_that_of_the_operating_system(place: Path):
    for number, target in enumerate(["/", "..", "../..", "data/proj/../..", f"{place}/data", "./data//proj"]):
        (place / f"link{number}").symlink_to(target)
        directory = resolve(f"{place}/link{number}/.")
        assert directory.path == os.path.realpath(place / f"link{number}")
        directory.close()


def test_loop_of_links_is_refused(place: Path):
    (place / "a").symlink_to("b")
    (place / "b").symlink_to("a")
    with pytest.raises(Refused, match="too many symbolic links"):
        resolve(str(place / "a"))


def test_file_is_refused(place: Path):
    with pytest.raises(Refused, match="not a directory"):
        resolve(str(place / "outside" / "secret"))


def test_link_through_something_missing_and_up_again_is_refused(place: Path):
    (place / "link").symlink_to("missing/../outside")
    with pytest.raises(Refused, match="not there"):
        resolve(str(place / "link"))


def test_refusing_and_resolving_leave_no_descriptor(place: Path):
    before = os.listdir("/proc/self/fd")
    for path in (place / "outside" / "secret", place / "missing" / "x", place / "data" / "proj"):
        try:
            resolve(str(path)).close()
        except Refused:
            pass
    assert os.listdir("/proc/self/fd") == before


@pytest.mark.invariant("I-211")
def test_exchange_after_the_decision_changes_nothing(place: Path):
    (place / "link").symlink_to("data/proj")
    directory = Policy(roots=[str(place / "data")]).data_directory(str(place / "link"), str(place / "home"))
    (place / "link").unlink()
    (place / "link").symlink_to("outside")
    (place / "data" / "proj").rename(place / "data" / "moved")
    (place / "data" / "proj").symlink_to("../outside")
    descriptor = directory.open()
    assert os.listdir(descriptor) == ["inside"]
    os.close(descriptor)
    directory.close()


@pytest.mark.invariant("I-211")
def test_exchange_during_the_decision_never_leads_outside(place: Path):
    """A second thread exchanges a link and a directory all the time; what is allowed lies inside each time."""
    link, inside, outside = place / "data" / "link", place / "data" / "proj", place / "outside"
    spare, directory_name = place / "spare", place / "data" / "turning"
    directory_name.mkdir()
    stop = threading.Event()

    def exchange() -> None:
        n = 0
        while not stop.is_set():
            n += 1
            spare.symlink_to(inside if n % 2 else outside)
            spare.replace(link)
            directory_name.rename(place / "kept")
            directory_name.symlink_to(outside)
            directory_name.unlink()
            (place / "kept").rename(directory_name)

    thread = threading.Thread(target=exchange, name="exchange")
    thread.start()
    policy = Policy(roots=[str(place / "data")])
    outcomes = {"allowed": 0, "refused": 0}
    wrong = []
    try:
        for n in range(3000):
            try:
                directory = policy.data_directory(
                    f"{place}/data/{('link', 'turning')[n % 2]}", str(place / "home")
                )
            except Refused:
                outcomes["refused"] += 1
                continue
            outcomes["allowed"] += 1
            if directory.fd is not None:
                descriptor = directory.open()
                if "secret" in os.listdir(descriptor):
                    wrong.append(directory.path)
                os.close(descriptor)
            directory.close()
    finally:
        stop.set()
        thread.join()
    assert wrong == []
    assert min(outcomes.values()) > 0, outcomes


def test_missing_directory_is_made_where_it_was_resolved(place: Path):
    directory = resolve(f"{place}/data/new/deeper")
    assert directory.fd is None
    with pytest.raises(FileNotFoundError):
        directory.open()
    (place / "data").rename(place / "moved")
    (place / "data").symlink_to("outside")
    directory.create()
    assert (place / "moved" / "new" / "deeper").is_dir()
    assert os.listdir(place / "outside") == ["secret"]
    directory.close()


def test_link_put_where_a_directory_is_to_be_made_is_not_followed(place: Path):
    directory = resolve(f"{place}/data/new/deeper")
    (place / "data" / "new").symlink_to("../outside")
    with pytest.raises(NotADirectoryError):
        directory.create()
    assert os.listdir(place / "outside") == ["secret"]
    directory.close()


@pytest.mark.parametrize(
    ("path", "reason"),
    [
        ("relative", "absolute"),
        ("~root/x", "absolute"),
        ("$HOME/x", "absolute"),
        ("", "absolute"),
        ("~", "HOME"),
        ("/", "HOME"),
        ("~/..", "HOME|dot-prefixed"),
        ("~/../outside", "dot-prefixed"),
        ("~/.ssh", "dot-prefixed"),
        ("~/a/.b/c", "dot-prefixed"),
        ("/etc", "system"),
        ("/etc/ssh", "system"),
        ("/proc/self/cwd", "system"),
        ("/dev/shm", "system"),
        ("/usr/local", "system"),
        ("/opt/", "system"),
        ("//opt", "system"),
        ("~/a\nb", "printed"),
        ("~/" + "a" * 5000, "too long"),
        ("~/" + "a" * 300, "cannot be resolved"),
    ],
)
def test_path_that_no_policy_allows_is_refused(place: Path, path: str, reason: str):
    with pytest.raises(Refused, match=reason):
        resolve_allowed(path, str(place / "home"))


def test_directory_above_a_home_behind_a_link_is_refused(place: Path):
    (place / "home-link").symlink_to("home")
    for path in (place / "home", place / "home-link", place):
        with pytest.raises(Refused, match="HOME"):
            resolve_allowed(str(path), str(place / "home-link"))


def test_below_goes_by_names():
    assert is_below("/a/b", "/a")
    assert is_below("/a", "/a")
    assert is_below("/a", "/")
    assert not is_below("/ab", "/a")

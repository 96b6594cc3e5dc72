"""Buffers from directories: verified, in both layouts, with respect for the locks of those who write."""

from __future__ import annotations

from pathlib import Path

import pytest
from seamless.buffer import Buffer
from seamless_remote.buffer_folder import BufferFolder

CONTENT = b"content\n"
NAME = Buffer(CONTENT).get_checksum()


class _World:
    """A clock that stands still but for sleeps; `events` happen in turn, one per sleep."""

    def __init__(self, *events) -> None:
        self.now = 0.0
        self.events = list(events)

    def sleep(self, seconds: float) -> None:
        self.now += seconds
        if self.events:
            self.events.pop(0)()


def _folder(path: Path, *events) -> BufferFolder:
    world = _World(*events)
    return BufferFolder(path, clock=lambda: world.now, sleep=world.sleep)


@pytest.fixture(params=["flat", "prefix"])
def file(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    path = tmp_path / NAME.hex() if request.param == "flat" else tmp_path / NAME.hex()[:2] / NAME.hex()
    path.parent.mkdir(exist_ok=True)
    return path


def test_file_of_either_layout_is_read(file: Path, tmp_path: Path):
    assert (_folder(tmp_path).get(NAME), _folder(tmp_path).length(NAME), _folder(tmp_path).path(NAME)) == (
        None,
    ) * 3
    file.write_bytes(CONTENT)
    folder = _folder(tmp_path)
    assert folder.get(NAME).content == CONTENT
    assert folder.length(NAME) == len(CONTENT)
    assert folder.path(NAME) == str(file)


def test_right_file_of_one_layout_makes_up_for_a_missing_one_of_the_other(tmp_path: Path):
    (tmp_path / NAME.hex()[:2]).mkdir()
    (tmp_path / NAME.hex()[:2] / NAME.hex()).write_bytes(CONTENT)
    assert _folder(tmp_path).get(NAME).content == CONTENT


def test_wrong_file_is_never_returned(file: Path, tmp_path: Path):
    file.write_bytes(b"another")
    assert _folder(tmp_path).get(NAME) is None


def test_copy_is_the_right_file_of_several_whole_and_nothing_else(file: Path, tmp_path: Path):
    (tmp_path / NAME.hex()).write_bytes(b"longer, and not what it says")
    file.write_bytes(CONTENT)
    (tmp_path / NAME.hex()[:2]).mkdir(exist_ok=True)
    (tmp_path / NAME.hex()[:2] / NAME.hex()).write_bytes(CONTENT)
    with open(tmp_path / "out", "wb") as out:
        assert _folder(tmp_path).copy(NAME, out.fileno())
        assert not _folder(tmp_path).copy(Buffer(b"x").get_checksum(), out.fileno())
    with open(tmp_path / "out", "wb") as out:
        assert _folder(tmp_path).copy(NAME, out.fileno())
    assert (tmp_path / "out").read_bytes() == CONTENT


@pytest.mark.parametrize("lock", [".LOCK", "file"])
@pytest.mark.parametrize("before", [b"conte", None])
@pytest.mark.invariant("I-165")
def test_file_under_a_lock_is_looked_at_again_when_the_lock_is_gone(
    file: Path, tmp_path: Path, lock: str, before
):
    lock_path = tmp_path / ".LOCK" if lock == ".LOCK" else Path(f"{file}.LOCK")
    lock_path.touch()
    if before is not None:
        file.write_bytes(before)
    events = (lambda: None, lambda: (file.write_bytes(CONTENT), lock_path.unlink()))
    assert _folder(tmp_path, *events).get(NAME).content == CONTENT


def test_lock_that_stays_is_waited_for_no_longer_than_asked(file: Path, tmp_path: Path):
    (tmp_path / ".LOCK").touch()
    world = _World()
    folder = BufferFolder(tmp_path, clock=lambda: world.now, sleep=world.sleep)
    assert folder.get(NAME, timeout=3) is None
    assert world.now == 3


def test_lock_of_a_right_file_is_no_reason_to_wait(file: Path, tmp_path: Path):
    file.write_bytes(CONTENT)
    (tmp_path / ".LOCK").touch()
    assert _folder(tmp_path).get(NAME).content == CONTENT


def test_directory_that_is_none_has_nothing(tmp_path: Path):
    (tmp_path / "file").touch()
    for directory in (tmp_path / "absent", tmp_path / "file"):
        assert _folder(directory).get(NAME) is None
        assert _folder(directory).length(NAME) is None

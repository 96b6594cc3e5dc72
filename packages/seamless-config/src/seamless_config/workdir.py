"""The folder whose configuration counts: set, or the folder of the calling module."""

from __future__ import annotations

import sys
from pathlib import Path
from types import FrameType

__all__ = ("UNSET", "Unset", "get_workdir", "infer_workdir", "set_workdir_path", "workdir_was_set")


class Unset:
    """The type of `UNSET`: an argument that was not given, where None means something else."""

    def __repr__(self) -> str:
        return "<unset>"


UNSET = Unset()

_workdir: Path | None = None
_was_set = False


def set_workdir_path(path: Path | None) -> None:
    """Store the folder; None means the current directory, whatever it is when asked."""
    global _workdir, _was_set
    _workdir = path
    _was_set = True


def workdir_was_set() -> bool:
    return _was_set


def get_workdir() -> Path:
    """Return the stored folder, or the current directory."""
    return _workdir if _workdir is not None else Path.cwd()


def infer_workdir() -> Path | None:
    """Return the folder of the first caller outside this package; None when it has no file."""
    frame: FrameType | None = sys._getframe(1)
    while frame is not None and str(frame.f_globals.get("__name__", "")).split(".")[0] == "seamless_config":
        frame = frame.f_back
    filename = None if frame is None else frame.f_globals.get("__file__")
    return None if filename is None else Path(filename).absolute().parent

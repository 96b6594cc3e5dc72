"""The folder whose configuration counts: set, or the folder of the calling module."""

from __future__ import annotations

import os
import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pathlib import Path
    from types import FrameType

__all__ = (
    "UNSET",
    "Unset",
    "caller_level",
    "get_workdir",
    "infer_workdir",
    "set_workdir_path",
    "workdir_was_set",
)


class Unset:
    """The type of `UNSET`: an argument that was not given, where None means something else."""

    def __repr__(self) -> str:
        return "<unset>"


UNSET = Unset()

_workdir: str | None = None
_was_set = False


def set_workdir_path(path: str | os.PathLike[str] | None) -> None:
    """Store the folder; None means the current directory, whatever it is when asked."""
    global _workdir, _was_set
    _workdir = None if path is None else os.fspath(path)
    _was_set = True


def workdir_was_set() -> bool:
    return _was_set


def get_workdir() -> Path:
    """Return the stored folder, or the current directory."""
    from pathlib import Path

    return Path(_workdir) if _workdir is not None else Path.cwd()


def infer_workdir() -> str | None:
    """Return the folder of the first caller outside Seamless; None when it has no file."""
    frame = _caller()
    filename = None if frame is None else frame.f_globals.get("__file__")
    return None if filename is None else os.path.dirname(os.path.abspath(filename))


def caller_level() -> int:
    """Return the `stacklevel` of a warning by the function that asks, to show the first caller outside Seamless."""
    level, frame = 1, sys._getframe(1)
    found = _caller()
    while frame is not found and frame.f_back is not None:
        level, frame = level + 1, frame.f_back
    return level


def _caller() -> FrameType | None:
    frame: FrameType | None = sys._getframe(2)
    while frame is not None and _is_ours(str(frame.f_globals.get("__name__", ""))):
        frame = frame.f_back
    return frame


def _is_ours(module: str) -> bool:
    package = module.partition(".")[0]
    return package == "seamless" or package.startswith("seamless_")

"""What is selected: stage, substage, number of parallel steps."""

from __future__ import annotations

import re

from .errors import ConfigurationError

__all__ = (
    "get_nparallel",
    "get_stage",
    "get_substage",
    "select_nparallel",
    "select_stage",
    "select_substage",
)

_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.\-]*\Z")

_nparallel: int | None = None
_stage: str | None = None
_substage: str | None = None


def select_nparallel(nparallel: int) -> None:
    """Set how many steps `parallel` runs at once. Raises ValueError."""
    global _nparallel
    if isinstance(nparallel, bool) or not isinstance(nparallel, int) or nparallel < 1:
        raise ValueError(f"nparallel must be a positive integer, not {nparallel!r}")
    _nparallel = nparallel


def get_nparallel() -> int:
    """Return how many steps `parallel` runs at once. Raises ConfigurationError when unset."""
    if _nparallel is None:
        raise ConfigurationError(
            "nparallel is not set. Add 'nparallel: <N>' to seamless.profile.yaml or call "
            "seamless_config.set_nparallel(N)."
        )
    return _nparallel


def select_stage(stage: str | None) -> None:
    """Select a stage, or none. Raises ValueError for a name that cannot be part of a path."""
    global _stage
    _stage = _checked("stage", stage)


def select_substage(substage: str | None) -> None:
    """Select a substage, or none. Raises ValueError."""
    global _substage
    _substage = _checked("substage", substage)


def get_stage() -> str | None:
    return _stage


def get_substage() -> str | None:
    return _substage


def _checked(what: str, name: str | None) -> str | None:
    if name is not None and (
        not isinstance(name, str) or not _NAME.match(name) or "--" in name or "STAGE-" in name
    ):
        raise ValueError(
            f"{name!r} is no name for a {what}: expected letters, digits, '_', '-' and '.', beginning with a "
            "letter, a digit or '_', without '--' and without 'STAGE-'"
        )
    return name

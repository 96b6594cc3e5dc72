"""From what is selected to the active set."""

from __future__ import annotations

import warnings
from pathlib import Path

from seamless.active import replace_active
from seamless.cache_paths import forwarded_clients
from seamless.embedded import cache_directory, set_from_environment
from seamless.lifecycle import ensure_open, is_worker

from . import select
from .remote_clients import remote_clients_are_set, remote_set
from .workdir import UNSET, Unset, infer_workdir, set_workdir_path, workdir_was_set

__all__ = ("get_seamless_cache", "init", "is_initialised", "set_stage", "set_substage", "set_workdir")

_activated_stage: str | None = None
_initialised = False


def get_seamless_cache() -> str | None:
    """Return the absolute directory of `SEAMLESS_CACHE`, or None when it is unset or blank."""
    directory = cache_directory()
    return None if directory is None else str(directory)


def set_workdir(workdir: str | Path | Unset | None = UNSET) -> None:
    """Choose the folder whose configuration counts: a path, None for the current directory, or the caller's folder."""
    if isinstance(workdir, Unset):
        set_workdir_path(infer_workdir())
    elif workdir is None:
        set_workdir_path(None)
    else:
        set_workdir_path(Path(workdir).expanduser().absolute())


def init(*, workdir: str | Path | Unset | None = UNSET) -> None:
    """Open what the configuration asks for. Without effect in a worker, or when it was done already.

    With `SEAMLESS_CACHE=DIR`, the embedded cache in DIR; with the clients of `set_remote_clients` or of
    `SEAMLESS_REMOTE_CLIENTS`, their services; without any configuration, memory (with a warning).
    """
    if is_worker() or _initialised:
        return
    _set_stage(None, None, workdir)


def is_initialised() -> bool:
    """Whether `init` or `set_stage` has opened what the configuration asks for."""
    return _initialised


def set_stage(
    stage: str | None = None, substage: str | None = None, *, workdir: str | Path | Unset | None = UNSET
) -> None:
    """Select stage and substage; steps constructed from now on use them. Raises ValueError."""
    _set_stage(stage, substage, workdir)


def set_substage(substage: str | None = None) -> None:
    """Select a substage within the current stage. Raises ValueError."""
    _set_stage(select.get_stage(), substage, UNSET)


def _set_stage(stage: str | None, substage: str | None, workdir: str | Path | Unset | None) -> None:
    global _activated_stage, _initialised
    ensure_open("configuration")
    select.select_stage(stage)
    select.select_substage(substage)
    if not isinstance(workdir, Unset):
        set_workdir_path(None if workdir is None else Path(workdir).expanduser().absolute())
    elif not workdir_was_set():
        set_workdir_path(infer_workdir())
    if cache_directory() is None and forwarded_clients() is None and not remote_clients_are_set():
        warnings.warn(
            "No cluster defined; running without persistence. Results are kept in memory, for this process only. "
            "Set SEAMLESS_CACHE=/path/to/cache to keep them.",
            UserWarning,
            stacklevel=3,
        )
    if _initialised and stage == _activated_stage:
        return
    replace_active(
        remote_set(stage, substage)
        if remote_clients_are_set()
        else set_from_environment(stage=stage, substage=substage)
    )
    _activated_stage = stage
    _initialised = True

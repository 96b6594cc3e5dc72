"""From what is selected to the active set: `init`, `set_stage` and their like.

A change is prepared as a whole before anything happens: when files, selection or clients are wrong, the former
selection and the former active set stay as they were.
"""

from __future__ import annotations

import os

from seamless.cache_paths import cache_root, forwarded_clients
from seamless.lifecycle import ensure_open, is_worker

from . import select
from .extern_clients import check_clients_not_set
from .workdir import UNSET, Unset, caller_level, get_workdir, infer_workdir, set_workdir_path, workdir_was_set

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pathlib import Path

    from seamless.active import ActiveSet

    from .activation_plan import ActivationPlan

    Workdir = str | Path | Unset | None

__all__ = (
    "change_stage",
    "get_seamless_cache",
    "init",
    "is_initialised",
    "select_record",
    "set_stage",
    "set_substage",
    "set_workdir",
)

_activated: object = None
"""What is activated, to be compared; None: nothing yet."""


def get_seamless_cache() -> str | None:
    """Return the absolute directory of `SEAMLESS_CACHE`, or None when it is unset or blank."""
    return cache_root()


def set_workdir(workdir: Workdir = UNSET) -> None:
    """Choose the folder whose configuration counts: a path, None for the current directory, or the caller's folder.

    Raises ConfigurationError after `set_remote_clients`.
    """
    check_clients_not_set("set_workdir")
    set_workdir_path(_directory(workdir))


def init(*, workdir: Workdir = UNSET) -> None:
    """Activate what the configuration asks for. Without effect in a worker, or when it was done already.

    With `SEAMLESS_CACHE=DIR`, the embedded cache in DIR; with `SEAMLESS_REMOTE_CLIENTS`, the services that it names;
    else what the files of the folder say: the services of a cluster, which start when they are first needed, or
    memory (with a warning). workdir: the folder, None for the current directory; when it is not given and was not set
    before, the folder of the calling module.

    Raises ConfigurationError; nothing has changed then.
    """
    if is_worker() or is_initialised():
        return
    check_clients_not_set("init")
    _enter(None, None, workdir)


def is_initialised() -> bool:
    """Whether `init` or `set_stage` has activated what the configuration asks for."""
    return _activated is not None


def set_stage(stage: str | None = None, substage: str | None = None, *, workdir: Workdir = UNSET) -> None:
    """Read the files anew for this stage and substage, and activate what they ask for.

    Steps constructed from now on use it; steps constructed before keep what they were constructed with.
    workdir: as for `init`. Raises ConfigurationError; nothing has changed then.
    """
    check_clients_not_set("set_stage")
    _enter(stage, substage, workdir)


def set_substage(substage: str | None = None) -> None:
    """Read the files anew for this substage of the current stage. Raises ConfigurationError; see `set_stage`."""
    check_clients_not_set("set_substage")
    _enter(select.get_stage(), substage, UNSET)


def change_stage() -> None:
    """Activate what is selected now, whatever is activated. Raises ConfigurationError; nothing has changed then."""
    from .activation_plan import plan_of

    ensure_open("configuration")
    check_clients_not_set("change_stage")
    _activate(plan_of(select.current_configuration()))


def select_record(record: bool) -> None:
    """Select whether execution records are full, for steps constructed from now on. Raises SelectionInvalid."""
    before = select.get_record()
    select.select_record(record)
    if is_initialised() and record is not before and forwarded_clients() is None:
        change_stage()


def _directory(workdir: Workdir) -> str | None:
    """Return the folder that is meant, None for the current directory."""
    if isinstance(workdir, Unset):
        return infer_workdir()
    return None if workdir is None else os.path.abspath(os.path.expanduser(workdir))


def _enter(stage: str | None, substage: str | None, workdir: Workdir) -> None:
    import warnings

    from .activation_plan import ActivationPlan, plan_of
    from .configuration import read_configuration

    ensure_open("configuration")
    stage, substage = select.checked_name("stage", stage), select.checked_name("substage", substage)
    is_given = not isinstance(workdir, Unset)
    keeps = not is_given and workdir_was_set()
    directory = None if keeps else _directory(workdir)
    now = select.current_configuration().selection
    if forwarded_clients() is not None:
        from .configuration import Configuration
        from .selection import MANUAL

        selection = now.with_("stage", stage, MANUAL).with_("substage", substage, MANUAL)
        plan = ActivationPlan(Configuration(selection=selection))
    else:
        folder = str(get_workdir()) if keeps else directory or os.getcwd()
        plan = plan_of(read_configuration(folder, stage=stage, substage=substage, before=now))
    if is_initialised() and _identity_of(plan) == _activated:
        select.replace_configuration(plan.configuration)
    else:
        _activate(plan)
    if not keeps:
        set_workdir_path(directory)
    for text in plan.warnings:
        warnings.warn(text, UserWarning, stacklevel=caller_level())


def _activate(plan: ActivationPlan) -> None:
    """Replace configuration, clients and active set, or raise and leave them as they are."""
    global _activated
    from seamless.active import replace_active

    if plan.services:
        from .service_activation import open_services

        active = open_services(plan)
    else:
        active = _own_set(plan)
        if forwarded_clients() is None:
            from .service_activation import leave_services

            leave_services()
        select.replace_configuration(plan.configuration)
    replace_active(active)
    _activated = _identity_of(plan)


def _own_set(plan: ActivationPlan) -> ActiveSet:
    """Return a set of this process: the embedded cache, memory, or the services that the environment names."""
    from dataclasses import replace

    from seamless.embedded import memory_set, set_from_environment

    from .configuration import CACHE_PROJECT

    selection = plan.configuration.selection
    stage, substage = selection.stage, selection.substage
    if plan.embedded is not None or forwarded_clients() is not None:
        project = None if selection.project == CACHE_PROJECT else selection.project
        active = set_from_environment(
            project=project, subproject=selection.subproject, stage=stage, substage=substage
        )
    else:
        active = replace(memory_set(), stage=stage, substage=substage)
    return replace(active, full_records=True) if selection.record else active


def _identity_of(plan: ActivationPlan) -> object:
    """Return what must be equal for an activation to stay as it is."""
    selection = plan.configuration.selection
    parts: list[object] = [selection.stage, bool(selection.record), plan.embedded, plan.services]
    if plan.embedded is not None:
        parts += [selection.project, selection.subproject]
    if plan.services:
        from .launch_dictionaries import launch_dictionary

        parts += [repr(launch_dictionary(plan.configuration, service)) for service in plan.services]
    return tuple(parts)

"""A launch that starts nothing: the command that would run, and the state that says so."""

from __future__ import annotations

import os

from .directories import (
    BASE_VARIABLE,
    DEFAULT_BASE,
    log_path,
    make_private_directory,
    server_directory,
    server_state_path,
)
from .errors import StateMalformed, StateMissing
from .key_lock import KeyLock
from .launch_errors import ConfigurationError, FilesUnusable
from .processes import liveness
from .state_files import read_state, write_state

TYPE_CHECKING = False
if TYPE_CHECKING:
    from .configuration import Configuration

__all__ = ("dry_run_configuration",)


def dry_run_configuration(checked: Configuration) -> str:
    """Return the command that would run here; leave a state that says `dry_run` and an empty log, unless it runs.

    Raises ConfigurationError for a target that is another machine, FilesUnusable.
    """
    try:
        return _dry_run(checked)
    except OSError as exc:
        raise FilesUnusable.of(checked.key, exc) from exc


def _dry_run(checked: Configuration) -> str:
    if not checked.is_local:
        raise ConfigurationError(
            "A dry run is for this machine only; the configuration has a hostname.",
            hint="leave hostname out",
            field="hostname",
        )
    has_own_directory = bool(os.environ.get(BASE_VARIABLE))
    path = server_state_path(checked.key)
    command = checked.command(path if has_own_directory else f"{DEFAULT_BASE}/server/{checked.key}.json")
    make_private_directory(server_directory())
    with KeyLock(checked.key):
        try:
            found = read_state(path)
        except (StateMissing, StateMalformed):
            found = {}
        if found.get("status") in ("running", "starting") and liveness(found, path) != "dead":
            return command  # a service runs: its state and its log are not for a rehearsal
        os.close(os.open(log_path(checked.key), os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600))
        state = {
            "workdir": checked.workdir,
            "log": log_path(checked.key),
            "command": command,
            "network_interface": checked.network_interface,
            "parameters": checked.file_parameters,
            "dry_run": True,
        }
        if checked.meta is not None:
            state["meta"] = checked.meta
        write_state(path, state)
    return command

"""Whether a running service is the one that a configuration asks for.

Another program, directory, data directory or mode refuses: its answers would be of other data. What differs besides
(ports, time-outs, addresses) is told and does no harm.
"""

from __future__ import annotations

from .configuration import split_words
from .launch_errors import ReuseRefused

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

    from .configuration import Configuration

__all__ = ("check_reuse", "same_process")

WRITABLE = "--writable"
_FILES_OF_LAUNCHER = ("--status-file", "--token-file")


def check_reuse(config: Configuration, state: Mapping[str, Any]) -> list[str]:
    """Return what differs without harm, in words. Raises ReuseRefused for the rest.

    state: `workdir`, `command` and `auth` as the launch recorded them; what is missing there is not compared.
    """
    workdir, command, auth = state.get("workdir"), state.get("command"), state.get("auth")
    warnings = []
    if isinstance(auth, str) and auth != config.auth:
        warnings.append(f"it runs with auth {auth!r}, asked for is {config.auth!r}")
    if isinstance(workdir, str) and not _same_path(workdir, config.workdir):
        raise _refused(config, "workdir", workdir, config.workdir)
    if not isinstance(command, str):
        return warnings
    try:
        running = _without_files(split_words(command))
    except ValueError:
        return [*warnings, f"its command cannot be read: {command!r:.200}"]
    wanted = _without_files(config.words("/"))
    if running[:1] != wanted[:1]:
        raise _refused(config, "program", *(" ".join(words[:1]) for words in (running, wanted)))
    modes = ["read-write" if WRITABLE in words else "read-only" for words in (running, wanted)]
    if modes[0] != modes[1]:
        raise _refused(config, "mode", *modes)
    paths = [[word for word in words[1:] if word.startswith(("/", "~"))] for words in (running, wanted)]
    if len(paths[0]) != len(paths[1]) or not all(map(_same_path, *paths)):
        raise _refused(config, "data directory", *(", ".join(found) or "none" for found in paths))
    rest = [[word for word in words[1:] if not word.startswith(("/", "~"))] for words in (running, wanted)]
    if rest[0] != rest[1]:
        import shlex

        warnings.append(f"it runs with {shlex.join(rest[0])!r}, asked for is {shlex.join(rest[1])!r}")
    return warnings


def same_process(identity: Mapping[str, Any], state: Mapping[str, Any], key: str) -> bool:
    """Whether what answers with this identity is the process of the state. What either does not say is not compared."""
    if identity.get("key") not in (key, None):
        return False
    for name in ("pid", "start_time", "boot_id"):
        said, known = identity.get(name), state.get(name)
        if said not in (None, "") and known not in (None, "") and said != known:
            return False
    return identity.get("key") == key or identity.get("pid") is not None


def _same_path(one: str, other: str) -> bool:
    """Compare as written; `~/x` and its expansion on another machine are one."""
    one, other = one.rstrip("/") or "/", other.rstrip("/") or "/"
    if one == other:
        return True
    for short, long in ((one, other), (other, one)):
        if (short == "~" or short.startswith("~/")) and long.startswith("/"):
            return long.endswith(short[1:])
    return False


def _without_files(words: list[str]) -> list[str]:
    kept, skips = [], False
    for word in words:
        if skips:
            skips = False
        elif word in _FILES_OF_LAUNCHER:
            skips = True
        elif not word.startswith(tuple(f"{name}=" for name in _FILES_OF_LAUNCHER)):
            kept.append(word)
    return kept


def _refused(config: Configuration, field: str, running: str, wanted: str) -> ReuseRefused:
    where = "" if config.hostname is None else f" on {config.hostname}"
    prefix = "" if config.ssh_hostname is None or config.is_local else f"ssh {config.ssh_hostname} "
    return ReuseRefused(
        f"{config.key!r} runs{where} with another {field} than asked for: {running!r}, not {wanted!r}",
        hint=f"{prefix}rhl-stop {config.key}, or use another key",
        host=config.hostname,
        key=config.key,
        field=field,
        running=running,
        wanted=wanted,
    )

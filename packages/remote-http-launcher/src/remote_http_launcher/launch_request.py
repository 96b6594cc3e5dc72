"""What `rhl-launch-service` is asked to start, checked: nothing but a known program, in a directory of the user.

Checked before anything is touched. A request that passes names a bare program from the whitelist, an absolute
directory that is none of the system's, and no status file but the one of its key.
"""

from __future__ import annotations

import os

from .directories import server_state_path
from .keys import check_key
from .launch_errors import LaunchRefused
from .path_rules import check_directory_path
from .small_json import loads

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Any

__all__ = ("LaunchRequest", "json_object", "known_programs")

PROGRAMS = frozenset({"hashserver", "seamless-database", "seamless-jobserver", "seamless-dask-wrapper"})
TOOLS_VARIABLE = "RHL_TOOLS_YAML"
AUTH_MODES = ("token", "group", "none")
_MAX_TOOLS_BYTES = 1024 * 1024


class LaunchRequest:
    """A checked request. words: program and arguments, `~` expanded. state_path, token_path: the key's files."""

    def __init__(
        self,
        key: str,
        workdir: str,
        words: Sequence[str],
        *,
        conda_env: str | None = None,
        network_interface: str | None = None,
        parameters: dict[str, Any] | None = None,
        meta: dict[str, Any] | None = None,
        auth: str = "token",
    ) -> None:
        """Raises KeyInvalid, PathRefused, LaunchRefused."""
        self.key = check_key(key)
        self.given_workdir = workdir
        self.workdir = check_directory_path(workdir, name="workdir")
        self.state_path = server_state_path(key)
        self.token_path = self.state_path.removesuffix(".json") + ".token"
        if not words:
            raise LaunchRefused(
                "service binary is required after --", hint="rhl-launch-service --help", key=key
            )
        if words[0] not in (programs := known_programs()):
            raise LaunchRefused(
                f"service binary is not whitelisted: {words[0]!r}",
                hint=f"known are {', '.join(sorted(programs))}; {TOOLS_VARIABLE} on the target names others",
                key=key,
            )
        self.words = [
            os.path.expanduser(word) if word == "~" or word.startswith("~/") else word for word in words
        ]
        self._check_status_file()
        self.conda_env = conda_env
        if conda_env is not None and (not conda_env or conda_env.startswith("-") or "\0" in conda_env):
            raise LaunchRefused(f"no name of a conda environment: {conda_env!r}", key=key)
        self.network_interface = network_interface
        self.parameters = parameters
        self.meta = meta
        if auth not in AUTH_MODES:
            raise LaunchRefused(f"auth is {auth!r}; expected one of {', '.join(AUTH_MODES)}", key=key)
        self.auth = auth

    def _check_status_file(self) -> None:
        for index, word in enumerate(self.words[1:], 1):
            if word == "--status-file":
                path = self.words[index + 1] if index + 1 < len(self.words) else ""
            elif word.startswith("--status-file="):
                path = word.partition("=")[2]
            else:
                continue
            if not path.startswith("/"):
                raise LaunchRefused("--status-file must be absolute", key=self.key)
            if os.path.realpath(path) != os.path.realpath(self.state_path):
                raise LaunchRefused(
                    "--status-file must live under the launcher server directory, and be the file of the key: "
                    f"{self.state_path}",
                    key=self.key,
                )


def known_programs() -> frozenset[str]:
    """Return the programs that may be started: ours, or those of the file that RHL_TOOLS_YAML names.

    Of that file only the lines `command_template: PROGRAM...` below the names of the tools are read.
    Raises LaunchRefused.
    """
    path = os.environ.get(TOOLS_VARIABLE)
    if not path:
        return PROGRAMS
    try:
        with open(os.path.expanduser(path), "rb") as file:
            text = file.read(_MAX_TOOLS_BYTES).decode("utf-8", "replace")
    except OSError as exc:
        raise LaunchRefused(
            f"{TOOLS_VARIABLE} names {path}, which cannot be read: {exc.strerror}", hint=f"ls -l {path}"
        ) from exc
    import re  # 25 ms, for those who need it

    pattern = r"""^\s+["']?command_template["']?\s*:\s*["']?([A-Za-z0-9._-]+)(?=[\s"'{]|$)"""
    return frozenset(re.findall(pattern, text, re.MULTILINE))


def json_object(text: str, option: str) -> dict[str, Any]:
    """Return the object that the value of the option stands for. Raises LaunchRefused."""
    try:
        found = loads(text)
    except ValueError as exc:
        raise LaunchRefused(f"{option} must be a JSON object ({exc})") from None
    if not isinstance(found, dict):
        raise LaunchRefused(f"{option} must be a JSON object")
    return found

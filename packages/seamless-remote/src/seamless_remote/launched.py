"""Clients whose service is launched at their first use, and the seam through which a higher layer launches it.

This package knows clients only. Whoever knows clusters (seamless-config) registers a launcher with `set_launcher`, and
says with `set_selection` which cluster, project and stage are selected. A launch is remembered per process:
asking again for the same service returns the same address, until the service cannot be reached there.
"""

from __future__ import annotations

import os
import threading

from .buffer_client import BufferClient
from .database_client import DatabaseClient
from .errors import ActivationError, LauncherMissing
from .tokens import Token

TYPE_CHECKING = False  # importing typing costs a command 6 ms
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    Launcher = Callable[[str, bool, str, str, str, str], "dict[str, Any]"]
    Selection = Callable[[], "tuple[str, str, str, str] | None"]
    Diagnose = Callable[[str, bool, str, str, str, str], str]

__all__ = (
    "BufferLaunchedClient",
    "DatabaseLaunchedClient",
    "current_selection",
    "forget_launches",
    "launch",
    "set_launcher",
    "set_selection",
)

REMEMBERED = 1000

_lock = threading.Lock()
_launcher: Launcher | None = None
_diagnose: Diagnose | None = None
_selection: Selection | None = None
_launches: dict[tuple[str, bool, str, str, str, str], dict[str, Any]] = {}


def set_launcher(launcher: Launcher | None, *, diagnose: Diagnose | None = None) -> None:
    """Register how services are launched.

    launcher(kind, readonly, cluster, project, subproject, stage): kind is "hashserver" or "database". Returns
    a dictionary with
        `hostname` and `port`, and optionally `directory` (a buffer directory that this host can read),
        `token_file`, `remote_url` and `remote_directory` (as workers on the cluster see it). It is called once
        per service and process, and again after a failure.
    diagnose: called with the same arguments when the service does not answer; returns what is known about it,
    in sentences.
    """
    global _launcher, _diagnose
    with _lock:
        _launcher, _diagnose = launcher, diagnose
        _launches.clear()


def set_selection(selection: Selection | None) -> None:
    """Register what is selected: it returns (cluster, project, subproject, stage), or None without a cluster."""
    global _selection
    _selection = selection


def current_selection() -> tuple[str, str, str, str] | None:
    """Return (cluster, project, subproject, stage), or None when no cluster is selected."""
    return None if _selection is None else _selection()


def forget_launches() -> None:
    """Launch anew what is used from now on."""
    with _lock:
        _launches.clear()


def launch(
    kind: str, readonly: bool, cluster: str, project: str, subproject: str, stage: str
) -> dict[str, Any]:
    """Launch a service, or return what is remembered. Raises LauncherMissing, and what the launcher raises."""
    key = (kind, readonly, cluster, project, subproject, stage)
    with _lock:
        launcher = _launcher
        known = _launches.pop(key, None)
        if known is not None:
            _launches[key] = known  # used last: forgotten last
            return known
    if launcher is None:
        raise LauncherMissing(
            f"the {kind} of cluster {cluster!r}, project {project!r} is to be launched, but no launcher is registered: "
            "seamless-config provides it.",
            service=kind,
            remedy="install seamless-config and call seamless.config.init(), or define an extern client with its url.",
        )
    import sys

    print(f"Launch {_TITLES[kind]}...", file=sys.stderr)
    launched = launcher(*key)
    with _lock:
        _launches[key] = launched
        while len(_launches) > REMEMBERED:
            del _launches[next(iter(_launches))]
    return launched


_TITLES = {"hashserver": "hashserver", "database": "database server"}


class _Launched:
    """What both launched clients add: where they belong, and the launch."""

    kind = ""
    readonly: bool
    url: str | None
    token: Token

    def __init__(self) -> None:
        self.scope: tuple[str, str, str, str] | None = None
        self.launch_result: dict[str, Any] = {}

    def config(self, cluster: str, project: str, subproject: str = "", stage: str = "") -> None:
        """Say where the service belongs."""
        self.scope = (cluster, project, subproject or "", stage or "")

    def _launch(self) -> None:
        if self.scope is None:
            raise ActivationError(
                f"a launched client of the {self.kind} is used before config().",
                service=self.kind,
                remedy="call config(cluster, project, subproject, stage) first.",
            )
        result = self.launch_result = launch(self.kind, self.readonly, *self.scope)
        self.url = f"http://{_bracketed(str(result['hostname']))}:{int(result['port'])}"
        if result.get("token_file"):
            self.token = Token(file=result["token_file"])

    def _forget_launch(self) -> None:
        """Have the launcher asked again: the service may have ended, and another one may run elsewhere."""
        if self.scope is not None:
            with _lock:
                _launches.pop((self.kind, self.readonly, *self.scope), None)

    def _launch_diagnosis(self) -> str:
        if _diagnose is None or self.scope is None:
            return ""
        try:
            return _diagnose(self.kind, self.readonly, *self.scope)
        except Exception as exc:  # what failed first is what the user must see
            return f"(Its state could not be asked: {exc})"


class BufferLaunchedClient(_Launched, BufferClient):
    """A client of a hashserver that is launched at the first use. Call `config` before."""

    kind = "hashserver"

    def __init__(self, readonly: bool) -> None:
        BufferClient.__init__(self, readonly)
        _Launched.__init__(self)

    def _init(self) -> None:
        self._launch()
        directory = self.launch_result.get("directory")
        self.directory = None if directory is None else str(directory)

    def _check_usable(self) -> None:
        self.ensure_initialized_sync()

    def _lost(self) -> None:
        self._forget_launch()
        self.restart()

    def _diagnosis(self) -> str:
        return self._launch_diagnosis()


class DatabaseLaunchedClient(_Launched, DatabaseClient):
    """A client of a database that is launched at the first use. Call `config` before."""

    kind = "database"

    def __init__(self, readonly: bool) -> None:
        DatabaseClient.__init__(self, readonly)
        _Launched.__init__(self)

    def _init(self) -> None:
        self._launch()

    def _lost(self) -> None:
        self._forget_launch()
        self.restart()

    def _diagnosis(self) -> str:
        return self._launch_diagnosis()


def _renew_lock() -> None:
    global _lock
    _lock = threading.Lock()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_renew_lock)


def _bracketed(host: str) -> str:
    return f"[{host}]" if ":" in host and not host.startswith("[") else host

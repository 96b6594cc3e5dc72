"""Clients whose service is launched at their first use, and the seam through which a higher layer launches it.

This package knows clients only. Whoever knows clusters (seamless-config) registers with `set_launcher` how a service
is prepared, launched and diagnosed, and says with `set_selection` which cluster, project and stage are selected.

What is to be launched is decided when a client is configured: a configuration that is read again later moves no client
to another directory. A launch is remembered per process: asking again for the same service returns the same address,
until the service cannot be reached there.
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

    Scope = tuple[str, str, str, str]
    Prepare = Callable[[str, bool, str, str, str, str], "PreparedLaunch"]
    Launcher = Callable[["PreparedLaunch"], "dict[str, Any]"]
    Selection = Callable[[], "Scope | None"]
    Diagnose = Callable[["PreparedLaunch"], str]

__all__ = (
    "BufferLaunchedClient",
    "DatabaseLaunchedClient",
    "PreparedLaunch",
    "current_selection",
    "forget_launches",
    "is_launched",
    "launch",
    "prepare_launch",
    "set_launcher",
    "set_selection",
)

REMEMBERED = 1000


class PreparedLaunch:
    """What is to be launched. Equal ones are one service.

    kind: "hashserver" or "database". readonly: of the client. scope: cluster, project, subproject, stage.
    parameters: what the launcher needs to know. directory: a buffer directory that this host can read, also before
    the launch. remedy: what to type when the service fails.
    """

    __slots__ = ("directory", "kind", "parameters", "readonly", "remedy", "scope")

    def __init__(
        self,
        kind: str,
        readonly: bool,
        scope: Scope,
        parameters: dict[str, Any] | None = None,
        *,
        directory: str | None = None,
        remedy: str = "",
    ) -> None:
        self.kind = kind
        self.readonly = readonly
        self.scope = scope
        self.parameters = parameters or {}
        self.directory = directory
        self.remedy = remedy

    def __eq__(self, other: object) -> bool:
        return isinstance(other, PreparedLaunch) and self._key() == other._key()

    def __hash__(self) -> int:
        return hash(self._key())

    def __repr__(self) -> str:
        return f"PreparedLaunch({self.kind!r}, {self.scope!r})"

    def _key(self) -> tuple[object, ...]:
        return (self.kind, self.readonly, self.scope, _frozen(self.parameters))


def _prepare_plainly(
    kind: str, readonly: bool, cluster: str, project: str, subproject: str, stage: str
) -> PreparedLaunch:
    return PreparedLaunch(kind, readonly, (cluster, project, subproject, stage))


_lock = threading.Lock()
_launcher: Launcher | None = None
_diagnose: Diagnose | None = None
_prepare: Prepare = _prepare_plainly
_selection: Selection | None = None
_launches: dict[PreparedLaunch, dict[str, Any]] = {}
_under_way: dict[PreparedLaunch, threading.Lock] = {}


def set_launcher(
    launcher: Launcher | None, *, prepare: Prepare | None = None, diagnose: Diagnose | None = None
) -> None:
    """Register how services are launched.

    prepare(kind, readonly, cluster, project, subproject, stage): returns the PreparedLaunch. It asks nobody.
    launcher(prepared): has the service run, and returns a dictionary with
        `hostname` and `port`, and optionally `directory` (a buffer directory that this host can read),
        `token_file`, `remote_url`, `remote_directory` and `remote_token_file` (as workers on the cluster see
        it). It is called once per service and process, and again after a failure.
    diagnose(prepared): called when the service does not answer; returns what is known about it, in sentences.
    """
    global _launcher, _diagnose, _prepare
    with _lock:
        if launcher is not _launcher:
            _launches.clear()
        _launcher, _diagnose, _prepare = launcher, diagnose, prepare or _prepare_plainly


def set_selection(selection: Selection | None) -> None:
    """Register what is selected: it returns (cluster, project, subproject, stage), or None without a cluster."""
    global _selection
    _selection = selection


def current_selection() -> Scope | None:
    """Return (cluster, project, subproject, stage), or None when no cluster is selected."""
    return None if _selection is None else _selection()


def forget_launches() -> None:
    """Launch anew what is used from now on."""
    with _lock:
        _launches.clear()


def is_launched(prepared: PreparedLaunch) -> bool:
    """Whether this process has launched the service, or is about to."""
    with _lock:
        return prepared in _launches or prepared in _under_way


def prepare_launch(kind: str, readonly: bool, scope: Scope) -> PreparedLaunch:
    """Return what would be launched for this scope now. Raises what the registered function raises."""
    return _prepare(kind, readonly, *scope)


def launch(prepared: PreparedLaunch) -> dict[str, Any]:
    """Launch a service, or return what is remembered. Raises LauncherMissing, and what the launcher raises.

    Threads that ask for one service at once wait for one launch.
    """
    with _lock:
        turn = _under_way.setdefault(prepared, threading.Lock())
    with turn:
        with _lock:
            launcher = _launcher
            known = _launches.pop(prepared, None)
            if known is not None:
                _launches[prepared] = known  # used last: forgotten last
                return known
        if launcher is None:
            cluster, project = prepared.scope[:2]
            raise LauncherMissing(
                f"the {prepared.kind} of cluster {cluster!r}, project {project!r} is to be launched, but no launcher "
                "is registered: seamless-config provides it.",
                service=prepared.kind,
                remedy="install seamless-config and call seamless.config.init(), or define an extern client with its "
                "url.",
            )
        import sys

        sys.stderr.write(
            f"Launch {_TITLES[prepared.kind]}...\n"
        )  # in one piece, beside those of other threads
        launched = launcher(prepared)
        with _lock:
            _under_way.pop(prepared, None)
            _launches[prepared] = launched
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
        self.prepared: PreparedLaunch | None = None
        self.launch_result: dict[str, Any] = {}

    @property
    def scope(self) -> Scope | None:
        """Cluster, project, subproject and stage; None before `config`."""
        return None if self.prepared is None else self.prepared.scope

    def config(self, cluster: str, project: str, subproject: str = "", stage: str = "") -> None:
        """Say where the service belongs. What will be launched is settled now."""
        self.prepared = prepare_launch(
            self.kind, self.readonly, (cluster, project, subproject or "", stage or "")
        )

    def _launch(self) -> None:
        if self.prepared is None:
            raise ActivationError(
                f"a launched client of the {self.kind} is used before config().",
                service=self.kind,
                remedy="call config(cluster, project, subproject, stage) first.",
            )
        result = self.launch_result = launch(self.prepared)
        self.url = f"http://{_bracketed(str(result['hostname']))}:{int(result['port'])}"
        self.token = Token(file=result["token_file"]) if result.get("token_file") else Token()

    def _forget_launch(self) -> None:
        """Have the launcher asked again: the service may have ended, and another one may run elsewhere."""
        if self.prepared is not None:
            with _lock:
                _launches.pop(self.prepared, None)

    def _launch_diagnosis(self) -> str:
        if _diagnose is None or self.prepared is None:
            return ""
        try:
            return _diagnose(self.prepared)
        except Exception as exc:  # what failed first is what the user must see
            return f"(Its state could not be asked: {exc})"

    def _launch_remedy(self) -> str:
        return "" if self.prepared is None else self.prepared.remedy


class BufferLaunchedClient(_Launched, BufferClient):
    """A client of a hashserver that is launched at the first use. Call `config` before."""

    kind = "hashserver"

    def __init__(self, readonly: bool) -> None:
        BufferClient.__init__(self, readonly)
        _Launched.__init__(self)

    def config(self, cluster: str, project: str, subproject: str = "", stage: str = "") -> None:
        super().config(cluster, project, subproject, stage)
        assert self.prepared is not None
        self.directory = self.prepared.directory

    @property
    def has_server(self) -> bool:
        return True

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

    def _remedy(self) -> str:
        return self._launch_remedy()


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

    def _remedy(self) -> str:
        return self._launch_remedy()


def _renew_lock() -> None:
    global _lock
    _lock = threading.Lock()
    _under_way.clear()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_renew_lock)


def _bracketed(host: str) -> str:
    return f"[{host}]" if ":" in host and not host.startswith("[") else host


def _frozen(value: Any) -> object:
    """Return the parameters as something that can be compared and hashed."""
    if isinstance(value, dict):
        return tuple(sorted((str(name), _frozen(part)) for name, part in value.items()))
    if isinstance(value, (list, tuple)):
        return tuple(_frozen(part) for part in value)
    return (type(value).__name__, value)

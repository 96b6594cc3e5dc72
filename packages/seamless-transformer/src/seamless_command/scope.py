"""Where a command finds and keeps buffers and results: `--project`, `--stage`, and the configuration.

With `SEAMLESS_CACHE`, the embedded cache; with `SEAMLESS_REMOTE_CLIENTS`, the services that it names; else what the
project files of the current directory say: the services of a cluster, or memory.
"""

from __future__ import annotations

import argparse
import os

from .errors import ShellError

TYPE_CHECKING = False  # importing typing costs a command 6 ms
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from seamless.active import ActiveSet
    from seamless.ports import BufferStore

    from .messages import Messages

__all__ = (
    "PROJECT_FILES",
    "ProjectConfiguration",
    "Scope",
    "Services",
    "add_scope_options",
    "provide_services",
    "require_configuration",
    "scope_of",
)

PROJECT_FILES = ("seamless.yaml", "seamless.profile.yaml")
# Who reads them. By name, since it lies above this package; finding it as a plug-in would cost a command 30 ms.
READER = "seamless_config.command_services"


class Services:
    """Services that keep buffers and results, as a command uses them; whoever can talk to them fills this port."""

    location = ""
    """Where they are, in words for a person."""
    store: BufferStore
    """Their buffers alone."""

    def result(self, transformation: bytes) -> bytes | None:
        """Return the digest of a stored result, or None."""
        raise NotImplementedError

    def content(self, digest: bytes) -> bytes | None:
        """Return a buffer, or None."""
        raise NotImplementedError

    def open(self, stage: str | None, substage: str | None) -> ActiveSet:
        """Make the active set of these services."""
        raise NotImplementedError


class ProjectConfiguration:
    """What the project files say, as a command uses it; seamless-config fills this port."""

    warnings: Sequence[str] = ()
    """What the user should know, though it goes on: of where results are kept, and of files that do not count."""

    @property
    def services(self) -> Services | None:
        """The services that keep buffers and results; None: nothing outlives the command."""
        raise NotImplementedError

    def check_execution(self) -> Sequence[str]:
        """Return remarks on where steps run. Raises an error unless they can run where the files say."""
        raise NotImplementedError


_connect: Callable[[], Services] | None = None


def provide_services(connect: Callable[[], Services]) -> None:
    """Fill the port through which a scope finds the services; `connect` is called when they are needed."""
    global _connect
    _connect = connect


class Scope:
    """What is selected; opens the stores when they are first needed."""

    __slots__ = ("_active", "_configuration", "_services", "project", "stage", "subproject", "substage")

    def __init__(
        self,
        project: str | None = None,
        subproject: str | None = None,
        stage: str | None = None,
        substage: str | None = None,
    ) -> None:
        self.project = project
        self.subproject = subproject
        self.stage = stage
        self.substage = substage
        self._active: ActiveSet | None = None
        self._services: Services | None = None
        self._configuration: ProjectConfiguration | None = None

    @property
    def has_cluster(self) -> bool:
        """Whether anything outlives this command; the embedded cache counts as a cluster of its own."""
        return self.directory is not None or self.has_services

    @property
    def has_services(self) -> bool:
        """Whether buffers and results are kept by services."""
        from seamless.cache_paths import forwarded_clients

        if forwarded_clients() is not None:
            return True
        configuration = self.configuration
        return configuration is not None and configuration.services is not None

    @property
    def configuration(self) -> ProjectConfiguration | None:
        """What the files of the current directory say; None when there are none, or the environment decides.

        Raises what seamless-config raises for files that cannot be used.
        """
        if self._configuration is None and "SEAMLESS_REMOTE_CLIENTS" not in os.environ:
            from seamless.cache_paths import cache_root

            if cache_root() is None and (files := _project_files()):
                self._configuration = _read_project_files(files, self)
        return self._configuration

    @property
    def services(self) -> Services | None:
        """The services that keep buffers and results, or None."""
        return self._connected()

    @property
    def location(self) -> str:
        """Where buffers and results are, in words for a person."""
        services = self._connected()
        return (self.directory or "memory") if services is None else services.location

    def _connected(self) -> Services | None:
        """Return the services, or None when there are none or nobody here can talk to them but through `active`."""
        if self._services is None:
            from seamless.cache_paths import forwarded_clients

            if forwarded_clients() is None:
                configuration = self.configuration
                self._services = None if configuration is None else configuration.services
            elif _connect is not None:
                self._services = _connect()
        return self._services

    @property
    def directory(self) -> str | None:
        """Where the embedded cache keeps buffers and results of this scope; None without one."""
        from seamless.cache_paths import cache_root, working_directory

        root = cache_root()
        return None if root is None else working_directory(root, self.project, self.subproject, self.stage)

    @property
    def is_open(self) -> bool:
        """Whether the stores were opened."""
        return self._active is not None

    def quick_result(self, transformation: bytes) -> bytes | None:
        """Return the digest of a stored result without opening the stores; None means: ask them."""
        directory = self.directory
        services = None if directory is not None or self.is_open else self._connected()
        if services is not None:
            return services.result(transformation)
        if directory is None or self.is_open:
            return None
        from seamless.cache_paths import DATABASE_NAME
        from seamless_store.quick_look import stored_result

        return stored_result(f"{directory}/{DATABASE_NAME}", transformation)

    def quick_content(self, digest: bytes) -> bytes | None:
        """Return a stored buffer, a small one if it is a file, without opening the stores; None means: ask them."""
        directory = self.directory
        services = None if directory is not None or self.is_open else self._connected()
        if services is not None:
            return services.content(digest)
        if directory is None or self.is_open:
            return None
        from seamless_store.quick_look import read_small

        return read_small(directory, digest)

    @property
    def active(self) -> ActiveSet:
        """The stores of this scope, opened at first use. Raises what opening them raises."""
        if self._active is None:
            from seamless.active import replace_active

            services = self._connected()
            if services is not None:
                self._active = services.open(self.stage, self.substage)
            else:
                from seamless.embedded import set_from_environment

                self._active = set_from_environment(
                    project=self.project, subproject=self.subproject, stage=self.stage, substage=self.substage
                )
            replace_active(self._active)
        return self._active


def add_scope_options(parser: argparse.ArgumentParser) -> None:
    """Add `--project` and `--stage`, which every command takes."""
    parser.add_argument(
        "--project",
        metavar="PROJECT[:SUBPROJECT]",
        help="use this project (and subproject); each has storage of its own",
    )
    parser.add_argument(
        "--stage",
        metavar="STAGE[:SUBSTAGE]",
        help="use this stage (and substage) of the project; each stage has storage of its own",
    )


def scope_of(options: argparse.Namespace) -> Scope:
    """Return the scope that the options select. Raises ShellError for an impossible name."""
    project, subproject = _parts("--project", "project", options.project)
    stage, substage = _parts("--stage", "stage", options.stage)
    return Scope(project, subproject, stage, substage)


def require_configuration(scope: Scope, messages: Messages) -> None:
    """Tell the user what the configuration means; raise unless it says where steps run and results are kept.

    Raises ShellError when nothing says it, and what seamless-config raises for what the files say.
    """
    if (
        scope.directory is not None or "SEAMLESS_REMOTE_CLIENTS" in os.environ
    ):  # it may name no service: memory
        return
    configuration = scope.configuration
    if configuration is None:
        raise ShellError(
            f"No seamless.yaml or seamless.profile.yaml found in '{os.getcwd()}' "
            "(set SEAMLESS_CACHE=/path/to/cache for quick-and-dirty persistent caching)",
            hint=_hint_at_parents() or "export SEAMLESS_CACHE=$HOME/seamless-cache",
        )
    for remark in configuration.check_execution():
        messages.say(1, remark)
    for warning in configuration.warnings:
        messages.say(0, f"warning: {warning}")


def _hint_at_parents() -> str:
    """Name the nearest project file above the current directory: files of other directories do not count here."""
    directory = os.path.dirname(os.getcwd())
    while True:
        for name in PROJECT_FILES:
            file = os.path.join(directory, name)
            if os.path.isfile(file):
                return f"{file} does not count here: cd {directory}"
        if directory == os.path.dirname(directory):
            return ""
        directory = os.path.dirname(directory)


def _project_files() -> list[str]:
    directory = os.getcwd()
    files = [os.path.join(directory, name) for name in PROJECT_FILES]
    return [file for file in files if os.path.isfile(file)]


def _read_project_files(files: list[str], scope: Scope) -> ProjectConfiguration:
    """Have seamless-config read the files. Raises ShellError when it is not installed."""
    from importlib import import_module

    try:
        reader = import_module(READER)
    except ModuleNotFoundError as exc:
        if exc.name != READER.partition(".")[0]:
            raise
        raise ShellError(
            f"{files[0]!r} cannot be read: the package seamless-config is not installed.",
            hint="pip install seamless-config",
        ) from None
    found: ProjectConfiguration = reader.read_project(
        scope.project, scope.subproject, scope.stage, scope.substage
    )
    return found


def _parts(option: str, what: str, text: str | None) -> tuple[str | None, str | None]:
    if text is None:
        return None, None
    name, colon, rest = text.partition(":")
    if not name or (colon and not rest):
        raise ShellError(
            f"{option} {text!r} has an empty part; expected {what.upper()} or {what.upper()}:SUB{what.upper()}"
        )
    for part in (name, rest):
        if part and ("--" in part or "STAGE-" in part or "/" in part or part in (".", "..") or "\0" in part):
            raise ShellError(
                f"{part!r} in {option} is no name for a {what}: it must not contain '--', 'STAGE-' or '/'"
            )
    return name, rest or None

"""Where a command finds and keeps buffers and results: `--project`, `--stage`, and the configuration.

With `SEAMLESS_CACHE`, the embedded cache; with `SEAMLESS_REMOTE_CLIENTS`, the services that it names; with a project
file alone, memory.
"""

from __future__ import annotations

import argparse
import os

from .errors import ShellError

TYPE_CHECKING = False  # importing typing costs a command 6 ms
if TYPE_CHECKING:
    from collections.abc import Callable

    from seamless.active import ActiveSet

__all__ = (
    "PROJECT_FILES",
    "Scope",
    "Services",
    "add_scope_options",
    "provide_services",
    "require_configuration",
    "scope_of",
)

PROJECT_FILES = ("seamless.yaml", "seamless.profile.yaml")


class Services:
    """The services of SEAMLESS_REMOTE_CLIENTS, as a command uses them; whoever can talk to them fills this port."""

    location = ""
    """Where they are, in words for a person."""

    def result(self, transformation: bytes) -> bytes | None:
        """Return the digest of a stored result, or None."""
        raise NotImplementedError

    def content(self, digest: bytes) -> bytes | None:
        """Return a buffer, or None."""
        raise NotImplementedError

    def open(self, stage: str | None, substage: str | None) -> ActiveSet:
        """Make the active set of these services."""
        raise NotImplementedError


_connect: Callable[[], Services] | None = None


def provide_services(connect: Callable[[], Services]) -> None:
    """Fill the port through which a scope finds the services; `connect` is called when they are needed."""
    global _connect
    _connect = connect


class Scope:
    """What is selected; opens the stores when they are first needed."""

    __slots__ = ("_active", "_services", "project", "stage", "subproject", "substage")

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

    @property
    def has_cluster(self) -> bool:
        """Whether anything outlives this command; the embedded cache counts as a cluster of its own."""
        return self.directory is not None or self.has_services

    @property
    def has_services(self) -> bool:
        """Whether buffers and results are kept by services."""
        from seamless.cache_paths import forwarded_clients

        return forwarded_clients() is not None

    @property
    def location(self) -> str:
        """Where buffers and results are, in words for a person."""
        services = self._connected()
        return (self.directory or "memory") if services is None else services.location

    def _connected(self) -> Services | None:
        """Return the services, or None when there are none or nobody here can talk to them but through `active`."""
        if self._services is None and _connect is not None and self.has_services:
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


def require_configuration(scope: Scope) -> None:
    """Raise ShellError unless the current directory or the environment says where results are kept."""
    if scope.has_cluster:
        return
    if "SEAMLESS_REMOTE_CLIENTS" in os.environ:  # it names no service: memory
        return
    directory = os.getcwd()
    files = [os.path.join(directory, name) for name in PROJECT_FILES]
    present = [file for file in files if os.path.isfile(file)]
    if not present:
        raise ShellError(
            f"No seamless.yaml or seamless.profile.yaml found in '{directory}' "
            "(set SEAMLESS_CACHE=/path/to/cache for quick-and-dirty persistent caching)",
            hint="export SEAMLESS_CACHE=$HOME/seamless-cache",
        )
    _check_project_files(present, scope.stage)


def _check_project_files(files: list[str], stage: str | None) -> None:
    """Have seamless-config read the files. Raises what it raises for what this version cannot use."""
    from importlib.metadata import entry_points

    for entry_point in entry_points(group="seamless.plugins", name="check_project_files"):
        entry_point.load()(files, stage)
        return
    raise ShellError(
        f"{files[0]!r} cannot be read: the package seamless-config is not installed.",
        hint="pip install seamless-config",
    )


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

"""seamless-config-show: the effective configuration, where each value came from, and the services it implies."""

from __future__ import annotations

from remote_http_launcher.errors import LauncherError
from remote_http_launcher.helpers.frame import write
from remote_http_launcher.listing import table

from seamless_config.service_commands.command import print_error, run
from seamless_config.service_commands.options import Request, read_options

TYPE_CHECKING = False  # importing typing costs a command 6 ms
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Any

    from seamless_config.configuration import Configuration
    from seamless_config.effective_settings import Setting
    from seamless_config.errors import ConfigurationError
    from seamless_config.service_commands.rows import Row
    from seamless_config.service_commands.targets import Target

__all__ = ("main",)

NAME = "seamless-config-show"
HELP = f"""\
usage: {NAME} [--workdir DIR] [--cluster C] [--project P[:SUB]] [--stage S[:SUB]] [--queue Q]
                            [--service S] [--offline] [--timeout SECONDS] [--json]

Show what the configuration of a directory comes to: each value and the file and line that it comes from, the clusters,
and the services that are asked for, with their keys, hosts and directories, and whether they run. Starts nothing.

  --workdir DIR        the directory, instead of this one
  --cluster C, --project P[:SUB], --subproject SUB, --stage S[:SUB], --substage SUB, --queue Q
                       as if that was selected; blocks of the stage count
  --service S          only this service
  --frontend-name H    only the frontend with this hostname
  --mode M             services in mode rw (default) or ro
  --offline            do not ask the hosts whether the services run
  --timeout SECONDS    how long to wait for the answer of a host (default 30)
  --json               one JSON object

examples:
  seamless-config-show
      what counts here, and why
  seamless-config-show --stage prod --offline
      what would count in stage prod, without asking any host

exit codes:
  0  shown
  1  the configuration is wrong, or a host could not be asked (what is known is shown)
  2  wrong usage
"""
NOT_ASKED = "not asked"


def main(arguments: Sequence[str] | None = None) -> int:
    """Entry point of seamless-config-show."""
    return run(NAME, HELP, _body, arguments)


def _body(arguments: Sequence[str]) -> int:
    request = read_options(arguments, flags=("--offline",))
    from seamless_config.service_commands.targets import configuration_of

    configuration = configuration_of(request)
    found = _Found(configuration, request)
    if request.json:
        from remote_http_launcher.small_json import dumps

        write(dumps(found.document(), sort_keys=True) + "\n")
    else:
        write(found.text())
    for error in found.errors:
        print_error(*error)
    return 1 if found.errors else 0


class _Found:
    """What is shown. errors: message and hint of each."""

    def __init__(self, configuration: Configuration, request: Request) -> None:
        from seamless_config.effective_settings import effective_settings
        from seamless_config.implied_services import implied_services

        self.configuration = configuration
        self.errors: list[tuple[str, str | None]] = []
        self.settings: list[Setting] = effective_settings(configuration)
        services, wrong = implied_services(configuration)
        for error in wrong:
            self._tell(error)
        if request.service is not None:
            services = [request.service]
        self.targets = self._targets(services, request) if configuration.selection.cluster else []
        is_embedded = configuration.cache_directory is not None
        self.rows = {} if is_embedded or "--offline" in request.flags else self._rows(request)

    def _tell(self, error: ConfigurationError) -> None:
        self.errors.append((str(error), None))

    def _targets(self, services: list[str], request: Request) -> list[Target]:
        from seamless_config.errors import ConfigurationError
        from seamless_config.service_commands.targets import target_of

        found = []
        for service in services:
            try:
                found.append(target_of(self.configuration, request, service))
            except ConfigurationError as exc:
                self._tell(exc)
        return found

    def _rows(self, request: Request) -> dict[tuple[str | None, str], Row | str]:
        """Return the process of each target, by host and key; "unreachable" where the host cannot be asked."""
        from seamless_config.service_commands.hosts import explain, on_all
        from seamless_config.service_commands.processes import find_server_rows

        hosts = list({target.host.name: target.host for target in self.targets}.values())
        clusters = list(self.configuration.clusters)
        answers = on_all(hosts, lambda host: find_server_rows(host, {}, clusters, request.timeout_s))
        found: dict[tuple[str | None, str], Row | str] = {}
        for host, answer in zip(hosts, answers, strict=True):
            if isinstance(answer, LauncherError):
                self.errors.append(explain(answer))
                answered: dict[str | None, Row] | None = None
            else:
                answered = {row.key: row for row in answer}
            for target in self.targets:
                if target.host is host or target.host.name == host.name:
                    row = "unreachable" if answered is None else answered.get(target.key, "absent")
                    found[host.name, target.key] = row
        return found

    # ---- as JSON

    def document(self) -> dict[str, Any]:
        """Return everything as one JSON object."""
        found = self.configuration
        return {
            "cache_directory": found.cache_directory,
            "clusters": {name: self._cluster(name) for name in sorted(found.clusters)},
            "files": list(found.files),
            "hints": list(found.hints),
            "local_cluster": found.local_cluster,
            "problems": [message for message, _ in self.errors],
            "services": [self._service(target) for target in self.targets],
            "settings": {setting.name: _as_json(setting) for setting in self.settings},
            "workdir": found.workdir,
        }

    def _cluster(self, name: str) -> dict[str, Any]:
        cluster = self.configuration.clusters[name]
        place = cluster.place
        return {
            "file": None if place is None else place.file,
            "frontends": [frontend.hostname for frontend in cluster.frontends],
            "here": self.configuration.is_here(cluster),
            "line": None if place is None else place.line,
            "queues": list(cluster.queues),
            "type": cluster.type,
        }

    def _service(self, target: Target) -> dict[str, Any]:
        status, port = self._state(target)
        return {
            "host": target.host.name,
            "key": target.key,
            "port": port,
            "service": target.scope.service,
            "status": status,
            "workdir": target.workdir,
        }

    def _state(self, target: Target) -> tuple[str, int | None]:
        row = self.rows.get((target.host.name, target.key))
        if row is None:
            is_embedded = self.configuration.cache_directory is not None
            return ("embedded" if is_embedded else NOT_ASKED), None
        return (row, None) if isinstance(row, str) else (row.process, row.port)

    # ---- for people

    def text(self) -> str:
        """Return everything as a person reads it."""
        found = self.configuration
        parts = [f"directory  {found.workdir}\n"]
        parts += [f"file       {name}\n" for name in found.files]
        if not found.files:
            parts.append("file       none\n")
        if found.cache_directory is not None:
            parts.append(f"cache      {found.cache_directory} (SEAMLESS_CACHE: no file counts)\n")
        parts += [f"hint       {hint}\n" for hint in found.hints]
        rows = [(each.name, _shown(each.value), _origin(each)) for each in self.settings]
        parts += ["\n", table(("SETTING", "VALUE", "FROM"), rows)]
        if found.clusters:
            parts += ["\n", table(("CLUSTER", "TYPE", "FRONTENDS", "QUEUES", "DEFINED"), self._clusters())]
        if self.targets:
            parts += [
                "\n",
                table(("SERVICE", "STATUS", "HOST", "PORT", "KEY", "DIRECTORY"), self._services()),
            ]
        else:
            parts += ["\nservices   none: ", self._without_services(), "\n"]
        return "".join(f"{line.rstrip()}\n" for line in "".join(parts).splitlines())

    def _clusters(self) -> list[tuple[object, ...]]:
        found: list[tuple[object, ...]] = []
        for name in sorted(self.configuration.clusters):
            cluster = self.configuration.clusters[name]
            is_here = self.configuration.is_here(cluster)
            hosts = ",".join(str(each.hostname or "(here)") for each in cluster.frontends)
            mark = "*" if name == self.configuration.selection.cluster else ""
            place = "-" if cluster.place is None else f"{cluster.place.file}:{cluster.place.line}"
            queues = ",".join(cluster.queues)
            found.append((name + mark, cluster.type, "(here)" if is_here else hosts, queues, place))
        return found

    def _services(self) -> list[tuple[object, ...]]:
        found: list[tuple[object, ...]] = []
        for target in self.targets:
            status, port = self._state(target)
            host = target.host.name or "(here)"
            found.append((target.scope.service, status, host, port, target.key, target.workdir))
        return found

    def _without_services(self) -> str:
        if self.errors:
            return "see the errors"
        return "results are kept in memory, for one process at a time"


def _shown(value: object) -> str:
    if value is None:
        return "-"
    return str(value).lower() if isinstance(value, bool) else str(value)


def _origin(setting: Setting) -> str:
    if isinstance(setting.origin, str):
        return setting.origin
    return f"{setting.origin.file}:{setting.origin.line}"


def _as_json(setting: Setting) -> dict[str, Any]:
    """Return value and origin; for a place its file, line and column."""
    found: dict[str, Any] = {"value": setting.value}
    if isinstance(setting.origin, str):
        return {**found, "origin": setting.origin}
    place = setting.origin
    return {**found, "origin": "file", "file": place.file, "line": place.line, "column": place.column}
